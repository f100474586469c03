/* invariants.c: what holds between any two turns, looked at in one go, for tests. */
#include <stdlib.h>
#include <string.h>

#include "state.h"

/* How many slots the largest pool has. */
static size_t stride(const struct engine *e)
{
	size_t most = 0;

	for (size_t i = 0; i < e->cfg.npools; i++)
		most = e->pools[i].nslots > most ? e->pools[i].nslots : most;
	return most;
}

static void check_slot(const struct engine *e, const struct slot *w, uint64_t *places)
{
	const struct call_entry *c;
	const struct session *s;
	uint32_t n = 0, overdue = 0;

	for (c = w->calls; c != NULL; c = c->hh.next) {
		CHECK(c->slot == w && c->id != 0 && c->id <= w->last_id);
		overdue += c->cancelled;
		if (c->session == NULL)
			continue;
		n++;
		CHECK(c->session->call == c && c->session->state == SESSION_RUNNING);
		CHECK(c->request == NULL || (c->request->place == PLACE_RUNNING && c->request->session == c->session));
	}
	CHECK(n == w->places && n <= w->concurrency && overdue == w->overdue);
	CHECK(!w->solo || n == 1);
	CHECK(w->state != HEALTH_TERMINATED || (w->calls == NULL && w->bound == 0 && TAILQ_EMPTY(&w->ready)));
	CHECK(w->reserved == NULL || (w->reserved->reserved && w->pool->circuit.state == CIRCUIT_CLOSED));
	CHECK(w->role != ROLE_UNUSED || w->state == HEALTH_TERMINATED);
	CHECK(w->role == ROLE_SERVING || w->role == ROLE_LEAVING || w->state == HEALTH_TERMINATING ||
		(w->places == 0 && w->bound == 0));
	TAILQ_FOREACH (s, &w->ready, line)
		CHECK(s->state == SESSION_READY && !s->in_pool_line && session_bound(e, s));
	*places += n;
}

/* As many serve as are wanted, and no warm one waits while the place of one that serves is empty. */
static void check_roles(const struct engine *e, const struct pool *p)
{
	uint32_t n[ROLES] = {0};
	bool empty = false, warm = false;
	uint32_t reserved = 0;

	for (uint32_t i = 0; i < p->nslots; i++) {
		const struct slot *w = &p->slots[i];

		n[w->role]++;
		reserved += w->role == ROLE_SERVING && w->reserved != NULL;
		empty |= w->role == ROLE_SERVING && !slot_able(w);
		warm |= w->role == ROLE_SPARE && w->state == HEALTH_READY;
	}
	CHECK(n[ROLE_LEAVING] == p->nleaving);
	if (!e->drain.active && e->started) { /* one that is kept for what is to run alone there stays so long */
		CHECK(n[ROLE_SERVING] >= p->cfg.size || p->nslots == POOL_SLOTS_MOST);
		CHECK(n[ROLE_SERVING] <= p->cfg.size + reserved);
	}
	CHECK(!(empty && warm) || e->drain.active || !e->started);
}

static void check_pool(const struct engine *e, const struct pool *p)
{
	uint32_t by_state[HEALTH_STATE_COUNT] = {0};
	const struct session *s;
	uint64_t places = 0;

	for (uint32_t i = 0; i < p->nslots; i++) {
		check_slot(e, &p->slots[i], &places);
		by_state[p->slots[i].state]++;
	}
	CHECK(memcmp(by_state, p->by_state, sizeof(by_state)) == 0);
	check_roles(e, p);
	CHECK(places == p->places_used);
	TAILQ_FOREACH (s, &p->ready, line)
		CHECK(s->state == SESSION_READY && s->in_pool_line && !TAILQ_EMPTY(&s->requests));
	CHECK(TAILQ_EMPTY(&p->settled)); /* ended in the turn that it came */
	TAILQ_FOREACH (s, &p->waiting, line)
		CHECK(s->state == SESSION_WAITING && TAILQ_FIRST(&s->requests)->place == PLACE_WAITING);
	TAILQ_FOREACH (s, &p->idle, line)
		CHECK(s->state == SESSION_IDLE && TAILQ_EMPTY(&s->requests) && s->call == NULL);
}

static void check_session(const struct engine *e, const struct session *s, uint64_t *bound, size_t width)
{
	const struct request *r;

	TAILQ_FOREACH (r, &s->requests, line) {
		CHECK(r->session == s && r->pool == s->pool);
		CHECK(r == TAILQ_FIRST(&s->requests) || r->place == PLACE_QUEUED);
		CHECK(r->place != PLACE_RUNNING || (s->call != NULL && s->call->request == r));
	}
	CHECK((s->call != NULL) == (s->state == SESSION_RUNNING));
	CHECK(s->state != SESSION_NEW);
	CHECK(s->ending == END_NONE || session_bound(e, s));
	if (session_bound(e, s))
		bound[s->pool * width + s->at.slot]++;
}

static uint64_t bound_in_all(const struct pool *p)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < p->nslots; i++)
		n += p->slots[i].bound;
	return n;
}

/* Each session that began has ended, was lost, or lives. */
static void check_counts(const struct pool *p)
{
	uint64_t ended = 0;

	for (int i = 0; i < END_REASONS; i++)
		ended += p->ended[i];
	CHECK(bound_in_all(p) == p->bound);
	CHECK(p->created == ended + p->lost + p->bound);
	CHECK(p->ending <= p->live);
}

static void check_sessions_of(const struct partition *p)
{
	const struct session *s;
	size_t n = 0, ending = 0;

	TAILQ_FOREACH (s, &p->sessions, of_partition) {
		CHECK(s->home == p);
		n++;
		ending += s->ending != END_NONE;
	}
	CHECK(n == p->nsessions && ending == p->ending && (p->to_end == 0 || p->going));
}

static uint64_t check_partition(const struct engine *e, const struct partition *p)
{
	const struct request *r;
	size_t n = 0, run = 0, charge = 0;
	bool full = partition_pool(e, p)->full;
	uint64_t share = partition_share_of(e, p);

	TAILQ_FOREACH (r, &p->requests, of_partition) {
		CHECK(r->partition == p);
		n++;
		run += r->place == PLACE_RUNNING;
		charge += r->charge;
		CHECK(r->charge == request_size(r));
		CHECK(r->place == PLACE_PARKED || r->session != NULL);
		CHECK(r->place == PLACE_RUNNING || p->state == PARTITION_ACTIVE);
		CHECK(r->attempts <= e->attempts_ever);
	}
	CHECK(n == p->nrequests && run == p->running && charge == p->charge);
	CHECK(!p->held || p->state == PARTITION_ACTIVE);
	if (p->state == PARTITION_ACTIVE && !e->drain.active) /* a drain reads nothing, held or not */
		CHECK(TAILQ_EMPTY(&p->parked) ? (p->held ? full || charge > share / 2 : !full && charge <= share) : p->held);
	check_sessions_of(p);
	window_check(&p->window);
	CHECK(p->state == PARTITION_WAITING_MAP || p->window.ntaken + 0u >= p->unacked);
	return charge;
}

/* A pool that is full is read again when half of its share is free. */
static uint64_t check_share(const struct engine *e, const struct pool *pool)
{
	const struct partition *p;
	uint64_t charge = 0;
	size_t n = 0;

	TAILQ_FOREACH (p, &e->partitions, all)
		if (partition_pool(e, p) == pool) {
			charge += p->charge;
			n++;
		}
	CHECK(charge == pool->charge && n == pool->npartitions);
	CHECK(e->pool_share == e->budget.limit ? !pool->full : pool->full ? charge > e->pool_share / 2 : charge <= e->pool_share);
	return charge;
}

void engine_check(const struct engine *e)
{
	size_t width = stride(e);
	uint64_t *bound = xcalloc(e->cfg.npools * width, sizeof(*bound)), charge = 0, of_pools = 0;
	const struct partition *p;

	timers_check(&e->timers);
	for (size_t i = 0; i < e->cfg.npools; i++)
		check_pool(e, &e->pools[i]);
	for (int i = 0; i < SESSION_SHARDS; i++)
		for (const struct session *s = e->sessions.shard[i]; s != NULL; s = s->hh.next)
			check_session(e, s, bound, width);
	for (size_t i = 0; i < e->cfg.npools; i++)
		for (uint32_t k = 0; k < e->pools[i].nslots; k++)
			CHECK(bound[i * width + k] == e->pools[i].slots[k].bound);
	for (size_t i = 0; i < e->cfg.npools; i++)
		check_counts(&e->pools[i]);
	for (size_t i = 0; i < e->cfg.npools; i++)
		of_pools += check_share(e, &e->pools[i]);
	TAILQ_FOREACH (p, &e->partitions, all)
		charge += check_partition(e, p);
	CHECK(charge == e->budget.used[BUDGET_REQUESTS] && charge == of_pools);
	outbox_check(&e->outbox, e->budget.used[BUDGET_RECORDS], e->budget.used[BUDGET_PARTS]);
	TAILQ_FOREACH (p, &e->gone, all)
		CHECK(p->state == PARTITION_GONE && TAILQ_EMPTY(&p->requests) && e->gone_timer.place != 0);
	free(bound);
}
