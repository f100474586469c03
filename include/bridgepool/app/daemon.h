/* daemon.h: the daemon's life: STARTING, READY, DRAINING, STOPPED; signals; exit code. */
#ifndef BRIDGEPOOL_APP_DAEMON_H
#define BRIDGEPOOL_APP_DAEMON_H

#include "bridgepool/app/settings.h"

/* Exit codes (sysexits.h words). */
enum { EXIT_OK = 0, EXIT_USAGE_ERROR = 64, EXIT_BROKER = 69, EXIT_INTERNAL = 70, EXIT_CONFIGURATION = 78 };

/* What a caller inside the process (demo, dev) may watch; all may be NULL. */
struct daemon_hooks {
	void *ctx;
	void (*ready)(void *ctx);                   /* workers READY, subscribed, first assignment taken */
	void (*event)(void *ctx, const char *line); /* what would be a log line */
};

/* Runs until a signal has drained it (or a second one stopped it). Borrows all. origin: what SIGHUP reads again; NULL: nothing.
 * Returns the exit code. */
int daemon_run(const struct settings *settings, const struct settings_origin *origin, const struct daemon_hooks *hooks);

#endif
