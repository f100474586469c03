/* mock.c: the `mock` kind of adapter: workers inside the daemon that follow a script (mock.h). */
#include "mock.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <uthash.h>
#include <uv.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/random.h"
#include "bridgepool/wire/json.h"
#include "bridgepool/wire/record.h"
#include "bridgepool/worker/mock_programs.h"

/* ---- the script ---- */

enum mishap { MISHAP_NONE, MISHAP_CRASH, MISHAP_HANG, MISHAP_ERROR, MISHAP_GARBAGE, MISHAP_UNKNOWN_ID, MISHAP_COUNT };

struct script {
	int64_t start_delay, start_fail_every, delay, jitter, concurrency, sessions, ignore_close, ignore_term;
	int64_t every[MISHAP_COUNT];       /* 0: never */
	const char *command[MISHAP_COUNT]; /* NULL: none */
	const char *version;
	char *text; /* what the pointers borrow */
};

enum script_type { SCRIPT_NUMBER, SCRIPT_TEXT };

static const struct script_key {
	const char *name;
	enum script_type type;
	size_t offset;
} script_keys[] = {
	{"start_delay", SCRIPT_NUMBER, offsetof(struct script, start_delay)},
	{"start_fail_every", SCRIPT_NUMBER, offsetof(struct script, start_fail_every)},
	{"delay", SCRIPT_NUMBER, offsetof(struct script, delay)},
	{"jitter", SCRIPT_NUMBER, offsetof(struct script, jitter)},
	{"version", SCRIPT_TEXT, offsetof(struct script, version)},
	{"concurrency", SCRIPT_NUMBER, offsetof(struct script, concurrency)},
	{"sessions", SCRIPT_NUMBER, offsetof(struct script, sessions)},
	{"crash_every", SCRIPT_NUMBER, offsetof(struct script, every[MISHAP_CRASH])},
	{"crash", SCRIPT_TEXT, offsetof(struct script, command[MISHAP_CRASH])},
	{"hang_every", SCRIPT_NUMBER, offsetof(struct script, every[MISHAP_HANG])},
	{"hang", SCRIPT_TEXT, offsetof(struct script, command[MISHAP_HANG])},
	{"error_every", SCRIPT_NUMBER, offsetof(struct script, every[MISHAP_ERROR])},
	{"error", SCRIPT_TEXT, offsetof(struct script, command[MISHAP_ERROR])},
	{"garbage_every", SCRIPT_NUMBER, offsetof(struct script, every[MISHAP_GARBAGE])},
	{"garbage", SCRIPT_TEXT, offsetof(struct script, command[MISHAP_GARBAGE])},
	{"unknown_id_every", SCRIPT_NUMBER, offsetof(struct script, every[MISHAP_UNKNOWN_ID])},
	{"unknown_id", SCRIPT_TEXT, offsetof(struct script, command[MISHAP_UNKNOWN_ID])},
	{"ignore_close", SCRIPT_NUMBER, offsetof(struct script, ignore_close)},
	{"ignore_term", SCRIPT_NUMBER, offsetof(struct script, ignore_term)},
};

static bool read_number(const char *text, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	return !errno && end != text && *out >= 0 && (!*end || !strcmp(end, "ms"));
}

static bool read_key(struct script *s, const char *name, const char *value)
{
	for (size_t i = 0; i < sizeof script_keys / sizeof script_keys[0]; i++) {
		char *field = (char *)s + script_keys[i].offset;
		if (strcmp(script_keys[i].name, name))
			continue;
		if (script_keys[i].type == SCRIPT_NUMBER)
			return read_number(value, (int64_t *)(void *)field);
		*(const char **)(void *)field = value;
		return true;
	}
	return false;
}

static bool script_read(struct script *s, const char *text, char *errstr, size_t size)
{
	char *part, *rest, *equals;

	*s = (struct script){.text = xstrdup(text ? text : ""), .concurrency = 1, .version = "mock"};
	for (part = strtok_r(s->text, "; ", &rest); part; part = strtok_r(NULL, "; ", &rest)) {
		equals = strchr(part, '=');
		if (equals)
			*equals = '\0';
		if (!equals || !read_key(s, part, equals + 1)) {
			snprintf(errstr, size,
				"the mock's script has \"%s%s%s\"; it knows delay=5ms;crash_every=100;hang=COMMAND and the like",
				part, equals ? "=" : "", equals ? equals + 1 : "");
			free(s->text);
			return false;
		}
	}
	return true;
}

/* ---- workers and what is going to happen to them ---- */

enum task_kind { TASK_START, TASK_FAIL, TASK_ANSWER, TASK_END };

struct scripted_worker {
	struct slot_ref slot;
	UT_hash_handle hh;
	bool started, ending; /* ending: its last task is set, nothing else of it happens */
	struct mock_programs *programs;
};

/* Everything is told from a timer, so never from inside an order. */
struct task {
	uv_timer_t timer;
	TAILQ_ENTRY(task) link;
	struct mock *mock;
	struct slot_ref slot;
	enum task_kind kind;
	uint64_t request;        /* TASK_ANSWER: what it belongs to; 0: no request */
	struct buf body;         /* TASK_ANSWER: what a frame would hold */
	struct exit_report exit; /* TASK_FAIL, TASK_END */
};

struct mock {
	struct adapter adapter; /* first */
	uv_loop_t *loop;
	struct worker_events events;
	struct script script;
	char *pool_name;
	size_t max_frame;
	struct scripted_worker *workers; /* uthash by slot_ref */
	TAILQ_HEAD(, task) tasks;
	size_t ntasks; /* with those whose close callback is to come */
	int64_t starts, requests;
	struct random random;
	struct buf scratch;
};

static struct mock *mock_of(struct adapter *a)
{
	return (struct mock *)a;
}

static struct scripted_worker *find(struct mock *m, struct slot_ref w)
{
	struct scripted_worker *found;

	HASH_FIND(hh, m->workers, &w, sizeof w, found);
	return found;
}

static void worker_free(struct scripted_worker *w)
{
	mock_programs_free(w->programs);
	free(w);
}

static void mock_free(struct mock *m)
{
	struct scripted_worker *w, *next;

	HASH_ITER (hh, m->workers, w, next) {
		HASH_DEL(m->workers, w);
		worker_free(w);
	}
	buf_free(&m->scratch);
	free(m->script.text);
	free(m->pool_name);
	free(m);
}

static void on_task_closed(uv_handle_t *handle)
{
	struct task *t = handle->data;
	struct mock *m = t->mock;

	buf_free(&t->body);
	free(t);
	if (--m->ntasks == 0 && m->adapter.closing)
		mock_free(m);
}

static void task_end(struct task *t)
{
	TAILQ_REMOVE(&t->mock->tasks, t, link);
	uv_close((uv_handle_t *)&t->timer, on_task_closed);
}

/* ---- tasks come due ---- */

static void say_answer(struct mock *m, struct task *t)
{
	struct answer a;

	if (t->body.overflow) {
		m->events.fault(m->events.ctx, t->slot, FAULT_FRAME, SLICE("a frame larger than max_frame_bytes was announced"));
		return;
	}
	bridge_read(buf_slice(&t->body), &m->scratch, &a);
	m->events.answer(m->events.ctx, t->slot, &a);
}

static void say_end(struct mock *m, struct scripted_worker *w, const struct task *t)
{
	struct slot_ref slot = w->slot;

	if (t->kind == TASK_FAIL)
		m->events.fault(m->events.ctx, slot, FAULT_EXEC, SLICE("the script says that this start fails"));
	else
		m->events.fault(m->events.ctx, slot, FAULT_EOF, (struct slice){NULL, 0});
	HASH_DEL(m->workers, w);
	worker_free(w);
	if (!m->adapter.closing)
		m->events.gone(m->events.ctx, slot, &t->exit);
}

/* What is told may make somebody cancel or close what is to come, so t is out of the list by then; it lives until its close
 * callback. */
static void on_task(uv_timer_t *timer)
{
	struct task *t = timer->data;
	struct mock *m = t->mock;
	struct scripted_worker *w = find(m, t->slot);

	task_end(t);
	if (w && (t->kind == TASK_FAIL || t->kind == TASK_END)) {
		say_end(m, w, t);
	} else if (w && !w->ending && t->kind == TASK_START) {
		w->started = true;
		m->events.started(m->events.ctx, t->slot, 0);
	} else if (w && !w->ending && t->kind == TASK_ANSWER) {
		say_answer(m, t);
	}
}

static struct task *task_add(struct mock *m, struct slot_ref w, enum task_kind kind, int64_t delay_ms)
{
	struct task *t = xcalloc(1, sizeof *t);

	t->mock = m;
	t->slot = w;
	t->kind = kind;
	buf_init(&t->body, m->max_frame);
	uv_timer_init(m->loop, &t->timer);
	t->timer.data = t;
	TAILQ_INSERT_TAIL(&m->tasks, t, link);
	m->ntasks++;
	uv_timer_start(&t->timer, on_task, (uint64_t)delay_ms, 0);
	return t;
}

/* What a worker will say of this request; the text is to be written. */
static struct buf *answer_add(struct mock *m, struct slot_ref w, uint64_t request, int64_t delay_ms)
{
	struct task *t = task_add(m, w, TASK_ANSWER, delay_ms);

	t->request = request;
	return &t->body;
}

static void end_worker(struct mock *m, struct scripted_worker *w, enum task_kind kind, struct exit_report exit)
{
	if (w->ending)
		return;
	w->ending = true;
	task_add(m, w->slot, kind, 0)->exit = exit;
}

/* ---- answers ---- */

static void write_head(struct buf *out, const struct call *c, bool success)
{
	buf_printf(out, "{\"id\":%" PRIu64 ",\"success\":%s,", c->id, success ? "true" : "false");
}

static void answer_program(struct scripted_worker *w, const struct call *c, struct buf *out)
{
	json_t *answer = NULL;
	bool done = mock_programs_run(w->programs, c->session_id, c->command, c->args.len ? c->args : SLICE("{}"), &answer);
	char *text = json_dumps(answer, JSON_COMPACT);

	CHECK(text);
	write_head(out, c, done);
	buf_printf(out, "\"%s\":%s}", done ? "result" : "error", text);
	free(text);
	json_decref(answer);
}

static void answer_request(struct mock *m, struct scripted_worker *w, const struct call *c, struct buf *out)
{
	char id[WORKER_ID_MAX];

	slot_ref_text(id, m->pool_name, w->slot);
	write_head(out, c, true);
	buf_text(out, "\"result\":{\"echo\":");
	buf_add(out, c->args.data && c->args.len ? c->args : SLICE("{}"));
	buf_text(out, ",\"worker\":");
	json_quote(out, slice_of(id));
	buf_text(out, "}}");
}

static void answer_ping(struct mock *m, const struct call *c, struct buf *out)
{
	write_head(out, c, true);
	buf_printf(out,
		"\"result\":{\"protocol\":1,\"concurrency\":%" PRId64
		",\"capabilities\":[\"ping_busy\",\"cancel\"%s],\"version\":",
		m->script.concurrency, m->script.sessions ? ",\"sessions\"" : "");
	json_quote(out, slice_of(m->script.version));
	buf_text(out, "}}");
}

static enum mishap mishap_of(struct mock *m, struct slice command)
{
	m->requests++;
	for (enum mishap i = MISHAP_CRASH; i < MISHAP_COUNT; i++) {
		if ((m->script.every[i] && m->requests % m->script.every[i] == 0) ||
			(m->script.command[i] && slice_is(command, m->script.command[i])))
			return i;
	}
	return MISHAP_NONE;
}

/* A number among the arguments, at most so much; 0: there is none. */
static int64_t number_of(const struct call *c, const char *name, int64_t most)
{
	struct json_member member = {.name = name};
	char errstr[64];
	int64_t value;

	if (c->args.len && json_read_object(c->args, &member, 1, JSON_MAX_DEPTH, errstr, sizeof errstr) &&
		member.kind == JSON_KIND_NUMBER && json_int(member.value, &value) && value > 0)
		return value < most ? value : most;
	return 0;
}

static int64_t parts_of(const struct call *c)
{
	return number_of(c, "parts", MOCK_PARTS_MOST);
}

static int64_t ms_of(const struct call *c)
{
	return number_of(c, "ms", MOCK_MS_MOST);
}

/* "sleep" {ms}, "stream" {parts, ms}: how long. */
static int64_t wished_delay(const struct call *c)
{
	if (slice_is(c->command, "stream"))
		return parts_of(c) * ms_of(c);
	return slice_is(c->command, "sleep") ? ms_of(c) : 0;
}

static void say_parts(struct mock *m, const struct scripted_worker *w, const struct call *c, int64_t delay)
{
	int64_t parts = parts_of(c), ms = ms_of(c);

	for (int64_t i = 1; i <= parts; i++)
		buf_printf(answer_add(m, w->slot, c->id, delay + ms * i),
			"{\"id\":%" PRIu64 ",\"partial\":{\"part\":%" PRId64 "}}", c->id, i);
}

static void take_request(struct mock *m, struct scripted_worker *w, const struct call *c)
{
	int64_t delay = m->script.delay +
			(m->script.jitter ? (int64_t)random_below(&m->random, (uint64_t)m->script.jitter + 1) : 0);
	enum mishap mishap = mishap_of(m, c->command);
	struct buf *out;

	if (mishap == MISHAP_CRASH)
		end_worker(m, w, TASK_END, (struct exit_report){.signal = SIGSEGV});
	if (mishap == MISHAP_CRASH || mishap == MISHAP_HANG)
		return;
	if (slice_is(c->command, "stream"))
		say_parts(m, w, c, delay);
	out = answer_add(m, w->slot, c->id, delay + wished_delay(c));
	if (mishap == MISHAP_ERROR) {
		write_head(out, c, false);
		buf_text(out, "\"error\":{\"code\":\"MOCK_ERROR\",\"message\":\"the script says so\",\"retriable\":true}}");
	} else if (mishap == MISHAP_GARBAGE) {
		write_head(out, c, true);
		buf_text(out, "\"result\":NaN}");
	} else if (mishap == MISHAP_UNKNOWN_ID) {
		write_head(out, &(struct call){.id = UINT32_MAX}, true);
		buf_text(out, "\"result\":{}}");
	} else if (mock_programs_know(c->command)) {
		answer_program(w, c, out);
	} else {
		answer_request(m, w, c, out);
	}
}

static void drop_answers(struct mock *m, struct slot_ref w, uint64_t request)
{
	struct task *t, *next;

	for (t = request ? TAILQ_FIRST(&m->tasks) : NULL; t; t = next) {
		next = TAILQ_NEXT(t, link);
		if (t->request == request && !memcmp(&t->slot, &w, sizeof w))
			task_end(t);
	}
}

/* What a cancel names is answered by the cancel, whatever it would have said. */
static void take_cancel(struct mock *m, struct scripted_worker *w, const struct call *c)
{
	struct call cancelled = {.id = c->target};
	struct buf *out;

	drop_answers(m, w->slot, c->target);
	out = &task_add(m, w->slot, TASK_ANSWER, 0)->body;
	write_head(out, &cancelled, false);
	buf_text(out, "\"error\":{\"code\":\"CANCELLED\",\"message\":\"cancelled\"}}");
	out = &task_add(m, w->slot, TASK_ANSWER, 0)->body;
	write_head(out, c, true);
	buf_text(out, "\"result\":{}}");
}

/* ---- the kind ---- */

static struct adapter *mock_open(uv_loop_t *loop, const struct adapter_config *c, const struct worker_events *ev, char *errstr,
	size_t size)
{
	struct script script;
	struct mock *m;

	if (!script_read(&script, c->script, errstr, size))
		return NULL;
	m = xcalloc(1, sizeof *m);
	m->loop = loop;
	m->events = *ev;
	m->script = script;
	m->pool_name = xstrdup(c->pool_name ? c->pool_name : "");
	m->max_frame = c->max_frame_bytes ? c->max_frame_bytes : 16 << 20;
	TAILQ_INIT(&m->tasks);
	random_seed(&m->random, 1);
	buf_init(&m->scratch, m->max_frame + 4096);
	return &m->adapter;
}

static void mock_start(struct adapter *a, struct slot_ref slot)
{
	struct mock *m = mock_of(a);
	struct scripted_worker *w = xcalloc(1, sizeof *w);

	CHECK(!find(m, slot));
	w->slot = slot;
	w->programs = mock_programs_new();
	HASH_ADD(hh, m->workers, slot, sizeof w->slot, w);
	if (m->script.start_fail_every && ++m->starts % m->script.start_fail_every == 0)
		end_worker(m, w, TASK_FAIL, (struct exit_report){.exited = true, .code = 127});
	else
		task_add(m, slot, TASK_START, m->script.start_delay);
}

static void mock_call(struct adapter *a, struct slot_ref slot, const struct call *c)
{
	struct mock *m = mock_of(a);
	struct scripted_worker *w = find(m, slot);
	struct buf *out;

	if (!w || w->ending)
		return;
	if (c->kind == CALL_REQUEST) {
		take_request(m, w, c);
	} else if (c->kind == CALL_CANCEL) {
		take_cancel(m, w, c);
	} else if (c->kind == CALL_PING) {
		answer_ping(m, c, &task_add(m, slot, TASK_ANSWER, 0)->body);
	} else {
		if (c->kind == CALL_CLEANUP_SESSION)
			mock_programs_forget(w->programs, c->session_id);
		out = &task_add(m, slot, TASK_ANSWER, 0)->body;
		write_head(out, c, true);
		buf_text(out, "\"result\":{}}");
	}
}

static void mock_stop(struct adapter *a, struct slot_ref slot, enum stop_step s)
{
	struct mock *m = mock_of(a);
	struct scripted_worker *w = find(m, slot);

	if (!w || (s == STOP_CLOSE && m->script.ignore_close) || (s == STOP_TERM && m->script.ignore_term))
		return;
	if (s == STOP_CLOSE) {
		/* After the answers that are already under way, as a process would do it: the last task set runs last. */
		task_add(m, slot, TASK_END, 0)->exit = (struct exit_report){.exited = true};
		return;
	}
	end_worker(m, w, TASK_END, (struct exit_report){.signal = s == STOP_TERM ? SIGTERM : SIGKILL});
}

static void mock_flush(struct adapter *a)
{
	(void)a;
}

static size_t mock_live(const struct adapter *a)
{
	return HASH_COUNT(((const struct mock *)a)->workers);
}

/* A task of no worker carries the last close callback when there is no other. */
static void mock_close(struct adapter *a)
{
	struct mock *m = mock_of(a);
	struct task *t;

	task_add(m, (struct slot_ref){0}, TASK_ANSWER, 0);
	while ((t = TAILQ_FIRST(&m->tasks)))
		task_end(t);
}

/* What a script says is read when the adapter is made; nothing else concerns a mock. */
static bool mock_fits(const struct adapter_config *c, char *errstr, size_t size)
{
	(void)c, (void)errstr, (void)size;
	return true;
}

static bool mock_reconfigure(struct adapter *a, const struct adapter_config *c, char *errstr, size_t size)
{
	(void)a;
	return mock_fits(c, errstr, size);
}

const struct adapter_kind kind_mock = {
	.name = "mock",
	.open = mock_open,
	.fits = mock_fits,
	.reconfigure = mock_reconfigure,
	.start = mock_start,
	.call = mock_call,
	.stop = mock_stop,
	.flush = mock_flush,
	.live = mock_live,
	.close = mock_close,
};
