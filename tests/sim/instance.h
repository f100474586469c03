/* instance.h: one daemon: a real engine, the calls into it, the orders that come out of it, and its life from start to end or
 * kill. */
#ifndef SIM_INSTANCE_H
#define SIM_INSTANCE_H

#include "world.h"

/* Around every call into the engine. */
struct engine *instance_enter(struct world *w, struct instance *i);
void instance_leave(struct world *w, struct instance *i);

void instance_init(struct world *w, int index);
void instance_birth(struct world *w, struct instance *i, const struct event *ev);
void instance_kill(struct world *w, struct instance *i);
void instance_freeze(struct world *w, struct instance *i, int64_t for_us);
void instance_thaw(struct world *w, struct instance *i, const struct event *ev);
void instance_drain(struct world *w, struct instance *i);
void instance_drain_check(struct world *w, struct instance *i, const struct event *ev);
void instance_left(struct world *w, struct instance *i); /* out of the group */
void instance_free(struct world *w, struct instance *i);
int64_t instance_tick_at(const struct world *w, const struct instance *i); /* INT64_MAX: no tick is due */
void instance_tick(struct world *w, struct instance *i);

#endif
