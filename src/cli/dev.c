/* dev.c: `bridgepool dev`: an application on an embedded broker and one worker, with new code at each save.
 *
 * A save is tried in a process of its own first: what cannot be loaded changes nothing. Then the daemon is told to replace its
 * worker; it starts the new one before the old one, which ends when what runs on it is answered. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/base/clock.h"
#include "bridgepool/kafka/embedded.h"
#include "child.h"
#include "cli.h"
#include "commands.h"
#include "dev_log.h"
#include "dev_sources.h"
#include "dev_trial.h"
#include "place.h"

enum { PYTHON = CLI_PRIVATE, WATCH, PATTERNS_MAX = 32, PARTITIONS = 4, LOOK_MS = 50, STOP_MS = 15 * 1000, REASON = 2 * PATH_MAX };

static const int signal_numbers[] = {SIGINT, SIGTERM, SIGHUP};
enum { NSIGNALS = sizeof signal_numbers / sizeof *signal_numbers };

struct dev {
	struct terminal terminal;
	struct place place;
	char app[PATH_MAX + 256], watched[PATH_MAX], http[128];
	const char *patterns[PATTERNS_MAX + 2];
	size_t npatterns;
	uv_loop_t loop;
	uv_signal_t signals[NSIGNALS];
	uv_timer_t look; /* has the daemon ended? */
	struct embedded *broker;
	struct dev_sources *sources;
	struct dev_trial trial;
	struct dev_log log;
	struct child daemon;
	char *good, *shown;          /* the commands of the newest code that can be loaded, and as they were told last */
	int64_t saved_us, stop_us;   /* of the last save; until when the daemon may take to end */
	bool joined, rolling, stale; /* stale: what comes up may have code that is not the newest */
	bool failing; /* the worker that is to come did not start, which was told; another is tried, with what the files hold then
		       */
	bool unheard; /* after a save: the start that is under way had the files before; its failure is that which was told */
	bool again;   /* a save is not taken up yet by the daemon, which may end because of the code before */
	bool tried, ending;
	int64_t next_us;   /* when the daemon tries again, after a failure */
	char serving[128]; /* the worker */
	int code;          /* of the program */
};

/* ---- what is told ---- */

__attribute__((format(printf, 3, 4))) static void say(const struct dev *d, enum colour colour, const char *format, ...)
{
	char text[3 * PATH_MAX];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof text, format, list);
	va_end(list);
	terminal_say(&d->terminal, 2, "%s%s%s", terminal_colour(&d->terminal, colour), text,
		terminal_colour(&d->terminal, COLOUR_PLAIN));
	fflush(stdout);
}

static void say_command(const struct dev *d, const json_t *row)
{
	const char *session = json_is_true(json_object_get(row, "session")) ? "--session s1 " : "",
		   *doc = json_string_value(json_object_get(row, "doc"));

	printf("  %s submit -b %s %s%s", d->place.program, embedded_brokers(d->broker), session,
		json_string_value(json_object_get(row, "example")));
	printf(doc && *doc ? "    %s# %s%s\n" : "\n", terminal_colour(&d->terminal, COLOUR_DIM), doc,
		terminal_colour(&d->terminal, COLOUR_PLAIN));
}

static void keep_commands(struct dev *d)
{
	const struct buf *said = &d->trial.said;

	free(d->good);
	d->good = strndup(said->len ? (const char *)said->data : "", said->len);
}

/* Unless they are those that were told already. */
static void say_commands(struct dev *d)
{
	json_t *rows, *row;
	size_t i;

	if (!d->good || (d->shown && strcmp(d->shown, d->good) == 0))
		return;
	free(d->shown);
	d->shown = strdup(d->good);
	rows = json_loads(d->good, 0, NULL);
	printf("\nIn another terminal:\n\n");
	json_array_foreach (rows, i, row)
		say_command(d, row);
	printf("  %s tail -b %s results    # or requests, health, dead-letters\n", d->place.program, embedded_brokers(d->broker));
	if (*d->http)
		printf("  curl %sstatus            # or metrics\n", d->http);
	printf("\n");
	json_decref(rows);
	fflush(stdout);
}

static void say_complaint(struct dev *d)
{
	const struct buf *b = &d->trial.complaint;

	printf("%s%.*s%s", terminal_colour(&d->terminal, COLOUR_RED), (int)b->len, b->len ? (const char *)b->data : "",
		terminal_colour(&d->terminal, COLOUR_PLAIN));
	say(d, COLOUR_YELLOW,
		d->daemon.pid ? "This code is not used; the one before goes on serving. Mend it and save."
			      : "Mend it and save: it is tried again.");
}

static void end(struct dev *d);

/* ---- the daemon ---- */

static bool start_daemon(struct dev *d, char *errstr, size_t size)
{
	char *argv[] = {(char[]){"bridgepool"}, (char[]){"run"}, (char[]){"-c"}, d->place.config, (char[]){"--set"},
		(char[]){"log.format=json"}, NULL};
	int ends[2];
	bool started;

	if (pipe2(ends, O_CLOEXEC) != 0) {
		snprintf(errstr, size, "cannot make a pipe: %s", strerror(errno));
		return false;
	}
	d->joined = d->rolling = d->stale = d->failing = d->unheard = d->again = false;
	d->log.only = NULL;
	*d->serving = '\0';
	started = child_start_into(&d->daemon, argv, ends[1], errstr, size);
	close(ends[1]);
	if (started)
		dev_log_read(&d->log, &d->loop, ends[0]);
	else
		close(ends[0]);
	return started;
}

/* The new worker first, then the old one, by the daemon's own means. */
static void roll(struct dev *d)
{
	d->rolling = true;
	d->stale = d->failing = d->unheard = false;
	d->log.only = NULL;
	kill(d->daemon.pid, SIGUSR1);
}

/* The next failure is one of what the files hold now, and is told. */
static void await_next_start(struct dev *d)
{
	d->failing = false;
	d->again = true;
	d->unheard = d->stale = clock_mono_us() >= d->next_us;
	if (!d->unheard)
		d->log.only = NULL;
}

static void on_good_code(struct dev *d)
{
	char why[REASON];

	keep_commands(d);
	if (d->log.open && d->joined && !d->rolling) {
		roll(d);
	} else if (d->log.open && d->failing) {
		await_next_start(d);
	} else if (d->log.open) {
		/* its worker, or the one that is to come, may have read the files before they were saved */
		d->stale = true;
	} else if (!start_daemon(d, why, sizeof why)) {
		say(d, COLOUR_RED, "%s", why);
	}
}

/* What the command line names is not there, and no save will mend that: says so. */
static bool refuse(struct dev *d)
{
	const struct buf *said = &d->trial.said, *complaint = &d->trial.complaint;
	json_t *answer = said->len ? json_loadb((const char *)said->data, said->len, 0, NULL) : NULL;
	const char *missing = json_string_value(json_object_get(answer, "not_there"));
	bool refused = missing || dev_trial_no_python(&d->trial);

	if (missing)
		fprintf(stderr, "bridgepool dev: %s\n", missing);
	else if (refused)
		fprintf(stderr, "bridgepool dev: %.*s", (int)complaint->len, (const char *)complaint->data);
	json_decref(answer);
	return refused;
}

static void on_trial_over(void *ctx, bool good)
{
	struct dev *d = ctx;
	bool first = !d->tried;

	d->tried = true;
	if (d->ending)
		return;
	if (good) {
		on_good_code(d);
	} else if (first && refuse(d)) {
		d->code = EXIT_USAGE_ERROR;
		end(d);
	} else {
		say_complaint(d);
	}
}

static void on_saved(void *ctx, const char *name)
{
	struct dev *d = ctx;

	say(d, COLOUR_DIM, "%s was saved.", name);
	d->saved_us = clock_mono_us();
	dev_trial_ask(&d->trial);
}

static void on_joined(struct dev *d)
{
	d->joined = true;
	say(d, COLOUR_GREEN, "%s is served. Save a file below %s, and the new code takes over; Ctrl-C ends it.", d->app,
		d->watched);
	say_commands(d);
	if (d->stale)
		roll(d);
}

static void on_worker_ready(struct dev *d, const char *worker)
{
	snprintf(d->serving, sizeof d->serving, "%s", worker);
	d->failing = d->unheard = d->again = false;
	d->log.only = NULL;
	if (!d->rolling)
		return;
	d->rolling = false;
	if (d->stale)
		roll(d);
	if (d->rolling || dev_trial_runs(&d->trial)) /* there is newer code, which is told of when it serves, or is refused */
		return;
	say(d, COLOUR_GREEN, "The new code serves, %.1f s after it was saved, in worker %s; sessions begin anew.",
		(double)(clock_mono_us() - d->saved_us) / 1e6, worker);
	say_commands(d);
}

/* pause_ms: until the next one is tried. */
static void on_worker_failed(struct dev *d, const char *pause_ms)
{
	bool unheard = d->unheard;

	d->next_us = clock_mono_us() + strtoll(pause_ms, NULL, 10) * MS_US;
	if ((d->joined && !d->rolling) || d->failing)
		return;
	d->unheard = d->stale = false; /* what is tried next has read what the files hold now */
	d->log.only = unheard ? NULL : d->serving;
	if (unheard)
		return;
	d->failing = true;
	say(d, COLOUR_YELLOW,
		d->joined ? "A worker with this code does not start; the code before goes on serving. Mend it and save."
			  : "A worker with this code does not start. Mend it and save: it is tried again.");
}

static void on_log_over(struct dev *d)
{
	char why[REASON];
	bool told = d->failing;

	if (d->ending)
		return;
	while (child_alive(&d->daemon)) /* it has closed its log, so this is soon */
		usleep(1000);
	d->joined = false;
	if (d->again) {
		if (!start_daemon(d, why, sizeof why))
			say(d, COLOUR_RED, "%s", why);
	} else if (!told || d->daemon.code != EXIT_CONFIGURATION) {
		say(d, COLOUR_YELLOW, "The daemon has ended, exit code %d. It is started again with the next save.",
			d->daemon.code);
	}
}

static void on_event(void *ctx, enum dev_event event, const char *text)
{
	struct dev *d = ctx;

	switch (event) {
	case DEV_JOINED: on_joined(d); break;
	case DEV_WORKER_READY: on_worker_ready(d, text); break;
	case DEV_WORKER_FAILED: on_worker_failed(d, text); break;
	case DEV_HTTP: snprintf(d->http, sizeof d->http, "%s", text); break;
	case DEV_LOG_OVER: on_log_over(d); break;
	}
}

/* ---- the end ---- */

/* What the second signal removes. */
static const struct place *abandoned;

/* Only calls that are safe in a handler. */
static void end_at_once(int number)
{
	unlink(abandoned->config);
	rmdir(abandoned->dir);
	signal(number, SIG_DFL);
	raise(number); /* which kills the daemon too */
}

/* From here on there is no loop that hears signals. They stay blocked in between: by default they would end us. */
static void close_signals(struct dev *d)
{
	const struct sigaction action = {.sa_handler = end_at_once};
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (size_t i = 0; i < NSIGNALS; i++) {
		uv_close((uv_handle_t *)&d->signals[i], NULL);
		sigaction(signal_numbers[i], &action, NULL);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void on_look(uv_timer_t *timer)
{
	struct dev *d = timer->data;

	if (child_alive(&d->daemon)) {
		if (clock_mono_us() > d->stop_us)
			kill(d->daemon.pid, SIGKILL);
		return;
	}
	uv_close((uv_handle_t *)timer, NULL);
	close_signals(d);
	dev_log_close(&d->log);
}

static void end(struct dev *d)
{
	d->ending = true;
	dev_trial_close(&d->trial);
	if (d->sources)
		dev_sources_close(d->sources);
	d->stop_us = clock_mono_us() + STOP_MS * MS_US;
	if (d->daemon.pid)
		kill(d->daemon.pid, SIGTERM);
	uv_timer_start(&d->look, on_look, 0, LOOK_MS);
}

/* The second one ends us at once, and the daemon with us. */
static void on_signal(uv_signal_t *handle, int number)
{
	struct dev *d = handle->data;

	if (d->ending)
		end_at_once(number);
	printf("\n");
	say(d, COLOUR_DIM, "What runs may finish ...");
	end(d);
}

/* ---- the start ---- */

/* Everything that a shell has is for the application too: keys of language models, for one. */
static bool write_configuration(struct dev *d, char *errstr, size_t size)
{
	FILE *out = fopen(d->place.config, "w");

	if (!out) {
		snprintf(errstr, size, "cannot write %s: %s", d->place.config, strerror(errno));
		return false;
	}
	fprintf(out,
		"kafka = { brokers = \"%s\"; consumer_properties = [ \"fetch.wait.max.ms=5\" ]; };\nhttp = { listen = \"127.0.0.1:0\"; };\n",
		embedded_brokers(d->broker));
	fprintf(out, "pools = ( { command = [ ");
	place_put_string(out, d->place.python);
	fprintf(out, ", \"-m\", \"bridgepool.worker\", ");
	place_put_string(out, d->app);
	fprintf(out,
		" ];\n\tpass_environment = [ \"*\" ]; size = 1; start_timeout = \"10m\"; backoff_min = \"200ms\"; backoff_max = \"3s\"; recycle_grace = \"0s\"; } );\n");
	if (fclose(out) == 0)
		return true;
	snprintf(errstr, size, "cannot write %s: %s", d->place.config, strerror(errno));
	return false;
}

/* Not beside the application: that directory is looked at. */
static bool make_directory(struct dev *d, char *errstr, size_t size)
{
	const char *base = getenv("TMPDIR");

	snprintf(d->place.dir, sizeof d->place.dir, "%s/bridgepool-dev-XXXXXX", base && *base ? base : "/tmp");
	if (!mkdtemp(d->place.dir)) {
		snprintf(errstr, size, "cannot make a directory %s: %s; set TMPDIR to another place", d->place.dir,
			strerror(errno));
		d->place.dir[0] = '\0';
		return false;
	}
	snprintf(d->place.config, sizeof d->place.config, "%s/bridgepool.cfg", d->place.dir);
	return true;
}

/* Of "path/to/file.py:app" the file's directory, else where we are. */
static bool find_watched(struct dev *d, char *errstr, size_t size)
{
	char path[sizeof d->app], *end_of_path;

	snprintf(path, sizeof path, "%s", d->app);
	end_of_path = strchr(path, ':');
	if (end_of_path)
		*end_of_path = '\0';
	if (!strchr(path, '/') && !(strlen(path) > 3 && strcmp(path + strlen(path) - 3, ".py") == 0))
		strcpy(path, "./.");
	if (realpath(dirname(path), d->watched))
		return true;
	snprintf(errstr, size, "%s: %s; write MODULE:APP, or PATH/TO/FILE.py:APP", d->app, strerror(errno));
	return false;
}

/* Byte code is not written: of two saves within a second the second may have the first one's. */
static void prepare_environment(const struct dev *d)
{
	const char *before = getenv("PYTHONPATH");
	char *path = NULL;

	setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
	if (!*d->place.package)
		return;
	if (asprintf(&path, "%s%s%s", before ? before : "", before && *before ? ":" : "", d->place.package) > 0)
		setenv("PYTHONPATH", path, 1);
	free(path);
}

static bool dev_open(struct dev *d, char *errstr, size_t size)
{
	prepare_environment(d);
	if (!find_watched(d, errstr, size)) {
		d->code = EXIT_USAGE_ERROR;
		return false;
	}
	if (!make_directory(d, errstr, size))
		return false;
	d->broker = embedded_start(settings_topics, PARTITIONS, errstr, size);
	if (!d->broker || !write_configuration(d, errstr, size))
		return false;
	d->sources = dev_sources_watch(&d->loop, d->watched, d->patterns, on_saved, d, errstr, size);
	if (d->sources && dev_sources_full(d->sources))
		say(d, COLOUR_YELLOW, "There are too many directories below %s: some are not looked at.", d->watched);
	return d->sources != NULL;
}

static void open_loop(struct dev *d)
{
	abandoned = &d->place;
	uv_loop_init(&d->loop);
	for (size_t i = 0; i < NSIGNALS; i++) {
		uv_signal_init(&d->loop, &d->signals[i]);
		d->signals[i].data = d;
		uv_signal_start(&d->signals[i], on_signal, signal_numbers[i]);
	}
	uv_timer_init(&d->loop, &d->look);
	d->look.data = d;
	d->log = (struct dev_log){.terminal = &d->terminal, .event = on_event, .ctx = d};
	d->trial = (struct dev_trial){
		.python = d->place.python,
		.app = d->app,
		.loop = &d->loop,
		.over = on_trial_over,
		.ctx = d,
	};
}

static void dev_free(struct dev *d)
{
	uv_loop_close(&d->loop);
	dev_trial_free(&d->trial);
	free(d->good);
	free(d->shown);
	if (d->broker)
		embedded_stop(d->broker);
	if (*d->place.dir) {
		unlink(d->place.config);
		rmdir(d->place.dir);
	}
}

static int dev_run(struct dev *d)
{
	char why[REASON];

	open_loop(d);
	if (dev_open(d, why, sizeof why)) {
		d->saved_us = clock_mono_us();
		dev_trial_ask(&d->trial);
	} else {
		fprintf(stderr, "bridgepool dev: %s\n", why);
		d->code = d->code ? d->code : EXIT_FAILED;
		end(d);
	}
	uv_run(&d->loop, UV_RUN_DEFAULT);
	dev_free(d);
	return d->code;
}

static const struct cli_option options[] = {
	{PYTHON, "python", "PROGRAM", "the Python that runs it (default python3)"},
	{WATCH, "watch", "PATTERN", "further files whose change counts, like '*.txt'; may be repeated"},
	CLI_OPTION_HELP,
	{0},
};

static int run(int argc, char **argv)
{
	static struct dev d = {.patterns = {"*.py"}, .npatterns = 1};
	struct cli_args a = {0};
	int id, code;

	terminal_init(&d.terminal);
	place_find(&d.place);
	while ((id = cli_next(&a, &command_dev, argc, argv, &code)) >= 0) {
		if (id == PYTHON)
			snprintf(d.place.python, sizeof d.place.python, "%s", optarg);
		else if (d.npatterns <= PATTERNS_MAX)
			d.patterns[d.npatterns++] = optarg;
	}
	if (id == CLI_STOP)
		return code;
	if (argc - optind != 1)
		return cli_usage(&command_dev, "name one application, like app:app or path/to/file.py:app");
	snprintf(d.app, sizeof d.app, "%s%s", argv[optind], strchr(argv[optind], ':') ? "" : ":app");
	return dev_run(&d);
}

const struct cli_command command_dev = {
	.name = "dev",
	.run = run,
	.summary = "Try an application of yours: embedded broker, one worker, new code at each save",
	.operands = "APP",
	.options = options,
	.more = "APP is MODULE:NAME or PATH/TO/FILE.py:NAME, NAME is \"app\" unless it is said. Files below the module's directory\n"
		"are looked at. What cannot be loaded changes nothing; the code before goes on serving. A worker with new code\n"
		"takes over when it is ready, the one before ends when its requests are answered; sessions begin anew.",
};
