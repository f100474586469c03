/* probe.c: starts one worker of each pool, pings it, ends it: what `check` knows about workers. */
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "bridgepool/app/daemon.h"
#include "bridgepool/app/preflight.h"
#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "wiring.h"

enum { END_TIMEOUT_MS = 5000 };

static const struct slot_ref probed = {0, 0, 1};

/* One worker: started, pinged, answered or not, told to end, gone. */
struct probe {
	uv_loop_t loop;
	uv_timer_t timer;
	struct adapter *adapter;
	const struct pool_settings *pool;
	bool answered, gone, timed_out;
	char said[256];  /* about itself */
	char fault[256]; /* what went wrong with it */
	char end[64];    /* how it ended, when that was not our doing */
	bool closed;     /* the fault is only that a pipe was closed, as an end does */
	bool done;       /* it ended with exit code 0, before it was told to */
	char last[512];  /* its last stderr line */
};

static void probe_end(struct probe *p)
{
	uv_stop(&p->loop);
}

static void on_started(void *ctx, struct slot_ref w, int pid)
{
	struct probe *p = ctx;
	const struct call ping = {
		.id = 1,
		.kind = CALL_PING,
		.initialization = true,
		.remaining_ms = TIME_NONE,
		.sent_wall_ms = clock_wall_ms(),
	};

	(void)pid;
	adapter_call(p->adapter, w, &ping);
	adapter_flush(p->adapter);
}

static void on_answer(void *ctx, struct slot_ref w, const struct answer *a)
{
	struct probe *p = ctx;

	(void)w;
	if (a->kind != ANSWER_OK || a->id != 1) {
		snprintf(p->fault, sizeof p->fault, "its answer to the first ping is an error: %.*s", (int)a->message.len,
			a->message.len ? (const char *)a->message.data : "");
	} else {
		p->answered = true;
		snprintf(p->said, sizeof p->said, "version %.*s, concurrency %u", a->version.len ? (int)a->version.len : 7,
			a->version.len ? (const char *)a->version.data : "unknown", a->concurrency ? a->concurrency : 1);
	}
	probe_end(p);
}

static void on_fault(void *ctx, struct slot_ref w, enum worker_fault f, struct slice detail)
{
	struct probe *p = ctx;

	(void)w;
	p->closed |= (f == FAULT_EOF || f == FAULT_WRITE) && detail.len == 0;
	if (!*p->fault)
		snprintf(p->fault, sizeof p->fault, "%s%s%.*s", worker_fault_text(f), detail.len ? ": " : "", (int)detail.len,
			detail.len ? (const char *)detail.data : "");
}

static void on_gone(void *ctx, struct slot_ref w, const struct exit_report *x)
{
	struct probe *p = ctx;

	(void)w;
	p->gone = true;
	if (x->last.len)
		snprintf(p->last, sizeof p->last, "%.*s", (int)x->last.len, (const char *)x->last.data);
	snprintf(p->end, sizeof p->end, "it ended with %s %d", x->exited ? "exit code" : "signal",
		x->exited ? x->code : x->signal);
	p->done = x->exited && x->code == 0;
	probe_end(p);
}

static void on_line(void *ctx, struct slot_ref w, struct slice line)
{
	struct probe *p = ctx;

	(void)w;
	snprintf(p->last, sizeof p->last, "%.*s", (int)line.len, (const char *)line.data);
}

static void on_timeout(uv_timer_t *timer)
{
	struct probe *p = timer->data;

	p->timed_out = true;
	probe_end(p);
}

/* Runs the loop until an event ended it, or for so long. */
static void probe_wait(struct probe *p, int64_t ms)
{
	p->timed_out = false;
	uv_timer_start(&p->timer, on_timeout, (uint64_t)ms, 0);
	uv_run(&p->loop, UV_RUN_DEFAULT);
}

static void probe_talk(struct probe *p)
{
	const struct call bye = {.id = 2, .kind = CALL_SHUTDOWN, .remaining_ms = TIME_NONE, .sent_wall_ms = clock_wall_ms()};

	adapter_start(p->adapter, probed);
	probe_wait(p, p->pool->start_timeout / MS_US);
	if (p->timed_out)
		snprintf(p->fault, sizeof p->fault, "it did not answer its first ping within start_timeout (%lld s)",
			(long long)(p->pool->start_timeout / SECOND_US));
	if (!p->answered && !p->timed_out && !p->gone)
		probe_wait(p, END_TIMEOUT_MS); /* its last words */
	if (!p->answered || p->gone)
		return;
	adapter_call(p->adapter, probed, &bye);
	adapter_flush(p->adapter);
	adapter_stop(p->adapter, probed, STOP_CLOSE);
	for (int64_t until = clock_mono_us() + END_TIMEOUT_MS * MS_US; !p->gone && clock_mono_us() < until;)
		probe_wait(p, END_TIMEOUT_MS);
}

static bool is_our_python(const struct pool_settings *pool)
{
	for (size_t i = 0; i < pool->command.n; i++)
		if (strcmp(pool->command.items[i], "bridgepool.worker") == 0)
			return true;
	return false;
}

static void write_mend(const struct probe *p, char *out, size_t size)
{
	const char *python = p->pool->command.n ? p->pool->command.items[0] : "python3";

	if (strstr(p->last, "No module named 'bridgepool'"))
		snprintf(out, size,
			"that Python lacks the package: %s -m pip install " BRIDGEPOOL_DATADIR
			"/python (or src/bridges/python of the clone), or name the Python of an environment that has it",
			python);
	else if (p->done && !is_our_python(p->pool))
		snprintf(out, size,
			"it is no worker: that goes on until its standard input ends, and answers what it reads there; a Python app is started "
			"with `python3 -m bridgepool.worker app:app`");
	else
		snprintf(out, size,
			"run pools[].command by hand in pools[].directory and look at what it says; of the environment workers get only PATH, "
			"HOME and the like, and what pools[].pass_environment names");
}

static int probe_report(const struct probe *p, const struct preflight_report *r)
{
	char what[1280], mend[768];
	const char *fault;

	if (p->answered && p->gone) {
		snprintf(what, sizeof what, "pool \"%s\": a worker started, answered its first ping (%s) and ended",
			p->pool->name, p->said);
		r->found(r->ctx, VERDICT_OK, what, NULL);
		return EXIT_OK;
	}
	if (p->answered) {
		snprintf(what, sizeof what,
			"pool \"%s\": a worker answered (%s), but did not end after shutdown and closed input", p->pool->name,
			p->said);
		r->found(r->ctx, VERDICT_WARN, what, "a worker should end when its standard input ends; it is killed otherwise");
		return EXIT_OK;
	}
	fault = p->closed && *p->end ? "" : p->fault;
	snprintf(what, sizeof what, "pool \"%s\": a worker did not start: %s%s%s%s%s", p->pool->name, fault,
		*fault && *p->end ? "; " : "", p->end, *p->last ? "; its last line: " : "", p->last);
	write_mend(p, mend, sizeof mend);
	r->found(r->ctx, VERDICT_FAIL, what, mend);
	return EXIT_CONFIGURATION;
}

static int probe_pool(const struct pool_settings *pool, const struct preflight_report *r)
{
	struct probe p = {.pool = pool};
	const struct worker_events ev = {&p, on_started, on_answer, on_fault, on_gone, on_line, NULL};
	struct adapter_config c = wiring_adapter(pool);
	char why[512], what[640];
	int code = EXIT_CONFIGURATION;

	CHECK(uv_loop_init(&p.loop) == 0);
	uv_timer_init(&p.loop, &p.timer);
	p.timer.data = &p;
	p.adapter = adapter_new(&p.loop, &c, &ev, why, sizeof why);
	if (p.adapter) {
		probe_talk(&p);
		code = probe_report(&p, r);
		adapter_close(p.adapter);
	} else {
		snprintf(what, sizeof what, "pool \"%s\": %s", pool->name, why);
		r->found(r->ctx, VERDICT_FAIL, what, NULL); /* it says itself what to mend */
	}
	uv_close((uv_handle_t *)&p.timer, NULL);
	while (uv_run(&p.loop, UV_RUN_DEFAULT))
		;
	CHECK(uv_loop_close(&p.loop) == 0);
	return code;
}

int preflight_workers(const struct settings *s, const struct preflight_report *r)
{
	int code = EXIT_OK;

	for (size_t i = 0; i < s->pools.n; i++) {
		int one = probe_pool(settings_pool(s, i), r);
		if (code == EXIT_OK)
			code = one;
	}
	return code;
}
