/* answer.h: what an answer means for its call: the request ends or runs again, its session goes on, opens or is gone. */
#ifndef CORE_ANSWER_H
#define CORE_ANSWER_H

#include "slot.h"

void answer_take(struct engine *e, struct call_entry *c, const struct answer *a);
/* of cleanup_session, or its worker is gone */
void answer_cleaned_up(struct engine *e, struct call_entry *c, struct slice payload);

#endif
