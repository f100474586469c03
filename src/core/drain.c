/* drain.c: the way to a shutdown: what runs ends, records are acknowledged, offsets committed, workers stopped. */
#include "state.h"

static const int64_t acks_wait_us = 5 * SECOND_US, commit_wait_us = 10 * SECOND_US;

void drain_timer_fired(struct engine *e, struct timer *t)
{
	(void)e; /* drain_progress runs at the end of every turn */
	(void)t;
}

void drain_begin(struct engine *e, int64_t until)
{
	struct partition *p;

	e->drain.until = until;
	if (e->drain.active)
		return;
	e->drain.active = true;
	TAILQ_FOREACH(p, &e->partitions, all)
		if (p->state == PARTITION_ACTIVE || p->state == PARTITION_CLOSING)
			partition_put_back(e, p);
	for (size_t i = 0; i < e->cfg.npools; i++)
		pool_judge(e, &e->pools[i]);
}

static size_t running(const struct engine *e)
{
	const struct partition *p;
	size_t n = 0;

	TAILQ_FOREACH(p, &e->partitions, all)
		n += p->running;
	return n;
}

static void drop_running(struct engine *e)
{
	struct partition *p;
	struct request *r;

	TAILQ_FOREACH(p, &e->partitions, all) {
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

static bool wait_until(struct engine *e, int64_t at)
{
	if (e->now >= at)
		return false;
	timers_arm(&e->timers, &e->drain.timer, at);
	return true;
}

void drain_progress(struct engine *e)
{
	struct drain *d = &e->drain;

	if (!d->active || d->done)
		return;
	if (running(e) > 0 && wait_until(e, d->until))
		return;
	drop_running(e);
	if (!outbox_empty(&e->outbox) && wait_until(e, d->until + acks_wait_us))
		return;
	commit_now(e);
	if (commit_pending(e) && wait_until(e, d->until + commit_wait_us))
		return;
	finish(e);
}
