/* workers.c: see workers.h.
 *
 * A worker's side and the engine's side of a call are apart: `works` are the calls whose answers have not reached the engine;
 * what the worker will say is planned as events when the call is made. A dead process says nothing that it had not said. */
#include "workers.h"

#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "instance.h"
#include "oracle.h"

/* What an EV_ANSWER carries in `a`; `b` is the record or -1. */
enum saying { SAY_OK, SAY_ERROR, SAY_RETRIABLE, SAY_PARTIAL, SAY_UNREADABLE, SAY_BARE, SAY_HUGE, SAY_HELLO };

struct proc *workers_find(struct instance *i, struct slot_ref ref)
{
	struct proc *p = ref.pool < MAX_POOLS && ref.slot < MAX_SLOTS ? i->procs[ref.pool][ref.slot] : NULL;

	return p != NULL && p->ref.generation == ref.generation ? p : NULL;
}

struct proc *workers_any(struct world *w, struct instance *i)
{
	struct proc *found = NULL;
	unsigned n = 0;

	for (int p = 0; p < MAX_POOLS; p++)
		for (int s = 0; s < MAX_SLOTS; s++)
			if (i->procs[p][s] != NULL && !i->procs[p][s]->dead && random_below(&w->random, ++n) == 0)
				found = i->procs[p][s];
	return found;
}

/* The engine sees now that it ends, or ends it. */
static void first_cause(struct proc *p, enum cause why)
{
	if (p->cause != CAUSE_NONE)
		return;
	p->cause = why;
	p->nworks_at_cause = p->nworks;
}

static void plan(struct world *w, struct instance *i, const struct proc *p, int64_t delay, struct event ev)
{
	ev.worker = p->ref;
	world_plan(w, i, delay, ev);
}

/* ---- birth and death ---- */

void workers_start(struct world *w, struct instance *i, struct slot_ref ref)
{
	struct proc *p = xcalloc(1, sizeof(*p));

	TRACE(w, START, i->index, ref.pool, ref.slot, ref.generation);
	if (i->procs[ref.pool][ref.slot] != NULL)
		breach(w, "17: worker %d/%d is started while the one before is not gone", ref.pool, ref.slot);
	if (ref.generation <= i->generation[ref.pool][ref.slot])
		breach(w, "17: the generation of worker %d/%d does not grow: %u", ref.pool, ref.slot, ref.generation);
	oracle_started(w, i, ref);
	i->generation[ref.pool][ref.slot] = ref.generation;
	i->procs[ref.pool][ref.slot] = p;
	w->starts++;
	p->ref = ref;
	p->leaving_at = INT64_MAX;
	p->started_at = w->now;
	TAILQ_INIT(&p->works);
	p->deaf = world_chance(w, w->k.deaf_permille);
	p->mute = !w->quiet && world_chance(w, w->k.mute_ping_permille);
	p->concurrency = (uint32_t)random_below(&w->random, 10);
	p->capabilities = (uint32_t)random_below(&w->random, 16);
	if (!w->quiet && world_chance(w, w->k.start_failure_permille / 2)) {
		p->dead = p->gone_planned = true;
		plan(w, i, p, 1, (struct event){.kind = EV_FAULT, .a = ref.generation % 2 ? FAULT_EXEC : FAULT_START});
		plan(w, i, p, 2, (struct event){.kind = EV_GONE});
		return;
	}
	plan(w, i, p, world_delay(w, MS_US), (struct event){.kind = EV_STARTED});
}

void workers_started(struct world *w, struct instance *i, const struct event *ev)
{
	if (workers_find(i, ev->worker) == NULL)
		return;
	TRACE(w, STARTED, i->index, ev->worker.pool, ev->worker.slot, ev->worker.generation);
	engine_started(instance_enter(w, i), ev->worker, 0, w->now);
	instance_leave(w, i);
}

static void die(struct world *w, struct instance *i, struct proc *p)
{
	int64_t delay, seen;
	enum worker_fault fault;

	if (p->gone_planned)
		return;
	delay = world_delay(w, w->k.guard_us);
	seen = world_delay(w, delay);
	fault = random_below(&w->random, 8) ? FAULT_EOF : FAULT_WRITE;
	p->dead = p->gone_planned = true;
	TRACE(w, CRASH, i->index, p->ref.slot, p->ref.generation);
	if (random_below(&w->random, 4)) /* the end of its stdout is seen first, most of the time */
		plan(w, i, p, seen, (struct event){.kind = EV_FAULT, .a = fault});
	plan(w, i, p, delay + 1, (struct event){.kind = EV_GONE});
}

void workers_crash(struct world *w, struct instance *i, const struct event *ev)
{
	struct proc *p = workers_find(i, ev->worker);

	if (p != NULL)
		die(w, i, p);
}

void workers_fault(struct world *w, struct instance *i, const struct event *ev)
{
	struct proc *p = workers_find(i, ev->worker);

	if (p == NULL || (ev->a == FAULT_FRAME && p->dead))
		return;
	TRACE(w, FAULT, i->index, ev->worker.slot, ev->worker.generation, ev->a);
	first_cause(p, CAUSE_ITSELF);
	engine_fault(instance_enter(w, i), ev->worker, (enum worker_fault)ev->a, SLICE("garbage"), w->now);
	instance_leave(w, i);
}

static void drop_work(struct proc *p, struct work *k)
{
	TAILQ_REMOVE(&p->works, k, line);
	free(k);
}

static bool takes_place(const struct work *k)
{
	return k->kind == CALL_REQUEST || k->kind == CALL_OPEN_SESSION || k->kind == CALL_CLEANUP_SESSION;
}

void workers_gone(struct world *w, struct instance *i, const struct event *ev)
{
	struct exit_report x = {.signal = 9, .last = SLICE("model: killed")};
	struct proc *p = workers_find(i, ev->worker);

	CHECK(p != NULL);
	TRACE(w, GONE, i->index, ev->worker.slot, ev->worker.generation);
	first_cause(p, CAUSE_ITSELF);
	oracle_gone(w, i, p);
	i->procs[ev->worker.pool][ev->worker.slot] = NULL;
	i->gone_at[ev->worker.pool][ev->worker.slot] = p->orderly ? 0 : w->now;
	i->exits[ev->worker.pool]++;
	while (!TAILQ_EMPTY(&p->works))
		drop_work(p, TAILQ_FIRST(&p->works));
	free(p);
	engine_gone(instance_enter(w, i), ev->worker, &x, w->now);
	oracle_buried(w, i, ev->worker.pool);
	instance_leave(w, i);
}

void workers_forget(struct world *w, struct instance *i)
{
	(void)w;
	for (int s = 0; s < MAX_POOLS * MAX_SLOTS; s++) {
		struct proc *p = i->procs[s / MAX_SLOTS][s % MAX_SLOTS];

		if (p == NULL)
			continue;
		while (!TAILQ_EMPTY(&p->works))
			drop_work(p, TAILQ_FIRST(&p->works));
		free(p);
		i->procs[s / MAX_SLOTS][s % MAX_SLOTS] = NULL;
	}
}

/* ---- orders ---- */

/* Something is owed for so long that it may be ended for it: hooks are not told to stop, and have all of their time. */
static bool owes_long(const struct world *w, const struct proc *p)
{
	const struct pool_config *pool = &w->k.pool[p->ref.pool];
	const struct work *k;
	int64_t most;

	TAILQ_FOREACH (k, &p->works, line) {
		most = k->kind == CALL_PING      ? pool->ping_timeout_us
		       : k->kind == CALL_REQUEST ? pool->kill_grace_us
						 : pool->session_hook_timeout_us + pool->kill_grace_us;
		if (w->now - k->since >= most)
			return true;
	}
	return false;
}

void workers_stop(struct world *w, struct instance *i, struct slot_ref ref, enum stop_step step)
{
	struct proc *p = workers_find(i, ref);
	const struct work *k;
	bool pinged = false;

	TRACE(w, STOP, i->index, ref.slot, ref.generation, step);
	if (p == NULL)
		breach(w, "16: instance %d stops worker %d.%u, which is gone", i->index, ref.slot, ref.generation);
	TAILQ_FOREACH (k, &p->works, line)
		pinged |= k->kind == CALL_PING && w->now - k->since >= w->k.pool[ref.pool].ping_timeout_us;
	if (step == STOP_CLOSE && !i->draining)
		oracle_recycled(w, p);
	if (step == STOP_TERM && p->ready && !p->stopped && p->cause == CAUSE_NONE && !owes_long(w, p))
		breach(w, "17: worker %d.%u is ended, and owes no answer, or not for so long", ref.slot, ref.generation);
	if (!p->stopped && step == STOP_CLOSE)
		p->closed_at = w->now;
	p->stopped = true;
	first_cause(p, p->greedy ? CAUSE_ITSELF : pinged ? CAUSE_UNSURE : CAUSE_ENGINE);
	if (step == STOP_KILL || (!p->deaf && random_below(&w->random, 4)))
		plan(w, i, p, step == STOP_KILL ? 0 : world_delay(w, 20 * MS_US), (struct event){.kind = EV_CRASH});
}

static enum behaviour draw_behaviour(struct world *w, const struct asked *r)
{
	uint64_t at = random_below(&w->random, 1000);

	if (w->quiet)
		return DO_OK;
	if (r->poison)
		return DO_CRASH;
	for (int b = 1; b < BEHAVIOURS; b++) {
		if (at < w->k.rate[b])
			return (enum behaviour)b;
		at -= w->k.rate[b];
	}
	return DO_OK;
}

static void plan_answer(struct world *w, struct instance *i, const struct proc *p, const struct work *k, int64_t delay,
	enum saying what)
{
	plan(w, i, p, delay, (struct event){.kind = EV_ANSWER, .id = k->id, .a = what, .b = k->record});
}

static void plan_run(struct world *w, struct instance *i, struct proc *p, const struct work *k, const struct asked *r)
{
	static const enum saying says[BEHAVIOURS] = {
		[DO_OK] = SAY_OK,
		[DO_ERROR] = SAY_ERROR,
		[DO_RETRIABLE] = SAY_RETRIABLE,
		[DO_TWICE] = SAY_OK,
		[DO_UNREADABLE] = SAY_UNREADABLE,
		[DO_UNREADABLE_BARE] = SAY_BARE,
		[DO_PARTIALS] = SAY_OK,
		[DO_HUGE] = SAY_HUGE,
		[DO_NEVER_ISSUED] = SAY_OK,
	};
	int64_t delay = world_delay(w, w->k.run_us);
	enum behaviour b = draw_behaviour(w, r);
	struct work foreign = *k;
	enum saying end = says[b];

	switch (b) {
	case DO_CRASH: plan(w, i, p, delay, (struct event){.kind = EV_CRASH}); return;
	case DO_GARBAGE: plan(w, i, p, delay, (struct event){.kind = EV_FAULT, .a = FAULT_FRAME}); return;
	case DO_HANG:
		if (p->concurrency % 2 && k->remaining_us != INT64_MAX) /* keeps the time itself */
			plan_answer(w, i, p, k, k->remaining_us, SAY_ERROR);
		return;
	case DO_NEVER_ISSUED: foreign.id += 1000000; break;
	case DO_TWICE: plan_answer(w, i, p, k, delay + world_delay(w, 4 * w->k.run_us), SAY_OK); break;
	case DO_PARTIALS:
		for (int64_t n = 1; n <= w->k.partials; n++)
			plan_answer(w, i, p, k, delay * n / (w->k.partials + 1), SAY_PARTIAL);
		if (random_below(&w->random, 3) == 0) /* and once more from the beginning */
			end = SAY_RETRIABLE;
		break;
	default: break;
	}
	plan_answer(w, i, p, &foreign, delay, end);
}

static void plan_cancel(struct world *w, struct instance *i, struct proc *p, const struct work *k, uint64_t target)
{
	const struct work *t;

	oracle_cancelled(w, i, p, target);
	TAILQ_FOREACH (t, &p->works, line)
		if (t->id == target && random_below(&w->random, 4)) /* most understand; some go on */
			plan_answer(w, i, p, t, world_delay(w, 5 * MS_US), SAY_ERROR);
	plan_answer(w, i, p, k, world_delay(w, 5 * MS_US), SAY_OK);
}

static void plan_ping(struct world *w, struct instance *i, struct proc *p, const struct work *k)
{
	if (k->initialization && !w->quiet && world_chance(w, w->k.start_failure_permille / 2)) {
		if (random_below(&w->random, 2))
			plan_answer(w, i, p, k, world_delay(w, w->k.start_us), SAY_ERROR);
		else
			plan(w, i, p, world_delay(w, w->k.start_us), (struct event){.kind = EV_CRASH});
	} else if (k->initialization && !w->quiet && world_chance(w, w->k.slow_start_permille)) {
		return;
	} else if (k->initialization) {
		plan_answer(w, i, p, k, world_delay(w, w->k.start_us), SAY_HELLO);
	} else if (!p->mute) {
		plan_answer(w, i, p, k, world_delay(w, 5 * MS_US), SAY_OK);
	}
}

static void plan_hook(struct world *w, struct instance *i, struct proc *p, const struct work *k)
{
	bool fails = !w->quiet && world_chance(w, w->k.hook_failure_permille), retriable = random_below(&w->random, 2);
	int64_t delay = world_delay(w, 5 * MS_US);

	if (!fails)
		plan_answer(w, i, p, k, delay, SAY_OK);
	else if (random_below(&w->random, 3) == 0)
		plan(w, i, p, delay, (struct event){.kind = EV_CRASH});
	else if (random_below(&w->random, 2))
		plan_answer(w, i, p, k, delay, retriable ? SAY_RETRIABLE : SAY_ERROR);
	/* else: no answer at all */
}

void workers_call(struct world *w, struct instance *i, struct slot_ref ref, const struct call *c)
{
	struct proc *p = workers_find(i, ref);
	struct work *k = xcalloc(1, sizeof(*k));

	*k = (struct work){
		.id = c->id,
		.kind = c->kind,
		.initialization = c->initialization,
		.record = -1,
		.session = client_session(w, c->session_id),
		.attempt = c->attempt,
		.since = w->now,
		.remaining_us = c->remaining_ms == TIME_NONE ? INT64_MAX : c->remaining_ms * MS_US,
	};
	TRACE(w, CALL, i->index, ref.slot, (int64_t)c->id, c->kind, k->session);
	if (p == NULL)
		breach(w, "16: instance %d calls worker %d.%u, which is gone", i->index, ref.slot, ref.generation);
	if (c->id != p->last_id + 1)
		breach(w, "ids of calls count up: %llu after %llu", (unsigned long long)c->id, (unsigned long long)p->last_id);
	p->last_id = c->id;
	oracle_call(w, i, p, k, c);
	TAILQ_INSERT_TAIL(&p->works, k, line);
	p->nworks += takes_place(k);
	switch (c->kind) {
	case CALL_REQUEST: plan_run(w, i, p, k, &w->asked[k->record]); break;
	case CALL_PING: plan_ping(w, i, p, k); break;
	case CALL_OPEN_SESSION:
	case CALL_CLEANUP_SESSION: plan_hook(w, i, p, k); break;
	case CALL_CANCEL: plan_cancel(w, i, p, k, c->target); break;
	case CALL_SHUTDOWN:
		if (!p->deaf)
			plan(w, i, p, world_delay(w, 20 * MS_US), (struct event){.kind = EV_CRASH});
	}
}

/* ---- answers ---- */

void workers_payload(const struct asked *r, int32_t attempt, bool huge, struct buf *out)
{
	static char pad[40000];

	memset(pad, 'h', sizeof(pad));
	buf_printf(out, "{\"n\":%u, \"attempt\":%d,\"v\": 1.10,\"big\":12345678901234567890,\"pad\":\"", r->index, attempt);
	buf_append(out, pad, huge ? sizeof(pad) : r->big ? 9000 : 1);
	buf_text(out, "\"}");
}

static void say(const struct world *w, const struct proc *p, const struct event *ev, int32_t attempt, struct buf *payload,
	struct answer *a)
{
	*a = (struct answer){.id = ev->id, .has_id = true, .kind = ANSWER_OK, .retry_after_ms = TIME_NONE};
	switch ((enum saying)ev->a) {
	case SAY_HELLO:
		a->protocol = 1;
		a->concurrency = p->concurrency;
		a->capabilities = p->capabilities;
		a->version = SLICE("model");
		return;
	case SAY_OK:
	case SAY_HUGE:
	case SAY_PARTIAL:
		if (ev->a == SAY_PARTIAL)
			a->kind = ANSWER_PARTIAL;
		if (ev->b >= 0)
			workers_payload(&w->asked[ev->b], attempt, ev->a == SAY_HUGE, payload);
		else
			buf_text(payload, "{}");
		a->payload = buf_slice(payload);
		return;
	case SAY_ERROR:
	case SAY_RETRIABLE:
		a->kind = ANSWER_ERROR;
		a->retriable = ev->a == SAY_RETRIABLE;
		a->code = a->retriable ? SLICE("MODEL_BUSY") : SLICE("MODEL_ERROR");
		a->message = SLICE("the model says no");
		if (a->retriable && ev->id % 4 == 0)
			a->retry_after_ms = 300;
		return;
	case SAY_BARE:
		a->has_id = false;
		a->id = 0;
		/* fallthrough */
	case SAY_UNREADABLE:
		a->kind = ANSWER_UNREADABLE;
		a->code = SLICE("INVALID_RESULT");
		a->message = SLICE("not JSON");
	}
}

/* Breaks the protocol: the engine has to replace the worker. */
static bool outrageous(const struct proc *p, const struct answer *a)
{
	return !a->has_id || a->id == 0 || a->id > p->last_id;
}

void workers_answer(struct world *w, struct instance *i, const struct event *ev)
{
	struct proc *p = workers_find(i, ev->worker);
	struct work *k = NULL;
	struct answer a;
	struct buf payload;

	if (p == NULL || p->dead)
		return;
	TAILQ_FOREACH (k, &p->works, line)
		if (k->id == ev->id)
			break;
	buf_init(&payload, SIZE_MAX);
	say(w, p, ev, k ? k->attempt : 0, &payload, &a);
	TRACE(w, ANSWER, i->index, ev->worker.slot, ev->worker.generation, (int64_t)ev->id, ev->a);
	if (outrageous(p, &a)) {
		first_cause(p, CAUSE_ITSELF);
	} else if (k != NULL && a.kind != ANSWER_PARTIAL) {
		oracle_answered(w, i, p, k, &a);
		p->nworks -= takes_place(k);
		drop_work(p, k);
	}
	if (k != NULL && a.kind == ANSWER_PARTIAL && !outrageous(p, &a))
		oracle_partial(w, i, k);
	engine_answer(instance_enter(w, i), ev->worker, &a, w->now);
	if (outrageous(p, &a) && !p->stopped)
		breach(w, "17: worker %d.%u broke the protocol and is not replaced", p->ref.slot, p->ref.generation);
	instance_leave(w, i);
	buf_free(&payload);
}
