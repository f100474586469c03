/* mock_worker_commands.c: what the mock worker knows how to do. */
#include "mock_worker_inside.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/worker/mock_programs.h"

static void begin(struct mock_worker *m, uint64_t id, bool success)
{
	buf_reset(&m->body);
	buf_printf(&m->body, "{\"id\":%" PRIu64 ",\"success\":%s,\"%s\":", id, success ? "true" : "false",
		success ? "result" : "error");
}

/* Bridges of the plain kind say when. */
static void finish(struct mock_worker *m)
{
	if (m->options.plain)
		buf_printf(&m->body, ",\"timestamp\":%.3f", (double)clock_wall_ms() / 1000);
	buf_text(&m->body, "}");
}

static void answer_text(struct mock_worker *m, const struct mock_call *c, const char *result)
{
	begin(m, c->id, true);
	buf_text(&m->body, result);
	finish(m);
}

/* Takes result. Errors of the plain kind are texts. */
static bool answer_json(struct mock_worker *m, const struct mock_call *c, bool success, json_t *result)
{
	json_t *message = success || !m->options.plain ? NULL : json_object_get(result, "message");
	char *text = json_dumps(message ? message : result, JSON_COMPACT | JSON_ENCODE_ANY);

	CHECK(text);
	begin(m, c->id, success);
	buf_text(&m->body, text);
	finish(m);
	free(text);
	json_decref(result);
	return true;
}

static bool answer_error(struct mock_worker *m, const struct mock_call *c, const char *code, const char *message)
{
	return answer_json(m, c, false, json_pack("{s:s, s:s, s:b}", "code", code, "message", message, "retriable", 0));
}

/* ---- sessions ---- */

static struct mock_session *find_session(struct mock_worker *m, struct slice id)
{
	struct mock_session *s;

	HASH_FIND(hh, m->sessions, id.data, id.len, s);
	return s;
}

static struct mock_session *open_session(struct mock_worker *m, struct slice id)
{
	struct mock_session *s = find_session(m, id);

	if (s)
		return s;
	s = xcalloc(1, sizeof *s + id.len + 1);
	s->len = id.len;
	memcpy(s->id, id.data, id.len);
	HASH_ADD(hh, m->sessions, id, s->len, s);
	return s;
}

static void close_session(struct mock_worker *m, struct mock_session *s)
{
	HASH_DEL(m->sessions, s);
	free(s);
}

void mock_command_forget(struct mock_worker *m)
{
	struct mock_session *s, *next;

	HASH_ITER (hh, m->sessions, s, next)
		close_session(m, s);
	mock_programs_free(m->programs);
	m->programs = NULL;
}

/* As it stands between its quotes: two spellings of one id would be two sessions, but the daemon has only one. */
static struct slice session_id(const struct mock_call *c)
{
	struct json_member m = {.name = "session_id"};
	char errstr[64];

	if (!json_read_object(c->args, &m, 1, JSON_MAX_DEPTH, errstr, sizeof errstr) || m.kind != JSON_KIND_STRING)
		return (struct slice){NULL, 0};
	return (struct slice){(const char *)m.value.data + 1, m.value.len - 2};
}

/* ---- commands ---- */

static int64_t int_argument(const struct mock_call *c, const char *name, int64_t otherwise)
{
	struct json_member m = {.name = name};
	char errstr[64];
	int64_t value;

	if (json_read_object(c->args, &m, 1, JSON_MAX_DEPTH, errstr, sizeof errstr) && m.kind == JSON_KIND_NUMBER &&
		json_int(m.value, &value))
		return value;
	return otherwise;
}

/* A client's number, within bounds. */
static int64_t bounded(int64_t value, int64_t most)
{
	return value < 0 ? 0 : value < most ? value : most;
}

static bool run_echo(struct mock_worker *m, struct mock_call *c)
{
	begin(m, c->id, true);
	buf_add(&m->body, c->args);
	finish(m);
	return true;
}

static bool run_sleep(struct mock_worker *m, struct mock_call *c)
{
	c->delay_ms = bounded(int_argument(c, "ms", 0), MOCK_MS_MOST);
	return answer_json(m, c, true, json_pack("{s:I}", "slept_ms", (json_int_t)c->delay_ms));
}

static bool run_fail(struct mock_worker *m, struct mock_call *c)
{
	json_t *args = json_loadb(c->args.data, c->args.len, 0, NULL);
	const char *code = "FAILED", *message = "as it was asked to";
	int retriable = 0;
	bool done;

	json_unpack(args, "{s?s, s?s, s?b}", "code", &code, "message", &message, "retriable", &retriable);
	done = answer_json(m, c, false, json_pack("{s:s, s:s, s:b}", "code", code, "message", message, "retriable", retriable));
	json_decref(args);
	return done;
}

static bool run_crash(struct mock_worker *m, struct mock_call *c)
{
	c->fault = MOCK_CRASH;
	answer_text(m, c, "{}");
	return true;
}

static bool run_hang(struct mock_worker *m, struct mock_call *c)
{
	c->fault = MOCK_HANG;
	answer_text(m, c, "{}");
	return true;
}

static bool run_count(struct mock_worker *m, struct mock_call *c)
{
	struct slice id = session_id(c);

	if (!id.data)
		return answer_error(m, c, "INVALID_ARGUMENTS", "count needs a session");
	begin(m, c->id, true);
	buf_printf(&m->body, "{\"count\":%" PRIu64 ",\"worker\":%ld}", ++open_session(m, id)->count, (long)getpid());
	finish(m);
	return true;
}

static bool run_state(struct mock_worker *m, struct mock_call *c)
{
	struct slice id = session_id(c);
	struct mock_session *s = id.data ? find_session(m, id) : NULL;

	return answer_json(m, c, true,
		json_pack("{s:I, s:I, s:I, s:I}", "worker", (json_int_t)getpid(), "requests", (json_int_t)m->requests, "sessions",
			(json_int_t)HASH_COUNT(m->sessions), "count", (json_int_t)(s ? s->count : 0)));
}

/* Parts first, each after so many ms; whether the request said stream is the daemon's business. */
static bool run_stream(struct mock_worker *m, struct mock_call *c)
{
	int64_t parts = bounded(int_argument(c, "parts", 3), MOCK_PARTS_MOST),
		ms = bounded(int_argument(c, "ms", 0), MOCK_MS_MOST);

	for (int64_t i = 1; i <= parts; i++) {
		struct mock_call part = {.id = c->id, .delay_ms = c->delay_ms + ms * i};

		buf_reset(&m->body);
		buf_printf(&m->body, "{\"id\":%" PRIu64 ",\"partial\":{\"part\":%" PRId64 "}}", c->id, i);
		if (ms > 0)
			mock_worker_later(m, &part);
		else
			mock_worker_send(m, buf_slice(&m->body));
	}
	c->delay_ms += ms * parts;
	return answer_json(m, c, true, json_pack("{s:I}", "parts", (json_int_t)parts));
}

static bool run_program(struct mock_worker *m, struct mock_call *c)
{
	json_t *answer = NULL;
	bool done;

	if (m->options.plain && !m->configured && slice_is(c->command, "execute_program"))
		return answer_error(m, c, "lm_not_configured", "No LM is loaded.");
	done = mock_programs_run(m->programs, session_id(c), c->command, c->args, &answer);

	return answer_json(m, c, done, answer);
}

/* For the whole worker, as bridges of the plain kind do. */
static bool run_configure_lm(struct mock_worker *m, struct mock_call *c)
{
	m->configured = true;
	answer_text(m, c, "{\"status\":\"configured\"}");
	return true;
}

/* Bridges of the plain kind have no counts in this mode. */
static bool run_get_stats(struct mock_worker *m, struct mock_call *c)
{
	if (m->options.plain)
		return answer_error(m, c, "AttributeError", "programs are not counted in pool-worker mode");
	return answer_json(m, c, true, json_pack("{s:I}", "command_count", (json_int_t)m->requests));
}

/* ---- the daemon's own calls ---- */

static bool plain_ping(struct mock_worker *m, struct mock_call *c)
{
	double uptime = (double)(clock_wall_ms() - m->started_ms) / 1000;

	return answer_json(m, c, true,
		json_pack("{s:s, s:f, s:b, s:f, s:s, s:s, s:n}", "status", "ok", "timestamp", (double)clock_wall_ms() / 1000,
			"dspy_available", 0, "uptime", uptime, "mode", "pool-worker", "worker_id", m->options.version,
			"current_session"));
}

static json_t *name_list(const char *names)
{
	json_t *list = json_array();
	char *copy = xstrdup(names), *rest, *name;

	for (name = strtok_r(copy, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest))
		json_array_append_new(list, json_string(name));
	free(copy);
	return list;
}

static json_t *command_names(void);

static bool run_ping(struct mock_worker *m, struct mock_call *c)
{
	if (m->options.plain)
		return plain_ping(m, c);
	return answer_json(m, c, true,
		json_pack("{s:i, s:s, s:I, s:o, s:o}", "protocol", 1, "version", m->options.version, "concurrency",
			(json_int_t)m->options.concurrency, "commands", command_names(), "capabilities",
			name_list(m->options.capabilities)));
}

static bool run_open_session(struct mock_worker *m, struct mock_call *c)
{
	struct slice id = session_id(c);

	if (id.data)
		open_session(m, id);
	answer_text(m, c, "{}");
	return true;
}

static bool run_cleanup_session(struct mock_worker *m, struct mock_call *c)
{
	struct slice id = session_id(c);
	struct mock_session *s = id.data ? find_session(m, id) : NULL;

	if (s)
		close_session(m, s);
	if (id.data)
		mock_programs_forget(m->programs, id);
	answer_text(m, c, m->options.plain ? "{\"status\":\"cleaned\"}" : s ? "{\"cleaned\":true}" : "{\"cleaned\":false}");
	return true;
}

/* What waits is answered now, as cancelled; what is not here any more was answered before. */
static bool run_cancel(struct mock_worker *m, struct mock_call *c)
{
	uint64_t target = (uint64_t)int_argument(c, "id", 0);
	struct mock_call cancelled = {.id = target};
	struct mock_task *t, *next;
	bool any = false;

	for (t = TAILQ_FIRST(&m->tasks); t; t = next) {
		next = TAILQ_NEXT(t, link);
		if (t->id != target)
			continue;
		mock_worker_drop(t);
		any = true;
	}
	if (any) {
		answer_error(m, &cancelled, "CANCELLED", "cancelled");
		mock_worker_send(m, buf_slice(&m->body));
	}
	answer_text(m, c, any ? "{\"cancelled\":true}" : "{\"cancelled\":false}");
	return true;
}

/* A bridge of the plain kind answers and waits until its stdin is closed. */
static bool run_shutdown(struct mock_worker *m, struct mock_call *c)
{
	if (m->options.ignored & MOCK_IGNORE_SHUTDOWN)
		return false;
	m->stopping = !m->options.plain;
	answer_text(m, c, "{}");
	return true;
}

static const struct command {
	const char *name;
	bool (*run)(struct mock_worker *m, struct mock_call *c);
	bool own;
} commands[] = {
	{"echo", run_echo, false},
	{"create_program", run_program, false},
	{"execute_program", run_program, false},
	{"list_programs", run_program, false},
	{"get_program_info", run_program, false},
	{"delete_program", run_program, false},
	{"configure_lm", run_configure_lm, false},
	{"get_stats", run_get_stats, false},
	{"count", run_count, false},
	{"sleep", run_sleep, false},
	{"fail", run_fail, false},
	{"crash", run_crash, false},
	{"hang", run_hang, false},
	{"state", run_state, false},
	{"stream", run_stream, false},
	{"ping", run_ping, true},
	{"open_session", run_open_session, true},
	{"cleanup_session", run_cleanup_session, true},
	{"cancel", run_cancel, true},
	{"shutdown", run_shutdown, true},
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static json_t *command_names(void)
{
	json_t *list = json_array();

	for (size_t i = 0; i < COMMANDS; i++) {
		if (!commands[i].own)
			json_array_append_new(list, json_string(commands[i].name));
	}
	return list;
}

/* {"mock": {"fault": NAME, "delay_ms": MS}} in the arguments: this request only. */
static bool read_wishes(struct mock_worker *m, struct mock_call *c)
{
	struct json_member mock = {.name = "mock"}, wish[] = {{.name = "fault"}, {.name = "delay_ms"}};
	char errstr[64];
	struct slice name;

	if (!memmem(c->args.data, c->args.len, "\"mock\"", 6))
		return true;
	if (!json_read_object(c->args, &mock, 1, JSON_MAX_DEPTH, errstr, sizeof errstr) || mock.kind != JSON_KIND_OBJECT)
		return true;
	json_read_object(mock.value, wish, 2, JSON_MAX_DEPTH, errstr, sizeof errstr);
	if (wish[1].kind == JSON_KIND_NUMBER && json_int(wish[1].value, &c->delay_ms))
		c->delay_ms = bounded(c->delay_ms, MOCK_MS_MOST);
	if (wish[0].kind != JSON_KIND_STRING)
		return true;
	name = (struct slice){(const char *)wish[0].value.data + 1, wish[0].value.len - 2};
	return mock_fault_find(name, &c->fault) ||
	       !answer_error(m, c, "INVALID_ARGUMENTS", "mock.fault names no fault; see --help");
}

static int64_t usual_delay(struct mock_worker *m)
{
	return m->options.delay_ms +
	       (m->options.jitter_ms ? (int64_t)random_below(&m->random, (uint64_t)m->options.jitter_ms + 1) : 0);
}

bool mock_command_run(struct mock_worker *m, struct mock_call *c)
{
	const struct command *command = NULL;

	for (size_t i = 0; i < COMMANDS && !command; i++) {
		if (slice_is(c->command, commands[i].name))
			command = &commands[i];
	}
	c->own = command && command->own;
	c->delay_ms = c->own ? 0 : usual_delay(m);
	c->fault = mock_fault_pick(m, c);
	if (!c->own)
		m->requests++;
	if (!c->own && !read_wishes(m, c))
		return true;
	if (m->options.plain)
		fprintf(stderr, "mock-worker: command %.*s\n", (int)c->command.len, (const char *)c->command.data);
	if (!command)
		return answer_error(m, c, "UNKNOWN_COMMAND",
			m->options.plain ? "Unknown command" : "this worker has no such command; see mock-worker --help");
	return command->run(m, c);
}
