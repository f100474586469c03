/* resident.h: when a worker holds too much. What it holds is heard once a second.
 *
 *   above recycle_memory  it is worn: replaced, before those that are worn otherwise (replace.h)
 *   and that soon         within 10 s of READY, or of the end of a pause: replacing is of no use. So who is younger than
 *                         memory_pause_us stays: 10 s, then twice as long each time, at most 1 h. The first pause is told; who
 *                         goes above it later ends them
 *   above resident_limit  it is killed
 *   a limit that sank     who holds more then is replaced, not killed: it may hold that, and an eighth more, until its sessions
 *                         have had their time */
#ifndef CORE_RESIDENT_H
#define CORE_RESIDENT_H

#include "pool.h"

void resident_heard(struct engine *e, struct slot *w, uint64_t resident);
/* cfg: what will hold; the pool's is still the one that held */
void resident_retuned(struct pool *p, const struct pool_config *cfg);

#endif
