/* circuit.c: see circuit.h. */
#include "circuit.h"

#include <stdio.h>

#include "mutant.h"
#include "state.h"

enum { PAUSES_MOST = 10 }; /* the longest pause, in first ones */

static void set(struct engine *e, struct pool *p, enum circuit_state to, const char *reason)
{
	static const enum health_state told[] = {[CIRCUIT_CLOSED] = HEALTH_READY, [CIRCUIT_OPEN] = HEALTH_UNAVAILABLE, [CIRCUIT_PROBING] = HEALTH_DEGRADED};
	struct circuit *c = &p->circuit;
	struct note n = {.kind = NOTE_CIRCUIT, .worker = {p->index, 0, 0}, .has_pool = true, .from = told[c->state], .to = told[to],
		.count = (int64_t)c->failures, .reason = slice_of(reason)};

	c->state = to;
	c->probe = 0;
	engine_note(e, &n);
	pool_judge(e, p);
}

static void open(struct engine *e, struct pool *p, const char *reason)
{
	struct circuit *c = &p->circuit;
	int64_t pause = p->cfg.circuit_pause_us, most = pause * PAUSES_MOST;

	for (uint32_t i = 0; i < c->opened && pause < most; i++)
		pause *= 2;
	c->opened++;
	timers_arm(&e->timers, &c->timer, e->now + (pause < most ? pause : most));
	set(e, p, CIRCUIT_OPEN, reason);
}

static void feed_all(struct pool *p)
{
	p->hungry = true;
	for (uint32_t i = 0; i < p->nslots; i++)
		slot_feed_later(&p->slots[i]);
}

static void leave_open(struct engine *e, struct pool *p, enum circuit_state to, const char *reason)
{
	timers_disarm(&e->timers, &p->circuit.timer);
	set(e, p, to, reason);
	feed_all(p);
}

/* NULL: nothing that the workers' surroundings are to blame for. */
static const char *failure_of(const struct slot *w)
{
	if (w->ready_at == INT64_MAX)
		return w->stop == STOPPED_DRAIN || w->stop == STOPPED_RECYCLED || pool_able(w->pool) > 0 ? NULL : "its workers do not start";
	if (w->stop == STOPPED_NOT || w->stop == STOPPED_CRASH)
		return "its workers crash, one after the other, and nothing is answered";
	return w->stop == STOPPED_FAULT ? "its workers break the protocol, one after the other, and nothing is answered" : NULL;
}

void circuit_worker_gone(struct engine *e, struct slot *w)
{
	struct circuit *c = &w->pool->circuit;
	const char *why = failure_of(w);

	if (why == NULL || w->pool->cfg.circuit_failures == 0 || e->drain.active)
		return;
	c->failures++;
	c->by_starts = w->ready_at == INT64_MAX;
	if (c->state == CIRCUIT_PROBING || (c->state == CIRCUIT_CLOSED && c->failures + (MUTANT(56) ? 1 : 0) >= w->pool->cfg.circuit_failures))
		open(e, w->pool, why);
}

void circuit_answered(struct engine *e, struct pool *p)
{
	struct circuit *c = &p->circuit;

	c->failures = c->opened = 0;
	if (c->state == CIRCUIT_CLOSED)
		return;
	leave_open(e, p, CIRCUIT_CLOSED, "a request was answered");
}

void circuit_worker_ready(struct engine *e, struct slot *w)
{
	if (w->pool->circuit.state == CIRCUIT_OPEN && w->pool->circuit.by_starts && pool_able(w->pool) == 1)
		leave_open(e, w->pool, CIRCUIT_PROBING, "a worker is READY again");
}

bool circuit_allows(const struct pool *p)
{
	switch (p->circuit.state) {
	case CIRCUIT_OPEN:
		return MUTANT(53);
	case CIRCUIT_PROBING:
		return p->circuit.probe == 0 || MUTANT(54);
	default:
		return true;
	}
}

void circuit_called(struct pool *p, const struct call_entry *c)
{
	if (p->circuit.state == CIRCUIT_PROBING) {
		p->circuit.probe = c->id;
		p->circuit.probed = c->slot->ref;
	}
}

/* It told nothing about the circuit, or that would not be PROBING any more: the next one is tried. */
void circuit_finished(struct pool *p, const struct call_entry *c)
{
	const struct circuit *t = &p->circuit;

	if (t->probe != c->id || t->probed.slot != c->slot->ref.slot || t->probed.generation != c->slot->ref.generation)
		return;
	p->circuit.probe = 0;
	feed_all(p);
}

void circuit_timer_fired(struct engine *e, struct timer *t)
{
	struct pool *p = TIMER_OWNER(t, struct pool, circuit.timer);

	leave_open(e, p, CIRCUIT_PROBING, "one request is tried");
}

int64_t circuit_wait_ms(const struct engine *e, const struct pool *p)
{
	return p->circuit.timer.place != 0 ? (p->circuit.timer.at - e->now) / MS_US + 1 : 0;
}
