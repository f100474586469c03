/* dev_log.h: the daemon's log as `bridgepool dev` shows it: what the application wrote, what went wrong, and the few events that
 * dev waits for. */
#ifndef CLI_DEV_LOG_H
#define CLI_DEV_LOG_H

#include <stdbool.h>
#include <uv.h>

#include "bridgepool/base/buf.h"
#include "terminal.h"

enum dev_event {
	DEV_JOINED,
	DEV_WORKER_READY,
	DEV_WORKER_FAILED /* it did not get ready; another is tried, after so many milliseconds as the text says */,
	DEV_HTTP,
	DEV_LOG_OVER /* whoever wrote it is gone */
};

struct dev_log {
	const struct terminal *terminal; /* these three are the caller's to fill */
	void (*event)(void *ctx, enum dev_event event, const char *text);
	void *ctx;
	/* Set while the same failure may come again and again: of workers only this one's lines are shown; "": of none. */
	const char *only;
	uv_pipe_t pipe; /* private from here */
	struct buf line;
	bool open;
};

/* Takes the descriptor, reads it to its end: lines of a daemon with log.format=json. */
void dev_log_read(struct dev_log *l, uv_loop_t *loop, int fd);
void dev_log_close(struct dev_log *l);

#endif
