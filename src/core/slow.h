/* slow.h: requests that took longer than somebody wants to know of, with all that is needed to see where their time went. */
#ifndef CORE_SLOW_H
#define CORE_SLOW_H

#include "result.h"

/* if it took so long */
void slow_told(struct engine *e, const struct request *r, const struct outcome *o, const struct timings *t);

#endif
