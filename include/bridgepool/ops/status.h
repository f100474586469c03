/* status.h: the daemon as a JSON document for people: what /status answers. */
#ifndef BRIDGEPOOL_OPS_STATUS_H
#define BRIDGEPOOL_OPS_STATUS_H

#include "bridgepool/core/view.h"
#include "bridgepool/ops/metrics.h"

struct status_facts {
	const struct process_facts *process;
	const char *group, *host;
	int64_t wall_ms;
};

/* The whole: instance, pools with their workers, partitions. */
void status_write(const struct engine *e, int64_t now, const struct status_facts *f, struct buf *out);
/* One session in each pool that knows it, one request. False: nothing is known of it, and out says so. */
bool status_write_session(const struct engine *e, int64_t now, struct slice id, struct buf *out);
bool status_write_request(const struct engine *e, int64_t now, struct slice id, struct buf *out);

/* That name is no argument here, and what is; known ends with NULL. */
void status_write_unknown_argument(struct slice name, const char *const *known, struct buf *out);

#endif
