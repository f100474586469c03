/* core_world.h: one engine between a broker and workers that do only what the test says. Orders are recorded, never answered by
 * themselves. */
#ifndef TEST_CORE_WORLD_H
#define TEST_CORE_WORLD_H

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/core/engine.h"
#include "bridgepool/wire/offsetmap.h"
#include "bridgepool/wire/pairs.h"

enum {
	WORLD_MAX = 4096,
	WORLD_PARTITIONS = 64,
	WORLD_OTHERS = 60 /* with two pools: from here on the partitions of the second */
};

struct told_call {
	struct slot_ref w;
	struct call call; /* slices are gone; the texts below are copies */
	char session[64], request[64], command[64], reason[64];
	bool answered;
};

struct world {
	struct engine *e;
	struct engine_config cfg; /* of e, and its parts */
	struct pool_config pool, two[2];
	struct source_config source, sources[2];
	struct codec *codec;
	int64_t now, next_offset[WORLD_PARTITIONS];
	struct tp tp[WORLD_PARTITIONS];
	struct told_call calls[WORLD_MAX];
	size_t ncalls;
	json_t *results[WORLD_MAX];
	struct record records[WORLD_MAX]; /* by order; slices valid until delivered */
	enum record_kind kinds[WORLD_MAX];
	bool acked[WORLD_MAX];
	size_t nrecords;
	struct {
		uint64_t id;
		int64_t base;
		char metadata[OFFSETMAP_TEXT_MAX + 1];
	} commits[WORLD_MAX];
	size_t ncommits, ncommitted; /* the second: of which world_committed told the engine */
	struct {
		struct slot_ref w;
		enum stop_step step;
	} stops[WORLD_MAX];
	size_t nstops;
	struct slot_ref started[WORLD_MAX];
	size_t nstarted;
	unsigned releases, notes[NOTE_KINDS];
	int64_t note_count[NOTE_KINDS];
	char note_reason[NOTE_KINDS][400];
	bool held[WORLD_PARTITIONS];
	bool full; /* the producer's queue */
	uint32_t epoch, capabilities, concurrency;
};

static void world_read_offsets(void *ctx, const struct tp *tp, size_t n)
{
	(void)ctx;
	(void)tp;
	(void)n;
}

static void world_release(void *ctx)
{
	((struct world *)ctx)->releases++;
}

static void world_hold(void *ctx, struct tp tp, bool on)
{
	((struct world *)ctx)->held[tp.partition] = on;
}

static void world_commit(void *ctx, const struct commit *c)
{
	struct world *w = ctx;

	ck_assert_uint_eq(c->n, 1);
	w->commits[w->ncommits].id = c->id;
	w->commits[w->ncommits].base = c->entries[0].base;
	snprintf(w->commits[w->ncommits].metadata, sizeof(w->commits[0].metadata), "%s", c->entries[0].metadata);
	w->ncommits++;
}

static bool world_produce(void *ctx, const struct record *r)
{
	struct world *w = ctx;
	struct buf text;
	char errstr[256];

	if (w->full)
		return false;
	w->records[w->nrecords] = *r;
	w->kinds[w->nrecords] = r->kind;
	if (r->kind == RECORD_RESULT) {
		buf_init(&text, 1 << 22);
		ck_assert_msg(codec_to_json(w->codec, r->value, &text, errstr, sizeof(errstr)), "%s", errstr);
		w->results[w->nrecords] = json_loadb((const char *)text.data, text.len, 0, NULL);
		ck_assert_ptr_nonnull(w->results[w->nrecords]);
		buf_free(&text);
	}
	w->nrecords++;
	return true;
}

static void world_start(void *ctx, struct slot_ref ref)
{
	struct world *w = ctx;

	w->started[w->nstarted++] = ref;
}

static void world_keep(char *out, size_t size, struct slice s)
{
	snprintf(out, size, "%.*s", (int)s.len, s.data ? (const char *)s.data : "");
}

static void world_call(void *ctx, struct slot_ref ref, const struct call *c)
{
	struct world *w = ctx;
	struct told_call *t = &w->calls[w->ncalls++];

	t->w = ref;
	t->call = *c;
	world_keep(t->session, sizeof(t->session), c->session_id);
	world_keep(t->request, sizeof(t->request), c->request_id);
	world_keep(t->command, sizeof(t->command), c->command);
	world_keep(t->reason, sizeof(t->reason), c->reason);
}

static void world_stop(void *ctx, struct slot_ref ref, enum stop_step s)
{
	struct world *w = ctx;

	w->stops[w->nstops].w = ref;
	w->stops[w->nstops++].step = s;
}

static void world_note(void *ctx, const struct note *n)
{
	((struct world *)ctx)->notes[n->kind]++;
	((struct world *)ctx)->note_count[n->kind] = n->count;
	world_keep(((struct world *)ctx)->note_reason[n->kind], sizeof(((struct world *)ctx)->note_reason[0]), n->reason);
}

static const char *const world_all[] = {"*"};

static inline struct world *world_new(struct pool_config pool, struct engine_config more)
{
	struct world *w = xcalloc(1, sizeof(*w));
	struct port port = {w, world_read_offsets, world_release, world_hold, world_commit, world_produce, world_start,
		world_call, world_stop, world_note};
	struct source_config source = {"requests", 0, world_all, 1};
	struct codec_config cc = {.max_request = 1 << 20};
	struct engine_config cfg = {
		.instance_id = "i1",
		.pools = &pool,
		.npools = 1,
		.sources = &source,
		.nsources = 1,
		.max_attempts = 3,
		.retry_backoff_us = 100 * MS_US,
		.drain_revoke_us = 2 * SECOND_US,
		.commit_interval_us = 200 * MS_US,
		.commit_every = 200,
		.window_cap = 1000,
		.memory_limit = 1 << 24,
		.request_limit = 1 << 20,
		.result_limit = 1 << 16,
		.results_encoding = -1,
	};
	struct pool_config defaults = {
		.size = 1,
		.request_timeout_us = 30 * SECOND_US,
		.kill_grace_us = 5 * SECOND_US,
		.session_ttl_us = 3600 * SECOND_US,
		.max_sessions = 1000,
		.session_hook_timeout_us = 10 * SECOND_US,
		.start_timeout_us = 60 * SECOND_US,
		.start_batch = 8,
		.ping_interval_us = 3600 * SECOND_US,
		.ping_timeout_us = 10 * SECOND_US,
		.backoff_min_us = 100 * MS_US,
		.backoff_max_us = 30 * SECOND_US,
		.stop_grace_us = 2 * SECOND_US,
	};
	char errstr[256];

	defaults.name = pool.name ? pool.name : "default";
	defaults.size = pool.size ? pool.size : 1;
	defaults.state = pool.state;
	defaults.on_session_loss = pool.on_session_loss;
	defaults.on_revoke = pool.on_revoke;
	if (pool.session_hook_timeout_us)
		defaults.session_hook_timeout_us = pool.session_hook_timeout_us;
	if (pool.max_sessions)
		defaults.max_sessions = pool.max_sessions;
	if (pool.session_ttl_us)
		defaults.session_ttl_us = pool.session_ttl_us;
	defaults.spare = pool.spare;
	defaults.min_ready = pool.min_ready;
	defaults.recycle_requests = pool.recycle_requests;
	defaults.recycle_age_us = pool.recycle_age_us;
	defaults.recycle_memory = pool.recycle_memory;
	defaults.recycle_grace_us = pool.recycle_grace_us;
	defaults.resident_limit = pool.resident_limit;
	defaults.partial_interval_us = pool.partial_interval_us;
	defaults.partial_max = pool.partial_max;
	defaults.partial_bytes_max = pool.partial_bytes_max;
	defaults.max_queued = pool.max_queued;
	defaults.max_queued_per_session = pool.max_queued_per_session;
	defaults.circuit_failures = pool.circuit_failures;
	defaults.circuit_pause_us = pool.circuit_pause_us;
	defaults.circuit_rejects = pool.circuit_rejects;
	w->pool = defaults;
	w->source = source;
	cfg.pools = &w->pool;
	cfg.sources = &w->source;
	cfg.slow_us = more.slow_us;
	cfg.tell_sessions = more.tell_sessions;
	if (more.npools == 2) {
		w->two[0] = w->two[1] = defaults;
		w->two[1].name = "other";
		w->sources[0] = source;
		w->sources[1] = (struct source_config){"others", 1, world_all, 1};
		cfg.pools = w->two;
		cfg.sources = w->sources;
		cfg.npools = cfg.nsources = 2;
	}
	if (more.window_cap)
		cfg.window_cap = more.window_cap;
	if (more.memory_limit)
		cfg.memory_limit = more.memory_limit;
	w->cfg = cfg;
	w->codec = codec_new(&cc, errstr, sizeof(errstr));
	ck_assert_msg(w->codec != NULL, "%s", errstr);
	w->now = SECOND_US;
	w->concurrency = 4;
	w->e = engine_new(&cfg, &port, w->codec, 42, w->now);
	engine_clock(w->e, 1700000000000, w->now);
	engine_start(w->e, w->now);
	return w;
}

static void world_free(struct world *w)
{
	engine_check(w->e);
	engine_free(w->e);
	codec_free(w->codec);
	for (size_t i = 0; i < w->nrecords; i++)
		json_decref(w->results[i]);
	free(w);
}

/* Lets time pass, ticking at each time the engine asked for. */
static void world_pass(struct world *w, int64_t us)
{
	int64_t until = w->now + us, next;

	while ((next = engine_next(w->e)) <= until) {
		if (next > w->now)
			w->now = next;
		engine_tick(w->e, w->now);
		engine_check(w->e);
	}
	w->now = until;
}

static void world_answer_as(struct world *w, struct told_call *t, struct answer a)
{
	a.id = t->call.id;
	a.has_id = true;
	t->answered = true;
	engine_answer(w->e, t->w, &a, w->now);
	engine_check(w->e);
}

static inline void world_ok(struct world *w, struct told_call *t)
{
	world_answer_as(w, t, (struct answer){.kind = ANSWER_OK, .payload = SLICE("{\"a\":1.10}"), .retry_after_ms = TIME_NONE});
}

/* Every started worker that has not been answered yet comes up. */
static void world_workers_up(struct world *w)
{
	size_t n = w->nstarted;

	for (size_t i = 0; i < n; i++)
		engine_started(w->e, w->started[i], 1, w->now);
	for (size_t i = 0; i < w->ncalls; i++)
		if (w->calls[i].call.kind == CALL_PING && !w->calls[i].answered)
			world_answer_as(w, &w->calls[i],
				(struct answer){
					.kind = ANSWER_OK,
					.concurrency = w->concurrency,
					.capabilities = w->capabilities,
					.retry_after_ms = TIME_NONE,
				});
	w->nstarted -= n; /* others may have been started meanwhile */
	memmove(w->started, w->started + n, w->nstarted * sizeof(w->started[0]));
}

static void world_assign_at(struct world *w, int partition, int64_t offset, const char *metadata)
{
	struct committed c;

	w->tp[partition] = (struct tp){w->cfg.npools == 2 && partition >= WORLD_OTHERS ? 1 : 0, partition, ++w->epoch};
	w->next_offset[partition] = offset;
	c = (struct committed){.tp = w->tp[partition], .offset = offset, .metadata = slice_of(metadata)};
	engine_assigned(w->e, &w->tp[partition], 1, w->now);
	engine_offsets(w->e, &c, 1, w->now);
	engine_check(w->e);
}

static void world_send_to(struct world *w, int partition, const char *session, const char *json)
{
	struct message m = {
		.source = {w->tp[partition], w->next_offset[partition]++},
		.timestamp_ms = 1700000000000,
		.key = slice_of(session),
		.value = slice_of(json),
		.headers = {"", 0},
	};

	engine_receive(w->e, &m, w->now);
	engine_check(w->e);
}

static void world_send(struct world *w, const char *session, const char *json)
{
	world_send_to(w, 0, session, json);
}

static inline void world_ack(struct world *w)
{
	for (size_t i = 0; i < w->nrecords; i++) {
		if (w->acked[i])
			continue;
		w->acked[i] = true;
		engine_delivered(w->e, w->records[i].serial, DELIVERY_OK, w->now);
	}
	engine_check(w->e);
}

/* The commit that is in flight, if there is one, is accepted. */
static inline void world_committed(struct world *w)
{
	if (w->ncommitted == w->ncommits)
		return;
	w->ncommitted = w->ncommits;
	engine_committed(w->e, w->commits[w->ncommits - 1].id, NULL, 0, w->now);
	engine_check(w->e);
}

static inline struct told_call *world_last(struct world *w, enum call_kind kind)
{
	for (size_t i = w->ncalls; i-- > 0;)
		if (w->calls[i].call.kind == kind)
			return &w->calls[i];
	return NULL;
}

static inline size_t world_count(const struct world *w, enum call_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < w->ncalls; i++)
		n += w->calls[i].call.kind == kind;
	return n;
}

static inline const char *world_text(struct world *w, size_t record, const char *field)
{
	return json_string_value(json_object_get(w->results[record], field));
}

static inline const char *world_code(struct world *w, size_t record)
{
	return json_string_value(json_object_get(json_object_get(w->results[record], "error"), "code"));
}

static inline void world_die(struct world *w, struct slot_ref ref)
{
	struct exit_report x = {.signal = 11};

	engine_fault(w->e, ref, FAULT_EOF, SLICE(""), w->now);
	engine_check(w->e);
	engine_gone(w->e, ref, &x, w->now);
	engine_check(w->e);
}

#endif
