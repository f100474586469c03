/* broker.h: the broker's data: request logs that are read, output topics that are written, and committed offsets. */
#ifndef SIM_BROKER_H
#define SIM_BROKER_H

#include "world.h"

void broker_plan_poll(struct world *w, struct instance *i); /* if there is something to read, and it takes messages */
void broker_poll(struct world *w, struct instance *i, const struct event *ev);
void broker_land(struct world *w, struct instance *i, const struct event *ev);
void broker_report(struct world *w, struct instance *i, const struct event *ev);
void broker_commit_apply(struct world *w, struct instance *i, const struct event *ev);
void broker_commit_answer(struct world *w, struct instance *i, const struct event *ev);
void broker_commit_late(struct world *w, struct instance *i, const struct event *ev);
void broker_cut(struct world *w, struct instance *i); /* its connection breaks: what is under way arrives or not */
void broker_forget(struct world *w, struct instance *i);
void broker_message(const struct world *w, const struct asked *r, uint32_t epoch, struct message *m);
/* orders of the engine */
bool broker_produce(struct world *w, struct instance *i, const struct record *r);
void broker_commit(struct world *w, struct instance *i, const struct commit *c);

#endif
