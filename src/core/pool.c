/* pool.c: see pool.h. */
#include "pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "dispatch.h"
#include "mutant.h"
#include "probe.h"
#include "replace.h"
#include "resident.h"
#include "state.h"

enum { TURNS = 2, TURNS_OF_MANY = 8 }; /* of so many one is for a session bound to none */

/* Sessions that count: those that are being cleaned up are as good as gone. */
static uint64_t staying(const struct pool *p)
{
	return p->live - (MUTANT(90) ? 0 : p->ending);
}

static void ttl_fired(struct engine *e, struct timer *t)
{
	struct pool *p = TIMER_OWNER(t, struct pool, ttl);
	struct session *s;

	for (int i = 0; i < SESSIONS_AT_ONCE && (s = TAILQ_FIRST(&p->idle)) != NULL; i++) {
		if (s->since + p->cfg.session_ttl_us <= e->now)
			session_end(e, s, END_TTL);
		else if (staying(p) > p->cfg.max_sessions) /* as it is since the last reload */
			session_end(e, s, END_ROOM);
		else
			break;
	}
	pool_idle_session(e, p);
}

struct slot *pool_new_slot(struct pool *p)
{
	struct slot *w = &p->slots[p->nslots];

	if (p->nslots == POOL_SLOTS_MOST)
		return NULL;
	w->ref = (struct slot_ref){p->index, (uint16_t)p->nslots++, 0};
	w->pool = p;
	w->state = HEALTH_TERMINATED;
	w->timer.fire = slot_timer_fired;
	w->wear_timer.fire = replace_timer_fired;
	slot_ref_text(w->name, p->cfg.name, w->ref); /* until its first start */
	TAILQ_INIT(&w->ready);
	TAILQ_INIT(&w->sessions);
	p->by_state[HEALTH_TERMINATED]++;
	return w;
}

void pool_init(struct pool *p, uint16_t index, const struct pool_config *cfg)
{
	p->cfg = *cfg;
	p->index = index;
	p->state = HEALTH_STARTING;
	p->ttl.fire = ttl_fired;
	p->circuit.timer.fire = circuit_timer_fired;
	TAILQ_INIT(&p->feed);
	TAILQ_INIT(&p->ready);
	TAILQ_INIT(&p->settled);
	TAILQ_INIT(&p->waiting);
	TAILQ_INIT(&p->idle);
	TAILQ_INIT(&p->strays);
	p->slots = xcalloc(POOL_SLOTS_MOST, sizeof(*p->slots));
	for (uint32_t i = 0; i < cfg->size + cfg->spare + 1; i++)
		pool_new_slot(p)->role = i < cfg->size ? ROLE_SERVING : i < cfg->size + cfg->spare ? ROLE_SPARE : ROLE_UNUSED;
}

/* Nothing is settled any more. */
static void free_calls(struct slot *w)
{
	struct call_entry *c, *next;

	HASH_ITER (hh, w->calls, c, next) {
		HASH_DEL(w->calls, c);
		free(c);
	}
}

void pool_cleanup(struct pool *p)
{
	for (uint32_t i = 0; i < p->nslots; i++)
		free_calls(&p->slots[i]);
	free(p->slots);
	tally_cleanup(&p->commands);
}

void pool_retune(struct engine *e, struct pool *p, const struct pool_config *cfg)
{
	resident_retuned(p, cfg);
	p->cfg = *cfg;
	timers_disarm(&e->timers, &p->ttl);
	pool_idle_session(e, p);
	for (uint32_t i = 0; i < p->nslots; i++)
		replace_retuned(e, &p->slots[i]);
	circuit_retuned(e, p);
	p->restless = true;
}

/* A slot whose timer runs is in its back-off. */
static bool may_start(const struct slot *w)
{
	return w->role != ROLE_UNUSED && w->state == HEALTH_TERMINATED && w->timer.place == 0;
}

static void start_those(struct engine *e, struct pool *p, bool serving)
{
	for (uint32_t i = 0; i < p->nslots && (p->by_state[HEALTH_INITIALIZING] < p->cfg.start_batch || MUTANT(42)); i++)
		if (may_start(&p->slots[i]) && (p->slots[i].role == ROLE_SERVING) == serving)
			slot_start(e, &p->slots[i]);
}

/* Starts what may be started. */
static void reconcile(struct engine *e, struct pool *p)
{
	p->restless = false;
	if (!e->started || e->drain.active)
		return;
	replace_step(e, p);
	start_those(e, p, true);
	start_those(e, p, false);
}

/* Never at once: those that one step leaves over wait for the next turn of the loop. */
void pool_idle_session(struct engine *e, struct pool *p)
{
	const struct session *oldest = TAILQ_FIRST(&p->idle);

	if (oldest == NULL)
		timers_disarm(&e->timers, &p->ttl);
	else if (p->ttl.place == 0)
		timers_arm(&e->timers, &p->ttl,
			staying(p) > p->cfg.max_sessions ? e->now + MS_US
							 : later(oldest->since + p->cfg.session_ttl_us, e->now + MS_US));
}

/* One whose worker is gone costs nobody anything; else the longest idle one. */
static struct session *dispensable(const struct pool *p)
{
	struct session *stray = TAILQ_FIRST(&p->strays);

	return stray != NULL && stray->state == SESSION_IDLE ? stray : TAILQ_FIRST(&p->idle);
}

bool pool_make_room(struct engine *e, struct pool *p)
{
	struct session *s;

	if (staying(p) < p->cfg.max_sessions)
		return true;
	s = dispensable(p);
	if (s == NULL)
		return false;
	session_end(e, s, END_ROOM);
	return true;
}

/* The slot with the most room; of equals the one that holds the fewest sessions. */
static struct slot *pick(struct pool *p)
{
	struct slot *best = NULL;

	for (uint32_t i = 0; i < p->nslots; i++) {
		struct slot *w = &p->slots[i];
		uint32_t room = w->concurrency - w->places;

		if (!replace_serves(w) || w->state != HEALTH_READY || !slot_has_room(w))
			continue;
		if (best == NULL || room > best->concurrency - best->places ||
			(room == best->concurrency - best->places && w->bound < best->bound))
			best = w;
	}
	return best;
}

/* A request that may have killed a worker runs with nothing beside it: the slot is kept for it until it is empty. */
static bool reserve(struct slot *w, struct session *s)
{
	const struct request *head = TAILQ_FIRST(&s->requests);

	if (head == NULL || !head->alone || w->places == 0 || MUTANT(31))
		return false;
	TAILQ_REMOVE(s->in_pool_line ? &w->pool->ready : &w->ready, s, line);
	s->reserved = true;
	s->reserved_slot = w->ref.slot;
	w->reserved = s;
	return true;
}

static void run(struct engine *e, struct slot *w, struct session *s)
{
	if (!reserve(w, s))
		dispatch_turn(e, w, s);
}

/* It holds more sessions than the mean of the pool's workers. */
static bool has_more_than_others(const struct slot *w)
{
	return w->bound * w->pool->cfg.size > w->pool->bound;
}

/* Sessions bound here and sessions bound nowhere take turns, so that neither starves. Where many are bound already the latter
 * have fewer turns: another worker that has its turn may hold fewer, and a session stays with the one that runs it first. */
static struct session *next_for(struct slot *w)
{
	struct session *own = TAILQ_FIRST(&w->ready);
	struct session *any = w->state == HEALTH_READY && replace_serves(w) ? TAILQ_FIRST(&w->pool->ready) : NULL;

	if (own == NULL || any == NULL)
		return own ? own : any;
	w->turn = (w->turn + 1) % (has_more_than_others(w) ? TURNS_OF_MANY : TURNS);
	return w->turn == 0 ? any : own;
}

static void feed_slot(struct engine *e, struct slot *w)
{
	struct session *s;

	if (w->reserved != NULL && w->places == 0 && circuit_allows(w->pool) && slot_able(w)) {
		s = w->reserved;
		dispatch_turn(e, w, s);
	}
	while (circuit_allows(w->pool) && slot_has_room(w) && (s = next_for(w)) != NULL)
		run(e, w, s);
}

static void feed_lines(struct engine *e, struct pool *p)
{
	struct session *s;
	struct slot *w;

	while (circuit_allows(p) && (w = TAILQ_FIRST(&p->feed)) != NULL) {
		TAILQ_REMOVE(&p->feed, w, feed);
		w->hungry = false;
		feed_slot(e, w);
	}
	if (!p->hungry || !circuit_allows(p))
		return;
	p->hungry = false;
	while (circuit_allows(p) && (s = TAILQ_FIRST(&p->ready)) != NULL && (w = pick(p)) != NULL)
		run(e, w, s);
}

/* What settles may let something run behind it, and the other way round. */
static void feed(struct engine *e, struct pool *p)
{
	struct session *s;

	do {
		while ((s = TAILQ_FIRST(&p->settled)) != NULL)
			dispatch_turn(e, NULL, s);
		if (p->circuit.state == CIRCUIT_PROBING)
			probe_feed(e, p);
		else
			feed_lines(e, p);
	} while (!TAILQ_EMPTY(&p->settled));
}

void pool_settle(struct engine *e, struct pool *p)
{
	do {
		replace_stop_empty(e, p);
		if (p->restless)
			reconcile(e, p);
		feed(e, p);
	} while (p->restless);
}

static uint32_t serving(const struct pool *p, bool ready_only)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->nslots; i++)
		n += p->slots[i].role == ROLE_SERVING &&
		     (p->slots[i].state == HEALTH_READY || (p->slots[i].state == HEALTH_DEGRADED && !ready_only));
	return n;
}

uint32_t pool_able(const struct pool *p)
{
	return serving(p, false);
}

static enum health_state judge(const struct engine *e, struct pool *p, uint32_t ready)
{
	uint32_t able = pool_able(p), least = p->cfg.min_ready ? p->cfg.min_ready : 1;
	uint32_t first = p->cfg.min_ready || p->exits > 0 ? least : p->cfg.size;

	if (e->drain.active)
		return p->by_state[HEALTH_TERMINATED] == p->nslots && e->drain.done ? HEALTH_STOPPED : HEALTH_DRAINING;
	p->ever_able |= able >= first;
	if (p->circuit.state == CIRCUIT_OPEN)
		return HEALTH_UNAVAILABLE;
	if (ready >= p->cfg.size)
		return HEALTH_READY;
	if (!p->ever_able && p->exits == 0)
		return HEALTH_STARTING;
	return able >= least ? HEALTH_DEGRADED : HEALTH_UNAVAILABLE;
}

void pool_why(const struct pool *p, int64_t now, char out[POOL_WHY_MAX])
{
	int64_t wait = p->circuit.timer.at - now;

	if (p->circuit.state == CIRCUIT_OPEN)
		snprintf(out, POOL_WHY_MAX, "its circuit is open, next try in %" PRId64 " s",
			wait > 0 ? (wait + SECOND_US - 1) / SECOND_US : 0);
	else
		snprintf(out, POOL_WHY_MAX, "%u of %u workers are READY", serving(p, true), p->cfg.size);
}

void pool_judge(struct engine *e, struct pool *p)
{
	enum health_state to = judge(e, p, serving(p, true));
	char reason[POOL_WHY_MAX];
	struct note n = {.kind = NOTE_POOL_STATE, .worker = {p->index, 0, 0}, .has_pool = true, .from = p->state, .to = to};

	if (to == p->state)
		return;
	p->state = to;
	pool_why(p, e->now, reason);
	n.reason = slice_of(reason);
	engine_note(e, &n);
}

bool pool_ready(const struct pool *p)
{
	return p->state == HEALTH_READY || p->state == HEALTH_DEGRADED;
}
