/* client.h: the services that ask: records onto the request topics, and what they learn from results. */
#ifndef SIM_CLIENT_H
#define SIM_CLIENT_H

#include "world.h"

enum { ATTRIBUTE_TEXT = 16 };

void client_init(struct world *w);
void client_cleanup(struct world *w);
void client_ask(struct world *w, const struct event *ev); /* one record, and plans the next */
struct asked *client_find(struct world *w, uint32_t topic, int32_t partition, int64_t offset); /* NULL: no such record */
int client_session(const struct world *w, struct slice id);                                    /* -1: none of ours */
void client_attribute(const struct asked *r, char out[ATTRIBUTE_TEXT]); /* the value of its attribute `tenant` */

#endif
