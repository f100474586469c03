/* hist.h: log-linear counts of microseconds, fixed size, about 6 % wide. */
#ifndef BRIDGEPOOL_BASE_HIST_H
#define BRIDGEPOOL_BASE_HIST_H

#include <stdint.h>

enum { HIST_BUCKETS = 40 * 16 };

struct hist {
	uint64_t count, sum;
	uint32_t bucket[HIST_BUCKETS];
};

void hist_add(struct hist *h, int64_t us);              /* negative counts as 0 */
int64_t hist_at(const struct hist *h, double quantile); /* 0..1; upper edge of the bucket; 0 when empty */
uint64_t hist_below(const struct hist *h, int64_t us);  /* how many were at most us (to bucket precision) */

#endif
