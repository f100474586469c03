/* flow.c: the two translations: events of Kafka and workers -> engine; orders of the engine -> consumer, producer, adapters,
 * health.
 *
 * The engine is called from callbacks of the loop only. Its port functions below never call it back: `inside` proves that. */
#include "flow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/base/random.h"
#include "bridgepool/core/view.h"
#include "bridgepool/wire/pairs.h"
#include "journal.h"
#include "notes.h"

enum {
	HEALTH_RING = 1024, /* events kept while the broker is away */
};
static const int64_t STALL_US = SECOND_US / 4; /* a timer that is so late: it was we who did not run */

struct flow {
	uv_loop_t *loop;
	const struct settings *settings;
	const struct wiring *wiring;
	struct flow_events events;
	struct codec *codec;
	struct engine *engine;
	struct consumer *consumer;
	struct producer *producer;
	struct health *health;
	struct adapter **adapters; /* by pool */
	size_t nadapters;
	struct journal *journal;
	uv_prepare_t prepare;
	uv_timer_t timer, beat;
	int64_t armed_for; /* what `timer` waits for; INT64_MAX: nothing */
	bool starved;      /* the consumer was told that no message is taken */
	bool stalled;      /* the last turn found that we had stood still */
	bool inside;       /* the engine is being called */
	bool started, draining, consumer_closed, closing;
};

/* Every call of the engine stands between enter and leave. */
static int64_t flow_enter(struct flow *f)
{
	CHECK(!f->inside);
	f->inside = true;
	return clock_mono_us();
}

static void flow_exit(struct flow *f)
{
	f->inside = false;
}

/* ---- notes -> journal and health ---- */

static bool emit_health(void *ctx, struct slice key, struct slice value, enum encoding encoding)
{
	struct flow *f = ctx;
	struct buf headers;
	bool sent;

	if (!f->producer)
		return false;
	buf_init(&headers, 256);
	pairs_add(&headers, SLICE("content-type"), slice_of(codec_content_type(encoding)));
	sent = producer_send(f->producer, f->settings->kafka.health,
		&(struct record){.key = key, .value = value, .headers = buf_slice(&headers)});
	buf_free(&headers);
	return sent;
}

void flow_note(struct flow *f, const struct note *n)
{
	struct health_fields event;
	struct note_words words;

	journal_note(f->journal, n, f->draining);
	if (notes_row(n->kind)->kind != KIND_UNKNOWN) {
		notes_event(f->settings, n, f->draining, &words, &event);
		health_event(f->health, &event, clock_wall_ms());
	}
	f->events.note(f->events.ctx, n);
}

/* ---- port of the engine ---- */

static void port_read_offsets(void *ctx, const struct tp *tp, size_t n)
{
	consumer_read_offsets(((struct flow *)ctx)->consumer, tp, n);
}

static void port_release(void *ctx)
{
	consumer_release(((struct flow *)ctx)->consumer);
}

static void port_hold(void *ctx, struct tp tp, bool on)
{
	consumer_hold(((struct flow *)ctx)->consumer, tp, on);
}

static void port_commit(void *ctx, const struct commit *c)
{
	consumer_commit(((struct flow *)ctx)->consumer, c);
}

static bool port_produce(void *ctx, const struct record *r)
{
	struct flow *f = ctx;
	const char *topic[] = {
		[RECORD_RESULT] = f->settings->kafka.results,
		[RECORD_DEAD_LETTER] = f->settings->kafka.dead_letters,
	};

	return f->producer && producer_send(f->producer, topic[r->kind], r);
}

static void port_worker_start(void *ctx, struct slot_ref w)
{
	struct flow *f = ctx;

	if (!f->closing)
		adapter_start(f->adapters[w.pool], w);
}

static void port_worker_call(void *ctx, struct slot_ref w, const struct call *c)
{
	struct flow *f = ctx;

	if (!f->closing)
		adapter_call(f->adapters[w.pool], w, c);
}

static void port_worker_stop(void *ctx, struct slot_ref w, enum stop_step step)
{
	struct flow *f = ctx;

	if (!f->closing)
		adapter_stop(f->adapters[w.pool], w, step);
}

static void port_note(void *ctx, const struct note *n)
{
	flow_note(ctx, n);
}

/* ---- events of Kafka ---- */

static void on_assigned(void *ctx, const struct tp *tp, size_t n)
{
	struct flow *f = ctx;
	int64_t now = flow_enter(f);

	engine_assigned(f->engine, tp, n, now);
	flow_exit(f);
	f->events.assigned(f->events.ctx);
}

static void on_revoked(void *ctx, const struct tp *tp, size_t n, bool lost)
{
	struct flow *f = ctx;
	int64_t now = flow_enter(f);

	engine_revoked(f->engine, tp, n, lost, now);
	flow_exit(f);
}

static void on_offsets(void *ctx, const struct committed *c, size_t n)
{
	struct flow *f = ctx;
	int64_t now = flow_enter(f);

	engine_offsets(f->engine, c, n, now);
	flow_exit(f);
}

static bool on_wants(void *ctx)
{
	struct flow *f = ctx;
	bool takes = engine_takes(f->engine);

	f->starved = !takes;
	return takes;
}

static void on_message(void *ctx, const struct message *m)
{
	struct flow *f = ctx;
	int64_t now = flow_enter(f);

	engine_receive(f->engine, m, now);
	flow_exit(f);
}

static void on_committed(void *ctx, uint64_t commit, const struct tp_fault *faults, size_t n)
{
	struct flow *f = ctx;
	int64_t now = flow_enter(f);

	engine_committed(f->engine, commit, faults, n, now);
	flow_exit(f);
}

static void on_delivered(void *ctx, uint64_t serial, enum delivery d)
{
	struct flow *f = ctx;
	int64_t now = flow_enter(f);

	engine_delivered(f->engine, serial, d, now);
	flow_exit(f);
}

/* To the engine this partition is an idle one: it has no note for it. */
static void tell_unreadable(struct flow *f, const char *why)
{
	const struct health_fields event = {.kind = KIND_PARTITION_STUCK, .severity = SEVERITY_ERROR, .reason = slice_of(why)};

	health_event(f->health, &event, clock_wall_ms());
}

static void on_fault(void *ctx, enum kafka_fault fault, const char *why)
{
	struct flow *f = ctx;

	if (f->started ||
		(fault != KAFKA_UNREACHABLE && fault != KAFKA_REACHABLE)) /* else the daemon waits for one, and says so */
		journal_fault(f->journal, fault, why ? why : "");
	if (fault == KAFKA_UNREADABLE)
		tell_unreadable(f, why);
	if (fault == KAFKA_REACHABLE)
		health_retry(f->health);
	f->events.fault(f->events.ctx, fault, why ? why : "");
}

static void on_room(void *ctx)
{
	health_retry(((struct flow *)ctx)->health);
}

static void on_closed(void *ctx)
{
	struct flow *f = ctx;

	f->consumer_closed = true;
}

static void on_out(void *ctx, const char *why)
{
	struct flow *f = ctx;

	f->events.out(f->events.ctx, why);
}

static void on_left(void *ctx)
{
	struct flow *f = ctx;

	f->events.closed(f->events.ctx);
}

/* ---- events of workers ---- */

static void on_started(void *ctx, struct slot_ref w, int pid)
{
	struct flow *f = ctx;
	char id[WORKER_ID_MAX];
	int64_t now;

	notes_worker_id(f->settings, w, id);
	const struct log_word words[] = {{.name = "worker", .text = slice_of(id)}, {.name = "pid", .number = pid}};
	log_write(&(struct log_entry){
		.level = LOG_DEBUG,
		.event = "worker_started",
		.sentence = SLICE("a worker process was started"),
		.words = words,
		.nwords = 2,
	});
	now = flow_enter(f);
	engine_started(f->engine, w, pid, now);
	flow_exit(f);
}

static void on_answer(void *ctx, struct slot_ref w, const struct answer *a)
{
	struct flow *f = ctx;
	int64_t now = flow_enter(f);

	engine_answer(f->engine, w, a, now);
	flow_exit(f);
}

static void on_worker_fault(void *ctx, struct slot_ref w, enum worker_fault fault, struct slice detail)
{
	struct flow *f = ctx;
	int64_t now = flow_enter(f);

	engine_fault(f->engine, w, fault, detail, now);
	flow_exit(f);
	if (fault == FAULT_EXEC)
		f->events.exec_failed(f->events.ctx, w, detail);
}

static void on_gone(void *ctx, struct slot_ref w, const struct exit_report *x)
{
	struct flow *f = ctx;
	int64_t now = flow_enter(f);

	engine_gone(f->engine, w, x, now);
	flow_exit(f);
}

static void on_memory(void *ctx, struct slot_ref w, uint64_t bytes)
{
	struct flow *f = ctx;
	int64_t now = flow_enter(f);

	engine_memory(f->engine, w, bytes, now);
	flow_exit(f);
}

static void on_line(void *ctx, struct slot_ref w, struct slice line)
{
	journal_line(((struct flow *)ctx)->journal, w, line);
}

/* ---- the turn ---- */

static void on_timer(uv_timer_t *timer)
{
	struct flow *f = timer->data;

	f->armed_for = INT64_MAX; /* it has only woken the loop; flow_turn does the work */
}

static void turn_arm(struct flow *f, int64_t now)
{
	int64_t next = engine_next(f->engine);

	if (next == f->armed_for)
		return;
	f->armed_for = next;
	if (next == INT64_MAX) {
		uv_timer_stop(&f->timer);
		return;
	}
	uv_update_time(f->loop); /* uv_timer_start counts from the loop's own, cached time */
	uv_timer_start(&f->timer, on_timer, next <= now ? 0 : (uint64_t)((next - now + MS_US - 1) / MS_US), 0);
}

/* Whoever was stopped (SIGSTOP, a frozen container, a machine without a free core) finds everybody's time over, and the answers
 * that came in time still in their pipes. Those are read first: one turn without timers. */
static bool turn_after_stall(struct flow *f, int64_t now)
{
	f->stalled = !f->stalled && now - engine_next(f->engine) > STALL_US;
	return f->stalled;
}

/* Once per turn, before the loop waits: time first, then whether messages are taken again, then what all callbacks of the last
 * turn had to say to workers. */
static void flow_turn(uv_prepare_t *prepare)
{
	struct flow *f = prepare->data;
	int64_t now;

	f->events.turn(f->events.ctx);
	if (f->closing)
		return;
	now = flow_enter(f);
	engine_clock(f->engine, clock_wall_ms(), now);
	if (!turn_after_stall(f, now) && engine_next(f->engine) <= now)
		engine_tick(f->engine, now);
	flow_exit(f);
	turn_arm(f, now);
	if (f->starved && engine_takes(f->engine)) {
		f->starved = false;
		consumer_kick(f->consumer);
	}
	for (size_t i = 0; i < f->nadapters; i++)
		adapter_flush(f->adapters[i]);
}

static void beat(struct flow *f)
{
	struct snapshot snapshot;

	health_retry(f->health);
	engine_snapshot(f->engine, clock_mono_us(), &snapshot);
	snapshot.heartbeat_ms = f->settings->health.heartbeat / MS_US;
	health_beat(f->health, &snapshot, clock_wall_ms());
	snapshot_free(&snapshot);
}

static void on_beat(uv_timer_t *timer)
{
	beat(timer->data);
}

static void arm_beat(struct flow *f)
{
	uint64_t ms = (uint64_t)(f->settings->health.heartbeat / MS_US);

	uv_timer_stop(&f->beat);
	uv_timer_set_repeat(&f->beat, ms);
	if (ms)
		uv_timer_start(&f->beat, on_beat, ms, ms);
}

/* Whoever reads the heartbeats waits for the next one as long as the last one said: a changed interval is told at once. */
static void change_beat(struct flow *f)
{
	if (uv_timer_get_repeat(&f->beat) == (uint64_t)(f->settings->health.heartbeat / MS_US))
		return;
	beat(f);
	arm_beat(f);
}

/* ---- life ---- */

static bool open_adapters(struct flow *f, char *errstr, size_t size)
{
	const struct worker_events ev = {f, on_started, on_answer, on_worker_fault, on_gone, on_line, on_memory};
	char why[512];

	f->adapters = xcalloc(f->settings->pools.n, sizeof *f->adapters);
	for (size_t i = 0; i < f->settings->pools.n; i++) {
		const struct pool_settings *p = settings_pool(f->settings, i);
		struct adapter_config c = wiring_adapter(p);
		f->adapters[i] = adapter_new(f->loop, &c, &ev, why, sizeof why);
		if (!f->adapters[i]) {
			snprintf(errstr, size, "pool \"%s\": %s", p->name, why);
			return false;
		}
		f->nadapters++;
	}
	return true;
}

static bool open_kafka(struct flow *f, bool *lacks, char *errstr, size_t size)
{
	const struct consumer_events cev = {f, on_assigned, on_revoked, on_offsets, on_wants, on_message, on_committed, on_fault,
		on_closed, on_out, on_left};
	const struct producer_events pev = {f, on_delivered, on_fault, on_room};

	f->producer = producer_new(f->loop, &f->wiring->producer, &pev, errstr, size);
	if (!f->producer) {
		*lacks = errno != 0;
		return false;
	}
	producer_prepare(f->producer, f->settings->kafka.results);
	producer_prepare(f->producer, f->settings->kafka.dead_letters);
	f->consumer = consumer_new(f->loop, &f->wiring->consumer, &cev, errstr, size);
	*lacks = !f->consumer && errno != 0;
	return f->consumer != NULL;
}

static void open_handles(struct flow *f)
{
	uv_prepare_init(f->loop, &f->prepare);
	uv_timer_init(f->loop, &f->timer);
	uv_timer_init(f->loop, &f->beat);
	f->prepare.data = f->timer.data = f->beat.data = f;
}

static void open_engine(struct flow *f)
{
	const struct port port = {f, port_read_offsets, port_release, port_hold, port_commit, port_produce, port_worker_start,
		port_worker_call, port_worker_stop, port_note};

	f->engine = engine_new(&f->wiring->engine, &port, f->codec, random_entropy(), clock_mono_us());
}

struct flow *flow_new(uv_loop_t *loop, const struct settings *s, const struct wiring *w, const struct identity *id,
	const struct flow_events *ev, bool *lacks, char *errstr, size_t size)
{
	struct flow *f = xcalloc(1, sizeof *f);
	const struct health_config health = {id->instance, id->incarnation, id->host, w->health_encoding, HEALTH_RING};

	*lacks = false;
	f->loop = loop;
	f->settings = s;
	f->journal = journal_new(s);
	f->wiring = w;
	f->events = *ev;
	f->armed_for = INT64_MAX;
	open_handles(f);
	f->codec = codec_new(&w->codec, errstr, size);
	if (f->codec && open_adapters(f, errstr, size) && open_kafka(f, lacks, errstr, size)) {
		f->health = health_new(&health, f->codec, emit_health, f);
		open_engine(f);
		return f;
	}
	flow_close(f);
	while (uv_run(loop, UV_RUN_DEFAULT))
		;
	flow_free(f);
	return NULL;
}

const struct engine *flow_engine(const struct flow *f)
{
	return f->engine;
}

void flow_start(struct flow *f)
{
	int64_t now;

	f->started = true;
	uv_prepare_start(&f->prepare, flow_turn);
	arm_beat(f);
	now = flow_enter(f);
	engine_clock(f->engine, clock_wall_ms(), now);
	engine_start(f->engine, now);
	flow_exit(f);
}

bool flow_ready(const struct flow *f)
{
	return engine_ready(f->engine);
}

uint64_t flow_health_dropped(const struct flow *f)
{
	return health_dropped(f->health);
}

void flow_subscribe(struct flow *f)
{
	consumer_subscribe(f->consumer);
}

/* They were looked at before; should they not fit any more, those that are started are as before. */
static void reconfigure(struct flow *f, size_t pool)
{
	const struct pool_settings *p = settings_pool(f->settings, pool);
	struct adapter_config c = wiring_adapter(p);
	char why[512];

	if (!adapter_reconfigure(f->adapters[pool], &c, why, sizeof why))
		log_line(LOG_ERROR, "reload", "pool \"%s\": %s; its workers are started as before", p->name, why);
}

void flow_retune(struct flow *f, const bool *rolls)
{
	int64_t now;

	for (size_t i = 0; i < f->nadapters; i++)
		if (rolls[i])
			reconfigure(f, i);
	change_beat(f);
	now = flow_enter(f);
	engine_retune(f->engine, &f->wiring->engine, now);
	for (size_t i = 0; i < f->nadapters; i++)
		if (rolls[i])
			engine_roll(f->engine, (uint16_t)i, now);
	flow_exit(f);
}

void flow_roll(struct flow *f)
{
	int64_t now = flow_enter(f);

	for (size_t i = 0; i < f->settings->pools.n; i++)
		engine_roll(f->engine, (uint16_t)i, now);
	flow_exit(f);
}

void flow_drain(struct flow *f, int64_t until_us)
{
	int64_t now = flow_enter(f);

	f->draining = true;
	engine_drain(f->engine, until_us, now);
	flow_exit(f);
}

bool flow_drained(const struct flow *f)
{
	return engine_drained(f->engine);
}

void flow_leave(struct flow *f)
{
	consumer_close(f->consumer);
}

bool flow_idle(const struct flow *f)
{
	return engine_idle(f->engine);
}

bool flow_flushed(const struct flow *f)
{
	return producer_pending(f->producer) == 0;
}

void flow_close(struct flow *f)
{
	CHECK(!f->closing);
	f->closing = true;
	uv_close((uv_handle_t *)&f->prepare, NULL);
	uv_close((uv_handle_t *)&f->timer, NULL);
	uv_close((uv_handle_t *)&f->beat, NULL);
	for (size_t i = 0; i < f->nadapters; i++)
		adapter_close(f->adapters[i]);
	if (f->consumer && !f->consumer_closed)
		consumer_close(f->consumer);
	if (f->producer)
		producer_close(f->producer);
	f->producer = NULL;
}

void flow_free(struct flow *f)
{
	if (f->consumer)
		consumer_free(f->consumer);
	if (f->engine)
		engine_free(f->engine);
	if (f->health)
		health_free(f->health);
	if (f->codec)
		codec_free(f->codec);
	journal_free(f->journal);
	free(f->adapters);
	free(f);
}
