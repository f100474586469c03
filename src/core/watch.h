/* watch.h: looks once a second, while anything is under way, at what is no event of its own: back-pressure, partitions that
 * make no progress, and those that were given back and of which nothing is heard any more. */
#ifndef CORE_WATCH_H
#define CORE_WATCH_H

#include "timers.h"

void watch_begin(struct engine *e); /* something is under way */
void watch_timer_fired(struct engine *e, struct timer *t);

#endif
