/* random.c: see random.h. The generator is splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
 * Generators, 2014). */
#include "bridgepool/base/random.h"

#include <sys/random.h>

#include "bridgepool/base/check.h"

void random_seed(struct random *r, uint64_t seed)
{
	r->state = seed;
}

uint64_t random_next(struct random *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t random_below(struct random *r, uint64_t bound)
{
	CHECK(bound > 0);
	return (uint64_t)((unsigned __int128)random_next(r) * bound >> 64);
}

uint64_t random_entropy(void)
{
	uint64_t seed;

	CHECK(getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed));
	return seed;
}
