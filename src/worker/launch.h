/* launch.h: starts bridgepool-guard with a worker below it. (A spawn.h here would hide the system's.) */
#ifndef WORKER_LAUNCH_H
#define WORKER_LAUNCH_H

#include <sys/types.h>

#include "environment.h"
#include "bridgepool/worker/account.h"
#include "bridgepool/worker/adapter.h"

/* What all starts of an adapter have in common. */
struct launch_plan {
	char *guard;         /* its path */
	char **argv;         /* the guard's: limits, directory, command; NULL-terminated */
	const char *command; /* borrows argv */
	char *directory;     /* NULL: the daemon's */
	char *pool_name;
	struct account account;
	struct environment environment;
};

/* Our ends, non-blocking and close-on-exec; owned by the caller. */
struct launched {
	pid_t guard;
	int in, orders;       /* to write */
	int out, err, report; /* to read */
};

/* Copies c, whose max_frame_bytes is set. False: errstr says what cannot be found or run. */
bool launch_plan_init(struct launch_plan *p, const struct adapter_config *c, char *errstr, size_t size);
void launch_plan_free(struct launch_plan *p);
/* Why the command cannot be run, as far as it can be seen from here; false: nothing is wrong with it. */
bool launch_plan_explain(const struct launch_plan *p, char *errstr, size_t size);

/* Does not wait for the worker: the guard's report tells what came of it. Not 0: an errno, nothing was started, errstr says why.
 */
int launch_guarded(const struct launch_plan *p, struct slot_ref w, struct launched *out, char *errstr, size_t size);

#endif
