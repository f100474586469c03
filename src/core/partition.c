/* partition.c: see partition.h. */
#include "partition.h"

#include <stdlib.h>
#include <string.h>

#include "commit.h"
#include "intake.h"
#include "mutant.h"
#include "patience.h"
#include "state.h"
#include "watch.h"

enum { LARGEST = 4 }; /* what one request may hold, with all that is made of it, in limits.request */
/* so long a suspect waits for the commit that tells of it, as a revoke does for its last one */
static const int64_t told_within_us = 5 * SECOND_US;

static const bool legal[PARTITION_STATES][PARTITION_STATES] = {
	[PARTITION_WAITING_MAP] = {[PARTITION_ACTIVE] = true, [PARTITION_SUSPENDED] = true, [PARTITION_GONE] = true},
	[PARTITION_ACTIVE] = {[PARTITION_CLOSING] = true, [PARTITION_GONE] = true},
	[PARTITION_CLOSING] = {[PARTITION_SUSPENDED] = true, [PARTITION_GONE] = true},
	[PARTITION_SUSPENDED] = {[PARTITION_WAITING_MAP] = true, [PARTITION_GONE] = true},
};

void partition_set(struct partition *p, enum partition_state to)
{
	CHECK(legal[p->state][to]);
	p->state = to;
	p->held = false; /* what stops and starts reading begins anew with each */
}

void partition_suspend(struct engine *e, struct partition *p)
{
	partition_set(p, PARTITION_SUSPENDED);
	p->suspended_at = e->now;
	watch_begin(e);
}

struct partition *partition_get(struct engine *e, uint32_t topic, int32_t partition)
{
	struct partition *p;

	TAILQ_FOREACH (p, &e->partitions, all)
		if (p->tp.topic == topic && p->tp.partition == partition)
			return p;
	return NULL;
}

struct partition *partition_alive(struct engine *e, struct tp tp)
{
	struct partition *p = partition_get(e, tp.topic, tp.partition);

	return p != NULL && (tp.epoch >= p->since_epoch || MUTANT(38)) && tp.epoch <= p->tp.epoch ? p : NULL;
}

struct pool *partition_pool(const struct engine *e, const struct partition *p)
{
	return &e->pools[e->cfg.sources[p->tp.topic].pool];
}

/* One more, or one less, for its pool. */
static void count_in(struct engine *e, const struct partition *p, int by)
{
	uint64_t served = 0;

	e->npartitions += (size_t)by;
	partition_pool(e, p)->npartitions += (size_t)by;
	for (size_t i = 0; i < e->cfg.npools; i++)
		served += e->pools[i].npartitions > 0 && (served == 0 || !MUTANT(73));
	e->pool_share = budget_share(&e->budget, served, LARGEST * e->cfg.request_limit);
}

static struct partition *partition_new(struct engine *e, struct tp tp)
{
	struct partition *p = xcalloc(1, sizeof(*p));

	p->tp = tp;
	p->since_epoch = tp.epoch;
	TAILQ_INIT(&p->requests);
	TAILQ_INIT(&p->parked);
	TAILQ_INIT(&p->sessions);
	TAILQ_INSERT_TAIL(&e->partitions, p, all);
	count_in(e, p, 1);
	return p;
}

void partition_assigned(struct engine *e, struct tp tp)
{
	struct partition *p = partition_get(e, tp.topic, tp.partition);

	if (p != NULL && p->state != PARTITION_SUSPENDED) { /* assigned twice without a revoke between: the first is over */
		partition_drop(e, p);
		p = NULL;
	}
	if (p == NULL) {
		p = partition_new(e, tp);
	} else {
		p->comeback = true;
		p->stale = false;
		p->tp = tp;
		partition_set(p, PARTITION_WAITING_MAP);
	}
}

static bool same(struct mark a, struct mark b)
{
	return a.base == b.base && a.hash == b.hash;
}

static void begin_fresh(struct engine *e, struct partition *p, const struct committed *c)
{
	struct offsetmap map;
	struct note unreadable = {.kind = NOTE_MAP_UNREADABLE, .tp = p->tp};

	if (!offsetmap_decode(c->metadata, c->offset, &map))
		engine_note(e, &unreadable);
	window_start(&p->window, c->offset, &map, e->cfg.window_cap);
	p->nsuspects = map.nsuspects;
	for (unsigned i = 0; i < map.nsuspects; i++) {
		p->suspects[i].offset = c->offset + map.suspects[i].delta;
		p->suspects[i].kills = map.suspects[i].kills;
		p->suspects[i].told = true;
	}
}

void partition_offsets(struct engine *e, const struct committed *c)
{
	struct partition *p = partition_get(e, c->tp.topic, c->tp.partition);
	struct mark found = commit_mark(c->offset, c->metadata);
	struct note n = {.kind = NOTE_PARTITION_ASSIGNED, .tp = c->tp, .count = c->offset};

	if (p == NULL || (p->tp.epoch != c->tp.epoch && !MUTANT(6)) || p->state != PARTITION_WAITING_MAP) {
		e->counters.stale++;
		return;
	}
	if (p->comeback && (same(found, p->accepted) || same(found, p->sent)) && !MUTANT(23)) {
		window_rewind(&p->window); /* nobody else touched it: sessions live on, what runs is adopted */
		p->dirty = true;
	} else {
		if (p->comeback) {
			partition_drop(e, p);
			p = partition_new(e, c->tp);
		}
		begin_fresh(e, p, c);
	}
	p->comeback = false;
	partition_set(p, PARTITION_ACTIVE);
	p->accepted = p->sent = found;
	if (c->none) { /* commits go with their topic: without one it cannot be seen that it was made anew */
		p->dirty = true;
		commit_soon(e);
	}
	p->sent_id = 0; /* whatever comes of one that is in flight was seen just now, or is over */
	p->moved_at = e->now;
	engine_note(e, &n);
	partition_hold(e, p); /* what was adopted may be more than its share */
}

void partition_charge(struct engine *e, struct partition *p, size_t before, size_t after)
{
	budget_release(&e->budget, BUDGET_REQUESTS, before);
	budget_charge(&e->budget, BUDGET_REQUESTS, after);
	p->charge += after - before;
	partition_pool(e, p)->charge += after - before;
}

static struct request *take(struct engine *e, struct partition *p, const struct message *m)
{
	struct request *r = request_new(m, e->now);

	r->partition = p;
	r->charge = request_size(r);
	partition_charge(e, p, 0, r->charge);
	p->nrequests++;
	TAILQ_INSERT_TAIL(&p->requests, r, of_partition);
	return r;
}

void partition_receive(struct engine *e, struct partition *p, const struct message *m)
{
	struct request *r;

	if (!TAILQ_EMPTY(&p->parked) || !window_fits(&p->window, m->source.offset)) {
		r = take(e, p, m);
		request_place(e, r, PLACE_PARKED);
		TAILQ_INSERT_TAIL(&p->parked, r, line);
	} else if (window_admit(&p->window, m->source.offset) == WINDOW_NEW) {
		intake_take(e, p, take(e, p, m));
	} else {
		p->dirty = true; /* done before, or running: a gap may have been filled */
		commit_soon(e);
	}
	partition_hold(e, p);
}

/* What fits the window now. */
static void unpark(struct engine *e, struct partition *p)
{
	struct request *r;

	if (p->state != PARTITION_ACTIVE)
		return;
	while ((r = TAILQ_FIRST(&p->parked)) != NULL && window_fits(&p->window, r->m.source.offset)) {
		TAILQ_REMOVE(&p->parked, r, line);
		request_place(e, r, PLACE_NONE);
		if (window_admit(&p->window, r->m.source.offset) == WINDOW_NEW)
			intake_take(e, p, r);
		else
			request_drop(e, r);
	}
	partition_hold(e, p);
}

static void forget_suspects(struct partition *p, int64_t done)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < p->nsuspects; i++)
		if (p->suspects[i].offset != done && p->suspects[i].offset >= p->window.base)
			p->suspects[kept++] = p->suspects[i];
	p->nsuspects = kept;
}

void partition_settle(struct engine *e, struct partition *p, int64_t offset)
{
	CHECK(p->unacked > 0);
	p->unacked--;
	if (window_finish(&p->window, offset))
		p->moved_at = e->now;
	forget_suspects(p, offset);
	p->dirty = true;
	e->finished_since_commit++;
	commit_soon(e);
	unpark(e, p);
}

uint64_t partition_share_of(const struct engine *e, const struct partition *p)
{
	return e->pool_share / partition_pool(e, p)->npartitions;
}

static bool over_share(const struct engine *e, const struct partition *p)
{
	uint64_t share = partition_share_of(e, p);

	if (partition_pool(e, p)->full)
		return true;
	return (MUTANT(20) ? budget_used(&e->budget) : p->charge) > (p->held ? share / 2 : share);
}

void partition_hold(struct engine *e, struct partition *p)
{
	bool on = !TAILQ_EMPTY(&p->parked) || over_share(e, p);

	if (p->state != PARTITION_ACTIVE || on == p->held || (MUTANT(12) && !on))
		return;
	p->held = on;
	e->port.hold(e->port.ctx, p->tp, on);
}

void partition_fill(struct engine *e, struct pool *pool)
{
	bool full = e->pool_share < e->budget.limit && pool->charge > (pool->full ? e->pool_share / 2 : e->pool_share);
	struct partition *p;

	if (full == pool->full)
		return;
	pool->full = full;
	TAILQ_FOREACH (p, &e->partitions, all)
		if (partition_pool(e, p) == pool)
			partition_hold(e, p);
}

void partition_share(struct engine *e)
{
	struct partition *p;

	TAILQ_FOREACH (p, &e->partitions, all)
		partition_hold(e, p);
}

void partition_put_back(struct engine *e, struct partition *p)
{
	struct request *r, *next;

	for (r = TAILQ_FIRST(&p->requests); r != NULL; r = next) {
		next = TAILQ_NEXT(r, of_partition);
		if (r->place == PLACE_RUNNING)
			continue;
		if (r->place != PLACE_PARKED)
			window_put_back(&p->window, r->m.source.offset);
		request_drop(e, r);
	}
}

void partition_drop(struct engine *e, struct partition *p)
{
	struct request *r;

	outbox_kill(e, p->tp);
	while ((r = TAILQ_FIRST(&p->requests)) != NULL) {
		if (r->place == PLACE_RUNNING)
			patience_orphan(e, r->session->call, "its partition was taken away");
		else
			request_drop(e, r);
	}
	CHECK(p->running == 0 && p->charge == 0 && p->nrequests == 0);
	partition_set(p, PARTITION_GONE);
	TAILQ_REMOVE(&e->partitions, p, all);
	count_in(e, p, -1);
	TAILQ_INSERT_TAIL(&e->gone, p, all);
	if (e->gone_timer.place == 0)
		timers_arm(&e->timers, &e->gone_timer, e->now);
}

/* Where a session has its state is one of our own words: the loss is told without the partition, which is not ours any more. */
static void tell_ended(struct engine *e, const struct partition *p)
{
	struct note n = {
		.kind = NOTE_SESSIONS_LOST,
		.worker = {.pool = e->cfg.sources[p->tp.topic].pool},
		.has_pool = true,
		.count = (int64_t)p->ended,
		.reason = SLICE("the group took their partition away, or began it anew"),
	};

	if (p->ended > 0)
		engine_note(e, &n);
}

void partition_gone_fired(struct engine *e, struct timer *t)
{
	struct partition *p;
	struct session *s;
	int n = 0;

	while ((p = TAILQ_FIRST(&e->gone)) != NULL) {
		for (; n < SESSIONS_AT_ONCE && (s = TAILQ_FIRST(&p->sessions)) != NULL; n++)
			session_leave(e, s);
		if (!TAILQ_EMPTY(&p->sessions)) {
			timers_arm(&e->timers, t, e->now + MS_US);
			return;
		}
		tell_ended(e, p);
		TAILQ_REMOVE(&e->gone, p, all);
		free(p);
	}
}

uint8_t partition_kills(const struct partition *p, int64_t offset)
{
	for (unsigned i = 0; i < p->nsuspects; i++)
		if (p->suspects[i].offset == offset)
			return p->suspects[i].kills;
	return 0;
}

static bool told(const struct partition *p, int64_t offset)
{
	for (unsigned i = 0; i < p->nsuspects; i++)
		if (p->suspects[i].offset == offset)
			return p->suspects[i].told;
	return false;
}

void partition_suspect(struct engine *e, struct request *r, uint8_t kills)
{
	struct partition *p = r->partition;
	unsigned i = 0;

	while (i < p->nsuspects && p->suspects[i].offset != r->m.source.offset)
		i++;
	if (i == OFFSETMAP_SUSPECTS) /* full: the oldest has had the most time to be settled */
		memmove(&p->suspects[0], &p->suspects[1], (--i) * sizeof(p->suspects[0]));
	else if (i == p->nsuspects)
		p->nsuspects++;
	p->suspects[i].offset = r->m.source.offset;
	p->suspects[i].kills = kills;
	p->suspects[i].commit = 0;
	p->suspects[i].told = false;
	p->dirty = true;
	if (!p->bare && !MUTANT(68))
		r->told_by = e->now + told_within_us;
	commit_urgent(e); /* before it runs again: the whole group is to remember, whoever dies with it */
}

void partition_sent(struct partition *p, uint64_t commit)
{
	for (unsigned i = 0; i < p->nsuspects; i++)
		if (!p->suspects[i].told)
			p->suspects[i].commit = commit;
}

void partition_accepted(struct engine *e, struct partition *p, uint64_t commit)
{
	struct request *r;
	bool any = false;

	for (unsigned i = 0; i < p->nsuspects; i++)
		if (!p->suspects[i].told && p->suspects[i].commit == commit)
			any = p->suspects[i].told = true;
	if (!any)
		return;
	TAILQ_FOREACH (r, &p->requests, of_partition)
		if (r->told_by != 0 && told(p, r->m.source.offset)) {
			r->told_by = 0;
			request_arm(e, r);
		}
}

void partition_map(struct partition *p, struct offsetmap *m)
{
	window_map(&p->window, m);
	for (unsigned i = 0; i < p->nsuspects; i++) {
		int64_t delta = p->suspects[i].offset - p->window.base;

		if (delta >= 0 && delta < OFFSETMAP_SPAN_MAX && !MUTANT(18))
			m->suspects[m->nsuspects++] = (struct suspect){(uint16_t)delta, p->suspects[i].kills};
	}
}
