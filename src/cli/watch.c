/* watch.c: `bridgepool watch`: the whole group, live, from the health topic alone. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/base/clock.h"
#include "bridgepool/kafka/client.h"
#include "bridgepool/wire/codec.h"
#include "cli.h"
#include "commands.h"
#include "reach.h"
#include "screen.h"

enum {
	ONCE = CLI_PRIVATE,
	SINCE,
	TIMEOUT,
	FOLLOW_TIMEOUT_MS = 15000,
	READ_MS = 100,
	DRAW_MS = 1000,
	TOGETHER_MS = 50,
	EVENTS_ONCE = 10,
	EVENTS_LEAST = 5,
	RECORD_LIMIT = 64 << 20,
	HEARTBEAT_MS = 10000
};

struct watch {
	struct cli_args args;
	bool once, lines; /* lines: a line for each event */
	int64_t since_ms, timeout_ms;
	const char *topic;
	char title[320];
	struct codec *codec;
	struct client *client;
	struct group group;
	struct picture picture;
	struct buf text;
	uint64_t events_told;
	bool changed; /* since it was drawn */
};

static volatile sig_atomic_t interrupted;

static int64_t now_ms(void)
{
	return clock_mono_us() / MS_US;
}

/* ---- records ---- */

/* Those that were written before we looked are as old as they say; a clock that runs ahead makes nothing younger than now. */
static int64_t seen_at(const struct watch *w, const struct client_record *r)
{
	int64_t age = client_at_end(w->client) || r->timestamp_ms < 0 ? 0 : clock_wall_ms() - r->timestamp_ms;

	return now_ms() - (age > 0 ? age : 0);
}

static void print_events(struct watch *w)
{
	char line[PICTURE_WIDTH];

	if (w->group.nevents - w->events_told > GROUP_EVENTS)
		w->events_told = w->group.nevents - GROUP_EVENTS;
	for (; w->events_told < w->group.nevents; w->events_told++) {
		picture_event(&w->group.events[w->events_told % GROUP_EVENTS], line, sizeof line);
		puts(line);
	}
}

static void print_heard(struct watch *w, const struct member *beat)
{
	char line[PICTURE_WIDTH];

	print_events(w);
	if (!beat)
		return;
	picture_beat(beat, line, sizeof line);
	puts(line);
}

static void take(struct watch *w, const struct client_record *r)
{
	const struct member *m;
	char why[256];
	json_t *event;

	buf_reset(&w->text);
	if (!r->value.data || !codec_to_json(w->codec, r->value, &w->text, why, sizeof why))
		return;
	event = json_loadb((const char *)w->text.data, w->text.len, 0, NULL);
	m = event ? group_take(&w->group, event, seen_at(w, r)) : NULL;
	w->changed = true;
	if (w->lines)
		print_heard(w, m);
	json_decref(event);
}

/* All that has come, for at most `ms`; waits for the first. False: it cannot go on. */
static bool take_all(struct watch *w, int ms)
{
	int64_t until = now_ms() + TOGETHER_MS;
	struct client_record r;
	char why[512];

	while (!interrupted && client_read(w->client, ms, &r, why, sizeof why)) {
		take(w, &r);
		ms = 1;
		if (now_ms() >= until)
			return true;
	}
	if (*why)
		fprintf(stderr, "bridgepool watch: %s\n", why);
	return !*why;
}

/* ---- three ways to show it ---- */

static void draw(struct watch *w, size_t columns, size_t events)
{
	picture_draw(&w->picture, &w->group, w->title, columns, now_ms(), clock_wall_ms(), events);
	w->changed = false;
}

static int print_once(struct watch *w)
{
	struct terminal t;

	terminal_init(&t);
	draw(w, t.columns, EVENTS_ONCE);
	for (size_t i = 0; i < w->picture.n; i++)
		printf("%s%s%s\n", terminal_colour(&t, w->picture.lines[i].colour), w->picture.lines[i].text,
			w->picture.lines[i].colour ? terminal_colour(&t, COLOUR_PLAIN) : "");
	if (group_is_whole(&w->group))
		return EXIT_OK;
	fprintf(stderr, "bridgepool watch: no heartbeat %swithin %g s on %s\n", w->group.members ? "of each instance " : "",
		(double)w->timeout_ms / 1000, w->topic);
	return EXIT_TIMED_OUT;
}

static int watch_once(struct watch *w)
{
	int64_t until = now_ms() + w->timeout_ms;

	while (!interrupted && now_ms() < until && !(client_at_end(w->client) && group_is_whole(&w->group))) {
		if (!take_all(w, READ_MS))
			return EXIT_BROKER;
		if (client_at_end(w->client))
			group_look(&w->group, now_ms(), clock_wall_ms());
	}
	return interrupted ? EXIT_INTERRUPTED : print_once(w);
}

/* For pipes and logs: a line for each event and each heartbeat. */
static int watch_lines(struct watch *w)
{
	w->lines = true;
	while (!interrupted && !ferror(stdout)) {
		if (!take_all(w, READ_MS))
			return EXIT_BROKER;
		if (client_at_end(w->client))
			group_look(&w->group, now_ms(), clock_wall_ms());
		print_events(w);
		fflush(stdout);
	}
	return interrupted ? EXIT_OK : EXIT_FAILED;
}

/* The events get what the tables leave. */
static void redraw(struct watch *w)
{
	draw(w, screen_columns(), 0);
	draw(w, screen_columns(), screen_rows() > w->picture.n + EVENTS_LEAST ? screen_rows() - w->picture.n : EVENTS_LEAST);
	screen_show(&w->picture);
}

static int watch_screen(struct watch *w)
{
	enum screen_key key = SCREEN_NOTHING;
	int64_t drawn = 0;
	bool good = true;

	while (good && !interrupted && key != SCREEN_QUIT) {
		if (w->changed || key == SCREEN_REDRAW || now_ms() - drawn >= DRAW_MS) {
			redraw(w);
			drawn = now_ms();
		}
		good = take_all(w, READ_MS);
		if (client_at_end(w->client))
			group_look(&w->group, now_ms(), clock_wall_ms());
		key = screen_key();
	}
	screen_close();
	return good ? EXIT_OK : EXIT_BROKER;
}

static int watch_show(struct watch *w)
{
	if (w->once)
		return watch_once(w);
	if (!isatty(STDOUT_FILENO))
		return watch_lines(w);
	if (screen_open())
		return watch_screen(w);
	fprintf(stderr, "bridgepool watch: this terminal (TERM=%s) cannot be drawn on; a line for each event instead\n",
		getenv("TERM") ? getenv("TERM") : "");
	return watch_lines(w);
}

/* ---- from the command line on ---- */

static int watch_follow(struct watch *w, const struct settings *s)
{
	char why[512];
	int code = reach_broker("watch", s, FOLLOW_TIMEOUT_MS);

	if (code != EXIT_OK)
		return code;
	if (!client_follow_since(w->client, w->topic, clock_wall_ms() - w->since_ms, FOLLOW_TIMEOUT_MS, why, sizeof why)) {
		fprintf(stderr, "bridgepool watch: %s\n", why);
		return EXIT_BROKER;
	}
	cli_catch_signals(&interrupted);
	return watch_show(w);
}

static int watch_run(struct watch *w, const struct settings *s, bool whole)
{
	const struct client_config client = {s->kafka.brokers, (const char *const *)s->kafka.properties.items};
	const struct codec_config codec = {.max_request = RECORD_LIMIT};
	int64_t heartbeat = whole ? s->health.heartbeat / MS_US : HEARTBEAT_MS; /* 0: no heartbeats are expected */
	char why[512];
	int code = EXIT_CONFIGURATION;

	w->topic = s->kafka.health;
	snprintf(w->title, sizeof w->title, "bridgepool: %s at %s", w->topic, s->kafka.brokers);
	if (w->since_ms < 2 * GROUP_INTERVALS * heartbeat)
		w->since_ms = 2 * GROUP_INTERVALS * heartbeat;
	group_init(&w->group, heartbeat);
	buf_init(&w->text, RECORD_LIMIT);
	w->codec = codec_new(&codec, why, sizeof why);
	w->client = w->codec ? client_new(&client, why, sizeof why) : NULL;
	if (w->client)
		code = watch_follow(w, s);
	else
		fprintf(stderr, "bridgepool watch: %s\n", why);
	if (w->client)
		client_free(w->client);
	if (w->codec)
		codec_free(w->codec);
	buf_free(&w->text);
	picture_free(&w->picture);
	group_free(&w->group);
	return code;
}

static const struct cli_option options[] = {
	CLI_OPTION_BROKERS,
	CLI_OPTION_CONFIG,
	CLI_OPTION_SET,
	{ONCE, "once", NULL, "print the picture when each instance has been heard, and end"},
	{SINCE, "since", "TIME", "how far back events are read (default: 5m)"},
	{TIMEOUT, "timeout", "TIME", "with --once: how long to wait for heartbeats (default: 30s)"},
	CLI_OPTION_HELP,
	{0},
};

/* True: go on. */
static bool watch_options(struct watch *w, int argc, char **argv, int *code)
{
	int id;

	w->since_ms = 5 * 60 * 1000;
	w->timeout_ms = 30 * 1000;
	while ((id = cli_next(&w->args, &command_watch, argc, argv, code)) >= 0) {
		if (id == ONCE)
			w->once = true;
		else if (!cli_duration(optarg, id == SINCE ? &w->since_ms : &w->timeout_ms)) {
			*code = cli_usage(&command_watch, "\"%s\" is no time; write 30s or 5m", optarg);
			return false;
		}
	}
	return id != CLI_STOP;
}

static int run(int argc, char **argv)
{
	static struct watch w; /* too large for a stack */
	struct settings s;
	bool whole;
	int code;

	if (!watch_options(&w, argc, argv, &code))
		return code;
	screen_prepare();
	if (!cli_client_settings(&w.args, &s, &whole))
		return EXIT_CONFIGURATION;
	code = watch_run(&w, &s, whole);
	cli_client_free(&s, whole);
	return code;
}

const struct cli_command command_watch = {
	.name = "watch",
	.run = run,
	.summary = "Show the whole group live, from its health topic",
	.operands = "",
	.options = options,
	.more = "Instances, pools and the last events, redrawn in place; q ends it, arrows and pages scroll. A narrow terminal gets the more\n"
		"important columns; arrows to the sides show the rest of long lines. Rates are those between the\n"
		"last two heartbeats, P50< and P95< the bounds that so many runs stayed below. An instance without a heartbeat for three of\n"
		"its intervals is told. If standard output is no terminal: a line for each event and each heartbeat.\n"
		"Exit codes: 0, 69 no broker, 75 with --once: nobody was heard in time.",
};
