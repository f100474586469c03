/* hist.c: see hist.h. A bucket is a power of two cut into 16 equal parts; values below 16 have one each. */
#include "bridgepool/base/hist.h"

enum { PARTS = 16 };

static unsigned bucket_of(int64_t us)
{
	uint64_t v = us < 0 ? 0 : (uint64_t)us;
	unsigned power, bucket;

	if (v < PARTS)
		return (unsigned)v;
	power = 63u - (unsigned)__builtin_clzll(v);
	bucket = (power - 3) * PARTS + (unsigned)(v >> (power - 4) & (PARTS - 1));
	return bucket < HIST_BUCKETS ? bucket : HIST_BUCKETS - 1;
}

static int64_t upper_edge(unsigned bucket)
{
	unsigned power = bucket / PARTS + 3;

	if (bucket < PARTS)
		return bucket;
	return (int64_t)(((uint64_t)PARTS + bucket % PARTS + 1) << (power - 4)) - 1;
}

void hist_add(struct hist *h, int64_t us)
{
	h->bucket[bucket_of(us)]++;
	h->count++;
	h->sum += us < 0 ? 0 : (uint64_t)us;
}

int64_t hist_at(const struct hist *h, double quantile)
{
	double wanted = quantile * (double)h->count;
	uint64_t seen = 0;

	if (h->count == 0)
		return 0;
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen > 0 && (double)seen >= wanted)
			return upper_edge(i);
	}
	return upper_edge(HIST_BUCKETS - 1);
}

uint64_t hist_below(const struct hist *h, int64_t us)
{
	uint64_t seen = 0;

	for (unsigned i = 0; i <= bucket_of(us); i++)
		seen += h->bucket[i];
	return us < 0 ? 0 : seen;
}
