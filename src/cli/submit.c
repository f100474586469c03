/* submit.c: `bridgepool submit`: one request or a file of them; waits, prints the results as JSON lines. */
#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/wire/json.h"
#include "cli.h"
#include "commands.h"
#include "reach.h"
#include "requester.h"

enum {
	COMMAND = CLI_PRIVATE,
	ARGS,
	ENCODING,
	TIMEOUT,
	RESULTS,
	EPOCH,
	POOL,
	IDEMPOTENT,
	STREAM,
	REQUEST_ID, /* options */
	SLICE_MS = 100,
	PROGRESS_MS = 200,
	LATE_MS = 2000, /* for the way of a TIMEOUT that the daemon says when a request's time, the same as ours, is over */
	ARGS_LIMIT = 64 << 20,
	REASON = 512,
	REACH_MS = 15000,
	REACH_LEAST_MS = 1000, /* below that a broker that is there may not be found */
};

struct submit {
	struct cli_args args;
	const char *topic, *results, *file;
	struct request_fields request; /* of the command line */
	struct buf given;              /* its args, from key=value operands */
	enum encoding encoding;
	int64_t timeout_ms;
	struct requester *requester;
	size_t answered, not_ok;
	int64_t begun_ms, said_ms;
	bool terminal;
};

static volatile sig_atomic_t interrupted;

static int64_t within(int64_t value, int64_t least, int64_t most)
{
	return value < least ? least : value > most ? most : value;
}

/* ---- progress ---- */

static void say_progress(struct submit *s, bool last)
{
	int64_t now = clock_wall_ms();

	if (!s->terminal || (!last && now - s->said_ms < PROGRESS_MS))
		return;
	s->said_ms = now;
	fprintf(stderr, "\r\033[K%zu sent, %zu answered, %zu not OK, %.1f s%s", requester_sent(s->requester), s->answered,
		s->not_ok, (double)(now - s->begun_ms) / 1000, last ? "\n" : "");
	fflush(stderr);
}

static void clear_progress(const struct submit *s)
{
	if (s->terminal)
		fprintf(stderr, "\r\033[K");
}

/* ---- sending ---- */

static int fail(int code, const char *what, const char *why)
{
	fprintf(stderr, "bridgepool submit: %s%s%s\n", what, *what ? ": " : "", why);
	return code;
}

static int send_line(struct submit *s, struct slice line, size_t number, struct buf *scratch)
{
	struct request_fields fields;
	struct fault fault;
	char where[64], why[REASON];

	buf_reset(scratch);
	snprintf(where, sizeof where, "line %zu", number);
	if (!codec_read_request(requester_codec(s->requester), line, scratch, &fields, &fault))
		return fail(EXIT_USAGE_ERROR, where, fault.message);
	if (!requester_send(s->requester, &fields, why, sizeof why))
		return fail(EXIT_BROKER, where, why);
	say_progress(s, false);
	return EXIT_OK;
}

static int send_lines(struct submit *s, FILE *in)
{
	struct buf scratch;
	char *line = NULL;
	size_t size = 0;
	ssize_t length;
	int code = EXIT_OK;

	buf_init(&scratch, ARGS_LIMIT);
	for (size_t number = 1; code == EXIT_OK && !interrupted && (length = getline(&line, &size, in)) >= 0; number++) {
		while (length > 0 && (line[length - 1] == '\r' || line[length - 1] == '\n'))
			length--;
		if (length > 0)
			code = send_line(s, (struct slice){line, (size_t)length}, number, &scratch);
	}
	free(line);
	buf_free(&scratch);
	return code;
}

static int send_file(struct submit *s)
{
	FILE *in = strcmp(s->file, "-") == 0 ? stdin : fopen(s->file, "r");
	int code;

	if (!in) {
		fprintf(stderr, "bridgepool submit: %s: %m\n", s->file);
		return EXIT_USAGE_ERROR;
	}
	code = send_lines(s, in);
	if (in != stdin)
		fclose(in);
	return code;
}

static int send_all(struct submit *s)
{
	char why[REASON];
	int code;

	if (s->file) {
		code = send_file(s);
	} else {
		code = requester_send(s->requester, &s->request, why, sizeof why) ? EXIT_OK : fail(EXIT_BROKER, "", why);
	}
	if (code == EXIT_OK && !requester_flush(s->requester, (int)within(s->timeout_ms, REACH_MS, INT32_MAX), why, sizeof why))
		code = fail(EXIT_BROKER, "not all requests were taken by the broker", why);
	return code;
}

/* ---- waiting ---- */

static void take_reply(struct submit *s, const struct reply *r)
{
	clear_progress(s);
	fwrite(r->json.data, 1, r->json.len, stdout);
	putchar('\n');
	if (!r->final) {
		fflush(stdout); /* somebody looks at it as it comes */
		return;
	}
	s->answered++;
	s->not_ok += r->status != STATUS_OK;
}

static int say_open(const struct submit *s)
{
	size_t open = requester_open_requests(s->requester), sent = requester_sent(s->requester);

	if (interrupted) {
		fprintf(stderr, "bridgepool submit: interrupted; %zu of %zu requests are sent and not answered yet\n", open,
			sent);
		return EXIT_INTERRUPTED;
	}
	fprintf(stderr,
		"bridgepool submit: %zu of %zu results did not come within --timeout; sent to %s, awaited on %s; see `bridgepool watch --once` "
		"and `bridgepool check`\nA request with a timeout_ms or deadline of its own may still run until then; any other is over now.\n",
		open, sent, s->topic, s->results);
	return EXIT_TIMED_OUT;
}

static int wait_all(struct submit *s)
{
	int64_t until = clock_mono_us() + (s->timeout_ms + LATE_MS) * MS_US;
	struct reply reply;
	char why[REASON];

	while (requester_open_requests(s->requester) && !interrupted) {
		if (requester_next(s->requester, (int)within(s->timeout_ms, 1, SLICE_MS), &reply, why, sizeof why))
			take_reply(s, &reply);
		else if (*why)
			return fail(EXIT_BROKER, "", why);
		else
			fflush(stdout);
		say_progress(s, false);
		if (clock_mono_us() >= until)
			break;
	}
	fflush(stdout);
	say_progress(s, true);
	if (interrupted || requester_open_requests(s->requester))
		return say_open(s);
	return s->not_ok ? EXIT_FAILED : EXIT_OK;
}

static void find_topics(struct submit *s, const struct settings *settings)
{
	const struct source_settings *sources = settings->sources.items;

	if (!s->topic)
		s->topic = settings->sources.n ? sources[0].topic : DEFAULT_REQUESTS;
	if (!s->results)
		s->results = settings->kafka.results;
}

static int submit_talk(struct submit *s, const struct settings *settings)
{
	const struct requester_config c = {
		.brokers = settings->kafka.brokers,
		.properties = (const char *const *)settings->kafka.properties.items,
		.requests = s->topic,
		.results = s->results,
		.encoding = s->encoding,
		.reach_ms = (int)within(s->timeout_ms, REACH_LEAST_MS, REACH_MS),
		.timeout_ms = s->timeout_ms,
	};
	char why[REASON];
	int code = reach_broker("submit", settings, c.reach_ms);

	if (code != EXIT_OK)
		return code;
	s->requester = requester_open(&c, &code, why, sizeof why);
	if (!s->requester)
		return fail(code, "", why);
	cli_catch_signals(&interrupted); /* not before: while a broker is looked for there is nothing to tell */
	s->begun_ms = clock_wall_ms();
	code = send_all(s);
	if (code == EXIT_OK)
		code = wait_all(s);
	requester_close(s->requester);
	return code;
}

/* ---- the command line ---- */

static const struct cli_option options[] = {
	CLI_OPTION_BROKERS,
	CLI_OPTION_CONFIG,
	CLI_OPTION_SET,
	{'t', "topic", "TOPIC", "request topic (default: the first source's, else " DEFAULT_REQUESTS ")"},
	{RESULTS, "results", "TOPIC", "where results are awaited (default: kafka.results)"},
	{'S', "session", "ID", "the session; none: any worker, no order"},
	{EPOCH, "epoch", "TOKEN", "the session_epoch that must still live, else the answer is SESSION_LOST"},
	{COMMAND, "command", "NAME", "the command; also the first operand"},
	{ARGS, "args", "JSON", "its arguments, a JSON object, sent byte for byte"},
	{POOL, "pool", "NAME", "the pool that the topic's source must have, else the answer is REJECTED; it chooses none"},
	{REQUEST_ID, "request-id", "ID", "default: a new one"},
	{IDEMPOTENT, "idempotent", NULL, "it may be run again although it may have run"},
	{STREAM, "stream", NULL, "print what comes before the result too, each part as a line with \"final\": false"},
	{'f', "file", "FILE", "requests as JSON lines with the members of ProgramRequest; - is standard input"},
	{ENCODING, "encoding", "json|avro", "of the requests (default json)"},
	{TIMEOUT, "timeout", "TIME",
		"how long results are awaited, like 90s (default 60s), and 2s more for the word that a request's time is over; a "
		"request without timeout_ms and deadline gets it as timeout_ms"},
	CLI_OPTION_HELP,
	{0},
};

static int set_encoding(struct submit *s)
{
	if (strcmp(optarg, "json") != 0 && strcmp(optarg, "avro") != 0)
		return cli_usage(&command_submit, "--encoding: \"%s\" is neither json nor avro", optarg);
	s->encoding = *optarg == 'j' ? ENCODING_JSON : ENCODING_AVRO;
	return EXIT_OK;
}

/* Options that become a text of the request. */
static const struct text_option {
	int id;
	const char *name;
	size_t at; /* in struct request_fields, a slice */
} text_options[] = {
	{'S', "session", offsetof(struct request_fields, session_id)},
	{EPOCH, "epoch", offsetof(struct request_fields, session_epoch)},
	{COMMAND, "command", offsetof(struct request_fields, command)},
	{ARGS, "args", offsetof(struct request_fields, args)},
	{POOL, "pool", offsetof(struct request_fields, pool)},
	{REQUEST_ID, "request-id", offsetof(struct request_fields, request_id)},
	{0},
};

/* What the daemon would refuse, and could not quote in its answer, is refused here. */
static int set_text(struct submit *s, const struct text_option *o)
{
	struct slice text = slice_of(optarg);

	if (!slice_is_utf8(text))
		return cli_usage(&command_submit, "--%s: the text is not UTF-8; look at the locale of your terminal", o->name);
	*(struct slice *)(void *)((char *)&s->request + o->at) = text;
	return EXIT_OK;
}

static int set_option(struct submit *s, int id)
{
	for (const struct text_option *o = text_options; o->name; o++)
		if (o->id == id)
			return set_text(s, o);
	switch (id) {
	case 't': s->topic = optarg; return EXIT_OK;
	case RESULTS: s->results = optarg; return EXIT_OK;
	case IDEMPOTENT: s->request.idempotent = true; return EXIT_OK;
	case STREAM: s->request.stream = true; return EXIT_OK;
	case 'f': s->file = optarg; return EXIT_OK;
	case ENCODING: return set_encoding(s);
	default:
		return cli_duration(optarg, &s->timeout_ms) && s->timeout_ms > 0
			       ? EXIT_OK
			       : cli_usage(&command_submit, "--timeout: \"%s\" is no time like 90s or 5m", optarg);
	}
}

/* key=value becomes a member of the arguments: as it stands if it reads as JSON, so that 0.1 stays 0.1, else as a string. */
static bool add_pair(struct submit *s, const char *pair)
{
	const char *equals = strchr(pair, '=');
	enum json_kind kind;
	char why[REASON];

	if (!equals || equals == pair)
		return false;
	buf_text(&s->given, s->given.len ? "," : "{");
	json_quote(&s->given, (struct slice){pair, (size_t)(equals - pair)});
	buf_text(&s->given, ":");
	if (json_read_value(slice_of(equals + 1), &kind, JSON_MAX_DEPTH, why, sizeof why))
		buf_text(&s->given, equals + 1);
	else
		json_quote(&s->given, slice_of(equals + 1));
	return true;
}

static int set_operands(struct submit *s, int argc, char **argv)
{
	char why[REASON];

	for (; optind < argc; optind++) {
		if (!slice_is_utf8(slice_of(argv[optind])))
			return cli_usage(&command_submit, "argument %d is not UTF-8; look at the locale of your terminal",
				optind);
		if (!s->request.command.data)
			s->request.command = slice_of(argv[optind]);
		else if (!add_pair(s, argv[optind]))
			return cli_usage(&command_submit, "\"%s\" is no argument like key=value", argv[optind]);
	}
	if (!s->file == !s->request.command.data)
		return cli_usage(&command_submit, "say either a command or --file");
	if (s->file && strcmp(s->file, "-") != 0 && access(s->file, R_OK) != 0)
		return cli_usage(&command_submit, "%s: %s", s->file, strerror(errno));
	if (s->given.len && s->request.args.data)
		return cli_usage(&command_submit, "say either --args or key=value, not both");
	if (s->given.len) {
		buf_text(&s->given, "}");
		s->request.args = buf_slice(&s->given);
	}
	if (s->request.args.data && !json_read_object(s->request.args, NULL, 0, JSON_MAX_DEPTH, why, sizeof why))
		return cli_usage(&command_submit, "--args is no JSON object: %s", why);
	return EXIT_OK;
}

/* True: go on. */
static bool submit_options(struct submit *s, int argc, char **argv, int *code)
{
	int id;

	while ((id = cli_next(&s->args, &command_submit, argc, argv, code)) >= 0) {
		*code = set_option(s, id);
		if (*code != EXIT_OK)
			return false;
	}
	if (id == CLI_STOP)
		return false;
	*code = set_operands(s, argc, argv);
	return *code == EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct submit s = {
		.encoding = ENCODING_JSON,
		.timeout_ms = 60 * 1000,
		.terminal = isatty(STDERR_FILENO),
		.request = {.timeout_ms = TIME_NONE, .deadline_ms = TIME_NONE},
	};
	struct settings settings;
	bool whole;
	int code;

	buf_init(&s.given, ARGS_LIMIT);
	if (submit_options(&s, argc, argv, &code)) {
		code = EXIT_CONFIGURATION;
		if (cli_client_settings(&s.args, &settings, &whole)) {
			find_topics(&s, &settings);
			code = submit_talk(&s, &settings);
			cli_client_free(&settings, whole);
		}
	}
	buf_free(&s.given);
	return code;
}

const struct cli_command command_submit = {
	.name = "submit",
	.run = run,
	.summary = "Send one request or a file of them, wait, print the results as JSON lines",
	.operands = "[COMMAND [KEY=VALUE...]]",
	.options = options,
	.more = "A value that reads as JSON is sent as JSON, anything else as a string: n=3 is a number, n='\"3\"' a string.\n"
		"Results are printed in the order of arrival.\n"
		"Exit codes: 0 all are OK, 1 one is not, 64 usage, 69 no broker or no such topic, 75 not all came within --timeout,\n"
		"78 configuration, 130 interrupted.\n"
		"Example: bridgepool submit -b localhost:9092 --session s1 ask question='What is a monad?'",
};
