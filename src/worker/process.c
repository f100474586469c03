/* process.c: one worker process and its guard: its start, its stderr, and the facts of its end gathered before the last word.
 * What is said to it and what it answers is in channel.c. */
#include "process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "usage.h"
#include "guard_protocol.h"

enum {
	ERR_READ = 16 << 10,    /* bytes of stderr per wake-up: a flood takes no more than its share */
	NOT_STARTED_CODE = 127, /* as a shell would say it */
};

/* ---- events; none while the adapter is being closed ---- */

bool process_is_silent(const struct process *p)
{
	return p->fleet->adapter.closing;
}

void process_fault(struct process *p, enum worker_fault fault, struct slice detail)
{
	const struct worker_events *ev = &p->fleet->events;

	if (!process_is_silent(p))
		ev->fault(ev->ctx, p->slot, fault, detail);
}

static void say_line(void *ctx, struct slice line)
{
	struct process *p = ctx;
	const struct worker_events *ev = &p->fleet->events;

	if (!process_is_silent(p) && ev->line)
		ev->line(ev->ctx, p->slot, line);
}

static void close_orders(struct process *p)
{
	if (p->orders >= 0)
		close(p->orders);
	p->orders = -1;
}

/* ---- stderr: lines ---- */

/* False: there is no more now. */
static bool read_err(struct process *p, size_t most)
{
	ssize_t n = read(p->err.fd, p->fleet->bytes, most);

	if (n > 0) {
		lines_feed(&p->lines, p->fleet->bytes, (size_t)n, say_line, p);
		return true;
	}
	p->err_ended = n == 0 || (errno != EAGAIN && errno != EINTR);
	return false;
}

static void on_err(uv_poll_t *poll, int status, int events)
{
	struct process *p = poll->data;

	(void)status;
	(void)events;
	if (!read_err(p, ERR_READ) && p->err_ended)
		uv_poll_stop(&p->err.poll);
}

/* ---- the guard's report ---- */

static void explain_failure(struct process *p, enum guard_step step, int error, char *out, size_t size)
{
	static const char *const what[] = {
		[GUARD_STEP_FORK] = "no process could be made",
		[GUARD_STEP_OOM_SCORE] = "pools[].oom_score cannot be set",
		[GUARD_STEP_OPEN_FILES] = "pools[].open_files cannot be set: more than the daemon itself may have",
		[GUARD_STEP_CORE] = "pools[].core cannot be set: more than the daemon itself may have",
		[GUARD_STEP_CPU] = "pools[].cpu cannot be set: more than the daemon itself may have",
		[GUARD_STEP_GROUPS] = "the daemon's supplementary groups cannot be dropped for pools[].user",
		[GUARD_STEP_GROUP] = "pools[].group cannot be set",
		[GUARD_STEP_USER] = "pools[].user cannot be set",
		[GUARD_STEP_PRIVILEGES] = "privileges cannot be given up",
		[GUARD_STEP_MEMORY] = "pools[].memory cannot be set: more than the daemon itself may have",
		[GUARD_STEP_DIRECTORY] = "pools[].directory cannot be entered",
		[GUARD_STEP_EXEC] = "the command cannot be run",
	};
	const struct launch_plan *plan = &p->fleet->plan;
	char as[64] = "";

	if (step >= GUARD_STEP_DIRECTORY && launch_plan_explain(plan, out, size))
		return;
	if (plan->account.changes)
		snprintf(as, sizeof as, " (as user %u, group %u)", (unsigned)plan->account.uid, (unsigned)plan->account.gid);
	snprintf(out, size, "%s: %s: %s%s", plan->command,
		step >= GUARD_STEP_FORK && step <= GUARD_STEP_EXEC ? what[step] : "not started", strerror(error), as);
}

static void hear_started(struct process *p, pid_t pid)
{
	const struct worker_events *ev = &p->fleet->events;

	p->worker = pid;
	p->started = true;
	channel_listen(p); /* not before: no answer comes from what is not started */
	if (!process_is_silent(p))
		ev->started(ev->ctx, p->slot, pid);
}

/* What the command has no part in, and the next start may find otherwise. */
static enum worker_fault failed_start(int error)
{
	static const int passing[] = {EAGAIN, ENOMEM, EMFILE, ENFILE, EINTR, ETXTBSY};

	for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
		if (error == passing[i])
			return FAULT_START;
	}
	return FAULT_EXEC;
}

static void hear_failed(struct process *p, enum guard_step step, int error)
{
	char why[1024];

	p->failed = true;
	explain_failure(p, step, error, why, sizeof why);
	process_fault(p, failed_start(error), slice_of(why));
}

static void know_exit(struct process *p)
{
	if (!p->exit_known)
		p->ended_at = clock_mono_us();
	p->exit_known = true;
}

static void hear(struct process *p, const struct guard_report *r)
{
	if (r->word == GUARD_STARTED) {
		hear_started(p, r->a);
	} else if (r->word == GUARD_FAILED) {
		hear_failed(p, (enum guard_step)r->a, r->b);
	} else if (r->word == GUARD_EXITED) {
		know_exit(p);
		p->exit = (struct exit_report){.exited = true, .code = r->a};
	} else if (r->word == GUARD_SIGNALED) {
		know_exit(p);
		p->exit = (struct exit_report){.signal = r->a, .by_limit = r->b != 0};
	} else if (r->word == GUARD_ALL_GONE) {
		p->all_gone = true;
	}
}

/* Each word is written whole and a read takes whole words only. False: there is no more now. */
static bool read_report(struct process *p)
{
	struct guard_report words[8];
	ssize_t n = read(p->report.fd, words, sizeof words);

	if (n == 0)
		uv_poll_stop(&p->report.poll);
	for (ssize_t i = 0; i < n / (ssize_t)sizeof words[0]; i++)
		hear(p, &words[i]);
	return n > 0;
}

static void on_report(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	read_report(poll->data);
}

/* ---- orders ---- */

/* The pipe is never full: a few bytes in a worker's life. A guard that cannot be reached is gone, and the rest follows. */
static void order(struct process *p, enum guard_order o)
{
	char byte = (char)o;

	/* Should someone have stopped it. Before the order: afterwards it may be at its end, where this would undo the stop by
	 * which a leak checker looks at it. */
	if (o == GUARD_ORDER_KILL && p->guard > 0 && !p->reaped)
		kill(p->guard, SIGCONT);
	if (p->orders >= 0 && write(p->orders, &byte, 1) < 0 && errno != EPIPE)
		close_orders(p);
}

void process_stop(struct process *p, enum stop_step s)
{
	if (s == STOP_TERM) {
		order(p, GUARD_ORDER_TERM);
	} else if (s == STOP_KILL) {
		order(p, GUARD_ORDER_KILL);
	} else {
		channel_end(p);
	}
}

/* ---- life ---- */

static void start_reading(struct process *p)
{
	uv_poll_start(&p->err.poll, UV_READABLE, on_err);
	uv_poll_start(&p->report.poll, UV_READABLE, on_report);
}

static void close_channels(struct process *p)
{
	close_orders(p);
	channel_close(&p->in);
	channel_close(&p->out);
	channel_close(&p->err);
	channel_close(&p->report);
}

/* Told in the next turn, or when the guard is reaped, if that comes first. */
static void fail_start(struct process *p, enum worker_fault kind, const char *why)
{
	p->failed = true;
	p->failure_kind = kind;
	p->failure = xstrdup(why);
	fleet_due(p->fleet, p);
}

static void tell_failure(struct process *p)
{
	if (p->failure)
		process_fault(p, p->failure_kind, slice_of(p->failure));
	free(p->failure);
	p->failure = NULL;
}

/* Each takes its descriptor. Without all of them the guard loses its orders, ends, and is reaped like any other. */
static void open_channels(struct process *p, const struct launched *s)
{
	const struct {
		struct channel *channel;
		int fd;
	} rows[] = {{&p->in, s->in}, {&p->out, s->out}, {&p->err, s->err}, {&p->report, s->report}};
	char why[256];
	int error = 0;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int failed = channel_open(p, rows[i].channel, rows[i].fd);

		error = error ? error : failed;
	}
	if (!error) {
		start_reading(p);
		return;
	}
	close_channels(p);
	snprintf(why, sizeof why, "a worker's pipes cannot be watched: %s", strerror(error));
	fail_start(p, FAULT_START, why);
}

struct process *process_start(struct fleet *f, struct slot_ref slot)
{
	struct process *p = xcalloc(1, sizeof *p);
	struct launched s;
	char why[512];
	int error;

	p->fleet = f;
	p->slot = slot;
	p->orders = -1;
	p->exit = (struct exit_report){.exited = true, .code = NOT_STARTED_CODE};
	channels_init(p);
	error = launch_guarded(&f->plan, slot, &s, why, sizeof why);
	if (error) {
		fail_start(p, failed_start(error), why);
		return p;
	}
	p->guard = s.guard;
	p->orders = s.orders;
	open_channels(p, &s);
	return p;
}

void process_turn(struct process *p)
{
	if (p->failure) {
		tell_failure(p);
		if (!p->guard)
			fleet_bury(p->fleet, p);
		return;
	}
	channels_turn(p);
}

static void drain(struct process *p)
{
	size_t left;

	for (left = channel_rest(&p->err) / ERR_READ + 1; left > 0 && !p->err_ended && read_err(p, ERR_READ); left--)
		;
	lines_end(&p->lines, say_line, p);
	channel_drain(p);
}

/* The guard was killed, with its worker (PR_SET_PDEATHSIG). What else is in the worker's process group is killed here. */
static void outlive_guard(struct process *p, int status)
{
	char why[512];

	if (p->started && !p->exit_known)
		kill(-p->worker, SIGKILL);
	if ((p->started && !p->exit_known) || (!p->started && WIFSIGNALED(status)))
		p->exit = (struct exit_report){.signal = WIFSIGNALED(status) ? WTERMSIG(status) : SIGKILL};
	if (!p->started && !p->failed) {
		snprintf(why, sizeof why, "%s ended with %s %d before it had started the command", p->fleet->plan.guard,
			WIFSIGNALED(status) ? "signal" : "exit code",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		process_fault(p, WIFSIGNALED(status) ? FAULT_START : FAULT_EXEC, slice_of(why));
	}
}

static void finish(struct process *p, int status)
{
	tell_failure(p);
	while (read_report(p))
		;
	if (!p->all_gone)
		outlive_guard(p, status);
	know_exit(p);
	drain(p);
	process_abandon(p);
}

void process_look(struct process *p)
{
	const struct worker_events *ev = &p->fleet->events;
	uint64_t bytes;

	if (!p->started || p->exit_known || process_is_silent(p))
		return;
	bytes = usage_held(p->guard, p->worker);
	if (bytes)
		ev->memory(ev->ctx, p->slot, bytes);
}

void process_reap(struct process *p)
{
	int status = 0;

	/* ECHILD: someone else has reaped it; it is gone all the same. */
	if (!p->guard || p->reaped || p->closing || waitpid(p->guard, &status, WNOHANG) == 0)
		return;
	p->reaped = true;
	finish(p, status);
}

void process_last_line(struct process *p)
{
	int64_t age = p->ended_at - p->lines.last_at;

	if (p->lines.last_len == 0)
		return;
	p->exit.last = (struct slice){p->lines.last, p->lines.last_len};
	p->exit.last_age_ms = age > 0 ? age / MS_US : 0; /* a line that was still in the pipe is read after the end */
}

void process_abandon(struct process *p)
{
	if (p->closing)
		return;
	p->closing = true;
	p->frames_left = false;
	close_channels(p);
	if (p->handles == 0)
		fleet_bury(p->fleet, p);
}

void process_free(struct process *p)
{
	channels_cleanup(p);
	lines_free(&p->lines);
	free(p->failure);
	free(p);
}
