/* window.h: which offsets of one partition were taken and which are done. Knows no Kafka.
 *
 *        base                     next                top
 *   done  |  taken or done bits    |  done, not read   |
 *
 * base: all below is done; it never falls. next: the next offset expected from the log. Offsets between them are taken (a request
 * or its records live here), done, or put back. Offsets from next to top are known to be done (from a committed map, or from
 * before a rebalance) but were not read again yet. */
#ifndef CORE_WINDOW_H
#define CORE_WINDOW_H

#include "bridgepool/wire/offsetmap.h"

enum { WINDOW_RING = 24576 }; /* bits; a multiple of 64 above OFFSETMAP_SPAN_MAX */

enum window_verdict {
	WINDOW_NEW,  /* taken now; a gap below it was filled */
	WINDOW_DONE, /* was done before */
	WINDOW_AGAIN /* is taken already */
};

struct window {
	int64_t base, next, top;
	uint32_t cap, ntaken;
	uint64_t taken[WINDOW_RING / 64], done[WINDOW_RING / 64];
};

void window_start(struct window *w, int64_t base, const struct offsetmap *m, uint32_t cap);
enum window_verdict window_admit(struct window *w, int64_t offset); /* it fits, or is below the base */
bool window_fits(const struct window *w, int64_t offset);
bool window_finish(struct window *w, int64_t offset);   /* done; true: base moved */
void window_put_back(struct window *w, int64_t offset); /* taken no more: to be read again */
void window_rewind(struct window *w); /* the log will be read again from base or below; what is taken stays taken */
void window_map(const struct window *w, struct offsetmap *m);
void window_check(const struct window *w);

#endif
