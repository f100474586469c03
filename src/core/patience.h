/* patience.h: when time is over: a request's, a run's, a call's; and calls whose request ends before their answer. */
#ifndef CORE_PATIENCE_H
#define CORE_PATIENCE_H

#include "result.h"
#include "slot.h"

bool patience_is_over(const struct engine *e, const struct request *r);           /* its client's time, or that of its run */
struct outcome patience_outcome(const struct engine *e, const struct request *r); /* how a request ends whose time is over */
/* its request ends here without a result; its answer will be dropped */
void patience_orphan(struct engine *e, struct call_entry *c, const char *reason);
void patience_cancelled(struct engine *e, struct request *r); /* its client wants it no more */
void patience_request_fired(struct engine *e, struct timer *t);
void patience_call_fired(struct engine *e, struct timer *t);

#endif
