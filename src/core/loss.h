/* loss.h: what the loss of a worker means for its calls, and for the sessions whose state it held. */
#ifndef CORE_LOSS_H
#define CORE_LOSS_H

#include "retry.h"
#include "slot.h"

void loss_of_worker(struct engine *e, struct call_entry *c, enum failure failure); /* its worker is gone */
/* The queued requests of a session whose state is gone end, if the pool wants that; with `waiting` also one that waits for its
 * next run. True: at least one ended, and s may be gone. */
bool loss_fails_line(struct engine *e, struct session *s, bool waiting);
void loss_of_state(struct engine *e, struct session *s); /* in a dead slot's line: on_session_loss decides */

#endif
