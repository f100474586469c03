/* group.h: the consumer group: who is a member, who has which partition, and the rebalances, eager or cooperative. */
#ifndef SIM_GROUP_H
#define SIM_GROUP_H

#include "world.h"

void group_join(struct world *w, struct instance *i);
void group_leave(struct world *w, struct instance *i); /* revokes what it has; it is out when that is answered */
void group_died(struct world *w, struct instance *i);  /* kill -9: the group finds out later */
void group_froze(struct world *w, struct instance *i);
void group_thawed(struct world *w, struct instance *i);
void group_rebalance(struct world *w);
void group_assign(struct world *w, struct instance *i, const struct event *ev);
void group_revoke(struct world *w, struct instance *i, const struct event *ev);
void group_release_check(struct world *w, struct instance *i, const struct event *ev);
void group_member_timeout(struct world *w, struct instance *i, const struct event *ev);
void group_offsets(struct world *w, struct instance *i, const struct event *ev);
void group_late(struct world *w, struct instance *i, const struct event *ev);
/* orders of the engine */
void group_read_offsets(struct world *w, struct instance *i, const struct tp *tp, size_t n);
void group_release(struct world *w, struct instance *i);
void group_hold(struct world *w, struct instance *i, struct tp tp, bool on);
struct owned *group_owned(struct world *w, struct instance *i, struct tp tp); /* NULL: i has not got that epoch of it */

#endif
