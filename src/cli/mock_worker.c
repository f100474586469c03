/* mock_worker.c: a worker without Python: reads calls from stdin, answers on stdout, one loop, one write for all that one read
 * brought. */
#include "mock_worker.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/worker/mock_programs.h"
#include "mock_worker_inside.h"

enum { READ_MAX = 256 << 10, USAGE = 64 };

/* ---- options ---- */

enum option_id {
	OPT_CONCURRENCY = 1,
	OPT_DELAY,
	OPT_JITTER,
	OPT_START_DELAY,
	OPT_LATE_BY,
	OPT_SEED,
	OPT_VERSION,
	OPT_CAPABILITIES,
	OPT_PROTOCOL_LESS,
	OPT_BRIDGE_MODE,
	OPT_BRIDGE_ID,
	OPT_IGNORE,
	OPT_HELP,
	OPT_FAULT /* + enum mock_fault */
};

static const struct option_row {
	enum option_id id;
	const char *name, *arg, *help;
} option_rows[] = {
	{OPT_CONCURRENCY, "concurrency", "N", "how many requests it says it takes at once (1)"},
	{OPT_DELAY, "delay", "MS", "how long each request takes (0)"},
	{OPT_JITTER, "jitter", "MS", "up to so much longer, at random (0)"},
	{OPT_START_DELAY, "start-delay", "MS", "how long it takes to start (0)"},
	{OPT_LATE_BY, "late-by", "MS", "how late a late answer is (2000)"},
	{OPT_SEED, "seed", "N", "for what is random (1)"},
	{OPT_VERSION, "version", "TEXT", "the version it tells (mock-1)"},
	{OPT_CAPABILITIES, "capabilities", "LIST", "what it says it can (partial,cancel,ping_busy,sessions)"},
	{OPT_PROTOCOL_LESS, "dspex", NULL,
		"behaves as bridges written for DSPex do: one call at a time, errors are texts, no capabilities"},
	{OPT_BRIDGE_MODE, "mode", "MODE", "as command lines of such bridges have it; it makes no difference"},
	{OPT_BRIDGE_ID, "worker-id", "ID", "the same"},
	{OPT_IGNORE, "ignore", "WHAT", "does not end on: shutdown, close (of stdin) or term; may be repeated"},
	{OPT_HELP, "help", NULL, "this help"},
};

enum { OPTION_ROWS = sizeof option_rows / sizeof option_rows[0] };

static void print_help(FILE *out)
{
	fprintf(out,
		"Usage: bridgepool mock-worker [options]\n\nA worker on stdin and stdout that needs no Python and can be told to misbehave.\n\nOptions:\n");
	for (size_t i = 0; i < OPTION_ROWS; i++) {
		char left[64];
		snprintf(left, sizeof left, "--%s %s", option_rows[i].name, option_rows[i].arg ? option_rows[i].arg : "");
		fprintf(out, "  %-22s %s\n", left, option_rows[i].help);
	}
	fprintf(out, "\nFaults; WHEN is 100 (each 100th request), 1%% (of the requests) or a command:\n");
	for (int f = MOCK_NONE + 1; f < MOCK_FAULTS; f++) {
		char left[64];
		snprintf(left, sizeof left, "--%s WHEN", mock_fault_rows[f].name);
		fprintf(out, "  %-22s %s\n", left, mock_fault_rows[f].help);
	}
	fprintf(out,
		"\nCommands: echo, count (per session), sleep {ms}, fail {code, message, retriable}, crash, hang, state, stream {parts, ms}, and\n"
		"those of bridgepool.dspy: create_program, execute_program, list_programs, get_program_info, delete_program, get_stats, configure_lm.\n"
		"Any request may ask for a fault of its own: {\"mock\": {\"fault\": \"twice\", \"delay_ms\": 50}}.\n");
}

static void fill_long_options(struct option out[OPTION_ROWS + MOCK_FAULTS])
{
	size_t n = 0;

	for (size_t i = 0; i < OPTION_ROWS; i++)
		out[n++] = (struct option){option_rows[i].name, option_rows[i].arg ? required_argument : no_argument, NULL,
			(int)option_rows[i].id};
	for (int f = MOCK_NONE + 1; f < MOCK_FAULTS; f++)
		out[n++] = (struct option){mock_fault_rows[f].name, required_argument, NULL, OPT_FAULT + f};
	out[n] = (struct option){0};
}

static bool read_count(const char *text, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	return !errno && end != text && (!*end || !strcmp(end, "ms")) && *out >= 0;
}

static bool read_ignored(const char *text, unsigned *out)
{
	static const struct {
		const char *name;
		unsigned bit;
	} names[] = {{"shutdown", MOCK_IGNORE_SHUTDOWN}, {"close", MOCK_IGNORE_CLOSE}, {"term", MOCK_IGNORE_TERM}};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (!strcmp(text, names[i].name)) {
			*out |= names[i].bit;
			return true;
		}
	}
	return false;
}

static bool read_option(struct mock_options *o, int id, const char *arg)
{
	int64_t *const counts[OPT_FAULT] = {
		[OPT_CONCURRENCY] = &o->concurrency,
		[OPT_DELAY] = &o->delay_ms,
		[OPT_JITTER] = &o->jitter_ms,
		[OPT_START_DELAY] = &o->start_delay_ms,
		[OPT_LATE_BY] = &o->late_ms,
		[OPT_SEED] = &o->seed,
	};

	if (id > OPT_FAULT && id < OPT_FAULT + (int)MOCK_FAULTS)
		return mock_fault_read_when(&o->when[id - OPT_FAULT], arg);
	if (id < OPT_FAULT && counts[id])
		return read_count(arg, counts[id]);
	if (id == OPT_VERSION)
		o->version = arg;
	else if (id == OPT_CAPABILITIES)
		o->capabilities = arg;
	else if (id == OPT_PROTOCOL_LESS)
		o->plain = true;
	else if (id == OPT_IGNORE)
		return read_ignored(arg, &o->ignored);
	return true;
}

#define SEE_HELP "; see `bridgepool mock-worker --help`\n"

/* -1: go on; else the exit code. */
static int read_options(struct mock_options *o, int argc, char **argv)
{
	struct option options[OPTION_ROWS + MOCK_FAULTS];
	int id, which = 0;

	*o = (struct mock_options){
		.concurrency = 1,
		.late_ms = 2000,
		.seed = 1,
		.version = "mock-1",
		.capabilities = "partial,cancel,ping_busy,sessions",
	};
	fill_long_options(options);
	optind = 0; /* glibc: begin anew, another parser may have run before */
	opterr = 0; /* one line for each error: the last line of a worker is what the daemon shows */
	while ((id = getopt_long(argc, argv, "", options, &which)) != -1) {
		if (id == OPT_HELP) {
			print_help(stdout);
			return 0;
		}
		if (id == '?') {
			fprintf(stderr, "mock-worker: there is no option \"%s\", or its value is missing" SEE_HELP,
				argv[optind - 1]);
			return USAGE;
		}
		if (!read_option(o, id, optarg)) {
			fprintf(stderr, "mock-worker: --%s does not take \"%s\"" SEE_HELP, options[which].name, optarg);
			return USAGE;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "mock-worker: what is \"%s\"? It takes options only" SEE_HELP, argv[optind]);
	return USAGE;
}

/* ---- input ---- */

/* False: the frame is no call. */
static bool read_call(struct slice frame, struct mock_call *c)
{
	struct json_member m[] = {{.name = "id"}, {.name = "command"}, {.name = "args"}};
	char errstr[128];
	int64_t id;

	*c = (struct mock_call){.args = SLICE("{}")};
	if (!json_read_object(frame, m, 3, JSON_MAX_DEPTH, errstr, sizeof errstr)) {
		fprintf(stderr, "mock-worker: a frame is no JSON object: %s\n", errstr);
		return false;
	}
	if (m[0].kind != JSON_KIND_NUMBER || !json_int(m[0].value, &id) || m[1].kind != JSON_KIND_STRING) {
		fprintf(stderr, "mock-worker: a call has no id or no command\n");
		return false;
	}
	c->id = (uint64_t)id;
	c->command = (struct slice){(const char *)m[1].value.data + 1, m[1].value.len - 2};
	if (m[2].kind == JSON_KIND_OBJECT)
		c->args = m[2].value;
	return true;
}

static void pause_for(int64_t ms)
{
	struct timespec left = {ms / 1000, ms % 1000 * 1000000};

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

static void take_frame(struct mock_worker *m, struct slice frame)
{
	struct mock_call c;

	if (!read_call(frame, &c)) {
		m->stopping = m->failed = m->options.plain; /* such bridges end then */
		return;
	}
	if (!mock_command_run(m, &c))
		return;
	if (c.fault == MOCK_LATE)
		c.delay_ms += m->options.late_ms;
	if (c.delay_ms > 0 && !m->options.plain) {
		mock_worker_later(m, &c);
		return;
	}
	pause_for(c.delay_ms); /* the plain kind hears nothing meanwhile */
	mock_fault_answer(m, c.fault, c.id, buf_slice(&m->body));
	if (m->options.plain)
		mock_worker_flush(m);
}

static void close_all(struct mock_worker *m)
{
	struct mock_task *t;

	if (!uv_is_closing((uv_handle_t *)&m->input))
		uv_close((uv_handle_t *)&m->input, NULL);
	while ((t = TAILQ_FIRST(&m->tasks)))
		mock_worker_drop(t);
}

static void on_close_of_stdin(struct mock_worker *m)
{
	if (m->options.ignored & MOCK_IGNORE_CLOSE)
		uv_poll_stop(&m->input);
	else
		close_all(m);
}

static void on_input(uv_poll_t *poll, int status, int events)
{
	static char bytes[READ_MAX];
	struct mock_worker *m = poll->data;
	enum frame_state state = FRAME_READY;
	struct slice frame;
	ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);

	(void)status;
	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		on_close_of_stdin(m);
		return;
	}
	frame_feed(&m->frames, bytes, (size_t)n);
	while (!m->stopping && (state = frame_next(&m->frames, &frame)) == FRAME_READY)
		take_frame(m, frame);
	mock_worker_flush(m);
	if (state == FRAME_TOO_BIG)
		fprintf(stderr, "mock-worker: stdin brings no frames: each is 4 bytes of length and as many bytes of JSON\n");
	if (m->stopping || state == FRAME_TOO_BIG)
		close_all(m);
}

/* ---- life ---- */

static void free_leaks(void *block)
{
	while (block) {
		void *next;
		memcpy(&next, block, sizeof next);
		free(block);
		block = next;
	}
}

static void start(struct mock_worker *m)
{
	signal(SIGPIPE, SIG_IGN);
	if (m->options.ignored & MOCK_IGNORE_TERM)
		signal(SIGTERM, SIG_IGN);
	pause_for(m->options.start_delay_ms);
	m->started_ms = clock_wall_ms();
	TAILQ_INIT(&m->tasks);
	random_seed(&m->random, (uint64_t)m->options.seed);
	frame_init(&m->frames, MOCK_FRAME_MAX);
	buf_init(&m->body, MOCK_FRAME_MAX);
	buf_init(&m->out, (size_t)MOCK_FRAME_MAX * 2);
	m->programs = mock_programs_new();
	CHECK(uv_loop_init(&m->loop) == 0);
}

static void finish(struct mock_worker *m)
{
	uv_loop_close(&m->loop);
	mock_command_forget(m);
	free_leaks(m->leaked);
	frame_free(&m->frames);
	buf_free(&m->body);
	buf_free(&m->out);
}

int mock_worker_main(int argc, char **argv)
{
	struct mock_worker m = {0};
	int code = read_options(&m.options, argc, argv);

	if (code >= 0)
		return code;
	start(&m);
	if (uv_poll_init(&m.loop, &m.input, STDIN_FILENO)) {
		fprintf(stderr, "mock-worker: stdin must be a pipe that brings frames, not a file\n");
		finish(&m);
		return USAGE;
	}
	m.input.data = &m;
	uv_poll_start(&m.input, UV_READABLE, on_input);
	uv_run(&m.loop, UV_RUN_DEFAULT);
	while (m.options.ignored & MOCK_IGNORE_CLOSE && !m.stopping)
		pause();
	finish(&m);
	return m.failed ? EXIT_FAILURE : 0;
}
