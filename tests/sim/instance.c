/* instance.c: see instance.h. */
#include "instance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "group.h"
#include "oracle.h"
#include "workers.h"

enum { TICKS_AT_ONCE = 100 };
static const int64_t drain_patience_us = 27 * SECOND_US, stop_patience_us = 20 * SECOND_US;

/* ---- the port: what the engine orders. Nothing in here calls an engine. ---- */

static struct world *port_enter(struct instance *i)
{
	struct world *w = i->world;

	if (w->inside != i)
		breach(w, "20: a port function of instance %d is entered from outside its engine", i->index);
	if (w->inside_port)
		breach(w, "20: a port function is entered from inside a port function");
	w->inside_port = true;
	return w;
}

static void port_read_offsets(void *ctx, const struct tp *tp, size_t n)
{
	struct world *w = port_enter(ctx);

	group_read_offsets(w, ctx, tp, n);
	w->inside_port = false;
}

static void port_release(void *ctx)
{
	struct world *w = port_enter(ctx);

	group_release(w, ctx);
	w->inside_port = false;
}

static void port_hold(void *ctx, struct tp tp, bool on)
{
	struct world *w = port_enter(ctx);

	group_hold(w, ctx, tp, on);
	w->inside_port = false;
}

static void port_commit(void *ctx, const struct commit *c)
{
	struct world *w = port_enter(ctx);

	broker_commit(w, ctx, c);
	w->inside_port = false;
}

static bool port_produce(void *ctx, const struct record *r)
{
	struct world *w = port_enter(ctx);
	bool taken = broker_produce(w, ctx, r);

	w->inside_port = false;
	return taken;
}

static void port_worker_start(void *ctx, struct slot_ref ref)
{
	struct world *w = port_enter(ctx);

	workers_start(w, ctx, ref);
	w->inside_port = false;
}

static void port_worker_call(void *ctx, struct slot_ref ref, const struct call *c)
{
	struct world *w = port_enter(ctx);

	workers_call(w, ctx, ref, c);
	w->inside_port = false;
}

static void port_worker_stop(void *ctx, struct slot_ref ref, enum stop_step s)
{
	struct world *w = port_enter(ctx);

	workers_stop(w, ctx, ref, s);
	w->inside_port = false;
}

static void port_note(void *ctx, const struct note *n)
{
	struct world *w = port_enter(ctx);

	oracle_note(w, ctx, n);
	w->inside_port = false;
}

/* ---- calls into the engine ---- */

struct engine *instance_enter(struct world *w, struct instance *i)
{
	CHECK(i->alive && !i->frozen && w->inside == NULL);
	w->inside = i;
	engine_clock(i->engine, world_wall_ms(w), w->now);
	return i->engine;
}

static void end(struct world *w, struct instance *i)
{
	TRACE(w, ENDED, i->index);
	for (int p = 0; p < MAX_POOLS; p++)
		for (int s = 0; s < MAX_SLOTS; s++)
			if (i->procs[p][s] != NULL)
				breach(w, "24: instance %d is idle, but its worker %d/%d lives", i->index, p, s);
	instance_free(w, i);
	world_plan(w, NULL, world_delay(w, SECOND_US), (struct event){.kind = EV_RESTART, .a = i->index});
}

/* What the daemon does after each turn of its loop. */
void instance_leave(struct world *w, struct instance *i)
{
	w->inside = NULL;
	if (i->draining && !i->drained && engine_drained(i->engine)) {
		TRACE(w, DRAINED, i->index);
		oracle_drained(w, i);
		i->drained = true;
		i->drain_until = w->now;
		group_leave(w, i);
		world_plan(w, i, stop_patience_us, (struct event){.kind = EV_DRAIN_CHECK});
	}
	if (i->drained && i->left && engine_idle(i->engine)) {
		if (!i->ending)
			world_plan(w, i, 0, (struct event){.kind = EV_DRAIN_CHECK});
		i->ending = true;
	}
	broker_plan_poll(w, i);
}

int64_t instance_tick_at(const struct world *w, const struct instance *i)
{
	int64_t at;

	if (!i->alive || i->frozen || (at = engine_next(i->engine)) == INT64_MAX)
		return INT64_MAX;
	at += i->late_us;
	return at < w->now ? w->now : at;
}

void instance_tick(struct world *w, struct instance *i)
{
	int64_t due = engine_next(i->engine);

	w->ticks++;
	i->ticks_now = i->tick_time == w->now ? i->ticks_now + 1 : 0;
	i->tick_time = w->now;
	if (i->ticks_now > TICKS_AT_ONCE)
		breach(w, "26: instance %d spins: it wants tick after tick at the same time", i->index);
	TRACE(w, TICK, i->index, due);
	engine_tick(instance_enter(w, i), w->now);
	if (!engine_takes(i->engine) && !i->draining)
		oracle_starved(w, i);
	instance_leave(w, i);
}

/* ---- life ---- */

void instance_init(struct world *w, int index)
{
	struct instance *i = &w->instance[index];

	i->world = w;
	i->index = index;
	i->member = -1;
	snprintf(i->name, sizeof(i->name), "instance-%d", index);
}

static const struct port order = {
	.read_offsets = port_read_offsets,
	.release = port_release,
	.hold = port_hold,
	.commit = port_commit,
	.produce = port_produce,
	.worker_start = port_worker_start,
	.worker_call = port_worker_call,
	.worker_stop = port_worker_stop,
	.note = port_note,
};

void instance_birth(struct world *w, struct instance *unused, const struct event *ev)
{
	struct instance *i = &w->instance[ev->a], fresh = {
							  .world = w,
							  .index = i->index,
							  .life = i->life + 1,
							  .member = -1,
							  .alive = true,
							  .late_us = world_delay(w, w->k.late_us),
						  };
	struct port port = order;

	(void)unused;
	CHECK(!i->alive);
	memcpy(fresh.name, i->name, sizeof(fresh.name));
	*i = fresh;
	TAILQ_INIT(&i->sent);
	i->views = xcalloc(w->k.requests, sizeof(*i->views));
	i->sessions = xcalloc(w->k.sessions, sizeof(*i->sessions));
	for (unsigned s = 0; s < w->k.sessions; s++)
		i->sessions[s].lost_at = i->sessions[s].made_lost_at = -1;
	memset(i->circuit, 0, sizeof(i->circuit));
	i->cfg = w->k.engine;
	i->cfg.instance_id = i->name;
	memcpy(i->pools, w->k.pool, sizeof(i->pools));
	i->cfg.pools = i->pools;
	i->cfg.npools = w->k.npools;
	i->cfg.sources = w->sources;
	i->cfg.nsources = w->k.topics;
	port.ctx = i;
	w->lives++;
	TRACE(w, BORN, i->index, i->life);
	i->engine = engine_new(&i->cfg, &port, w->codec, random_next(&w->random), w->now);
	engine_start(instance_enter(w, i), w->now);
	instance_leave(w, i);
	group_join(w, i);
}

/* Only the process's own memory: what the broker has stays. */
void instance_free(struct world *w, struct instance *i)
{
	if (!i->alive)
		return;
	engine_free(i->engine);
	i->engine = NULL;
	i->alive = i->frozen = false;
	workers_forget(w, i);
	broker_forget(w, i);
	free(i->views);
	free(i->sessions);
	free(i->serials);
	i->views = NULL;
	i->sessions = NULL;
	i->serials = NULL;
}

void instance_kill(struct world *w, struct instance *i)
{
	TRACE(w, KILLED, i->index, i->life);
	group_died(w, i);
	broker_cut(w, i);
	instance_free(w, i);
	world_plan(w, NULL, world_delay(w, 3 * SECOND_US), (struct event){.kind = EV_RESTART, .a = i->index});
}

void instance_freeze(struct world *w, struct instance *i, int64_t for_us)
{
	TRACE(w, FROZEN, i->index, for_us);
	i->frozen = true;
	i->frozen_until = w->now + for_us;
	group_froze(w, i);
	world_plan(w, NULL, for_us, (struct event){.kind = EV_THAW, .a = i->index, .id = i->life});
}

void instance_thaw(struct world *w, struct instance *unused, const struct event *ev)
{
	struct instance *i = &w->instance[ev->a];

	(void)unused;
	if (!i->frozen || i->life != ev->id)
		return;
	TRACE(w, THAWED, i->index, i->evicted);
	i->frozen = false;
	i->thawed_at = w->now;
	group_thawed(w, i);
	broker_plan_poll(w, i);
}

void instance_left(struct world *w, struct instance *i)
{
	(void)w;
	i->left = true;
}

void instance_drain(struct world *w, struct instance *i)
{
	i->draining = true;
	i->drain_begun = w->now;
	i->drain_until = w->now + world_delay(w, w->k.drain_us);
	TRACE(w, DRAIN, i->index, i->drain_until);
	world_plan(w, i, i->drain_until - w->now + drain_patience_us, (struct event){.kind = EV_DRAIN_CHECK});
	engine_drain(instance_enter(w, i), i->drain_until, w->now);
	instance_leave(w, i);
}

/* Also where an instance that is done ends: not from within one of its own calls. */
void instance_drain_check(struct world *w, struct instance *i, const struct event *ev)
{
	int64_t patience = i->drained ? stop_patience_us : drain_patience_us;

	if (i->drained && i->left && engine_idle(i->engine)) {
		end(w, i);
		return;
	}
	if (w->now - i->drain_until < patience)
		return;
	if (w->now - i->thawed_at < patience) {
		world_plan(w, i, patience, *ev);
		return;
	}
	breach(w, "26: instance %d drains and is not %s %lld us after its time", i->index, i->drained ? "idle" : "drained",
		(long long)(w->now - i->drain_until));
}
