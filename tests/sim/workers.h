/* workers.h: model workers: processes that start, answer, hang, lie and die as the seed says. */
#ifndef SIM_WORKERS_H
#define SIM_WORKERS_H

#include "world.h"

struct proc *workers_find(struct instance *i, struct slot_ref ref); /* NULL: gone */
struct proc *workers_any(struct world *w, struct instance *i);      /* one that lives; NULL: none */
void workers_started(struct world *w, struct instance *i, const struct event *ev);
void workers_answer(struct world *w, struct instance *i, const struct event *ev);
void workers_fault(struct world *w, struct instance *i, const struct event *ev);
void workers_crash(struct world *w, struct instance *i, const struct event *ev);
void workers_gone(struct world *w, struct instance *i, const struct event *ev);
void workers_forget(struct world *w, struct instance *i);
/* What a worker says: shared by its answers and by stale ones. */
void workers_payload(const struct asked *r, int32_t attempt, bool huge, struct buf *out);
/* orders of the engine */
void workers_start(struct world *w, struct instance *i, struct slot_ref ref);
void workers_call(struct world *w, struct instance *i, struct slot_ref ref, const struct call *c);
void workers_stop(struct world *w, struct instance *i, struct slot_ref ref, enum stop_step step);

#endif
