/* engine.c: the door of the room: each call sets the time, does its part, and ends with the same settling round. */
#include "bridgepool/core/engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "closing.h"
#include "commit.h"
#include "config.h"
#include "drain.h"
#include "mutant.h"
#include "partials.h"
#include "replace.h"
#include "resident.h"
#include "result.h"
#include "state.h"
#include "watch.h"

/* ---- the life of the engine itself ---- */

struct engine *engine_new(const struct engine_config *cfg, const struct port *port, struct codec *codec, uint64_t seed,
	int64_t now)
{
	struct engine *e = xcalloc(1, sizeof(*e));

	CHECK(cfg->npools > 0 && cfg->nsources > 0 && cfg->window_cap >= 16 && cfg->window_cap <= OFFSETMAP_SPAN_MAX);
	config_keep(e, cfg);
	e->attempts_ever = cfg->max_attempts;
	e->port = *port;
	e->codec = codec;
	e->now = now;
	random_seed(&e->random, seed);
	sessions_init(&e->sessions, random_next(&e->random));
	e->budget.limit = e->pool_share = cfg->memory_limit;
	TAILQ_INIT(&e->partitions);
	TAILQ_INIT(&e->gone);
	outbox_init(&e->outbox);
	buf_init(&e->value, SIZE_MAX);
	buf_init(&e->headers, SIZE_MAX);
	e->commit_timer.fire = commit_timer_fired;
	e->closing.timer.fire = closing_timer_fired;
	e->closing.end_timer.fire = closing_end_fired;
	e->drain.timer.fire = drain_timer_fired;
	e->gone_timer.fire = partition_gone_fired;
	e->watch_timer.fire = watch_timer_fired;
	result_count_dead(&e->dead_letters);
	e->pools = xcalloc(cfg->npools, sizeof(*e->pools));
	for (size_t i = 0; i < cfg->npools; i++)
		pool_init(&e->pools[i], (uint16_t)i, &cfg->pools[i]);
	return e;
}

static void free_partitions(struct partition_line *line)
{
	struct partition *p;
	struct request *r;

	while ((p = TAILQ_FIRST(line)) != NULL) {
		while ((r = TAILQ_FIRST(&p->requests)) != NULL) {
			TAILQ_REMOVE(&p->requests, r, of_partition);
			request_free(r);
		}
		TAILQ_REMOVE(line, p, all);
		free(p);
	}
}

/* Nothing is settled on the way: this is the end, also in the middle of everything. */
void engine_free(struct engine *e)
{
	if (e == NULL)
		return;
	outbox_cleanup(e);
	tally_cleanup(&e->dead_letters);
	free_partitions(&e->partitions);
	free_partitions(&e->gone);
	for (size_t i = 0; i < e->cfg.npools; i++)
		pool_cleanup(&e->pools[i]);
	sessions_cleanup(&e->sessions);
	free(e->pools);
	timers_free(&e->timers);
	buf_free(&e->value);
	buf_free(&e->headers);
	config_forget(e);
	free(e);
}

/* ---- every call ---- */

static void enter(struct engine *e, int64_t now)
{
	CHECK(!e->inside && now >= e->now);
	e->inside = true;
	e->now = now;
}

/* What every call ends with: work to whoever has room, records out, and whoever waits for the end of something is looked at. */
static void leave(struct engine *e)
{
	for (size_t i = 0; i < e->cfg.npools; i++)
		pool_settle(e, &e->pools[i]);
	outbox_pump(e);
	closing_progress(e);
	drain_progress(e);
	for (size_t i = 0; i < e->cfg.npools; i++)
		partition_fill(e, &e->pools[i]);
	e->inside = false;
}

void engine_note(struct engine *e, const struct note *n)
{
	e->port.note(e->port.ctx, n);
}

void engine_note_of(struct engine *e, const struct partition *p, struct note *n)
{
	n->tp = p->tp;
	if (p->state != PARTITION_SUSPENDED)
		engine_note(e, n);
}

/* NULL and counted: that generation is gone. */
static struct slot *slot_of(struct engine *e, struct slot_ref ref)
{
	struct slot *w;

	if (ref.pool >= e->cfg.npools || ref.slot >= e->pools[ref.pool].nslots) {
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
		e->pools[i].restless = true;
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
	e->counters.rebalances++;
	for (p = TAILQ_FIRST(&e->partitions); p != NULL; p = next) {
		next = TAILQ_NEXT(p, all);
		if (p->state == PARTITION_SUSPENDED && !among(p, tp, n))
			partition_drop(e, p); /* it went elsewhere */
	}
	for (size_t i = 0; i < n; i++)
		partition_assigned(e, tp[i]);
	if (n > 0)
		e->port.read_offsets(e->port.ctx, tp, n);
	partition_share(e);
	leave(e);
}

void engine_offsets(struct engine *e, const struct committed *c, size_t n, int64_t now)
{
	enter(e, now);
	for (size_t i = 0; i < n; i++)
		partition_offsets(e, &c[i]);
	leave(e);
}

void engine_revoked(struct engine *e, const struct tp *tp, size_t n, bool lost, int64_t now)
{
	enter(e, now);
	closing_begin(e, tp, n, lost);
	partition_share(e);
	leave(e);
}

/* What full pools took before others came, whose shares it is now. Those pools are held; the others are not to wait for them. */
static uint64_t beyond_shares(const struct engine *e)
{
	const struct pool *p;
	uint64_t sum = 0;

	for (size_t i = 0; i < e->cfg.npools; i++) {
		p = &e->pools[i];
		if (p->full && p->charge > e->pool_share)
			sum += p->charge - e->pool_share;
	}
	return sum;
}

bool engine_takes(const struct engine *e)
{
	return !e->drain.active && budget_used(&e->budget) - beyond_shares(e) < e->budget.limit;
}

void engine_receive(struct engine *e, const struct message *m, int64_t now)
{
	struct partition *p;

	enter(e, now);
	p = partition_get(e, m->source.tp.topic, m->source.tp.partition);
	if (p == NULL || (p->tp.epoch != m->source.tp.epoch && !MUTANT(6)) || p->state != PARTITION_ACTIVE || e->drain.active) {
		e->counters.stale++;
	} else {
		watch_begin(e);
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

void engine_started(struct engine *e, struct slot_ref ref, int pid, int64_t now)
{
	struct slot *w;

	enter(e, now);
	w = slot_of(e, ref);
	if (w != NULL && w->state == HEALTH_INITIALIZING) {
		w->pid = pid;
		slot_ping(e, w, true);
	}
	leave(e);
}

static void protocol_fault(struct engine *e, struct slot *w, const char *reason)
{
	struct note n = {.kind = NOTE_WORKER_PROTOCOL, .worker = w->ref, .has_pool = true, .reason = slice_of(reason)};

	if (w->state != HEALTH_TERMINATING) /* told once */
		engine_note(e, &n);
	slot_stop(e, w, STOPPED_FAULT, reason);
}

void engine_answer(struct engine *e, struct slot_ref ref, const struct answer *a, int64_t now)
{
	struct call_entry *c = NULL;
	struct slot *w;
	char never[64];

	enter(e, now);
	w = slot_of(e, ref);
	if (w == NULL) {
		leave(e);
		return;
	}
	switch (a->has_id ? slot_match(w, a->id, &c) : MATCH_NEVER) {
	case MATCH_NEVER:
		if (MUTANT(40))
			break;
		snprintf(never, sizeof(never), "it answered the id %" PRIu64 ", which was never issued", a->id);
		protocol_fault(e, w, a->has_id ? never : "it sent a frame that is no answer: no id can be read");
		break;
	case MATCH_LATE: e->counters.late_answers++; break;
	case MATCH_FOUND:
		if (c->kind == CALL_PING)
			slot_pong(e, c, a);
		else if (a->kind == ANSWER_PARTIAL)
			partials_take(e, c, a);
		else
			answer_take(e, c, a);
	}
	leave(e);
}

void engine_fault(struct engine *e, struct slot_ref ref, enum worker_fault f, struct slice detail, int64_t now)
{
	char reason[256];
	struct slot *w;

	enter(e, now);
	w = slot_of(e, ref);
	if (w != NULL) {
		struct note n = {.kind = NOTE_WORKER_PROTOCOL, .worker = w->ref, .has_pool = true, .reason = detail};

		if (f == FAULT_FRAME && w->state != HEALTH_TERMINATING) /* told once */
			engine_note(e, &n);
		snprintf(reason, sizeof(reason), "%s%s%.*s", worker_fault_text(f), detail.len ? ": " : "",
			(int)(detail.len < 200 ? detail.len : 200), detail.len ? (const char *)detail.data : "");
		slot_stop(e, w, f == FAULT_FRAME || f == FAULT_EXEC ? STOPPED_FAULT : STOPPED_CRASH, reason);
	}
	leave(e);
}

void engine_gone(struct engine *e, struct slot_ref ref, const struct exit_report *x, int64_t now)
{
	struct slot *w;

	enter(e, now);
	w = slot_of(e, ref);
	if (w != NULL)
		slot_gone(e, w, x);
	leave(e);
}

void engine_memory(struct engine *e, struct slot_ref ref, uint64_t resident, int64_t now)
{
	struct slot *w;

	enter(e, now);
	w = slot_of(e, ref);
	if (w != NULL)
		resident_heard(e, w, resident);
	leave(e);
}

/* ---- people say ---- */

void engine_retune(struct engine *e, const struct engine_config *cfg, int64_t now)
{
	enter(e, now);
	if (cfg->max_attempts > e->attempts_ever)
		e->attempts_ever = cfg->max_attempts;
	config_retune(e, cfg);
	for (size_t i = 0; i < e->cfg.npools; i++)
		pool_retune(e, &e->pools[i], &e->cfg.pools[i]);
	leave(e);
}

void engine_roll(struct engine *e, uint16_t pool, int64_t now)
{
	enter(e, now);
	replace_all(&e->pools[pool]);
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

static const struct pool *first_not_ready(const struct engine *e)
{
	for (size_t i = 0; i < e->cfg.npools; i++)
		if (!pool_ready(&e->pools[i]))
			return &e->pools[i];
	return NULL;
}

bool engine_ready(const struct engine *e)
{
	return first_not_ready(e) == NULL;
}

bool engine_ready_why(const struct engine *e, int64_t now, char *why, size_t size)
{
	const struct pool *p = first_not_ready(e);
	char reason[POOL_WHY_MAX];

	if (p == NULL)
		return true;
	pool_why(p, now, reason);
	snprintf(why, size, "pool %s: %s", p->cfg.name, reason);
	return false;
}

void engine_drain(struct engine *e, int64_t until, int64_t now)
{
	enter(e, now);
	drain_begin(e, until);
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
		if (e->pools[i].by_state[HEALTH_TERMINATED] != e->pools[i].nslots)
			return false;
	return true;
}

void engine_worker_id(const struct engine *e, struct slot_ref w, char out[WORKER_ID_MAX])
{
	slot_ref_text(out, engine_pool_name(e, w.pool), w);
}

const char *engine_pool_name(const struct engine *e, uint16_t pool)
{
	return pool < e->cfg.npools ? e->cfg.pools[pool].name : "?";
}
