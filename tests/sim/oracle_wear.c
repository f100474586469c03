/* oracle_wear.c: a worker that is to be replaced, because it is old or holds much, is: as soon as there can be a successor. */
#include "oracle.h"

#include "workers.h"

static const int64_t look_again_us = SECOND_US, memory_pause_us = 10 * SECOND_US;

static void plan_check(struct world *w, struct instance *i, struct slot_ref ref, int64_t delay, int64_t due)
{
	world_plan(w, i, delay + i->late_us + 2 * MS_US, (struct event){.kind = EV_WEAR_CHECK, .worker = ref, .b = due});
}

void oracle_ready(struct world *w, struct instance *i, struct proc *p)
{
	int64_t age = i->pools[p->ref.pool].recycle_age_us;

	p->ready_at = w->now;
	if (age > 0)
		plan_check(w, i, p->ref, age, w->now + age);
}

/* The longest that the engine may wait after n reports of that kind, if each was of a worker that had just been started. */
static int64_t pause_after(unsigned n)
{
	int64_t pause = n == 0 ? 0 : memory_pause_us;

	for (unsigned k = 1; k < n && pause < 3600 * SECOND_US; k++)
		pause *= 2;
	return pause;
}

void oracle_grown(struct world *w, struct instance *i, struct proc *p, uint64_t bytes)
{
	uint64_t most = i->pools[p->ref.pool].recycle_memory;
	int64_t pause = pause_after(i->grown[p->ref.pool]);

	if (most == 0 || bytes <= most || !p->ready)
		return;
	i->grown[p->ref.pool]++;
	if (w->now - p->ready_at >= pause && p->cause == CAUSE_NONE)
		plan_check(w, i, p->ref, 0, w->now);
}

/* Somebody is on the way, or cannot be started yet, or leaves, which one at a time does. */
static bool something_goes_on(const struct world *w, const struct instance *i, uint16_t pool)
{
	for (unsigned s = 0; s < MAX_SLOTS; s++) {
		const struct proc *p = i->procs[pool][s];

		if (p == NULL ? i->gone_at[pool][s] > w->now - i->pools[pool].backoff_max_us - i->late_us - SECOND_US &&
					i->gone_at[pool][s] > 0
			      : !p->ready || p->stopped || p->cause != CAUSE_NONE || p->leaving_at != INT64_MAX)
			return true;
	}
	return false;
}

/* What runs there may be waited for, so that something can run there alone. */
static bool is_kept(const struct world *w, const struct instance *i, const struct proc *p, int64_t due)
{
	const struct pool_config *pool = &i->pools[p->ref.pool];
	int64_t run = pool->request_timeout_us + pool->kill_grace_us + pool->session_hook_timeout_us + 3 * pool->stop_grace_us;

	return p->nworks > 0 && w->now < due + 4 * run;
}

void oracle_wear_check(struct world *w, struct instance *i, const struct event *ev)
{
	const struct proc *p = workers_find(i, ev->worker);

	if (p == NULL || p->stopped || p->cause != CAUSE_NONE || p->leaving_at != INT64_MAX || i->draining)
		return;
	if (something_goes_on(w, i, p->ref.pool) || is_kept(w, i, p, ev->b) || i->thawed_at > w->now - SECOND_US) {
		plan_check(w, i, ev->worker, look_again_us, ev->b);
		return;
	}
	breach(w, "27: worker %d.%u was to be replaced %lld us ago, and nothing is done about it", p->ref.slot, p->ref.generation,
		(long long)(w->now - ev->b));
}
