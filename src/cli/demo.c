/* demo.c: `bridgepool demo`: the main job with nothing installed beside this program and Python, told as a story. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/base/clock.h"
#include "bridgepool/kafka/embedded.h"
#include "child.h"
#include "cli.h"
#include "commands.h"
#include "place.h"
#include "story.h"

enum { DIR = CLI_PRIVATE, KEEP, PARTITIONS = 4, STOP_MS = 15 * 1000, REASON = 768 };

struct demo {
	struct place place;
	struct terminal terminal;
	bool keep, kept;
	bool logged; /* the log is this run's */
	struct embedded *broker;
	struct child daemon;
	struct story story;
	int64_t begun_us;
};

static volatile sig_atomic_t interrupted;

/* ---- what to try next ---- */

static void say_keep(struct demo *d)
{
	const struct place *p = &d->place;

	printf("\nThe daemon and the broker at %s stay until Ctrl-C. In another terminal:\n\n"
	       "  %s submit -c %s --session dora remember what='the way here'\n"
	       "  %s submit -c %s --session dora recall\n"
	       "  %s tail -c %s health\n"
	       "  tail -f %s\n",
		embedded_brokers(d->broker), p->program, p->config, p->program, p->config, p->program, p->config, p->log);
	fflush(stdout);
	d->kept = true;
	while (!interrupted && child_alive(&d->daemon))
		usleep(200 * 1000);
}

static void say_next(const struct demo *d)
{
	const struct terminal *t = &d->terminal;

	printf("\nNext:\n");
	terminal_say(t, 4, "  open %s, change a command, run this again", d->place.app);
	terminal_say(t, 4, "  %s demo --keep leaves everything up, and prints what to send from another terminal",
		d->place.program);
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
			terminal_say(&d->terminal, 4, "  %s%s%s", terminal_colour(&d->terminal, COLOUR_RED),
				error + strlen(" error "), terminal_colour(&d->terminal, COLOUR_PLAIN));
	}
	free(line);
	fclose(log);
}

/* ---- life ---- */

static bool demo_open(struct demo *d, const char *dir, char *errstr, size_t size)
{
	char *argv[] = {(char[]){"bridgepool"}, (char[]){"run"}, (char[]){"-c"}, d->place.config, NULL};

	if (!place_prepare(&d->place, dir, errstr, size))
		return false;
	d->broker = embedded_start(settings_topics, PARTITIONS, errstr, size);
	if (!d->broker || !place_configure(&d->place, embedded_brokers(d->broker), errstr, size))
		return false;
	d->logged = child_start(&d->daemon, argv, d->place.log, errstr, size);
	return d->logged && story_open(&d->story, embedded_brokers(d->broker), errstr, size);
}

static void demo_close(struct demo *d)
{
	bool was_alive = child_alive(&d->daemon);

	child_stop(&d->daemon, STOP_MS);
	if (was_alive && d->daemon.code != EXIT_OK)
		story_wrong(&d->story, "the daemon should end with exit code 0");
	story_close(&d->story);
	if (d->broker)
		embedded_stop(d->broker);
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

	terminal_say(&d->terminal, 2, "%s is %s: open it, its commands are what runs here.", d->place.app,
		states[d->place.edited ? 2 : d->place.fresh]);
}

static int say_end(const struct demo *d)
{
	double seconds = (double)(clock_mono_us() - d->begun_us) / 1e6;

	if (d->story.wrong) {
		if (d->logged)
			say_log(d);
		return EXIT_FAILED;
	}
	if (interrupted)
		return d->kept ? EXIT_OK : EXIT_INTERRUPTED;
	if (d->story.different)
		printf("\nDone with your app.py, in %.1f s; not as with the package's: %u.\n", seconds, d->story.different);
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
		d->story.edited = d->place.edited;
		story_tell(&d->story);
		if (d->keep && !d->story.wrong && !interrupted)
			say_keep(d);
	} else {
		fprintf(stderr, "bridgepool demo: %s\n", why);
		d->story.wrong++;
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
	d.story = (struct story){.terminal = &d.terminal, .interrupted = &interrupted, .daemon = &d.daemon};
	cli_catch_signals(&interrupted);
	return demo_run(&d, dir);
}

const struct cli_command command_demo = {
	.name = "demo",
	.run = run,
	.summary = "Show the main job: embedded broker, daemon, Python workers, sessions, failures, health events",
	.operands = "",
	.options = options,
	.more = "Needs nothing but this program and Python 3.9 or later. Takes a few seconds.",
};
