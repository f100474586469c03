/* story.c: the demo's story of five scenes: what is sent, what must come of it, and how both are shown. */
#include "story.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bridgepool/app/settings.h"
#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"

enum { READY_MS = 30 * 1000, REPLY_MS = 15 * 1000, SLICE_MS = 20, FOLLOW_MS = 15 * 1000, EVENT_MS = 5000, REASON = 768 };

/* One request of the story, and what must come of it. */
struct line {
	const char *session, *command, *args;
	enum status expected;
	const char *result; /* what the result must contain; NULL: anything */
	bool known_epoch;   /* names the session_epoch that the session had in its first result */
};

/* ---- the terminal ---- */

enum { NARROW = 110, INDENT = 10, REASON_COLUMN = 57 }; /* columns */

static const char *colour(const struct story *s, enum colour c)
{
	return terminal_colour(s->terminal, c);
}

static void say_scene(const struct story *s, const char *title)
{
	printf("\n");
	terminal_say(s->terminal, 3, "%s%s%s", colour(s, COLOUR_BOLD), title, colour(s, COLOUR_PLAIN));
}

bool story_wrong(struct story *s, const char *what)
{
	s->wrong++;
	terminal_say(s->terminal, INDENT, "  %sNOT AS TOLD:%s %s", colour(s, COLOUR_RED), colour(s, COLOUR_PLAIN), what);
	return false;
}

/* What an answer or an event is depends on app.py; in the hands of its user it tells a story of its own. */
static bool differs(struct story *s, const char *what)
{
	if (!s->edited)
		return story_wrong(s, what);
	s->different++;
	terminal_say(s->terminal, INDENT, "  %sdiffers:%s %s with the app.py of the package", colour(s, COLOUR_DIM),
		colour(s, COLOUR_PLAIN), what);
	return false;
}

/* ---- health events ---- */

static const char *member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static void say_event(const struct story *s, const json_t *e)
{
	const char *kind = member(e, "kind"), *to = member(e, "to_state"), *reason = member(e, "reason");
	const char *who = *member(e, "worker_id") ? member(e, "worker_id") : member(e, "pool");
	json_int_t count = json_integer_value(json_object_get(e, "count"));
	char sessions[48] = "";

	if (strcmp(kind, "HEARTBEAT") == 0)
		return;
	if (strcmp(kind, "WORKER_EXIT") == 0 || strcmp(kind, "SESSIONS_LOST") == 0)
		snprintf(sessions, sizeof sessions, "; it had %d session%s", (int)count, count == 1 ? "" : "s");
	terminal_say(s->terminal, s->terminal->columns > REASON_COLUMN + 20 ? REASON_COLUMN : INDENT,
		"  %sevent%s   %-20s %-12s %-13s %s%s", colour(s, COLOUR_DIM), colour(s, COLOUR_PLAIN), kind, who, to, reason,
		sessions);
}

/* Prints one event. True: it is of this kind. */
static bool show_event(struct story *s, struct slice value, const char *kind)
{
	char why[REASON];
	json_t *event;
	bool same;

	buf_reset(&s->event);
	if (!codec_to_json(s->codec, value, &s->event, why, sizeof why))
		return story_wrong(s, why);
	event = json_loadb((const char *)s->event.data, s->event.len, 0, NULL);
	if (!event)
		return story_wrong(s, "an event that is no JSON");
	say_event(s, event);
	same = strcmp(member(event, "kind"), kind) == 0;
	json_decref(event);
	return same;
}

/* Prints the events that come until one is of this kind, and what is there after it. False: none came in time. */
static bool await_event(struct story *s, int timeout_ms, const char *kind)
{
	int64_t until = clock_mono_us() + timeout_ms * MS_US;
	struct client_record record;
	char why[REASON];
	bool seen = false;

	while (!*s->interrupted && (seen || clock_mono_us() < until)) {
		if (client_read(s->watcher, SLICE_MS, &record, why, sizeof why))
			seen = show_event(s, record.value, kind) || seen;
		else if (*why)
			return story_wrong(s, why);
		else if (seen)
			break;
	}
	fflush(stdout);
	return seen;
}

/* ---- requests ---- */

/* "0.1" of "default/0.1": there is one pool only. */
static const char *slot_of(const json_t *reply)
{
	const char *slash = strrchr(member(reply, "worker_id"), '/');

	return slash ? slash + 1 : "-";
}

/* "ValueError: it is wrong", or the result as it is; new. */
static char *answer_text(const json_t *reply)
{
	const json_t *error = json_object_get(reply, "error");
	char *text = NULL;

	if (!json_is_object(error))
		return json_dumps(json_object_get(reply, "result"), JSON_COMPACT | JSON_ENCODE_ANY);
	CHECK(asprintf(&text, "%s: %s", member(error, "code"), member(error, "message")) >= 0);
	return text;
}

/* On a narrow terminal the request stands in a line of its own. */
static void say_reply(const struct story *s, const struct line *l, const json_t *reply)
{
	const char *status = member(reply, "status");
	enum colour good = strcmp(status, "OK") == 0 ? COLOUR_GREEN : COLOUR_YELLOW;
	double ms = (double)json_integer_value(json_object_get(json_object_get(reply, "timings"), "run_us")) / 1000;
	bool narrow = s->terminal->columns && s->terminal->columns < NARROW;
	char *text = answer_text(reply), asked[128];

	snprintf(asked, sizeof asked, "%-7s %-9s %-*s", l->session, l->command, narrow ? 0 : 26, l->args);
	if (narrow)
		terminal_say(s->terminal, INDENT, "  %s", asked);
	terminal_say(s->terminal, INDENT + 3, "  %s -> %s%-12s%s worker %-4s %5.1f ms  %s", narrow ? "      " : asked,
		colour(s, good), status, colour(s, COLOUR_PLAIN), slot_of(reply), ms, text ? text : "");
	free(text);
}

static void check_reply(struct story *s, const struct line *l, const struct reply *r)
{
	char text[REASON];

	if (r->status != l->expected) {
		snprintf(text, sizeof text, "the status is %s", status_name(l->expected));
		differs(s, text);
	}
	if (l->result && !memmem(r->json.data, r->json.len, l->result, strlen(l->result))) {
		snprintf(text, sizeof text, "the answer contains %s", l->result);
		differs(s, text);
	}
}

static bool send_line(struct story *s, const struct line *l, size_t number)
{
	char id[64], why[REASON];
	struct request_fields f = {
		.session_id = slice_of(l->session),
		.session_epoch = l->known_epoch ? slice_of(s->epoch) : slice_of(NULL),
		.command = slice_of(l->command),
		.args = slice_of(l->args),
		.timeout_ms = TIME_NONE,
		.deadline_ms = TIME_NONE,
	};

	snprintf(id, sizeof id, "demo-%zu-%zu", requester_sent(s->requester) + 1, number);
	f.request_id = slice_of(id);
	return requester_send(s->requester, &f, why, sizeof why) || story_wrong(s, why);
}

/* Which line of the scene this is the answer to: the id ends with its number. */
static size_t line_number(struct slice id)
{
	const char *text = id.data;
	size_t number = 0, unit = 1;

	for (size_t i = id.len; i > 0 && text[i - 1] != '-'; i--, unit *= 10)
		number += (size_t)(text[i - 1] - '0') * unit;
	return number;
}

static bool take_reply(struct story *s, const struct line *lines, size_t n)
{
	struct reply r;
	char why[REASON];
	size_t number;
	json_t *reply;

	if (!requester_next(s->requester, SLICE_MS, &r, why, sizeof why))
		return false;
	number = line_number(r.request_id);
	reply = json_loadb(r.json.data, r.json.len, 0, NULL);
	if (number >= n || !reply) {
		json_decref(reply);
		return story_wrong(s, "a result that cannot be read came");
	}
	say_reply(s, &lines[number], reply);
	check_reply(s, &lines[number], &r);
	if (!*s->epoch)
		snprintf(s->epoch, sizeof s->epoch, "%s", member(reply, "session_epoch"));
	json_decref(reply);
	return true;
}

/* Sends the lines of a scene at once, shows what comes back. False: not all came; the story cannot go on. */
static bool play(struct story *s, const struct line *lines, size_t n)
{
	int64_t until = clock_mono_us() + REPLY_MS * MS_US;

	for (size_t i = 0; i < n; i++)
		if (!send_line(s, &lines[i], i))
			return false;
	while (requester_open_requests(s->requester) && !*s->interrupted) {
		take_reply(s, lines, n);
		if (!child_alive(s->daemon))
			return story_wrong(s, "the daemon ended; its log says why");
		if (clock_mono_us() >= until)
			return story_wrong(s, "not all results came in time; the daemon's log may say why");
	}
	return !*s->interrupted;
}

/* ---- the scenes ---- */

#define PLAY(s, lines) play(s, lines, sizeof(lines) / sizeof *(lines))

/* The epoch that s->epoch keeps is of the first result, so this one line goes alone. */
static bool scene_sessions(struct story *s)
{
	static const struct line first[] = {{"alice", "remember", "{\"what\":\"likes tea\"}", STATUS_OK, "likes tea", false}};
	static const struct line lines[] = {
		{"bob", "remember", "{\"what\":\"plays go\"}", STATUS_OK, NULL, false},
		{"carol", "count", "{\"by\":2}", STATUS_OK, NULL, false},
		{"alice", "remember", "{\"what\":\"has a cat\"}", STATUS_OK, NULL, false},
		{"bob", "recall", "{}", STATUS_OK, "plays go", false},
		{"carol", "count", "{\"by\":40}", STATUS_OK, "42", false},
		{"alice", "recall", "{}", STATUS_OK, "has a cat", false},
	};

	say_scene(s,
		"1. Three sessions. Each keeps its state on one worker; its requests run in order, other sessions run beside it.");
	return PLAY(s, first) && PLAY(s, lines);
}

static bool scene_errors(struct story *s)
{
	static const struct line lines[] = {
		{"bob", "fail", "{\"why\":\"as it was told\"}", STATUS_ERROR, "as it was told", false},
		{"carol", "count", "{\"by\":\"two\"}", STATUS_ERROR, "INVALID_ARGUMENTS", false},
		{"bob", "recall", "{}", STATUS_OK, "plays go", false},
	};

	say_scene(s, "2. Two requests that fail. An error is an answer; worker and session live on.");
	return PLAY(s, lines);
}

static bool scene_crash(struct story *s)
{
	static const struct line crash[] = {{"alice", "crash", "{}", STATUS_WORKER_LOST, NULL, false}};
	static const struct line told[] = {{"alice", "recall", "{}", STATUS_SESSION_LOST, NULL, true}};

	say_scene(s, "3. A worker dies, on purpose, in the middle of alice's session.");
	if (!PLAY(s, crash))
		return false;
	say_scene(s,
		"4. alice's client names the session_epoch it knows. That state is gone, so its request does not run, and it is told.");
	return PLAY(s, told);
}

static bool scene_again(struct story *s)
{
	static const struct line lines[] = {
		{"alice", "remember", "{\"what\":\"starts again\"}", STATUS_OK, "\"session_new\":true", false},
		{"alice", "recall", "{}", STATUS_OK, "starts again", false},
	};

	say_scene(s, "5. It opens the session again, without an epoch, and says again what must be known.");
	if (!PLAY(s, lines))
		return false;
	say_scene(s, "What the daemon told about itself meanwhile, on the health topic:");
	if (!await_event(s, EVENT_MS, "WORKER_EXIT"))
		differs(s, "there is a WORKER_EXIT event");
	return true;
}

static bool (*const scenes[])(struct story *s) = {scene_sessions, scene_errors, scene_crash, scene_again};

static bool await_ready(struct story *s)
{
	int64_t until = clock_mono_us() + READY_MS * MS_US;

	terminal_say(s->terminal, 2,
		"Starting the daemon with two Python workers; joining the group takes the embedded broker three seconds.");
	while (!*s->interrupted && clock_mono_us() < until) {
		if (await_event(s, 100, "PARTITIONS_ASSIGNED"))
			return true;
		if (!child_alive(s->daemon))
			return story_wrong(s, "the daemon ended before it was ready");
	}
	return *s->interrupted ? false : story_wrong(s, "the daemon was not ready in time");
}

void story_tell(struct story *s)
{
	if (!await_ready(s))
		return;
	for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++)
		if (!scenes[i](s))
			return;
}

/* ---- life ---- */

bool story_open(struct story *s, const char *brokers, char *errstr, size_t size)
{
	const struct requester_config rc = {brokers, NULL, DEFAULT_REQUESTS, DEFAULT_RESULTS, ENCODING_JSON, FOLLOW_MS,
		TIME_NONE};
	const struct client_config cc = {brokers, NULL};
	const struct codec_config codec = {.max_request = 1 << 20};
	int code;

	buf_init(&s->event, 4 << 20);
	s->requester = requester_open(&rc, &code, errstr, size);
	s->codec = s->requester ? codec_new(&codec, errstr, size) : NULL;
	s->watcher = s->codec ? client_new(&cc, errstr, size) : NULL;
	return s->watcher && client_follow(s->watcher, DEFAULT_HEALTH, true, FOLLOW_MS, errstr, size);
}

void story_close(struct story *s)
{
	if (s->watcher)
		client_free(s->watcher);
	if (s->codec)
		codec_free(s->codec);
	if (s->requester)
		requester_close(s->requester);
	buf_free(&s->event);
}
