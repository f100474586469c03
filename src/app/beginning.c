/* beginning.c: what comes before the work: a broker is waited for, and it is looked whether what was promised can be kept: are
 * the topics there, does the memory suffice? */
#include <inttypes.h>
#include <stdio.h>

#include "bridgepool/app/preflight.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/base/log.h"
#include "bridgepool/kafka/admin.h"
#include "aside.h"
#include "life.h"

enum {
	REACH_SLICE_MS = 500, /* one try at the broker; signals are looked at between tries */
	REACH_SAY_MS = 5000,  /* between log lines while the broker is away */
};

static void log_finding(void *ctx, enum verdict verdict, const char *what, const char *mend)
{
	static const enum log_level levels[] = {LOG_DEBUG, LOG_WARN, LOG_ERROR};
	const enum log_level *good = ctx;

	log_line(verdict == VERDICT_OK && good ? *good : levels[verdict], "preflight", "%s%s%s", what, mend ? "; " : "",
		mend ? mend : "");
}

void beginning_tell_surroundings(const struct daemon *d)
{
	enum log_level good = LOG_INFO;
	const struct preflight_report report = {.ctx = &good, .found = log_finding};

	preflight_memory(&d->settings, &d->memory, &report);
	preflight_environment(&d->settings, &report);
}

/* left_us: 0: without an end. */
static void say_away(int64_t left_us, const char *why)
{
	char end[64] = "";

	if (left_us)
		snprintf(end, sizeof end, " for %" PRId64 " s more (kafka.start_timeout)", (left_us + SECOND_US - 1) / SECOND_US);
	log_line(LOG_WARN, "broker_away", "no broker answers, waiting for one%s: %s", end, why);
}

/* As beginning_await. */
static bool await_broker(struct daemon *d, struct admin *a)
{
	int64_t begun = clock_mono_us(), said = begun - REACH_SAY_MS * MS_US;
	int64_t patience = d->settings.kafka.start_timeout;
	char why[512];

	while (!admin_reach(a, REACH_SLICE_MS, why, sizeof why)) {
		uv_run(&d->loop, UV_RUN_NOWAIT);
		if (d->reload_asked)
			reloading_serve(d);
		if (d->stop_asked || d->halt)
			return false;
		if (patience && clock_mono_us() - begun >= patience) {
			log_line(LOG_ERROR, "broker_unavailable", "no broker answered within kafka.start_timeout: %s", why);
			d->exit_code = EXIT_BROKER;
			return false;
		}
		if (clock_mono_us() - said >= REACH_SAY_MS * MS_US) {
			say_away(patience ? patience - (clock_mono_us() - begun) : 0, why);
			said = clock_mono_us();
		}
	}
	return true;
}

struct topics_look {
	struct admin *admin;
	const struct settings *settings;
	const char *config; /* the file that they are from */
	int code;
	char why[512]; /* the first thing to be mended */
};

static void on_topic_finding(void *ctx, enum verdict verdict, const char *what, const char *mend)
{
	struct topics_look *l = ctx;

	log_finding(NULL, verdict, what, mend);
	if (verdict == VERDICT_FAIL && !*l->why)
		snprintf(l->why, sizeof l->why, "%s", what);
}

static void run_look(void *ctx)
{
	struct topics_look *l = ctx;
	const struct preflight_report report = {l, on_topic_finding, l->config};

	l->code = preflight_topics(l->admin, l->settings, &report);
}

/* Each topic may take its time; nobody who asks /livez meanwhile shall wait for it. */
static void look_at_topics(struct daemon *d, struct topics_look *l)
{
	if (aside_run(&d->loop, run_look, l))
		return;
	l->code = EXIT_INTERNAL;
	snprintf(l->why, sizeof l->why,
		"there is no thread to look at the topics: the limit of processes is reached; raise it (ulimit -u, TasksMax, pids.max)");
	log_line(LOG_ERROR, "machine", "%s", l->why);
}

/* Before the flow turns: its last words still need the loop. */
static void end_early(struct daemon *d, int code, const char *reason)
{
	daemon_give_up(d, code, reason);
	while (!flow_flushed(d->flow) && !d->flush_over && uv_run(&d->loop, UV_RUN_ONCE))
		;
}

bool beginning_await(struct daemon *d)
{
	struct topics_look look = {.settings = &d->settings, .config = d->origin ? d->origin->path : NULL};
	char why[512];
	struct admin *a;
	bool ready;

	beginning_tell_surroundings(d);
	a = admin_new(d->settings.kafka.brokers, (const char *const *)d->settings.kafka.properties.items, why, sizeof why);
	if (!a) {
		log_line(LOG_ERROR, "kafka_configuration", "%s", why);
		d->exit_code = EXIT_CONFIGURATION;
		return false;
	}
	ready = await_broker(d, a);
	if (ready) {
		look.admin = a;
		look_at_topics(d, &look);
	}
	admin_free(a);
	if (ready && !d->halt && (look.code != EXIT_OK || d->stop_asked))
		end_early(d, look.code, look.code == EXIT_OK ? "asked to stop" : look.why);
	return ready && d->exit_code == EXIT_OK && !d->stop_asked && !d->halt;
}
