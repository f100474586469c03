/* closing.h: a revoke, from its beginning to its answer.
 *
 * What runs of its partitions is waited for, and sessions that are to end with it; then one last commit is made, and the
 * partitions are released. How far that has come is seen at the end of every turn; `timer` only makes sure that there is
 * one. */
#ifndef CORE_CLOSING_H
#define CORE_CLOSING_H

#include "bridgepool/core/message.h"
#include "timers.h"

/* A revoke that is not answered yet. */
struct closing {
	bool active, lost;
	uint64_t last_commit; /* 0: not ordered yet */
	int64_t until;        /* what runs is waited for until then */
	int64_t hooks_until;  /* and sessions that are to end with it, until then */
	struct timer timer, end_timer /* sessions that are to end, some at a time */;
};

void closing_begin(struct engine *e, const struct tp *tp, size_t n, bool lost);
void closing_progress(struct engine *e);
void closing_timer_fired(struct engine *e, struct timer *t);
void closing_end_fired(struct engine *e, struct timer *t);

#endif
