/* tail.c: `bridgepool tail`: records of our topics as JSON lines, whatever their encoding. */
#include <getopt.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "bridgepool/kafka/client.h"
#include "bridgepool/wire/codec.h"
#include "bridgepool/wire/json.h"
#include "bridgepool/wire/pairs.h"
#include "cli.h"
#include "commands.h"
#include "reach.h"
#include "text.h"

enum { FROM_BEGINNING = CLI_PRIVATE, UNTIL_END, META, FOLLOW_TIMEOUT_MS = 15000, READ_TIMEOUT_MS = 200, LINE_LIMIT = 64 << 20 };

#define WORDS "requests, results, health, dead-letters"

struct tail {
	struct cli_args args;
	const char *topic;
	bool verbatim; /* the topic is none of our words */
	bool from_beginning, until_end, meta;
	int64_t most; /* records to print; 0: no end */
	struct codec *codec;
	struct client *client;
};

static volatile sig_atomic_t interrupted;

/* Our own record as it means, anything else as its bytes. */
static void put_value(struct codec *codec, struct slice value, struct buf *out)
{
	size_t before = out->len;
	char why[256];

	if (value.data && codec_to_json(codec, value, out, why, sizeof why))
		return;
	out->len = before;
	text_value(value, out);
}

static bool is_plain(struct slice headers)
{
	struct slice code;

	return !pairs_find(headers, "bridgepool.error.code", &code);
}

static void put_record(struct codec *codec, const struct client_record *r, bool meta, struct buf *out)
{
	bool plain = is_plain(r->headers); /* else a dead letter: what went wrong stands in its headers */

	if (!meta && plain) {
		put_value(codec, r->value, out);
		return;
	}
	buf_text(out, "{\"topic\":");
	json_quote(out, slice_of(r->topic));
	buf_printf(out, ",\"partition\":%d,\"offset\":%lld,\"timestamp\":%lld,\"key\":", (int)r->partition, (long long)r->offset,
		(long long)r->timestamp_ms);
	text_bytes(r->key, out);
	buf_text(out, ",\"headers\":");
	text_pairs(r->headers, out);
	buf_text(out, ",\"value\":");
	put_value(codec, r->value, out);
	buf_text(out, "}");
}

static int tail_read(struct tail *t)
{
	struct client_record r;
	struct buf line;
	char why[512];
	int64_t printed = 0;
	int code = EXIT_OK;

	buf_init(&line, LINE_LIMIT);
	while (!interrupted && (!t->most || printed < t->most) && !(t->until_end && client_at_end(t->client))) {
		if (client_read(t->client, READ_TIMEOUT_MS, &r, why, sizeof why)) {
			buf_reset(&line);
			put_record(t->codec, &r, t->meta, &line);
			if (!text_line(&line))
				break; /* nobody reads on */
			printed++;
		} else if (*why) {
			fprintf(stderr, "bridgepool tail: %s\n", why);
			code = EXIT_BROKER;
			break;
		}
	}
	buf_free(&line);
	return code;
}

static int tail_follow(struct tail *t, const struct settings *s)
{
	char why[512];
	int code = reach_broker("tail", s, FOLLOW_TIMEOUT_MS);

	if (code != EXIT_OK)
		return code;
	if (!client_follow(t->client, t->topic, t->from_beginning || t->until_end, FOLLOW_TIMEOUT_MS, why, sizeof why)) {
		if (t->verbatim && client_topic_missing(t->client))
			snprintf(why, sizeof why, "there is no topic %s at %s; name a topic, or one of: " WORDS, t->topic,
				s->kafka.brokers);
		fprintf(stderr, "bridgepool tail: %s\n", why);
		return EXIT_BROKER;
	}
	cli_catch_signals(&interrupted); /* not before: while a broker is looked for there is nothing to put in order */
	return tail_read(t);
}

static int tail_run(struct tail *t, const struct settings *s)
{
	const struct client_config client = {s->kafka.brokers, (const char *const *)s->kafka.properties.items};
	const struct codec_config codec = {
		.extra_dirs = (const char *const *)s->schemas.extra.items,
		.nextra_dirs = s->schemas.extra.n,
		.max_request = LINE_LIMIT,
	};
	char why[512];
	int code = EXIT_CONFIGURATION;

	t->codec = codec_new(&codec, why, sizeof why);
	t->client = t->codec ? client_new(&client, why, sizeof why) : NULL;
	if (t->client)
		code = tail_follow(t, s);
	else
		fprintf(stderr, "bridgepool tail: %s\n", why);
	if (t->client)
		client_free(t->client);
	if (t->codec)
		codec_free(t->codec);
	return code;
}

static const struct cli_option options[] = {
	CLI_OPTION_BROKERS,
	CLI_OPTION_CONFIG,
	CLI_OPTION_SET,
	{FROM_BEGINNING, "from-beginning", NULL, "all that is there, then what comes (default: what comes)"},
	{UNTIL_END, "until-end", NULL, "all that is there, then end"},
	{'n', "count", "N", "end after N records"},
	{META, "meta", NULL, "with topic, partition, offset, timestamp, key and headers"},
	CLI_OPTION_HELP,
	{0},
};

/* True: go on. */
static bool tail_options(struct tail *t, int argc, char **argv, int *code)
{
	int id;

	while ((id = cli_next(&t->args, &command_tail, argc, argv, code)) >= 0) {
		if (id == FROM_BEGINNING)
			t->from_beginning = true;
		else if (id == UNTIL_END)
			t->until_end = true;
		else if (id == META)
			t->meta = true;
		else if (!cli_number(optarg, 1, INT64_MAX, &t->most)) {
			*code = cli_usage(&command_tail, "--count: \"%s\" is no number above 0", optarg);
			return false;
		}
	}
	if (id == CLI_STOP)
		return false;
	if (optind != argc - 1) {
		*code = cli_usage(&command_tail, "name one topic, or one of: " WORDS);
		return false;
	}
	t->topic = argv[optind];
	return true;
}

/* Short words for the configured topics. */
static const char *topic_of(const struct settings *s, const char *word)
{
	const struct source_settings *sources = s->sources.items;

	if (strcmp(word, "results") == 0)
		return s->kafka.results;
	if (strcmp(word, "health") == 0)
		return s->kafka.health;
	if (strcmp(word, "dead-letters") == 0)
		return s->kafka.dead_letters;
	if (strcmp(word, "requests") == 0)
		return s->sources.n ? sources[0].topic : DEFAULT_REQUESTS;
	return word;
}

static int run(int argc, char **argv)
{
	struct tail t = {0};
	struct settings s;
	const char *word;
	bool whole;
	int code;

	if (!tail_options(&t, argc, argv, &code))
		return code;
	if (!cli_client_settings(&t.args, &s, &whole))
		return EXIT_CONFIGURATION;
	word = t.topic;
	t.topic = topic_of(&s, word);
	t.verbatim = t.topic == word;
	if (strcmp(word, "requests") == 0 && s.sources.n > 1)
		fprintf(stderr,
			"bridgepool tail: this is %s, of the first of %zu sources; name the topic of another to read that one\n",
			t.topic, s.sources.n);
	code = tail_run(&t, &s);
	cli_client_free(&s, whole);
	return code;
}

const struct cli_command command_tail = {
	.name = "tail",
	.run = run,
	.summary = "Print records of our topics as JSON lines",
	.operands = "TOPIC",
	.options = options,
	.more = "TOPIC is a topic's name, or requests, results, health or dead-letters for the configured ones;\n"
		"requests is the topic of the first source alone.\n"
		"Dead letters are printed with their headers, which say what went wrong. Bytes that are neither our\n"
		"records nor JSON nor text are printed as {\"base64\": ...}.",
};
