/* bare.c: see bare.h. The broker and the workers are a few rings: whatever the engine orders is answered a turn later. */
#include "bare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/core/engine.h"
#include "bridgepool/wire/offsetmap.h"

enum { RING = 4096, WORKERS = 4, SLOTS = 4 * WORKERS, CONCURRENCY = 16 };

struct said {
	struct slot_ref worker;
	uint64_t id;
	bool hello;
};

struct place {
	int64_t next;                          /* offset of the next request */
	int64_t base;                          /* of the last commit */
	char metadata[OFFSETMAP_TEXT_MAX + 1]; /* of the last commit */
	int32_t epoch;                         /* of the assignment */
};

struct bare {
	struct engine *engine;
	struct codec *codec;
	bool hooks; /* workers want to hear of sessions */
	struct said said[RING];
	uint64_t serials[RING];
	size_t nsaid, nserials;
	struct slot_ref workers[SLOTS];
	bool starting[SLOTS], stopping[SLOTS];
	uint64_t commit; /* to be answered; 0: none */
	bool released;
	struct place places[BARE_PARTITIONS];
	uint64_t finished, asked;
	int64_t wall_ms, ahead_us; /* ahead: of the real clock */
	int64_t longest_ns;        /* step of a turn */
	struct buf value[2];       /* a request in JSON and in Avro */
};

/* ---- the port: remembers ---- */

static void on_read_offsets(void *ctx, const struct tp *tp, size_t n)
{
	(void)ctx, (void)tp, (void)n;
}

static void on_release(void *ctx)
{
	((struct bare *)ctx)->released = true;
}

static void on_hold(void *ctx, struct tp tp, bool on)
{
	(void)ctx, (void)tp, (void)on;
}

static void on_commit(void *ctx, const struct commit *c)
{
	struct bare *b = ctx;

	b->commit = c->id;
	for (size_t i = 0; i < c->n; i++) {
		struct place *p = &b->places[c->entries[i].tp.partition];

		p->base = c->entries[i].base;
		snprintf(p->metadata, sizeof(p->metadata), "%s", c->entries[i].metadata);
	}
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

	CHECK(w.slot < SLOTS);
	b->workers[w.slot] = w;
	b->starting[w.slot] = true;
}

static void on_call(void *ctx, struct slot_ref w, const struct call *c)
{
	struct bare *b = ctx;

	CHECK(b->nsaid < RING);
	b->said[b->nsaid++] = (struct said){w, c->id, c->initialization};
}

static void on_stop(void *ctx, struct slot_ref w, enum stop_step s)
{
	(void)s;
	((struct bare *)ctx)->stopping[w.slot] = true;
}

static void on_note(void *ctx, const struct note *n)
{
	(void)ctx, (void)n;
}

/* ---- one turn of the world ---- */

int64_t bare_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t now_of(const struct bare *b)
{
	return clock_mono_us() + b->ahead_us;
}

/* A step of a turn: begins with enter, ends with leave. */
static int64_t enter(struct bare *b, int64_t *since_ns)
{
	int64_t now = now_of(b);

	b->wall_ms = clock_wall_ms();
	*since_ns = bare_cpu_ns();
	engine_clock(b->engine, b->wall_ms, now);
	return now;
}

static void leave(struct bare *b, int64_t since_ns)
{
	int64_t took = bare_cpu_ns() - since_ns;

	if (took > b->longest_ns)
		b->longest_ns = took;
}

static void started(struct bare *b, int64_t now)
{
	for (int i = 0; i < SLOTS; i++) {
		if (b->starting[i])
			engine_started(b->engine, b->workers[i], 0, now);
		b->starting[i] = false;
	}
}

static void gone(struct bare *b, int64_t now)
{
	for (int i = 0; i < SLOTS; i++) {
		if (b->stopping[i])
			engine_gone(b->engine, b->workers[i], &(struct exit_report){0}, now);
		b->stopping[i] = false;
	}
}

static void answer(struct bare *b)
{
	static struct said said[RING];
	int64_t since, now = enter(b, &since);
	size_t n;

	started(b, now);
	n = b->nsaid;
	memcpy(said, b->said, n * sizeof(said[0]));
	b->nsaid = 0;
	for (size_t i = 0; i < n; i++) {
		struct answer a = {
			.id = said[i].id,
			.has_id = true,
			.kind = ANSWER_OK,
			.payload = SLICE("{\"answer\": 42}"),
			.retry_after_ms = TIME_NONE,
			.concurrency = said[i].hello ? CONCURRENCY : 0,
			.capabilities = said[i].hello && b->hooks ? CAPABILITY_SESSIONS : 0,
		};

		engine_answer(b->engine, said[i].worker, &a, now);
	}
	gone(b, now);
	leave(b, since);
}

static void deliver(struct bare *b)
{
	static uint64_t serials[RING];
	size_t n = b->nserials;
	int64_t since, now = enter(b, &since);
	uint64_t commit = b->commit;

	memcpy(serials, b->serials, n * sizeof(serials[0]));
	b->nserials = 0;
	b->commit = 0; /* the engine may order another one meanwhile */
	for (size_t i = 0; i < n; i++)
		engine_delivered(b->engine, serials[i], DELIVERY_OK, now);
	if (commit != 0)
		engine_committed(b->engine, commit, NULL, 0, now);
	if (engine_next(b->engine) <= now)
		engine_tick(b->engine, now);
	leave(b, since);
}

/* A session is always in the same partition. */
static void ask(struct bare *b, uint64_t session, int encoding, int64_t now)
{
	char key[] = "session-0000000";
	int32_t partition = (int32_t)(session % BARE_PARTITIONS);
	struct message m = {.source = {{0, partition, b->places[partition].epoch}, b->places[partition].next++},
		.timestamp_ms = b->wall_ms,
		.key = {key, sizeof(key) - 1},
		.value = buf_slice(&b->value[encoding]),
		.headers = {"", 0}};

	for (char *digit = key + sizeof(key) - 2; session > 0; session /= 10)
		*digit-- = (char)('0' + session % 10);
	engine_receive(b->engine, &m, now);
	b->asked++;
}

/* The step is coprime to what sessions there are, so that they come in no order that memory has. */
uint64_t bare_turn(struct bare *b, uint64_t first, uint64_t sessions, int encoding)
{
	enum { STEP = 611953 };
	int64_t since, now = enter(b, &since);
	uint64_t i = 0;

	for (; i < BARE_TURN && engine_takes(b->engine); i++)
		ask(b, (first + i) * STEP % sessions, encoding, now);
	leave(b, since);
	answer(b);
	deliver(b);
	return i;
}

void bare_settle(struct bare *b)
{
	while (b->finished < b->asked || b->nserials > 0 || b->nsaid > 0) {
		answer(b);
		deliver(b);
	}
}

void bare_idle_turn(struct bare *b)
{
	answer(b);
	deliver(b);
}

/* ---- what happens to it ---- */

void bare_pass_time(struct bare *b, int64_t us)
{
	b->ahead_us += us;
}

void bare_revoke(struct bare *b, int32_t partition)
{
	int64_t since, now = enter(b, &since);

	b->released = false;
	engine_revoked(b->engine, &(struct tp){0, partition, b->places[partition].epoch}, 1, false, now);
	leave(b, since);
	while (!b->released)
		bare_idle_turn(b);
}

void bare_assign(struct bare *b, int32_t partition)
{
	struct place *p = &b->places[partition];
	struct committed at = {.tp = {0, partition, ++p->epoch}, .offset = p->base, .metadata = slice_of(p->metadata)};
	int64_t since, now = enter(b, &since);

	CHECK(p->base == p->next);
	engine_assigned(b->engine, &at.tp, 1, now);
	engine_offsets(b->engine, &at, 1, now);
	leave(b, since);
}

void bare_assign_nothing(struct bare *b)
{
	int64_t since, now = enter(b, &since);

	engine_assigned(b->engine, NULL, 0, now);
	leave(b, since);
}

void bare_kill(struct bare *b, uint16_t slot)
{
	int64_t since, now = enter(b, &since);

	engine_gone(b->engine, b->workers[slot], &(struct exit_report){.signal = 9}, now);
	leave(b, since);
}

void bare_roll(struct bare *b)
{
	int64_t since, now = enter(b, &since);

	engine_roll(b->engine, 0, now);
	leave(b, since);
}

void bare_drain(struct bare *b)
{
	int64_t since, now = enter(b, &since);

	engine_drain(b->engine, now + SECOND_US, now);
	leave(b, since);
	while (!engine_drained(b->engine) || !engine_idle(b->engine))
		bare_idle_turn(b);
}

void bare_snapshot(struct bare *b, struct snapshot *out)
{
	int64_t since, now = enter(b, &since);

	engine_snapshot(b->engine, now, out);
	leave(b, since);
}

uint64_t bare_live(const struct bare *b)
{
	struct snapshot s;
	uint64_t live;

	engine_snapshot(b->engine, now_of(b), &s);
	live = s.pools[0].sessions;
	snapshot_free(&s);
	return live;
}

double bare_longest_ms(struct bare *b)
{
	double longest = (double)b->longest_ns / 1e6;

	b->longest_ns = 0;
	return longest;
}

uint64_t bare_finished(const struct bare *b)
{
	return b->finished;
}

struct codec *bare_codec(const struct bare *b)
{
	return b->codec;
}

struct slice bare_value(const struct bare *b, int encoding)
{
	return buf_slice(&b->value[encoding]);
}

/* ---- life ---- */

static void write_values(struct bare *b)
{
	struct request_fields f = {
		.request_id = SLICE("7d1f9a52-6c0e-4f5e-9a43-0e5b6a1c2d3e"),
		.command = SLICE("work"),
		.timeout_ms = TIME_NONE,
		.deadline_ms = TIME_NONE,
		.args = SLICE("{\"question\": \"what is the answer\", \"n\": 1.10}"),
	};

	buf_init(&b->value[ENCODING_JSON], SIZE_MAX);
	buf_init(&b->value[ENCODING_AVRO], SIZE_MAX);
	CHECK(codec_write_request(b->codec, &f, ENCODING_JSON, &b->value[ENCODING_JSON]));
	CHECK(codec_write_request(b->codec, &f, ENCODING_AVRO, &b->value[ENCODING_AVRO]));
}

static struct engine *new_engine(struct bare *b)
{
	static const char *const commands[] = {"work"};
	struct pool_config pool = {
		.name = "pool",
		.size = WORKERS,
		.request_timeout_us = 30 * SECOND_US,
		.kill_grace_us = SECOND_US,
		.session_ttl_us = BARE_TTL_US,
		.max_sessions = UINT64_MAX,
		.session_hook_timeout_us = SECOND_US,
		.start_timeout_us = SECOND_US,
		.start_batch = WORKERS,
		.ping_interval_us = 10 * SECOND_US,
		.ping_timeout_us = SECOND_US,
		.backoff_min_us = SECOND_US,
		.backoff_max_us = SECOND_US,
		.stop_grace_us = SECOND_US,
	};
	struct source_config source = {.topic = "requests", .commands = commands, .ncommands = 1};
	struct engine_config config = {
		.instance_id = "bare",
		.pools = &pool,
		.npools = 1,
		.sources = &source,
		.nsources = 1,
		.max_attempts = 3,
		.retry_backoff_us = MS_US,
		.commit_interval_us = 200 * MS_US,
		.commit_every = 200,
		.window_cap = OFFSETMAP_SPAN_MAX,
		.memory_limit = 256 << 20,
		.request_limit = 1 << 20,
		.result_limit = 1 << 20,
		.results_encoding = -1,
	};
	struct port port = {b, on_read_offsets, on_release, on_hold, on_commit, on_produce, on_start, on_call, on_stop, on_note};

	return engine_new(&config, &port, b->codec, 1, clock_mono_us());
}

struct bare *bare_new(bool hooks)
{
	struct codec_config config = {.max_request = 1 << 20};
	struct bare *b = xcalloc(1, sizeof(*b));
	struct committed at[BARE_PARTITIONS];
	struct tp tps[BARE_PARTITIONS];
	char why[256];
	int64_t since, now;

	b->hooks = hooks;
	b->codec = codec_new(&config, why, sizeof(why));
	CHECK(b->codec != NULL);
	write_values(b);
	b->engine = new_engine(b);
	now = enter(b, &since);
	engine_start(b->engine, now);
	for (int i = 0; i < BARE_PARTITIONS; i++) {
		b->places[i].epoch = 1;
		tps[i] = (struct tp){0, i, 1};
		at[i] = (struct committed){.tp = tps[i], .metadata = SLICE("")};
	}
	engine_assigned(b->engine, tps, BARE_PARTITIONS, now);
	engine_offsets(b->engine, at, BARE_PARTITIONS, now);
	answer(b); /* their first pings */
	return b;
}

void bare_free(struct bare *b)
{
	engine_free(b->engine);
	codec_free(b->codec);
	buf_free(&b->value[0]);
	buf_free(&b->value[1]);
	free(b);
}
