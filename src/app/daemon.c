/* daemon.c: the life of the daemon: STARTING, READY, UNAVAILABLE, DRAINING, STOPPED; signals; exit code. What comes before the
 * work is in beginning.c, a configuration that is read again in reloading.c. */
#include "bridgepool/app/daemon.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/base/heap.h"
#include "bridgepool/base/log.h"
#include "bridgepool/ops/supervisor.h"
#include "life.h"

enum {
	FLUSH_MS = 2000,            /* for the last health events */
	DRAIN_EXTRA_MS = 30 * 1000, /* beyond drain.shutdown and the hooks: commit, leave the group, end the workers */
	CLOSE_MS = 3000,            /* for closing what is left */
	FINISH_MS = 1000,           /* for the loop's own last callbacks */
	CLOSED_MS = 10 * 1000,      /* from STOPPED to our end: all of these, and room for a busy machine */
	FILES = 65536,              /* open files that we may have, if the hard limit allows it */
};

/* STARTING -> READY <-> UNAVAILABLE; any -> DRAINING -> STOPPED; any -> STOPPED. */
static const bool legal[HEALTH_STATE_COUNT][HEALTH_STATE_COUNT] = {
	[HEALTH_UNKNOWN] = {[HEALTH_STARTING] = true},
	[HEALTH_STARTING] = {[HEALTH_READY] = true, [HEALTH_DRAINING] = true, [HEALTH_STOPPED] = true},
	[HEALTH_READY] = {[HEALTH_UNAVAILABLE] = true, [HEALTH_DRAINING] = true, [HEALTH_STOPPED] = true},
	[HEALTH_UNAVAILABLE] = {[HEALTH_READY] = true, [HEALTH_DRAINING] = true, [HEALTH_STOPPED] = true},
	[HEALTH_DRAINING] = {[HEALTH_STOPPED] = true},
};

static int64_t longest_hook_us(const struct settings *s)
{
	int64_t most = 0;

	for (size_t i = 0; i < s->pools.n; i++)
		most = settings_pool(s, i)->session_hook_timeout > most ? settings_pool(s, i)->session_hook_timeout : most;
	return most;
}

/* What a drain may take. */
static int64_t drain_ms(const struct daemon *d)
{
	return (d->settings.drain.shutdown + longest_hook_us(&d->settings)) / MS_US + DRAIN_EXTRA_MS;
}

static void tell_supervisor(const struct daemon *d, enum health_state to, const char *reason)
{
	char text[512];

	snprintf(text, sizeof text, "%s%s%s", health_state_name(to), reason ? ": " : "", reason ? reason : "");
	supervisor_status(text);
	if (to == HEALTH_DRAINING)
		supervisor_stopping((drain_ms(d) + CLOSED_MS) * MS_US);
	else if (to == HEALTH_STOPPED)
		supervisor_stopping(CLOSED_MS * MS_US);
}

static void daemon_move(struct daemon *d, enum health_state to, const char *reason)
{
	const struct note n = {.kind = NOTE_INSTANCE_STATE, .from = d->state, .to = to, .reason = slice_of(reason)};

	CHECK(legal[d->state][to]);
	d->state = d->pages.state = to;
	snprintf(d->pages.state_why, sizeof d->pages.state_why, "%s", reason ? reason : "");
	tell_supervisor(d, to, reason);
	flow_note(d->flow, &n);
}

/* Closes everything at the next turn. The first reason counts. */
static void daemon_halt(struct daemon *d, int code, const char *reason)
{
	if (d->halt)
		return;
	d->halt = true;
	d->exit_code = code;
	daemon_move(d, HEALTH_STOPPED, reason);
}

/* ---- leaving ---- */

static void on_flush_overdue(uv_timer_t *timer)
{
	((struct daemon *)timer->data)->flush_over = true;
}

void daemon_give_up(struct daemon *d, int code, const char *reason)
{
	d->exit_code = code;
	daemon_move(d, HEALTH_STOPPED, reason);
	uv_timer_start(&d->patience, on_flush_overdue, FLUSH_MS, 0);
	d->leaving = LEAVING_RECORDS;
}

static void on_drain_overdue(uv_timer_t *timer)
{
	struct daemon *d = timer->data;

	log_line(LOG_WARN, "drain_overdue",
		"stopping takes too long, probably because the broker is away; what is not committed will run again");
	if (d->state == HEALTH_DRAINING)
		daemon_halt(d, EXIT_OK, "drain overdue");
}

static void on_close_overdue(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

static void leave_work(struct daemon *d)
{
	if (flow_drained(d->flow)) {
		uv_timer_start(&d->patience, on_drain_overdue, DRAIN_EXTRA_MS, 0); /* runs and hooks are over */
		flow_leave(d->flow);
		d->leaving = LEAVING_GROUP; /* ends in on_closed */
	}
}

static void leave_workers(struct daemon *d)
{
	if (flow_idle(d->flow)) {
		daemon_move(d, HEALTH_STOPPED, "drained");
		uv_timer_start(&d->patience, on_flush_overdue, FLUSH_MS, 0);
		d->leaving = LEAVING_RECORDS;
	}
}

static void leave_records(struct daemon *d)
{
	if (flow_flushed(d->flow) || d->flush_over) {
		d->halt = true;
		d->leaving = LEAVING_DONE;
	}
}

static void leave_nothing(struct daemon *d)
{
	(void)d;
}

static void daemon_leave(struct daemon *d)
{
	static void (*const steps[])(struct daemon * d) = {
		[LEAVING_WORK] = leave_work,
		[LEAVING_GROUP] = leave_nothing,
		[LEAVING_WORKERS] = leave_workers,
		[LEAVING_RECORDS] = leave_records,
		[LEAVING_DONE] = leave_nothing,
	};

	steps[d->leaving](d);
}

static void daemon_drain(struct daemon *d, const char *reason)
{
	daemon_move(d, HEALTH_DRAINING, reason);
	flow_drain(d->flow, clock_mono_us() + d->settings.drain.shutdown);
	uv_timer_start(&d->patience, on_drain_overdue, (uint64_t)drain_ms(d), 0);
}

/* ---- what the flow tells ---- */

static void start_step(struct daemon *d)
{
	const char *why;
	char text[768];
	uint16_t pool;

	if (starts_hopeless(d->starts, &pool, &why)) {
		snprintf(text, sizeof text, "the workers of pool \"%s\" cannot start: %s",
			settings_pool(&d->settings, pool)->name, why);
		log_line(LOG_ERROR, "workers_cannot_start", "%s; run its command by hand, or `bridgepool check -c FILE`", text);
		daemon_give_up(d, EXIT_CONFIGURATION, text);
	} else if (flow_ready(d->flow)) {
		flow_subscribe(d->flow);
		daemon_move(d, HEALTH_READY, "workers are ready, joining the group");
	}
}

static void on_turn(void *ctx)
{
	struct daemon *d = ctx;

	if (d->reload_asked)
		reloading_serve(d);
	if (d->state == HEALTH_STARTING)
		start_step(d);
	else if (d->state == HEALTH_DRAINING || d->leaving == LEAVING_RECORDS)
		daemon_leave(d);
	if (d->halt) {
		pages_close(&d->pages);
		flow_close(d->flow);
		uv_timer_start(&d->patience, on_close_overdue, CLOSE_MS, 0);
	}
}

static void on_note(void *ctx, const struct note *n)
{
	struct daemon *d = ctx;

	if (n->worker.generation)
		starts_note(d->starts, n);
}

static void on_assigned(void *ctx)
{
	struct daemon *d = ctx;

	d->pages.joined = true;
	if (d->told_ready)
		return;
	d->told_ready = true;
	supervisor_ready();
	log_line(LOG_INFO, "joined", "this instance is a member of the group and works instance=%s group=%s",
		d->identity.instance, d->settings.kafka.group);
	if (d->hooks)
		d->hooks->ready(d->hooks->ctx);
}

static void on_out(void *ctx, const char *why)
{
	struct daemon *d = ctx;

	d->pages.joined = false;
	snprintf(d->pages.out_why, sizeof d->pages.out_why, "%s", why);
}

static void on_exec_failed(void *ctx, struct slot_ref w, struct slice why)
{
	starts_exec_failed(((struct daemon *)ctx)->starts, w.pool, why);
}

static void on_fault(void *ctx, enum kafka_fault fault, const char *why)
{
	struct daemon *d = ctx;

	if (fault == KAFKA_UNREACHABLE && d->state == HEALTH_READY)
		daemon_move(d, HEALTH_UNAVAILABLE, why);
	else if (fault == KAFKA_REACHABLE && d->state == HEALTH_UNAVAILABLE)
		daemon_move(d, HEALTH_READY, "a broker answers again");
	else if ((fault == KAFKA_FENCED || fault == KAFKA_FATAL) && d->state != HEALTH_STOPPED)
		daemon_halt(d, fault == KAFKA_FENCED ? EXIT_CONFIGURATION : EXIT_INTERNAL, why);
}

static void on_closed(void *ctx)
{
	struct daemon *d = ctx;

	if (d->leaving == LEAVING_GROUP)
		d->leaving = LEAVING_WORKERS;
}

/* ---- signals ---- */

static void on_roll(uv_signal_t *handle, int number)
{
	struct daemon *d = handle->data;

	(void)number;
	if (!d->serving || d->state == HEALTH_DRAINING || d->state == HEALTH_STOPPED)
		return;
	log_line(LOG_INFO, "roll", "SIGUSR1: every worker is replaced, its successor first");
	flow_roll(d->flow);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct daemon *d = handle->data;

	if (number == SIGHUP) {
		d->reload_asked = true;
		return;
	}
	if (d->stop_asked && d->state != HEALTH_STOPPED) {
		log_line(LOG_WARN, "stopped_at_once", "a second signal: stopping at once; what was running will run again");
		daemon_halt(d, EXIT_INTERNAL, "second signal");
	}
	if (!d->stop_asked && d->serving && d->state != HEALTH_STOPPED)
		daemon_drain(d, number == SIGTERM ? "SIGTERM" : "SIGINT");
	d->stop_asked = true;
}

static void on_watchdog(uv_timer_t *timer)
{
	(void)timer;
	supervisor_alive();
}

static void open_watchdog(struct daemon *d)
{
	uint64_t ms = (uint64_t)(supervisor_watchdog_us() / MS_US);

	uv_timer_init(&d->loop, &d->watchdog);
	uv_unref((uv_handle_t *)&d->watchdog);
	if (ms)
		uv_timer_start(&d->watchdog, on_watchdog, ms, ms);
}

static void open_signals(struct daemon *d)
{
	static const struct {
		int number;
		void (*take)(uv_signal_t *handle, int number);
	} rows[] = {{SIGTERM, on_signal}, {SIGINT, on_signal}, {SIGHUP, on_signal}, {SIGUSR1, on_roll}};

	signal(SIGPIPE, SIG_IGN); /* a worker or a log reader that went away is an error of write, not our end */
	signal(SIGXFSZ, SIG_IGN); /* so is a log that has reached `ulimit -f` */
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uv_signal_init(&d->loop, &d->signals[i]);
		d->signals[i].data = d;
		uv_signal_start(&d->signals[i], rows[i].take, rows[i].number);
		uv_unref((uv_handle_t *)&d->signals[i]);
	}
	uv_timer_init(&d->loop, &d->patience);
	d->patience.data = d;
	uv_unref((uv_handle_t *)&d->patience);
}

static void close_signals(struct daemon *d)
{
	for (size_t i = 0; i < sizeof d->signals / sizeof *d->signals; i++)
		uv_close((uv_handle_t *)&d->signals[i], NULL);
	uv_close((uv_handle_t *)&d->patience, NULL);
	uv_close((uv_handle_t *)&d->watchdog, NULL);
}

/* ---- start ---- */

static void daemon_open(struct daemon *d, const struct flow_events *ev)
{
	char why[1024];
	bool lacks;

	d->flow = flow_new(&d->loop, &d->settings, &d->wiring, &d->identity, ev, &lacks, why, sizeof why);
	if (d->flow) {
		d->pages = (struct pages){.settings = &d->settings, .identity = &d->identity, .flow = d->flow};
		pages_open(&d->pages, &d->loop);
		daemon_move(d, HEALTH_STARTING, NULL);
	} else {
		log_line(LOG_ERROR, lacks ? "machine" : "configuration", "%s", why);
		d->exit_code = lacks ? EXIT_INTERNAL : EXIT_CONFIGURATION;
	}
}

static void daemon_serve(struct daemon *d)
{
	d->serving = true;
	flow_start(d->flow);
	uv_run(&d->loop, UV_RUN_DEFAULT);
}

/* Runs what is closing to its end. False: something did not close in time; it must not be freed. */
static bool daemon_finish(struct daemon *d)
{
	int64_t until = clock_mono_us() + FINISH_MS * MS_US;

	close_signals(d);
	while (uv_run(&d->loop, UV_RUN_NOWAIT) && clock_mono_us() < until)
		usleep(1000);
	return uv_loop_close(&d->loop) == 0;
}

/* A worker needs five descriptors. The usual soft limit is low for the sake of programs that use select(). */
static void allow_files(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) != 0 || l.rlim_cur >= FILES)
		return;
	l.rlim_cur = l.rlim_max < FILES ? l.rlim_max : FILES;
	setrlimit(RLIMIT_NOFILE, &l);
}

/* Not on the stack: what did not close in time has threads that may still look at it, until the process ends. Each knows the one
 * before it, in a process that runs several one after the other. */
static struct daemon *abandoned;

/* NULL: there is no loop to be had; it is logged. */
static struct daemon *daemon_new(const struct settings *settings, const struct settings_origin *origin,
	const struct daemon_hooks *hooks)
{
	struct daemon *d = xcalloc(1, sizeof *d);
	int error = uv_loop_init(&d->loop);

	if (error) {
		log_line(LOG_ERROR, "machine",
			"there is no loop without descriptors: %s; raise the limit of open files (ulimit -n)",
			uv_strerror(error));
		free(d);
		return NULL;
	}
	d->settings = *settings;
	d->origin = origin;
	d->hooks = hooks;
	d->exit_code = EXIT_OK;
	wiring_identity(settings, &d->identity);
	d->memory = machine_memory("");
	wiring_init(&d->wiring, &d->settings, &d->identity, &d->memory);
	d->starts = starts_new(settings->pools.n);
	return d;
}

static void daemon_free(struct daemon *d)
{
	if (!daemon_finish(d)) {
		d->abandoned = abandoned;
		abandoned = d;
		return;
	}
	if (d->flow)
		flow_free(d->flow);
	starts_free(d->starts);
	wiring_free(&d->wiring);
	settings_free(&d->reading);
	free(d);
}

int daemon_run(const struct settings *settings, const struct settings_origin *origin, const struct daemon_hooks *hooks)
{
	struct daemon *d;
	int code;

	heap_keep();
	allow_files();
	log_setup((enum log_level)settings->log.level, (enum log_format)settings->log.format);
	d = daemon_new(settings, origin, hooks);
	if (!d)
		return EXIT_INTERNAL;
	const struct flow_events ev = {d, on_turn, on_note, on_assigned, on_out, on_exec_failed, on_fault, on_closed};

	open_signals(d);
	open_watchdog(d);
	log_line(LOG_INFO, "start", "bridgepool %s instance=%s group=%s brokers=%s", BRIDGEPOOL_VERSION, d->identity.instance,
		settings->kafka.group, settings->kafka.brokers);
	daemon_open(d, &ev);
	if (d->flow && beginning_await(d))
		daemon_serve(d);
	else if (d->flow) {
		pages_close(&d->pages);
		flow_close(d->flow);
	}
	code = d->exit_code;
	daemon_free(d);
	log_patience(SECOND_US);
	log_line(LOG_INFO, "end", "exit code %d", code);
	return code;
}
