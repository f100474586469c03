/* dev_trial.h: loads an application in a process of its own: can it be loaded, and which commands does it have? */
#ifndef CLI_DEV_TRIAL_H
#define CLI_DEV_TRIAL_H

#include <stdbool.h>
#include <uv.h>

#include "bridgepool/base/buf.h"

struct dev_trial {
	char *python, *app; /* these and loop, over and ctx are the caller's to fill */
	uv_loop_t *loop;
	void (*over)(void *ctx, bool good); /* said and complaint hold until the next one is asked for */
	void *ctx;
	struct buf said, complaint; /* `python -m bridgepool list --json`: what it wrote on stdout and on stderr */
	/* private */
	uv_process_t process;
	uv_pipe_t out, err;
	int handles; /* open ones; 0: none is running */
	bool good, again, closing, no_python;
};

/* The last one failed because the Python itself cannot be run; complaint says why. */
static inline bool dev_trial_no_python(const struct dev_trial *t)
{
	return t->no_python;
}

static inline bool dev_trial_runs(const struct dev_trial *t)
{
	return t->handles > 0;
}

void dev_trial_ask(struct dev_trial *t); /* one that is running is ended, and forgotten */
void dev_trial_close(struct dev_trial *t);
void dev_trial_free(struct dev_trial *t); /* once the loop is closed */

#endif
