/* circuit.c: see circuit.h. */
#include "circuit.h"

#include <stdio.h>

#include "mutant.h"
#include "state.h"

enum { PAUSES_MOST = 10 }; /* the longest pause, in first ones */

static void set(struct engine *e, struct pool *p, enum circuit_state to, const char *reason)
{
	static const enum health_state told[] = {
		[CIRCUIT_CLOSED] = HEALTH_READY,
		[CIRCUIT_OPEN] = HEALTH_UNAVAILABLE,
		[CIRCUIT_PROBING] = HEALTH_DEGRADED,
	};
	struct circuit *c = &p->circuit;
	struct note n = {
		.kind = NOTE_CIRCUIT,
		.worker = {p->index, 0, 0},
		.has_pool = true,
		.from = told[c->state],
		.to = told[to],
		.count = (int64_t)c->failures,
		.reason = slice_of(reason),
	};

	c->state = to;
	c->probe = 0;
	engine_note(e, &n);
	pool_judge(e, p);
}

/* They would keep others from being tried. */
static void give_up_reserved(struct engine *e, struct pool *p)
{
	for (uint32_t i = 0; i < p->nslots; i++)
		if (p->slots[i].reserved != NULL)
			session_set(e, p->slots[i].reserved, SESSION_READY);
}

static void open_circuit(struct engine *e, struct pool *p, const char *reason)
{
	struct circuit *c = &p->circuit;
	int64_t pause = p->cfg.circuit_pause_us, most = pause * PAUSES_MOST;

	for (uint32_t i = 0; i < c->opened && pause < most; i++)
		pause *= 2;
	c->opened++;
	timers_arm(&e->timers, &c->timer, e->now + (pause < most ? pause : most));
	set(e, p, CIRCUIT_OPEN, reason);
	give_up_reserved(e, p);
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

/* After the pause one request is tried. If the last one tried was a suspect, others have the time of a first pause to come
 * before. */
static void begin_probing(struct engine *e, struct pool *p, const char *reason)
{
	struct circuit *c = &p->circuit;

	leave_open(e, p, CIRCUIT_PROBING, reason);
	if (c->tried_suspect)
		timers_arm(&e->timers, &c->timer, e->now + p->cfg.circuit_pause_us);
}

/* NULL: nothing that the workers' surroundings are to blame for. A run that hangs has a result of its own. */
static const char *failure_of(const struct slot *w)
{
	static const char crashes[] = "its workers crash, one after the other, and nothing is answered";
	static const char *const failures[STOP_REASONS] = {
		[STOPPED_NOT] = crashes,
		[STOPPED_CRASH] = crashes,
		[STOPPED_FAULT] = "its workers break the protocol, one after the other, and nothing is answered",
		[STOPPED_SILENT] = "its workers answer no pings, one after the other, and nothing else",
		[STOPPED_MEMORY] = "its workers hold too much memory, one after the other, and nothing is answered",
	};

	if (w->ready_at == INT64_MAX)
		return w->stop == STOPPED_DRAIN || w->stop == STOPPED_RECYCLED || pool_able(w->pool) > 0
			       ? NULL
			       : "its workers do not start";
	return failures[w->stop];
}

void circuit_worker_gone(struct engine *e, struct slot *w)
{
	struct circuit *c = &w->pool->circuit;
	const char *why = failure_of(w);

	if (why == NULL || w->pool->cfg.circuit_failures == 0 || e->drain.active)
		return;
	c->failures++;
	c->by_starts = w->ready_at == INT64_MAX;
	if (c->state == CIRCUIT_PROBING ||
		(c->state == CIRCUIT_CLOSED &&
			c->failures + (MUTANT(56) ? 1 : 0) >= w->pool->cfg.circuit_failures + (MUTANT(66) ? 1 : 0)))
		open_circuit(e, w->pool, why);
}

static void close_circuit(struct engine *e, struct pool *p, const char *reason)
{
	p->circuit.failures = p->circuit.opened = 0;
	p->circuit.tried_suspect = false;
	if (p->circuit.state != CIRCUIT_CLOSED)
		leave_open(e, p, CIRCUIT_CLOSED, reason);
}

void circuit_answered(struct engine *e, struct pool *p)
{
	close_circuit(e, p, "a request was answered");
}

void circuit_retuned(struct engine *e, struct pool *p)
{
	if (p->cfg.circuit_failures == 0)
		close_circuit(e, p, "circuit_failures is 0 now");
}

/* The first that is able again; a spare one will serve before this turn ends. */
void circuit_worker_ready(struct engine *e, struct slot *w)
{
	struct pool *p = w->pool;
	uint32_t others = pool_able(p) - (w->role == ROLE_SERVING ? 1 : 0);

	if (p->circuit.state == CIRCUIT_OPEN && p->circuit.by_starts && others == 0)
		begin_probing(e, p, "a worker is READY again");
}

bool circuit_allows(const struct pool *p)
{
	switch (p->circuit.state) {
	case CIRCUIT_OPEN: return MUTANT(53);
	case CIRCUIT_PROBING: return p->circuit.probe == 0 || MUTANT(54);
	default: return true;
	}
}

bool circuit_blames(const struct pool *p)
{
	return p->circuit.state == CIRCUIT_CLOSED || MUTANT(55);
}

void circuit_called(struct pool *p, const struct call_entry *c)
{
	if (p->circuit.state == CIRCUIT_PROBING) {
		p->circuit.probe = c->id;
		p->circuit.probed = c->slot->ref;
		p->circuit.tried_suspect = c->request != NULL && c->request->alone;
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

	if (p->circuit.state == CIRCUIT_OPEN)
		begin_probing(e, p, "one request is tried");
	else
		feed_all(p);
}

int64_t circuit_wait_ms(const struct engine *e, const struct pool *p)
{
	return p->circuit.timer.place != 0 ? (p->circuit.timer.at - e->now) / MS_US + 1 : 0;
}
