/* replace.h: which process of a pool serves, which waits, warm, to serve, and which leaves.
 *
 * When a serving one dies, a READY spare takes its place in the same turn, and the dead one's slot starts the next spare.
 *
 * When a serving one is worn (runs, age, memory: see resident.h, a roll), a successor is started beside it, and once that is
 * READY, and a spare one too if any are wanted, the worn one leaves: it gets no new sessions, keeps its own for recycle_grace,
 * after which they are ended, and is stopped when it is empty.
 *
 * When more are wanted, slots start them: unused ones, or new ones.
 *
 * When fewer are wanted, those that are not up are given up first, then the highest slots leave as worn ones do, without
 * successors.
 *
 * Never more than size + spare + 1 live, beside those that leave because the pool is smaller now: that is what memory is reckoned
 * for. So with `spare` workers so many may leave at a time, else one, and one spare is always there for whoever dies.
 *
 * pool->restless asks for replace_step at the end of the turn. */
#ifndef CORE_REPLACE_H
#define CORE_REPLACE_H

#include "pool.h"

void replace_new_process(struct engine *e, struct slot *w); /* draws when it will be worn */
void replace_retuned(struct engine *e, struct slot *w);     /* the limits are others now */
void replace_ready(struct engine *e, struct slot *w);       /* its age counts from now */
void replace_worn(struct slot *w, enum wear why);
void replace_all(struct pool *p);
void replace_gone(struct engine *e, struct slot *w); /* what its slot is for now */
void replace_step(struct engine *e, struct pool *p);
void replace_stop_empty(struct engine *e, struct pool *p);   /* those that leave and hold nothing any more */
void replace_end_sessions(struct engine *e, struct slot *w); /* all that live there now, some at a time */
void replace_timer_fired(struct engine *e, struct timer *t);
bool replace_serves(const struct slot *w); /* takes sessions that are bound to none */
const char *role_name(enum slot_role role);

#endif
