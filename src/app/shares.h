/* shares.h: how much memory a worker may hold where nobody has said it: an equal share of what the control group has. */
#ifndef APP_SHARES_H
#define APP_SHARES_H

#include "bridgepool/app/settings.h"
#include "bridgepool/worker/machine.h"

/* bytes: for the daemon beside limits.memory; a share below that helps nobody */
enum { SHARE_DAEMON = 64 << 20, SHARE_LEAST = 64 << 20 };

struct shares {
	uint64_t workers; /* that have no limit of their own, as many as may live at once */
	/* bytes for each of them; 0: none, because there is no control group with a limit, or too little in it */
	uint64_t limit, recycle;
	bool too_small; /* there is one, with less than SHARE_LEAST for each */
};

/* The control group's limit, without limits.memory, SHARE_DAEMON and what workers with limits of their own may use, in equal
 * parts. */
struct shares shares_of(const struct settings *s, const struct machine_memory *m);
bool shares_apply(const struct pool_settings *p); /* this pool's workers are among them */
double shares_own(const struct pool_settings
		*p); /* what its workers may use together by limits of their own; 0: none. 1000 of any size fit in a double. */

#endif
