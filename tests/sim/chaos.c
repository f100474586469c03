/* chaos.c: see chaos.h. */
#include "chaos.h"

#include <string.h>

#include "broker.h"
#include "group.h"
#include "instance.h"
#include "oracle.h"
#include "workers.h"

void chaos_init(struct world *w)
{
	if (w->k.chaos_us > 0)
		world_plan(w, NULL, world_delay(w, 2 * w->k.chaos_us), (struct event){.kind = EV_CHAOS});
	if (w->k.clock_steps)
		world_plan(w, NULL, world_delay(w, SECOND_US), (struct event){.kind = EV_CLOCK});
}

/* ---- stale things: they name what is over, and must change nothing ---- */

static void stale_answer(struct world *w, struct instance *i)
{
	struct proc *p = workers_any(w, i);
	struct answer a = {
		.id = 1,
		.has_id = true,
		.kind = ANSWER_OK,
		.payload = SLICE("{\"stale\":true}"),
		.retry_after_ms = TIME_NONE,
	};
	struct slot_ref ref;

	if (p == NULL || p->ref.generation < 2)
		return;
	ref = p->ref;
	ref.generation--;
	if (!TAILQ_EMPTY(&p->works))
		a.id = TAILQ_LAST(&p->works, work_line)->id; /* the living one has that id in flight */
	engine_answer(instance_enter(w, i), ref, &a, w->now);
	instance_leave(w, i);
}

static void stale_fault(struct world *w, struct instance *i)
{
	struct proc *p = workers_any(w, i);
	struct exit_report x = {.signal = 9};
	struct slot_ref ref;

	if (p == NULL || p->ref.generation < 2)
		return;
	ref = p->ref;
	ref.generation--;
	if (random_below(&w->random, 2))
		engine_gone(instance_enter(w, i), ref, &x, w->now);
	else
		engine_fault(instance_enter(w, i), ref, FAULT_EOF, (struct slice){NULL, 0}, w->now);
	instance_leave(w, i);
}

static void stale_report(struct world *w, struct instance *i)
{
	uint64_t serial = 1000000 + random_below(&w->random, 10);

	for (size_t k = 1; k < i->nserials && random_below(&w->random, 2); k++)
		if (i->serials[k].closed)
			serial = k;
	engine_delivered(instance_enter(w, i), serial, DELIVERY_OK, w->now);
	instance_leave(w, i);
}

static void stale_commit(struct world *w, struct instance *i)
{
	uint64_t id = i->commit.flying && i->commit.id > 1 ? i->commit.id - 1 : 1000000;

	engine_committed(instance_enter(w, i), id, NULL, 0, w->now);
	instance_leave(w, i);
}

/* A partition of this instance, as of an assignment before; false: it has none. */
static bool old_partition(struct world *w, const struct instance *i, struct tp *tp)
{
	for (unsigned k = 0; k < MAX_TPS; k++) {
		unsigned t = k / MAX_PARTITIONS, p = k % MAX_PARTITIONS;

		if (t < w->k.topics && p < w->k.partitions[t] && i->last_epoch > 1 && random_below(&w->random, 3) == 0) {
			*tp = (struct tp){t, (int32_t)p, i->own[t][p].epoch > 1 ? i->own[t][p].epoch - 1 : i->last_epoch - 1};
			return i->own[t][p].epoch != tp->epoch;
		}
	}
	return false;
}

static void stale_offsets(struct world *w, struct instance *i)
{
	struct committed c = {.metadata = SLICE("")};

	if (!old_partition(w, i, &c.tp))
		return;
	c.offset = w->log[c.tp.topic][c.tp.partition].end;
	engine_offsets(instance_enter(w, i), &c, 1, w->now);
	instance_leave(w, i);
}

static void stale_message(struct world *w, struct instance *i)
{
	const struct request_log *log;
	struct message m;
	struct tp tp;

	if (!old_partition(w, i, &tp))
		return;
	log = &w->log[tp.topic][tp.partition];
	if (log->n == 0)
		return;
	broker_message(w, log->records[log->n - 1], tp.epoch, &m);
	engine_receive(instance_enter(w, i), &m, w->now);
	instance_leave(w, i);
}

static void stale(struct world *w, struct instance *i)
{
	static void (*const knock[])(struct world *, struct instance *) = {stale_answer, stale_fault, stale_report, stale_commit,
		stale_offsets, stale_message};
	size_t which = random_below(&w->random, sizeof(knock) / sizeof(knock[0]));

	TRACE(w, STALE, i->index, (int64_t)which);
	knock[which](w, i);
}

/* ---- the rest ---- */

static void strike_worker(struct world *w, struct instance *i)
{
	struct proc *p = workers_any(w, i);

	if (p != NULL)
		world_plan(w, i, 0, (struct event){.kind = EV_CRASH, .worker = p->ref});
}

static void grow_worker(struct world *w, struct instance *i)
{
	static const uint64_t sizes[] = {1 << 20, MODEL_WORN_BYTES + 1, MODEL_MOST_BYTES + 1};
	struct proc *p = workers_any(w, i);
	uint64_t bytes = sizes[random_below(&w->random, 3)], most;

	if (p == NULL)
		return;
	most = w->k.pool[p->ref.pool].resident_limit;
	p->greedy |= most > 0 && bytes > most;
	engine_memory(instance_enter(w, i), p->ref, bytes, w->now);
	if (p->greedy && !p->stopped)
		breach(w, "27: worker %d.%u holds too much memory and is not stopped", p->ref.slot, p->ref.generation);
	oracle_grown(w, i, p, bytes);
	instance_leave(w, i);
}

static void resize(struct world *w, struct pool_config *p)
{
	p->size = 1 + (uint32_t)random_below(&w->random, MAX_WORKERS);
	p->spare = (uint32_t)random_below(&w->random, MAX_SPARE + 1);
	p->min_ready = p->min_ready > p->size ? p->size : p->min_ready;
}

/* A daemon that drains reads nothing again. */
static void retune(struct world *w, struct instance *i)
{
	if (!i->draining && i->resizes < MAX_RESIZES && random_below(&w->random, 2) == 0) {
		i->resizes++;
		resize(w, &i->pools[random_below(&w->random, w->k.npools)]);
	}
	engine_retune(instance_enter(w, i), &i->cfg, w->now);
	instance_leave(w, i);
}

static void roll(struct world *w, struct instance *i)
{
	engine_roll(instance_enter(w, i), (uint16_t)random_below(&w->random, w->k.npools), w->now);
	instance_leave(w, i);
}

static void refuse(struct world *w)
{
	int kind = (int)random_below(&w->random, 2);

	w->refused[kind] = true;
	world_plan(w, NULL, world_delay(w, 3 * SECOND_US), (struct event){.kind = EV_ACCEPT, .a = kind});
}

static void strike(struct world *w, enum chaos kind, struct instance *i)
{
	TRACE(w, CHAOS, kind, i->index);
	switch (kind) {
	case CHAOS_REBALANCE: group_rebalance(w); return;
	case CHAOS_KILL: instance_kill(w, i); return;
	case CHAOS_FREEZE: instance_freeze(w, i, world_delay(w, w->k.freeze_us)); return;
	case CHAOS_DRAIN:
		if (!i->draining)
			instance_drain(w, i);
		return;
	case CHAOS_WORKER: strike_worker(w, i); return;
	case CHAOS_STALE: stale(w, i); return;
	case CHAOS_RETUNE: retune(w, i); return;
	case CHAOS_ROLL: roll(w, i); return;
	case CHAOS_MEMORY: grow_worker(w, i); return;
	default: refuse(w);
	}
}

void chaos_strike(struct world *w, struct instance *unused, const struct event *ev)
{
	struct instance *i = &w->instance[random_below(&w->random, w->k.engines)];
	enum chaos kind = (enum chaos)random_below(&w->random, CHAOS_KINDS);

	(void)unused;
	(void)ev;
	if (w->quiet)
		return;
	world_plan(w, NULL, world_delay(w, 2 * w->k.chaos_us), (struct event){.kind = EV_CHAOS});
	if (w->k.chaos[kind] && i->alive && !i->frozen)
		strike(w, kind, i);
}

void chaos_accept(struct world *w, struct instance *unused, const struct event *ev)
{
	(void)unused;
	w->refused[ev->a] = false;
}

void chaos_clock(struct world *w, struct instance *unused, const struct event *ev)
{
	(void)unused;
	(void)ev;
	if (w->quiet)
		return;
	w->wall_skew_ms += (int64_t)random_below(&w->random, 4000) - 2000;
	world_plan(w, NULL, world_delay(w, 2 * SECOND_US), (struct event){.kind = EV_CLOCK});
}

void chaos_quiet(struct world *w, struct instance *unused, const struct event *ev)
{
	(void)unused;
	(void)ev;
	TRACE(w, QUIET, 0);
	w->quiet = true;
	w->quiet_at = w->progress_at = w->now;
	memset(w->refused, 0, sizeof(w->refused)); /* who is frozen thaws in time */
}
