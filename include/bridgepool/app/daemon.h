/* daemon.h: the daemon's life: STARTING, READY, DRAINING, STOPPED; signals; exit code. */
#ifndef BRIDGEPOOL_APP_DAEMON_H
#define BRIDGEPOOL_APP_DAEMON_H

#include "bridgepool/app/settings.h"

/* Exit codes (sysexits.h words). */
enum { EXIT_OK = 0, EXIT_USAGE_ERROR = 64, EXIT_BROKER = 69, EXIT_INTERNAL = 70, EXIT_CONFIGURATION = 78 };

/* For tests, which run the daemon inside their own process. */
struct daemon_hooks {
	void *ctx;
	void (*ready)(void *ctx); /* workers READY, subscribed, first assignment taken */
};

/* Runs until a signal has drained it (or a second one stopped it). Borrows all. origin: what SIGHUP reads again; NULL: nothing.
 * hooks: NULL: none. Returns the exit code. */
int daemon_run(const struct settings *settings, const struct settings_origin *origin, const struct daemon_hooks *hooks);

#endif
