/* commit.h: what is done becomes a commit: after commit_every finished requests, or commit_interval after the first of them.
 * One is in flight at most; what is done meanwhile waits for the next one. */
#ifndef CORE_COMMIT_H
#define CORE_COMMIT_H

#include "bridgepool/core/port.h"
#include "partition.h"

void commit_soon(struct engine *e);
void commit_now(struct engine *e);    /* unless one is in flight */
void commit_urgent(struct engine *e); /* now, or as soon as the one in flight is answered */
void commit_timer_fired(struct engine *e, struct timer *t);
void commit_answered(struct engine *e, uint64_t id, const struct tp_fault *faults, size_t n);
bool commit_pending(const struct engine *e);
struct mark commit_mark(int64_t base, struct slice metadata);

#endif
