/* preflight.h: what must be in place before the daemon can work, looked at one thing after the other. Blocking: for start-up and
 * `check`. */
#ifndef BRIDGEPOOL_APP_PREFLIGHT_H
#define BRIDGEPOOL_APP_PREFLIGHT_H

#include "bridgepool/app/settings.h"
#include "bridgepool/worker/machine.h"

struct admin;

enum verdict { VERDICT_OK, VERDICT_WARN, VERDICT_FAIL };

/* One thing looked at. what: a sentence; mend: how to mend it, NULL when there is nothing to mend, or it was just told. Borrowed
 * for the call. */
struct preflight_report {
	void *ctx;
	void (*found)(void *ctx, enum verdict verdict, const char *what, const char *mend);
	const char *config; /* what -c names for the commands that mend it; NULL: they find the file without it */
};

/* What is in schemas.extra can be read. Returns the exit code that a failure calls for, else 0. */
int preflight_schemas(const struct settings *s, const struct preflight_report *r);
/* Every topic of the settings exists and may be seen. Returns the exit code that a failure calls for, else 0. */
int preflight_topics(struct admin *a, const struct settings *s, const struct preflight_report *r);
/* Beyond existing: can these topics keep what is promised (cleanup.policy, record sizes, partitions)? Only warns. */
void preflight_topic_settings(struct admin *a, const struct settings *s, const struct preflight_report *r);
/* What workers may hold where the settings do not say it; do the limits of all together fit the memory that there is? Only
 * warns. */
void preflight_memory(const struct settings *s, const struct machine_memory *m, const struct preflight_report *r);
/* Is there in our own environment what pools[].pass_environment names? Only warns. */
void preflight_environment(const struct settings *s, const struct preflight_report *r);
/* Starts one worker of each pool, pings it, ends it. Returns the exit code that a failure calls for, else 0. */
int preflight_workers(const struct settings *s, const struct preflight_report *r);

#endif
