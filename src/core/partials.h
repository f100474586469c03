/* partials.h: what a worker says before its answer, as results that are not final.
 *
 * What is said within partial_interval of the last part is gathered; a part's result is a JSON array of what was gathered, in
 * order. Parts count from 0 in each run of a request; the final result has the next number. They are told, not promised: one that
 * the broker does not take is not sent again, and its number is missing. What goes beyond partial_max or partial_bytes_max, or
 * fits into no part, is dropped with all that follows in that run: a stream that ends early is better than one with holes. The
 * final result is the same either way. While the broker acknowledges nothing, parts wait and are gathered: see
 * budget_takes_part. */
#ifndef CORE_PARTIALS_H
#define CORE_PARTIALS_H

#include "request.h"
#include "slot.h"

struct partials {
	struct request *request;
	struct buf gathered; /* JSON values with commas between them */
	struct timer timer;  /* armed: something is gathered */
	int64_t last_at;     /* when the last part went; INT64_MIN: none yet in this run */
	int32_t next;
	uint32_t values; /* in `gathered` */
	uint64_t bytes;  /* of what was taken in this run */
	bool full;       /* nothing more is taken in it */
};

void partials_take(struct engine *e, struct call_entry *c, const struct answer *a); /* a partial answer of a running request */
void partials_end(struct engine *e, struct request *r);     /* its final result follows: what is gathered goes now */
void partials_restart(struct engine *e, struct request *r); /* a new run begins: what is gathered is dropped */
void partials_stop(struct engine *e, struct request *r);    /* no timer runs any more */
void partials_free(struct request *r);
int32_t partials_next(const struct request *r);
size_t partials_size(const struct request *r); /* bytes, for the budget */

#endif
