/* pages.h: what the daemon answers over HTTP. */
#ifndef APP_PAGES_H
#define APP_PAGES_H

#include "bridgepool/ops/http.h"
#include "bridgepool/ops/metrics.h"
#include "flow.h"

struct pages {
	const struct settings *settings;
	const struct identity *identity;
	const struct flow *flow;
	struct http *http; /* NULL: http.listen is empty, or could not be had */
	double started_s;
	/* the daemon keeps these up to date */
	enum health_state state; /* of the instance */
	char state_why[256];     /* why it came to be that */
	bool joined;             /* it is a member of the group */
	char out_why[512];       /* why it is not one any more, or not let in; "": not yet */
};

/* Whether requests are taken; out says why not. pool: one that cannot work and why, or NULL. */
bool pages_readiness(const struct pages *p, const char *pool, struct buf *out);
/* An address that cannot be had is logged, and the daemon does its work without. The rest of p is filled already. */
void pages_open(struct pages *p, uv_loop_t *loop);
void pages_close(struct pages *p);

#endif
