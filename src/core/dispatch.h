/* dispatch.h: a session's turn on a slot: what its head wants is begun, or ends at once because no worker is needed to know
 * how. */
#ifndef CORE_DISPATCH_H
#define CORE_DISPATCH_H

#include "slot.h"

/* runs what the session's head wants; may end with nothing in flight; w NULL: it settles */
void dispatch_turn(struct engine *e, struct slot *w, struct session *s);
bool dispatch_settles(const struct engine *e, const struct session *s); /* that would need no slot: its head ends at once */
/* the call itself: its session is open */
void dispatch_run(struct engine *e, struct slot *w, struct session *s, struct request *r);

#endif
