/* drain.h: the way to a shutdown: what runs ends, sessions are ended, records are acknowledged, offsets committed, workers
 * stopped. How far that has come is seen at the end of every turn; the timer only makes sure that there is one. */
#ifndef CORE_DRAIN_H
#define CORE_DRAIN_H

#include <stdbool.h>

#include "timers.h"

struct drain {
	bool active, done;
	int64_t until, hooks_until /* sessions are waited for until then; 0: what runs has not ended yet */;
	struct timer timer;
};

void drain_begin(struct engine *e, int64_t until);
void drain_progress(struct engine *e);
void drain_timer_fired(struct engine *e, struct timer *t);

#endif
