/* drain.c: see drain.h. */
#include "drain.h"

#include "commit.h"
#include "mutant.h"
#include "patience.h"
#include "replace.h"
#include "state.h"

static const int64_t acks_wait_us = 5 * SECOND_US, commit_wait_us = 10 * SECOND_US;

void drain_timer_fired(struct engine *e, struct timer *t)
{
	(void)e; /* drain_progress runs at the end of every turn */
	(void)t;
}

/* Sessions live there whose end is to be heard: their programs may save what they hold, before somebody else begins them anew. To
 * other workers the end of all is enough. */
static bool hears(const struct slot *w)
{
	return w->bound > 0 && (w->capabilities & CAPABILITY_SESSIONS) && slot_able(w) && !MUTANT(87);
}

static void end_sessions(struct engine *e)
{
	for (size_t i = 0; i < e->cfg.npools; i++)
		for (uint32_t k = 0; k < e->pools[i].nslots; k++)
			if (hears(&e->pools[i].slots[k]))
				replace_end_sessions(e, &e->pools[i].slots[k]);
}

static bool sessions_left(const struct engine *e)
{
	for (size_t i = 0; i < e->cfg.npools; i++)
		for (uint32_t k = 0; k < e->pools[i].nslots; k++)
			if (hears(&e->pools[i].slots[k]))
				return true;
	return false;
}

static void put_back(struct engine *e)
{
	struct partition *p;

	TAILQ_FOREACH (p, &e->partitions, all)
		if (p->state == PARTITION_ACTIVE || p->state == PARTITION_CLOSING)
			partition_put_back(e, p);
}

void drain_begin(struct engine *e, int64_t until)
{
	e->drain.until = until;
	if (e->drain.active)
		return;
	e->drain.active = true;
	if (!MUTANT(83))
		put_back(e);
	end_sessions(e);
	for (size_t i = 0; i < e->cfg.npools; i++)
		pool_judge(e, &e->pools[i]);
}

static size_t running(const struct engine *e)
{
	const struct partition *p;
	size_t n = 0;

	TAILQ_FOREACH (p, &e->partitions, all)
		n += p->running;
	return n;
}

static void drop_running(struct engine *e)
{
	struct partition *p;
	struct request *r;

	if (MUTANT(83)) /* so late */
		put_back(e);
	TAILQ_FOREACH (p, &e->partitions, all) {
		while ((r = TAILQ_FIRST(&p->requests)) != NULL) {
			window_put_back(&p->window, r->m.source.offset);
			patience_orphan(e, r->session->call, "shutdown");
		}
	}
}

static void finish(struct engine *e)
{
	e->drain.done = true;
	timers_disarm(&e->timers, &e->drain.timer);
	for (size_t i = 0; i < e->cfg.npools; i++) {
		for (uint32_t k = 0; k < e->pools[i].nslots; k++)
			slot_stop(e, &e->pools[i].slots[k], STOPPED_DRAIN, "shutdown");
		pool_judge(e, &e->pools[i]);
	}
}

/* session_hook_timeout, of all pools. */
static int64_t longest_hook(const struct engine *e)
{
	int64_t most = 0;

	for (size_t i = 0; i < e->cfg.npools; i++)
		most = later(most, e->pools[i].cfg.session_hook_timeout_us);
	return most;
}

void drain_progress(struct engine *e)
{
	struct drain *d = &e->drain;

	if (!d->active || d->done)
		return;
	if (running(e) > 0 && !MUTANT(82) && timers_wait(&e->timers, &d->timer, d->until, e->now))
		return;
	drop_running(e);
	if (d->hooks_until == 0)
		d->hooks_until = e->now + longest_hook(e);
	if (sessions_left(e) && timers_wait(&e->timers, &d->timer, d->hooks_until, e->now))
		return;
	if (d->hooks_until > e->now) /* what follows counts from the end of the hooks */
		d->hooks_until = e->now;
	if (!outbox_empty(&e->outbox) &&
		timers_wait(&e->timers, &d->timer, later(d->until, d->hooks_until) + acks_wait_us, e->now))
		return;
	commit_now(e);
	if (commit_pending(e) && timers_wait(&e->timers, &d->timer, later(d->until, d->hooks_until) + commit_wait_us, e->now))
		return;
	finish(e);
}
