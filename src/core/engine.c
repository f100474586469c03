/* engine.c: the door of the room: each call sets the time, does its part, and ends with the same settling round. */
#include "bridgepool/core/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mutant.h"
#include "state.h"

enum { CREDIT = 256, LEAVING_AT_ONCE = 64 };
static const int64_t watch_us = SECOND_US, stuck_us = 300 * SECOND_US;
static const int64_t acks_wait_us = 5 * SECOND_US, drain_commit_wait_us = 10 * SECOND_US;

/* ---- the life of the engine itself ---- */

static const char *keep(struct engine *e, const char *text)
{
	if (text == NULL)
		return NULL;
	e->strings = xrealloc(e->strings, (e->nstrings + 1) * sizeof(*e->strings));
	return e->strings[e->nstrings++] = xstrdup(text);
}

static const char *const *keep_list(struct engine *e, const char *const *list, size_t n)
{
	const char **kept = xcalloc(n + 1, sizeof(*kept));

	for (size_t i = 0; i < n; i++)
		kept[i] = keep(e, list[i]);
	return kept;
}

static void keep_config(struct engine *e, const struct engine_config *cfg)
{
	struct pool_config *pools = xcalloc(cfg->npools, sizeof(*pools));
	struct source_config *sources = xcalloc(cfg->nsources, sizeof(*sources));

	e->cfg = *cfg;
	e->cfg.instance_id = keep(e, cfg->instance_id);
	for (size_t i = 0; i < cfg->npools; i++) {
		pools[i] = cfg->pools[i];
		pools[i].name = keep(e, cfg->pools[i].name);
	}
	for (size_t i = 0; i < cfg->nsources; i++) {
		CHECK(cfg->sources[i].pool < cfg->npools);
		sources[i] = cfg->sources[i];
		sources[i].topic = keep(e, cfg->sources[i].topic);
		sources[i].commands = keep_list(e, cfg->sources[i].commands, cfg->sources[i].ncommands);
	}
	e->cfg.pools = pools;
	e->cfg.sources = sources;
	e->cfg.copy_headers = keep_list(e, cfg->copy_headers, cfg->ncopy_headers);
}

static void free_config(struct engine *e)
{
	for (size_t i = 0; i < e->cfg.nsources; i++)
		free((void *)(uintptr_t)e->cfg.sources[i].commands);
	free((void *)(uintptr_t)e->cfg.pools);
	free((void *)(uintptr_t)e->cfg.sources);
	free((void *)(uintptr_t)e->cfg.copy_headers);
	for (size_t i = 0; i < e->nstrings; i++)
		free(e->strings[i]);
	free(e->strings);
}

static void leave_fired(struct engine *e, struct timer *t)
{
	struct session *s;

	for (int i = 0; i < LEAVING_AT_ONCE && (s = TAILQ_FIRST(&e->leaving)) != NULL; i++)
		session_end(e, s, END_PARTITION);
	if (!TAILQ_EMPTY(&e->leaving))
		timers_arm(&e->timers, t, e->now + MS_US);
}

static void drain_fired(struct engine *e, struct timer *t)
{
	(void)e; /* drain_progress runs at the end of every turn */
	(void)t;
}

static bool pressed(const struct engine *e)
{
	const struct partition *p;

	if (!budget_open(&e->budget))
		return true;
	TAILQ_FOREACH(p, &e->partitions, all)
		if (p->held)
			return true;
	return false;
}

/* Told when it has lasted from one look to the next, so that a busy second is not an event. */
static void watch_pressure(struct engine *e)
{
	struct note n = {.kind = NOTE_BACKPRESSURE, .from = HEALTH_READY, .to = HEALTH_DEGRADED,
		.reason = SLICE("requests wait in Kafka: the memory limit, a partition's share or its window is reached")};
	bool now = pressed(e);

	if (now == e->pressure || now != e->pressed_before) {
		e->pressed_before = now;
		return;
	}
	e->pressure = now;
	if (!now) {
		n.from = HEALTH_DEGRADED;
		n.to = HEALTH_READY;
		n.reason = SLICE("requests are read again");
	}
	engine_note(e, &n);
}

static void watch_stuck(struct engine *e, struct partition *p)
{
	struct note n = {.kind = NOTE_PARTITION_STUCK, .tp = p->tp, .count = (e->now - p->moved_at) / MS_US};

	if (p->nrequests == 0 && p->unacked == 0)
		p->moved_at = e->now;
	if (e->now - p->moved_at < stuck_us) {
		p->stuck_told = false;
	} else if (!p->stuck_told) {
		p->stuck_told = true;
		engine_note(e, &n);
	}
}

static void watch_fired(struct engine *e, struct timer *t)
{
	struct partition *p;
	bool busy = e->pressure || e->pressed_before;

	watch_pressure(e);
	TAILQ_FOREACH(p, &e->partitions, all) {
		watch_stuck(e, p);
		busy |= p->nrequests > 0 || p->unacked > 0;
	}
	if (busy)
		timers_arm(&e->timers, t, e->now + watch_us);
}

struct engine *engine_new(const struct engine_config *cfg, const struct port *port, struct codec *codec, uint64_t seed, int64_t now)
{
	struct engine *e = xcalloc(1, sizeof(*e));

	CHECK(cfg->npools > 0 && cfg->nsources > 0 && cfg->window_cap >= 16 && cfg->window_cap <= OFFSETMAP_SPAN_MAX);
	keep_config(e, cfg);
	e->port = *port;
	e->codec = codec;
	e->now = now;
	random_seed(&e->random, seed);
	e->sessions.seed = random_next(&e->random);
	e->budget.limit = cfg->memory_limit;
	TAILQ_INIT(&e->partitions);
	TAILQ_INIT(&e->leaving);
	outbox_init(&e->outbox);
	e->commit_timer.fire = commit_timer_fired;
	e->closing.timer.fire = closing_timer_fired;
	e->drain.timer.fire = drain_fired;
	e->leave_timer.fire = leave_fired;
	e->watch_timer.fire = watch_fired;
	e->pools = xcalloc(cfg->npools, sizeof(*e->pools));
	for (size_t i = 0; i < cfg->npools; i++)
		pool_init(e, &e->pools[i], (uint16_t)i, &cfg->pools[i]);
	return e;
}

static void free_sessions(struct engine *e)
{
	for (int i = 0; i < SESSION_SHARDS; i++) {
		struct session *s, *next;

		HASH_ITER(hh, e->sessions.shard[i], s, next)
		{
			HASH_DELETE(hh, e->sessions.shard[i], s);
			free(s);
		}
	}
}

/* Nothing is settled on the way: this is the end, also in the middle of everything. */
void engine_free(struct engine *e)
{
	struct partition *p;
	struct request *r;

	if (e == NULL)
		return;
	outbox_cleanup(e);
	TAILQ_FOREACH(p, &e->partitions, all) {
		while ((r = TAILQ_FIRST(&p->requests)) != NULL) {
			TAILQ_REMOVE(&p->requests, r, of_partition);
			timers_disarm(&e->timers, &r->timer);
			if (r->session != NULL && r->session->anonymous && r->session->call == NULL)
				free(r->session);
			r->place = PLACE_NONE;
			request_free(r);
		}
	}
	for (size_t i = 0; i < e->cfg.npools; i++)
		pool_cleanup(e, &e->pools[i]);
	free_sessions(e);
	while ((p = TAILQ_FIRST(&e->partitions)) != NULL) {
		TAILQ_REMOVE(&e->partitions, p, all);
		free(p);
	}
	free(e->pools);
	timers_free(&e->timers);
	free_config(e);
	free(e);
}

/* ---- every call ---- */

static void enter(struct engine *e, int64_t now)
{
	CHECK(!e->inside && now >= e->now);
	e->inside = true;
	e->now = now;
}

static size_t running(const struct engine *e)
{
	const struct partition *p;
	size_t n = 0;

	TAILQ_FOREACH(p, &e->partitions, all)
		n += p->running;
	return n;
}

static void drop_running(struct engine *e)
{
	struct partition *p;
	struct request *r;

	TAILQ_FOREACH(p, &e->partitions, all) {
		while ((r = TAILQ_FIRST(&p->requests)) != NULL) {
			window_put_back(&p->window, r->m.source.offset);
			dispatch_orphan(e, r->session->call, "shutdown");
		}
	}
}

static void drain_progress(struct engine *e)
{
	struct drain *d = &e->drain;

	if (!d->active || d->done)
		return;
	if (running(e) > 0 && e->now < d->until) {
		timers_arm(&e->timers, &d->timer, d->until);
		return;
	}
	drop_running(e);
	if (!outbox_empty(&e->outbox) && e->now < d->until + acks_wait_us) {
		timers_arm(&e->timers, &d->timer, d->until + acks_wait_us);
		return;
	}
	commit_now(e);
	if (commit_pending(e) && e->now < d->until + drain_commit_wait_us) {
		timers_arm(&e->timers, &d->timer, d->until + drain_commit_wait_us);
		return;
	}
	d->done = true;
	timers_disarm(&e->timers, &d->timer);
	for (size_t i = 0; i < e->cfg.npools; i++) {
		for (uint32_t k = 0; k < e->pools[i].cfg.size; k++)
			slot_stop(e, &e->pools[i].slots[k], STOPPED_DRAIN, "shutdown");
		pool_judge(e, &e->pools[i]);
	}
}

/* What every call ends with: work to whoever has room, records out, and whoever waits for the end of something is looked at. */
static void leave(struct engine *e)
{
	for (size_t i = 0; i < e->cfg.npools; i++)
		pool_feed(e, &e->pools[i]);
	outbox_pump(e);
	closing_progress(e);
	drain_progress(e);
	e->inside = false;
}

void engine_note(struct engine *e, const struct note *n)
{
	e->port.note(e->port.ctx, n);
}

struct slot *engine_slot(struct engine *e, struct slot_ref ref)
{
	struct slot *w;

	if (ref.pool >= e->cfg.npools || ref.slot >= e->pools[ref.pool].cfg.size) {
		e->counters.stale++;
		return NULL;
	}
	w = &e->pools[ref.pool].slots[ref.slot];
	if ((w->ref.generation != ref.generation && !MUTANT(2)) || w->state == HEALTH_TERMINATED) {
		e->counters.stale++;
		return NULL;
	}
	return w;
}

void engine_clock(struct engine *e, int64_t wall, int64_t now)
{
	e->wall_offset_ms = wall - now / MS_US;
}

void engine_start(struct engine *e, int64_t now)
{
	enter(e, now);
	e->started = true;
	for (size_t i = 0; i < e->cfg.npools; i++)
		pool_reconcile(e, &e->pools[i]);
	leave(e);
}

/* ---- Kafka says ---- */

static bool among(const struct partition *p, const struct tp *tp, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (tp[i].topic == p->tp.topic && tp[i].partition == p->tp.partition)
			return true;
	return false;
}

void engine_assigned(struct engine *e, const struct tp *tp, size_t n, int64_t now)
{
	struct partition *p, *next;

	enter(e, now);
	for (p = TAILQ_FIRST(&e->partitions); p != NULL; p = next) {
		next = TAILQ_NEXT(p, all);
		if (p->state == PARTITION_SUSPENDED && !among(p, tp, n))
			partition_drop(e, p); /* it went elsewhere */
	}
	for (size_t i = 0; i < n; i++)
		partition_assigned(e, tp[i]);
	if (n > 0)
		e->port.read_offsets(e->port.ctx, tp, n);
	leave(e);
}

void engine_offsets(struct engine *e, const struct committed *c, size_t n, int64_t now)
{
	enter(e, now);
	for (size_t i = 0; i < n; i++)
		partition_offsets(e, &c[i]);
	leave(e);
}

static void revoke(struct engine *e, struct tp tp, bool lost)
{
	struct partition *p = partition_get(e, tp.topic, tp.partition);
	struct note n = {.kind = lost ? NOTE_PARTITION_LOST : NOTE_PARTITION_REVOKED, .tp = tp};

	if (p == NULL || p->tp.epoch != tp.epoch) {
		e->counters.stale++;
		return;
	}
	n.count = (int64_t)(p->nrequests - p->running);
	engine_note(e, &n);
	if (lost || p->state == PARTITION_WAITING_MAP) {
		partition_drop(e, p);
		return;
	}
	partition_put_back(e, p);
	p->state = PARTITION_CLOSING;
	p->held = false;
}

void engine_revoked(struct engine *e, const struct tp *tp, size_t n, bool lost, int64_t now)
{
	enter(e, now);
	for (size_t i = 0; i < n; i++)
		revoke(e, tp[i], lost);
	if (e->closing.active) { /* a second revoke before the first was answered: one answer each */
		e->closing.active = false;
		e->port.release(e->port.ctx);
	}
	e->closing.active = true;
	e->closing.lost = lost;
	e->closing.last_commit = 0;
	e->closing.until = lost ? now : now + e->cfg.drain_revoke_us;
	leave(e);
}

size_t engine_credit(const struct engine *e)
{
	return e->drain.active || !budget_open(&e->budget) ? 0 : CREDIT;
}

void engine_receive(struct engine *e, const struct message *m, int64_t now)
{
	struct partition *p;

	enter(e, now);
	p = partition_get(e, m->source.tp.topic, m->source.tp.partition);
	if (p == NULL || (p->tp.epoch != m->source.tp.epoch && !MUTANT(6)) || p->state != PARTITION_ACTIVE || e->drain.active) {
		e->counters.stale++;
	} else {
		if (e->watch_timer.place == 0)
			timers_arm(&e->timers, &e->watch_timer, now + watch_us);
		partition_receive(e, p, m);
	}
	leave(e);
}

void engine_delivered(struct engine *e, uint64_t serial, enum delivery d, int64_t now)
{
	enter(e, now);
	outbox_delivered(e, serial, d);
	leave(e);
}

void engine_committed(struct engine *e, uint64_t id, const struct tp_fault *faults, size_t n, int64_t now)
{
	enter(e, now);
	commit_answered(e, id, faults, n);
	leave(e);
}

/* ---- workers say ---- */

void engine_started(struct engine *e, struct slot_ref ref, int64_t now)
{
	struct slot *w;

	enter(e, now);
	w = engine_slot(e, ref);
	if (w != NULL && w->state == HEALTH_INITIALIZING)
		slot_ping(e, w, true);
	leave(e);
}

static void protocol_fault(struct engine *e, struct slot *w, const char *reason)
{
	struct note n = {.kind = NOTE_WORKER_PROTOCOL, .worker = w->ref, .has_pool = true, .reason = slice_of(reason)};

	engine_note(e, &n);
	slot_stop(e, w, STOPPED_FAULT, reason);
}

void engine_answer(struct engine *e, struct slot_ref ref, const struct answer *a, int64_t now)
{
	struct call_entry *c = NULL;
	struct slot *w;

	enter(e, now);
	w = engine_slot(e, ref);
	if (w == NULL) {
		leave(e);
		return;
	}
	switch (a->has_id ? slot_match(w, a->id, &c) : MATCH_NEVER) {
	case MATCH_NEVER:
		protocol_fault(e, w, a->has_id ? "it answered an id that was never issued" : "it sent a frame that is no answer: no id can be read");
		break;
	case MATCH_LATE:
		e->counters.late_answers++;
		break;
	case MATCH_FOUND:
		if (c->kind == CALL_PING)
			slot_pong(e, c, a);
		else if (a->kind != ANSWER_PARTIAL)
			dispatch_answer(e, c, a);
	}
	leave(e);
}

void engine_fault(struct engine *e, struct slot_ref ref, enum worker_fault f, struct slice detail, int64_t now)
{
	static const char *const reasons[] = {[FAULT_EXEC] = "it could not be started", [FAULT_EOF] = "its stdout ended", [FAULT_WRITE] = "its stdin broke",
		[FAULT_FRAME] = "its stdout is no stream of frames"};
	struct slot *w;

	enter(e, now);
	w = engine_slot(e, ref);
	if (w != NULL) {
		struct note n = {.kind = NOTE_WORKER_PROTOCOL, .worker = w->ref, .has_pool = true, .reason = detail};

		if (f == FAULT_FRAME)
			engine_note(e, &n);
		slot_stop(e, w, STOPPED_FAULT, reasons[f]);
	}
	leave(e);
}

void engine_gone(struct engine *e, struct slot_ref ref, const struct exit_report *x, int64_t now)
{
	struct slot *w;

	enter(e, now);
	w = engine_slot(e, ref);
	if (w != NULL)
		slot_gone(e, w, x);
	leave(e);
}

/* ---- time, life, views ---- */

int64_t engine_next(const struct engine *e)
{
	return timers_next(&e->timers);
}

void engine_tick(struct engine *e, int64_t now)
{
	struct timer *t;

	enter(e, now);
	while ((t = timers_due(&e->timers, now)) != NULL)
		t->fire(e, t);
	leave(e);
}

bool engine_ready(const struct engine *e, const char **why)
{
	for (size_t i = 0; i < e->cfg.npools; i++) {
		if (pool_ready(&e->pools[i]))
			continue;
		if (why != NULL)
			*why = e->pools[i].cfg.name;
		return false;
	}
	return true;
}

void engine_drain(struct engine *e, int64_t until, int64_t now)
{
	struct partition *p;

	enter(e, now);
	if (!e->drain.active) {
		e->drain.active = true;
		TAILQ_FOREACH(p, &e->partitions, all)
			if (p->state == PARTITION_ACTIVE || p->state == PARTITION_CLOSING)
				partition_put_back(e, p);
		for (size_t i = 0; i < e->cfg.npools; i++)
			pool_judge(e, &e->pools[i]);
	}
	e->drain.until = until;
	leave(e);
}

bool engine_drained(const struct engine *e)
{
	return e->drain.done;
}

bool engine_idle(const struct engine *e)
{
	if (!e->drain.done)
		return false;
	for (size_t i = 0; i < e->cfg.npools; i++)
		if (e->pools[i].by_state[HEALTH_TERMINATED] != e->pools[i].cfg.size)
			return false;
	return true;
}

void engine_worker_id(const struct engine *e, struct slot_ref w, char out[96])
{
	snprintf(out, 96, "%.60s/%u.%u", engine_pool_name(e, w.pool), w.slot, w.generation);
}

const char *engine_pool_name(const struct engine *e, uint16_t pool)
{
	return pool < e->cfg.npools ? e->cfg.pools[pool].name : "?";
}
