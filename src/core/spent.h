/* spent.h: what a run says that it has used up, added to what its pool has. Counted of every run: also of one that runs again, or
 * that nobody waits for any more, because it was paid for all the same. */
#ifndef CORE_SPENT_H
#define CORE_SPENT_H

#include "bridgepool/wire/record.h"

/* json: an object of numbers, or absent. Names that are not known, and numbers below 0, count nothing. */
void spent_add(struct used_up *total, struct slice json);

#endif
