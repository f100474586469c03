/* intake.h: what a record must be to run, and into which session's line it goes. */
#ifndef CORE_INTAKE_H
#define CORE_INTAKE_H

#include "request.h"

/* r is inside the window of p. What may not run ends here, and r is freed; the rest is in its session's line then. */
void intake_take(struct engine *e, struct partition *p, struct request *r);

#endif
