/* probe.h: which call is tried while a pool's circuit is PROBING: the first that may run of those that have lost no worker; if
 * there is none, and others have had time to come, a suspect, with nothing beside it. Else one poison, which is blamed for
 * nothing meanwhile, would be tried for ever, and nobody beside it. */
#ifndef CORE_PROBE_H
#define CORE_PROBE_H

#include "pool.h"

void probe_feed(struct engine *e, struct pool *p); /* as long as circuit_allows */

#endif
