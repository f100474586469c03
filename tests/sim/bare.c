/* bare.c: see bare.h. The broker and the workers are a few rings: whatever the engine orders is answered a turn later. */
#include "bare.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/core/engine.h"
#include "bridgepool/wire/offsetmap.h"

enum { TURN = 64, RING = 4096, PARTITIONS = 4, WORKERS = 4, CONCURRENCY = 16, FEW_SESSIONS = 1000, SESSION_BYTES_MOST = 250 };

struct said {
	struct slot_ref worker;
	uint64_t id;
	bool hello;
};

struct bare {
	struct engine *engine;
	struct codec *codec;
	struct said said[RING];
	uint64_t serials[RING];
	size_t nsaid, nserials;
	struct slot_ref starts[WORKERS];
	size_t nstarts;
	uint64_t commit;             /* to be answered; 0: none */
	int64_t offset[PARTITIONS];
	uint64_t finished, asked;
	int64_t wall_ms, longest_us; /* longest: of one step of a turn */
	struct buf value[2];         /* a request in JSON and in Avro */
};

/* ---- the port: remembers ---- */

static void on_read_offsets(void *ctx, const struct tp *tp, size_t n)
{
	(void)ctx, (void)tp, (void)n;
}

static void on_release(void *ctx)
{
	(void)ctx;
}

static void on_hold(void *ctx, struct tp tp, bool on)
{
	(void)ctx, (void)tp, (void)on;
}

static void on_commit(void *ctx, const struct commit *c)
{
	((struct bare *)ctx)->commit = c->id;
}

static bool on_produce(void *ctx, const struct record *r)
{
	struct bare *b = ctx;

	if (b->nserials == RING)
		return false;
	b->serials[b->nserials++] = r->serial;
	b->finished += r->kind == RECORD_RESULT;
	return true;
}

static void on_start(void *ctx, struct slot_ref w)
{
	struct bare *b = ctx;

	b->starts[b->nstarts++] = w;
}

static void on_call(void *ctx, struct slot_ref w, const struct call *c)
{
	struct bare *b = ctx;

	CHECK(b->nsaid < RING);
	b->said[b->nsaid++] = (struct said){w, c->id, c->initialization};
}

static void on_stop(void *ctx, struct slot_ref w, enum stop_step s)
{
	(void)ctx, (void)w, (void)s;
}

static void on_note(void *ctx, const struct note *n)
{
	(void)ctx, (void)n;
}

/* ---- one turn of the world ---- */

static int64_t enter(struct bare *b)
{
	int64_t now = clock_mono_us();

	b->wall_ms = clock_wall_ms();
	engine_clock(b->engine, b->wall_ms, now);
	return now;
}

static void leave(struct bare *b, int64_t since)
{
	int64_t took = clock_mono_us() - since;

	if (took > b->longest_us)
		b->longest_us = took;
}

static void answer(struct bare *b)
{
	static struct said said[RING];
	size_t n = b->nsaid;
	int64_t now = enter(b);

	memcpy(said, b->said, n * sizeof(said[0]));
	b->nsaid = 0;
	for (size_t i = 0; i < n; i++) {
		struct answer a = {.id = said[i].id, .has_id = true, .kind = ANSWER_OK, .payload = SLICE("{\"answer\": 42}"), .retry_after_ms = TIME_NONE,
			.concurrency = said[i].hello ? CONCURRENCY : 0};

		engine_answer(b->engine, said[i].worker, &a, now);
	}
	leave(b, now);
}

static void deliver(struct bare *b)
{
	static uint64_t serials[RING];
	size_t n = b->nserials;
	int64_t now = enter(b);
	uint64_t commit = b->commit;

	memcpy(serials, b->serials, n * sizeof(serials[0]));
	b->nserials = 0;
	for (size_t i = 0; i < n; i++)
		engine_delivered(b->engine, serials[i], DELIVERY_OK, now);
	b->commit = 0;
	if (commit != 0)
		engine_committed(b->engine, commit, NULL, 0, now);
	if (engine_next(b->engine) <= now)
		engine_tick(b->engine, now);
	leave(b, now);
}

/* A session is always in the same partition. */
static void ask(struct bare *b, uint64_t session, int encoding, int64_t now)
{
	char key[] = "session-0000000";
	int32_t partition = (int32_t)(session % PARTITIONS);
	struct message m = {.source = {{0, partition, 1}, b->offset[partition]++}, .timestamp_ms = b->wall_ms, .key = {key, sizeof(key) - 1},
		.value = buf_slice(&b->value[encoding]), .headers = {"", 0}};

	for (char *digit = key + sizeof(key) - 2; session > 0; session /= 10)
		*digit-- = (char)('0' + session % 10);
	engine_receive(b->engine, &m, now);
	b->asked++;
}

static void turn(struct bare *b, uint64_t first, uint64_t sessions, int encoding)
{
	int64_t now = enter(b);

	for (uint64_t i = 0; i < TURN && engine_credit(b->engine) > 0; i++)
		ask(b, (first + i) % sessions, encoding, now);
	leave(b, now);
	answer(b);
	deliver(b);
}

static void settle(struct bare *b)
{
	while (b->finished < b->asked || b->nserials > 0) {
		answer(b);
		deliver(b);
	}
}

/* ---- life ---- */

static void write_values(struct bare *b)
{
	struct request_fields f = {.request_id = SLICE("7d1f9a52-6c0e-4f5e-9a43-0e5b6a1c2d3e"), .command = SLICE("work"), .timeout_ms = TIME_NONE, .deadline_ms = TIME_NONE,
		.args = SLICE("{\"question\": \"what is the answer\", \"n\": 1.10}")};

	buf_init(&b->value[ENCODING_JSON], SIZE_MAX);
	buf_init(&b->value[ENCODING_AVRO], SIZE_MAX);
	CHECK(codec_write_request(b->codec, &f, ENCODING_JSON, &b->value[ENCODING_JSON]));
	CHECK(codec_write_request(b->codec, &f, ENCODING_AVRO, &b->value[ENCODING_AVRO]));
}

static struct engine *new_engine(struct bare *b)
{
	static const char *const commands[] = {"work"};
	struct pool_config pool = {.name = "pool", .size = WORKERS, .request_timeout_us = 30 * SECOND_US, .kill_grace_us = SECOND_US,
		.session_ttl_us = 3600 * SECOND_US, .max_sessions = UINT64_MAX, .session_hook_timeout_us = SECOND_US, .start_timeout_us = SECOND_US, .start_batch = WORKERS,
		.ping_interval_us = 10 * SECOND_US, .ping_timeout_us = SECOND_US, .backoff_min_us = SECOND_US, .backoff_max_us = SECOND_US, .stop_grace_us = SECOND_US};
	struct source_config source = {.topic = "requests", .commands = commands, .ncommands = 1};
	struct engine_config config = {.instance_id = "bare", .pools = &pool, .npools = 1, .sources = &source, .nsources = 1, .max_attempts = 3,
		.retry_backoff_us = MS_US, .commit_interval_us = 200 * MS_US, .commit_every = 200, .window_cap = OFFSETMAP_SPAN_MAX, .memory_limit = 256 << 20,
		.request_limit = 1 << 20, .result_limit = 1 << 20, .results_encoding = -1};
	struct port port = {b, on_read_offsets, on_release, on_hold, on_commit, on_produce, on_start, on_call, on_stop, on_note};

	return engine_new(&config, &port, b->codec, 1, clock_mono_us());
}

static struct bare *bare_new(void)
{
	struct codec_config config = {.max_request = 1 << 20};
	struct bare *b = xcalloc(1, sizeof(*b));
	struct committed at[PARTITIONS];
	struct tp tps[PARTITIONS];
	char why[256];
	int64_t now;

	b->codec = codec_new(&config, why, sizeof(why));
	CHECK(b->codec != NULL);
	write_values(b);
	b->engine = new_engine(b);
	now = enter(b);
	engine_start(b->engine, now);
	for (size_t i = 0; i < b->nstarts; i++)
		engine_started(b->engine, b->starts[i], now);
	for (int i = 0; i < PARTITIONS; i++) {
		tps[i] = (struct tp){0, i, 1};
		at[i] = (struct committed){tps[i], 0, SLICE("")};
	}
	engine_assigned(b->engine, tps, PARTITIONS, now);
	engine_offsets(b->engine, at, PARTITIONS, now);
	answer(b);
	return b;
}

static void bare_free(struct bare *b)
{
	engine_free(b->engine);
	codec_free(b->codec);
	buf_free(&b->value[0]);
	buf_free(&b->value[1]);
	free(b);
}

/* ---- what is measured ---- */

/* Nanoseconds per request over so many, of so many sessions in turn. */
static double cost(struct bare *b, uint64_t requests, uint64_t sessions, int encoding)
{
	uint64_t before = b->finished;
	int64_t since = clock_mono_us();

	for (uint64_t n = 0; n < requests; n += TURN)
		turn(b, n, sessions, encoding);
	settle(b);
	return (double)(clock_mono_us() - since) * 1e3 / (double)(b->finished - before);
}

/* Nanoseconds that reading such a request and writing such a result take by themselves. */
static double codec_cost(struct bare *b, uint64_t requests, int encoding)
{
	struct result_fields result = {.session_id = SLICE("session-0000000"), .pool = SLICE("pool"), .status = STATUS_OK, .result = SLICE("{\"answer\": 42}"),
		.error = {.retry_after_ms = TIME_NONE}, .session_epoch = SLICE("0123456789abcdef"), .instance_id = SLICE("bare"), .worker_id = SLICE("pool/0.1"),
		.attempts = 1, .timings = {1, 12, 123, 0, 12345}, .source_topic = SLICE("requests"), .source_offset = 123456, .final = true,
		.completed_at_ms = b->wall_ms};
	struct buf scratch, out;
	int64_t since = clock_mono_us();

	buf_init(&out, SIZE_MAX);
	for (uint64_t n = 0; n < requests; n++) {
		struct request_fields f = {.timeout_ms = TIME_NONE};
		struct fault why;

		buf_init(&scratch, SIZE_MAX);
		CHECK(codec_read_request(b->codec, buf_slice(&b->value[encoding]), &scratch, &f, &why));
		result.request_id = f.request_id;
		result.command = f.command;
		buf_reset(&out);
		CHECK(codec_write_result(b->codec, &result, (enum encoding)encoding, &out));
		buf_free(&scratch);
	}
	buf_free(&out);
	return (double)(clock_mono_us() - since) * 1e3 / (double)requests;
}

int bare_rate(uint64_t requests)
{
	static const char *const name[] = {[ENCODING_AVRO] = "Avro", [ENCODING_JSON] = "JSON"};

	for (int encoding = 0; encoding < 2; encoding++) {
		struct bare *b = bare_new();
		double ns = cost(b, requests, FEW_SESSIONS, encoding), codec = codec_cost(b, requests, encoding);

		printf("%s: %" PRIu64 " requests of %d sessions, %.0f requests per second: %.0f ns each, of which the codec takes %.0f and the engine %.0f (%.0f per second)\n",
			name[encoding], b->finished, FEW_SESSIONS, 1e9 / ns, ns, codec, ns - codec, 1e9 / (ns - codec));
		bare_free(b);
	}
	return 0;
}

int bare_sessions(uint64_t sessions)
{
	struct bare *b = bare_new();
	struct mallinfo2 before;
	double few, many, bytes;
	int64_t stall;

	cost(b, 4 * FEW_SESSIONS, FEW_SESSIONS, ENCODING_JSON);
	few = cost(b, 200000, FEW_SESSIONS, ENCODING_JSON);
	before = mallinfo2();
	b->longest_us = 0;
	cost(b, sessions, sessions, ENCODING_JSON);
	stall = b->longest_us;
	bytes = (double)(mallinfo2().uordblks + mallinfo2().hblkhd - before.uordblks - before.hblkhd) / (double)(sessions - FEW_SESSIONS);
	many = cost(b, sessions, sessions, ENCODING_JSON);
	printf("%" PRIu64 " live sessions: %.0f bytes each, longest stall while they came %.2f ms, a request costs %.0f ns (%.2f times that at %d)\n", sessions, bytes,
		(double)stall / 1e3, many, many / few, FEW_SESSIONS);
	bare_free(b);
	if (bytes > SESSION_BYTES_MOST)
		fprintf(stderr, "sim: a live session may take %d bytes\n", SESSION_BYTES_MOST);
	return bytes > SESSION_BYTES_MOST;
}
