/* random.h: a small seeded generator (splitmix64): the same seed gives the same numbers on every machine. Not for secrets. */
#ifndef BRIDGEPOOL_BASE_RANDOM_H
#define BRIDGEPOOL_BASE_RANDOM_H

#include <stdint.h>

struct random {
	uint64_t state;
};

void random_seed(struct random *r, uint64_t seed);
uint64_t random_next(struct random *r);
uint64_t random_below(struct random *r, uint64_t bound); /* 0 <= x < bound; bound > 0 */
uint64_t random_entropy(void);                           /* from the kernel; for seeds and names */

#endif
