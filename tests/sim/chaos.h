/* chaos.h: what befalls the world from time to time. */
#ifndef SIM_CHAOS_H
#define SIM_CHAOS_H

#include "world.h"

void chaos_init(struct world *w);
void chaos_strike(struct world *w, struct instance *unused, const struct event *ev);
void chaos_accept(struct world *w, struct instance *unused, const struct event *ev); /* a refused topic is well again */
void chaos_clock(struct world *w, struct instance *unused, const struct event *ev);
void chaos_quiet(struct world *w, struct instance *unused, const struct event *ev); /* faults off, for good */

#endif
