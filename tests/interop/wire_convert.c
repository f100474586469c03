/* wire_convert.c: our codec behind lines of text. Each line is a word and its arguments; each answer is one line.
 *
 *   read HEX              a request in any encoding  -> its fields as JSON, or "fault CODE message"
 *   avro HEX              a request in any encoding  -> the same request in Avro, as hex
 *   print HEX             any record                 -> JSON
 *   fingerprint HEX       the text of a schema       -> its fingerprint, 16 hex digits
 *   result N avro|json    sample N of a result       -> hex
 *   health N avro|json    sample N of a health event -> hex
 */
#include "bridgepool/base/check.h"
#include "bridgepool/wire/codec.h"
#include "bridgepool/wire/pairs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 1 << 22, SAMPLES = 3 };

struct convert {
	struct codec *codec;
	struct buf in, out, scratch;
	struct buf attributes;
};

static void say_hex(const struct buf *b)
{
	for (size_t i = 0; i < b->len; i++)
		printf("%02x", b->data[i]);
	putchar('\n');
}

static void say_text(const struct buf *b)
{
	printf("%.*s\n", (int)b->len, (const char *)b->data);
}

static void read_hex(struct convert *v, const char *hex)
{
	unsigned byte;

	buf_reset(&v->in);
	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		buf_append(&v->in, &(uint8_t){(uint8_t)byte}, 1);
}

static bool read_request(struct convert *v, const char *hex, struct request_fields *r)
{
	struct fault why;

	read_hex(v, hex);
	buf_reset(&v->scratch);
	if (codec_read_request(v->codec, buf_slice(&v->in), &v->scratch, r, &why))
		return true;
	printf("fault %s %s\n", why.code, why.message);
	return false;
}

static void do_read(struct convert *v, const char *hex)
{
	struct request_fields r;

	if (!read_request(v, hex, &r))
		return;
	CHECK(codec_write_request(v->codec, &r, ENCODING_JSON, &v->out));
	say_text(&v->out);
}

static void do_avro(struct convert *v, const char *hex)
{
	struct request_fields r;

	if (!read_request(v, hex, &r))
		return;
	CHECK(codec_write_request(v->codec, &r, ENCODING_AVRO, &v->out));
	say_hex(&v->out);
}

static void do_print(struct convert *v, const char *hex)
{
	char errstr[256];

	read_hex(v, hex);
	if (codec_to_json(v->codec, buf_slice(&v->in), &v->out, errstr, sizeof(errstr)))
		say_text(&v->out);
	else
		printf("fault %s\n", errstr);
}

static void do_fingerprint(struct convert *v, const char *hex)
{
	bool ok;
	uint64_t fingerprint;

	read_hex(v, hex);
	buf_append(&v->in, "", 1);
	fingerprint = codec_fingerprint((const char *)v->in.data, &ok);
	printf(ok ? "%016" PRIx64 "\n" : "fault\n", fingerprint);
}

/* 0: everything is there; 1: as much as possible is null; 2: numbers at their ends and texts with strange characters. */
static struct result_fields sample_result(struct convert *v, int n)
{
	struct result_fields r = {
		.request_id = SLICE("r1"),
		.status = STATUS_OK,
		.error.retry_after_ms = TIME_NONE,
		.source_topic = SLICE("t"),
		.final = true,
	};

	buf_reset(&v->attributes);
	pairs_add(&v->attributes, SLICE("team"), SLICE("search"));
	pairs_add(&v->attributes, SLICE("\xc3\xa9\"\n"), SLICE(""));
	if (n == 1)
		return r;
	r.session_id = SLICE("s\xf0\x9f\x98\x80");
	r.pool = SLICE("default");
	r.command = SLICE("ask");
	r.status = n == 0 ? STATUS_ERROR : STATUS_CANCELLED;
	r.result = SLICE("{\"a\": [1.10, \"\\u00e9\"]}");
	r.error = (struct error_fields){SLICE("RATE_LIMITED"), SLICE("slow \"down\"\n"), true, n == 0 ? 500 : INT64_MAX,
		SLICE("{\"k\": 1.0}")};
	r.session_epoch = SLICE("e1");
	r.session_new = true;
	r.instance_id = SLICE("i");
	r.worker_id = SLICE("w");
	r.worker_version = SLICE("1.4.2");
	r.attempts = n == 0 ? 2 : INT32_MAX;
	r.timings = (struct timings){1, 64, 8192, n == 0 ? 1 << 20 : INT64_MIN, INT64_MAX};
	r.usage = SLICE("{\"tokens\": 120, \"co\\u0073t\": 0.1}");
	r.source_partition = 3;
	r.source_offset = 41;
	r.part = 1;
	r.attributes = buf_slice(&v->attributes);
	r.completed_at_ms = 1767225600123;
	return r;
}

static void do_result(struct convert *v, int n, enum encoding as)
{
	struct result_fields r = sample_result(v, n);

	CHECK(codec_write_result(v->codec, &r, as, &v->out));
	say_hex(&v->out);
}

static void do_health(struct convert *v, int n, enum encoding as)
{
	struct worker_snapshot workers[] = {
		{.id = "a/0.1", .role = "serving", .state = HEALTH_READY, .in_flight = 3, .sessions = 4, .resident = 5000000}};
	struct pool_snapshot pools[] = {{
						.name = SLICE("a"),
						.state = HEALTH_READY,
						.workers = {[HEALTH_READY] = 3, [HEALTH_TERMINATING] = 1},
						.busy = 2,
						.slots_used = 4,
						.slots_total = 48,
						.queued = 7,
						.sessions = 9,
						.sessions_created = 10,
						.sessions_ended = 1,
						.sessions_lost = 2,
						.requests = {[STATUS_OK] = 100, [STATUS_TIMEOUT] = 1},
						.duration = {5, 0, 0, 7},
						.starts = 5,
						.exits = 1,
						.worker_list = workers,
						.nworker_list = 1,
					},
		{.name = SLICE("b"), .state = HEALTH_UNAVAILABLE}};
	struct partition_snapshot partitions[] = {{
		.topic = SLICE("t"),
		.partition = 3,
		.base = 100,
		.next = 140,
		.backlog = 12,
		.window = 40,
		.oldest_ms = 1500,
		.held = true,
	}};
	struct snapshot snapshot = {
		.state = HEALTH_DEGRADED,
		.npools = 2,
		.pools = pools,
		.npartitions = 1,
		.partitions = partitions,
		.memory_used = 1,
		.memory_limit = 1 << 28,
	};
	struct health_fields h = {
		.event_id = SLICE("v"),
		.instance_id = SLICE("i"),
		.incarnation = SLICE("n"),
		.host = SLICE("h"),
		.sequence = 1,
		.at_ms = 1767225600123,
		.kind = KIND_HEARTBEAT,
		.severity = SEVERITY_INFO,
		.snapshot = &snapshot,
	};

	if (n > 0) {
		h.kind = KIND_WORKER_STATE;
		h.severity = SEVERITY_WARN;
		h.pool = SLICE("a");
		h.worker_id = SLICE("w");
		h.from_state = HEALTH_READY;
		h.to_state = HEALTH_TERMINATED;
		h.reason = SLICE("why");
		h.count = 5;
		h.snapshot = NULL;
	}
	if (n == 2) {
		snapshot = (struct snapshot){.state = HEALTH_STOPPED};
		h.snapshot = &snapshot;
	}
	CHECK(codec_write_health(v->codec, &h, as, &v->out));
	say_hex(&v->out);
}

static bool do_sample(struct convert *v, const char *word, const char *rest)
{
	char encoding[8];
	int n;

	if (sscanf(rest, "%d %7s", &n, encoding) != 2 || n < 0 || n >= SAMPLES)
		return false;
	if (!strcmp(word, "result"))
		do_result(v, n, strcmp(encoding, "json") ? ENCODING_AVRO : ENCODING_JSON);
	else if (!strcmp(word, "health"))
		do_health(v, n, strcmp(encoding, "json") ? ENCODING_AVRO : ENCODING_JSON);
	else
		return false;
	return true;
}

static const struct {
	const char *word;
	void (*run)(struct convert *v, const char *hex);
} commands[] = {
	{"read", do_read},
	{"avro", do_avro},
	{"print", do_print},
	{"fingerprint", do_fingerprint},
};

static void do_line(struct convert *v, char *line)
{
	char *rest = line + strcspn(line, " ");

	if (*rest)
		*rest++ = '\0';
	buf_reset(&v->out);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (!strcmp(commands[i].word, line)) {
			commands[i].run(v, rest);
			return;
		}
	}
	if (!do_sample(v, line, rest))
		printf("fault what is '%s %s'?\n", line, rest);
}

/* Arguments are directories of further schemas. */
int main(int argc, char **argv)
{
	struct codec_config config = {
		.max_request = 1 << 20,
		.extra_dirs = (const char *const *)(argv + 1),
		.nextra_dirs = (size_t)argc - 1,
	};
	struct convert v = {0};
	char errstr[512], *line = xmalloc(LINE_MAX_BYTES);

	v.codec = codec_new(&config, errstr, sizeof(errstr));
	if (!v.codec) {
		fprintf(stderr, "%s\n", errstr);
		return EXIT_FAILURE;
	}
	buf_init(&v.in, 1 << 22);
	buf_init(&v.out, 1 << 24);
	buf_init(&v.scratch, 1 << 22);
	buf_init(&v.attributes, 1 << 16);
	while (fgets(line, LINE_MAX_BYTES, stdin)) {
		line[strcspn(line, "\n")] = '\0';
		do_line(&v, line);
		fflush(stdout);
	}
	codec_free(v.codec);
	buf_free(&v.in);
	buf_free(&v.out);
	buf_free(&v.scratch);
	buf_free(&v.attributes);
	free(line);
	return EXIT_SUCCESS;
}
