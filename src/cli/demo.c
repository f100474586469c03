/* demo.c: `bridgepool demo`: the main job with nothing installed beside this program and Python, told as a story of five scenes. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/kafka/client.h"
#include "bridgepool/kafka/embedded.h"
#include "child.h"
#include "cli.h"
#include "commands.h"
#include "place.h"
#include "requester.h"
#include "terminal.h"

enum {
	DIR = CLI_PRIVATE, KEEP, /* options */
	PARTITIONS = 4, READY_MS = 30 * 1000, REPLY_MS = 15 * 1000, STOP_MS = 15 * 1000, SLICE_MS = 20, FOLLOW_MS = 15 * 1000, REASON = 768,
	EVENT_MS = 5000,
};

static const char requests[] = "bridgepool.requests", results[] = "bridgepool.results", health[] = "bridgepool.health";

/* One request of the story, and what must come of it. */
struct line {
	const char *session, *command, *args;
	enum status expected;
	const char *result; /* what the result must contain; NULL: anything */
	bool known_epoch;   /* names the session_epoch that the session had in its first result */
};

struct demo {
	struct place place;
	struct terminal terminal;
	bool keep;
	bool logged; /* the log is this run's */
	struct embedded *broker;
	struct child daemon;
	struct requester *requester;
	struct client *watcher; /* of the health topic */
	struct codec *codec;
	struct buf event;
	char epoch[256]; /* of the first scene's first session */
	unsigned wrong;	    /* what did not go as told */
	unsigned different; /* the same, where app.py was edited */
	int64_t begun_us;
};

static volatile sig_atomic_t interrupted;

/* ---- the terminal ---- */

enum { NARROW = 110, INDENT = 10, REASON_COLUMN = 57 }; /* columns */

static const char *colour(const struct demo *d, enum colour c)
{
	return terminal_colour(&d->terminal, c);
}

static void say_scene(const struct demo *d, const char *title)
{
	printf("\n");
	terminal_say(&d->terminal, 3, "%s%s%s", colour(d, COLOUR_BOLD), title, colour(d, COLOUR_PLAIN));
}

static bool wrong(struct demo *d, const char *what)
{
	d->wrong++;
	terminal_say(&d->terminal, INDENT, "  %sNOT AS TOLD:%s %s", colour(d, COLOUR_RED), colour(d, COLOUR_PLAIN), what);
	return false;
}

/* What an answer or an event is depends on app.py; in the hands of its user it tells a story of its own. */
static bool differs(struct demo *d, const char *what)
{
	if (!d->place.edited)
		return wrong(d, what);
	d->different++;
	terminal_say(&d->terminal, INDENT, "  %sdiffers:%s %s with the app.py of the package", colour(d, COLOUR_DIM), colour(d, COLOUR_PLAIN), what);
	return false;
}

/* ---- health events ---- */

static const char *member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static void say_event(const struct demo *d, const json_t *e)
{
	const char *kind = member(e, "kind"), *to = member(e, "to_state"), *reason = member(e, "reason");
	const char *who = *member(e, "worker_id") ? member(e, "worker_id") : member(e, "pool");
	json_int_t count = json_integer_value(json_object_get(e, "count"));
	char sessions[48] = "";

	if (strcmp(kind, "HEARTBEAT") == 0)
		return;
	if (strcmp(kind, "WORKER_EXIT") == 0 || strcmp(kind, "SESSIONS_LOST") == 0)
		snprintf(sessions, sizeof sessions, "; it had %d session%s", (int)count, count == 1 ? "" : "s");
	terminal_say(&d->terminal, d->terminal.columns > REASON_COLUMN + 20 ? REASON_COLUMN : INDENT, "  %sevent%s   %-20s %-12s %-13s %s%s",
		colour(d, COLOUR_DIM), colour(d, COLOUR_PLAIN), kind, who, to, reason, sessions);
}

/* Prints one event. True: it is of this kind. */
static bool show_event(struct demo *d, struct slice value, const char *kind)
{
	char why[REASON];
	json_t *event;
	bool same;

	buf_reset(&d->event);
	if (!codec_to_json(d->codec, value, &d->event, why, sizeof why))
		return wrong(d, why);
	event = json_loadb((const char *)d->event.data, d->event.len, 0, NULL);
	if (!event)
		return wrong(d, "an event that is no JSON");
	say_event(d, event);
	same = strcmp(member(event, "kind"), kind) == 0;
	json_decref(event);
	return same;
}

/* Prints the events that come until one is of this kind, and what is there after it. False: none came in time. */
static bool await_event(struct demo *d, int timeout_ms, const char *kind)
{
	int64_t until = clock_mono_us() + timeout_ms * MS_US;
	struct client_record record;
	char why[REASON];
	bool seen = false;

	while (!interrupted && (seen || clock_mono_us() < until)) {
		if (client_read(d->watcher, SLICE_MS, &record, why, sizeof why))
			seen = show_event(d, record.value, kind) || seen;
		else if (*why)
			return wrong(d, why);
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
static void say_reply(const struct demo *d, const struct line *l, const json_t *reply)
{
	const char *status = member(reply, "status");
	enum colour good = strcmp(status, "OK") == 0 ? COLOUR_GREEN : COLOUR_YELLOW;
	double ms = (double)json_integer_value(json_object_get(json_object_get(reply, "timings"), "run_us")) / 1000;
	bool narrow = d->terminal.columns && d->terminal.columns < NARROW;
	char *text = answer_text(reply), asked[128];

	snprintf(asked, sizeof asked, "%-7s %-9s %-*s", l->session, l->command, narrow ? 0 : 26, l->args);
	if (narrow)
		terminal_say(&d->terminal, INDENT, "  %s", asked);
	terminal_say(&d->terminal, INDENT + 3, "  %s -> %s%-12s%s worker %-4s %5.1f ms  %s", narrow ? "      " : asked, colour(d, good), status,
		colour(d, COLOUR_PLAIN), slot_of(reply), ms, text ? text : "");
	free(text);
}

static void check_reply(struct demo *d, const struct line *l, const struct reply *r)
{
	char text[REASON];

	if (r->status != l->expected) {
		snprintf(text, sizeof text, "the status is %s", status_name(l->expected));
		differs(d, text);
	}
	if (l->result && !memmem(r->json.data, r->json.len, l->result, strlen(l->result))) {
		snprintf(text, sizeof text, "the answer contains %s", l->result);
		differs(d, text);
	}
}

static bool send_line(struct demo *d, const struct line *l, size_t number)
{
	char id[64], why[REASON];
	struct request_fields f = {
		.session_id = slice_of(l->session),
		.session_epoch = l->known_epoch ? slice_of(d->epoch) : slice_of(NULL),
		.command = slice_of(l->command),
		.args = slice_of(l->args),
		.timeout_ms = TIME_NONE,
		.deadline_ms = TIME_NONE,
	};

	snprintf(id, sizeof id, "demo-%zu-%zu", requester_sent(d->requester) + 1, number);
	f.request_id = slice_of(id);
	return requester_send(d->requester, &f, why, sizeof why) || wrong(d, why);
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

static bool take_reply(struct demo *d, const struct line *lines, size_t n)
{
	struct reply r;
	char why[REASON];
	size_t number;
	json_t *reply;

	if (!requester_next(d->requester, SLICE_MS, &r, why, sizeof why))
		return false;
	number = line_number(r.request_id);
	reply = json_loadb(r.json.data, r.json.len, 0, NULL);
	if (number >= n || !reply) {
		json_decref(reply);
		return wrong(d, "a result that cannot be read came");
	}
	say_reply(d, &lines[number], reply);
	check_reply(d, &lines[number], &r);
	if (!*d->epoch)
		snprintf(d->epoch, sizeof d->epoch, "%s", member(reply, "session_epoch"));
	json_decref(reply);
	return true;
}

/* Sends the lines of a scene at once, shows what comes back. False: not all came; the story cannot go on. */
static bool play(struct demo *d, const struct line *lines, size_t n)
{
	int64_t until = clock_mono_us() + REPLY_MS * MS_US;

	for (size_t i = 0; i < n; i++)
		if (!send_line(d, &lines[i], i))
			return false;
	while (requester_open_requests(d->requester) && !interrupted) {
		take_reply(d, lines, n);
		if (!child_alive(&d->daemon))
			return wrong(d, "the daemon ended; its log says why");
		if (clock_mono_us() >= until)
			return wrong(d, "not all results came in time; the daemon's log may say why");
	}
	return !interrupted;
}

/* ---- the scenes ---- */

#define PLAY(d, lines) play(d, lines, sizeof(lines) / sizeof *(lines))

/* The epoch that d->epoch keeps is of the first result, so this one line goes alone. */
static bool scene_sessions(struct demo *d)
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

	say_scene(d, "1. Three sessions. Each keeps its state on one worker; its requests run in order, other sessions run beside it.");
	return PLAY(d, first) && PLAY(d, lines);
}

static bool scene_errors(struct demo *d)
{
	static const struct line lines[] = {
		{"bob", "fail", "{\"why\":\"as it was told\"}", STATUS_ERROR, "as it was told", false},
		{"carol", "count", "{\"by\":\"two\"}", STATUS_ERROR, "INVALID_ARGUMENTS", false},
		{"bob", "recall", "{}", STATUS_OK, "plays go", false},
	};

	say_scene(d, "2. Two requests that fail. An error is an answer; worker and session live on.");
	return PLAY(d, lines);
}

static bool scene_crash(struct demo *d)
{
	static const struct line crash[] = {{"alice", "crash", "{}", STATUS_WORKER_LOST, NULL, false}};
	static const struct line told[] = {{"alice", "recall", "{}", STATUS_SESSION_LOST, NULL, true}};

	say_scene(d, "3. A worker dies, on purpose, in the middle of alice's session.");
	if (!PLAY(d, crash))
		return false;
	say_scene(d, "4. alice's client names the session_epoch it knows. That state is gone, so its request does not run, and it is told.");
	return PLAY(d, told);
}

static bool scene_again(struct demo *d)
{
	static const struct line lines[] = {
		{"alice", "remember", "{\"what\":\"starts again\"}", STATUS_OK, "\"session_new\":true", false},
		{"alice", "recall", "{}", STATUS_OK, "starts again", false},
	};

	say_scene(d, "5. It opens the session again, without an epoch, and says again what must be known.");
	if (!PLAY(d, lines))
		return false;
	say_scene(d, "What the daemon told about itself meanwhile, on the health topic:");
	if (!await_event(d, EVENT_MS, "WORKER_EXIT"))
		differs(d, "there is a WORKER_EXIT event");
	return true;
}

static bool (*const scenes[])(struct demo *d) = {scene_sessions, scene_errors, scene_crash, scene_again};

static bool await_ready(struct demo *d)
{
	int64_t until = clock_mono_us() + READY_MS * MS_US;

	terminal_say(&d->terminal, 2, "Starting the daemon with two Python workers; joining the group takes the embedded broker three seconds.");
	while (!interrupted && clock_mono_us() < until) {
		if (await_event(d, 100, "PARTITIONS_ASSIGNED"))
			return true;
		if (!child_alive(&d->daemon))
			return wrong(d, "the daemon ended before it was ready");
	}
	return interrupted ? false : wrong(d, "the daemon was not ready in time");
}

static void tell_story(struct demo *d)
{
	if (!await_ready(d))
		return;
	for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++)
		if (!scenes[i](d))
			return;
}

/* ---- what to try next ---- */

static void say_keep(struct demo *d)
{
	printf("\nThe daemon and the broker at %s stay until Ctrl-C. In another terminal:\n\n"
	       "  bridgepool submit -c %s --session dora remember what='the way here'\n"
	       "  bridgepool submit -c %s --session dora recall\n"
	       "  bridgepool tail -c %s health\n"
	       "  tail -f %s\n",
		embedded_brokers(d->broker), d->place.config, d->place.config, d->place.config, d->place.log);
	fflush(stdout);
	while (!interrupted && child_alive(&d->daemon))
		usleep(200 * 1000);
}

static void say_next(const struct demo *d)
{
	const struct terminal *t = &d->terminal;

	printf("\nNext:\n");
	terminal_say(t, 4, "  open %s, change a command, run this again", d->place.app);
	terminal_say(t, 4, "  bridgepool demo --keep leaves everything up, and prints what to send from another terminal");
	terminal_say(t, 4, "  %s is the configuration it ran with: a start for your own broker", d->place.config);
	terminal_say(t, 4, "  %s is what the daemon logged", d->place.log);
}

/* The errors that the daemon logged say more than its end does. */
static void say_log(const struct demo *d)
{
	FILE *log = fopen(d->place.log, "r");
	char *line = NULL, *error;
	size_t size = 0;

	if (!log)
		return;
	printf("\nThe daemon's log is %s. Its errors:\n", d->place.log);
	while (getline(&line, &size, log) > 0) {
		line[strcspn(line, "\n")] = '\0';
		error = strstr(line, " error ");
		if (error)
			terminal_say(&d->terminal, 4, "  %s%s%s", colour(d, COLOUR_RED), error + strlen(" error "), colour(d, COLOUR_PLAIN));
	}
	free(line);
	fclose(log);
}

/* ---- life ---- */

static bool open_clients(struct demo *d, char *errstr, size_t size)
{
	const char *brokers = embedded_brokers(d->broker);
	const struct requester_config rc = {brokers, NULL, requests, results, ENCODING_JSON, FOLLOW_MS};
	const struct client_config cc = {brokers, NULL};
	const struct codec_config codec = {.max_request = 1 << 20};
	int code;

	d->requester = requester_open(&rc, &code, errstr, size);
	d->codec = d->requester ? codec_new(&codec, errstr, size) : NULL;
	d->watcher = d->codec ? client_new(&cc, errstr, size) : NULL;
	return d->watcher && client_follow(d->watcher, health, true, FOLLOW_MS, errstr, size);
}

static bool demo_open(struct demo *d, const char *dir, char *errstr, size_t size)
{
	static const char *const topics[] = {requests, results, health, "bridgepool.dead-letters", NULL};
	char *argv[] = {(char[]){"bridgepool"}, (char[]){"run"}, (char[]){"-c"}, d->place.config, NULL};

	if (!place_prepare(&d->place, dir, errstr, size))
		return false;
	d->broker = embedded_start(topics, PARTITIONS, errstr, size);
	if (!d->broker || !place_configure(&d->place, embedded_brokers(d->broker), errstr, size))
		return false;
	d->logged = child_start(&d->daemon, argv, d->place.log, errstr, size);
	return d->logged && open_clients(d, errstr, size);
}

static void demo_close(struct demo *d)
{
	bool was_alive = child_alive(&d->daemon);

	child_stop(&d->daemon, STOP_MS);
	if (was_alive && d->daemon.code != EXIT_OK)
		wrong(d, "the daemon should end with exit code 0");
	if (d->watcher)
		client_free(d->watcher);
	if (d->codec)
		codec_free(d->codec);
	if (d->requester)
		requester_close(d->requester);
	if (d->broker)
		embedded_stop(d->broker);
	buf_free(&d->event);
}

static const struct cli_option options[] = {
	{DIR, "dir", "DIR", "where app.py, configuration and log are put (default ./bridgepool-demo)"},
	{KEEP, "keep", NULL, "stay up afterwards, to be tried from another terminal"},
	CLI_OPTION_HELP,
	{0},
};

static void say_app(const struct demo *d)
{
	static const char *const states[] = {"there already", "new", "as you edited it"};

	terminal_say(&d->terminal, 2, "%s is %s: open it, its commands are what runs here.", d->place.app, states[d->place.edited ? 2 : d->place.fresh]);
}

static int say_end(const struct demo *d)
{
	double seconds = (double)(clock_mono_us() - d->begun_us) / 1e6;

	if (d->wrong) {
		if (d->logged)
			say_log(d);
		return EXIT_FAILED;
	}
	if (interrupted)
		return EXIT_INTERRUPTED;
	if (d->different)
		printf("\nDone with your app.py, in %.1f s; %u %s not as with the package's.\n", seconds, d->different, d->different == 1 ? "thing is" : "things are");
	else
		printf("\nAll went as told, in %.1f s.\n", seconds);
	say_next(d);
	return EXIT_OK;
}

static int demo_run(struct demo *d, const char *dir)
{
	char why[REASON];

	d->begun_us = clock_mono_us();
	if (demo_open(d, dir, why, sizeof why)) {
		say_app(d);
		tell_story(d);
		if (d->keep && !d->wrong && !interrupted)
			say_keep(d);
	} else {
		fprintf(stderr, "bridgepool demo: %s\n", why);
		d->wrong++;
	}
	demo_close(d);
	return say_end(d);
}

static int run(int argc, char **argv)
{
	struct demo d = {0};
	struct cli_args a = {0};
	const char *dir = "bridgepool-demo";
	int id, code;

	while ((id = cli_next(&a, &command_demo, argc, argv, &code)) >= 0) {
		if (id == DIR)
			dir = optarg;
		else
			d.keep = true;
	}
	if (id == CLI_STOP)
		return code;
	terminal_init(&d.terminal);
	buf_init(&d.event, 4 << 20);
	cli_catch_signals(&interrupted);
	return demo_run(&d, dir);
}

const struct cli_command command_demo = {
	.name = "demo",
	.run = run,
	.summary = "Show the main job: embedded broker, daemon, Python workers, sessions, failures, health events",
	.operands = "",
	.options = options,
	.more = "Needs nothing but this program and Python 3.9 or later. Takes about ten seconds.",
};
