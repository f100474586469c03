/* closing.c: see closing.h. */
#include "closing.h"

#include "commit.h"
#include "mutant.h"
#include "state.h"

/* How long the answer waits for the last commit, beyond the drain. */
static const int64_t last_commit_wait_us = 5 * SECOND_US;

static void revoke(struct engine *e, struct tp tp, bool lost)
{
	struct partition *p = partition_get(e, tp.topic, tp.partition);
	struct note n = {.kind = lost ? NOTE_PARTITION_LOST : NOTE_PARTITION_REVOKED, .tp = tp};

	if (p == NULL || p->tp.epoch != tp.epoch) {
		e->counters.stale++;
		return;
	}
	n.count = (int64_t)(p->nrequests - p->running);
	engine_note(e, &n);
	p->going = true;
	if (lost || (p->state == PARTITION_WAITING_MAP && !p->comeback)) {
		partition_drop(e, p);
		return;
	}
	/* it came back, and goes before it is known whether somebody else had committed */
	if (p->state == PARTITION_WAITING_MAP) {
		partition_suspend(e, p);
		return;
	}
	partition_put_back(e, p);
	partition_set(p, PARTITION_CLOSING);
}

/* Of pools whose sessions end with a revoke: all of its partitions. */
static void begin_ends(struct engine *e)
{
	struct closing *c = &e->closing;
	struct partition *p;

	TAILQ_FOREACH (p, &e->partitions, all) {
		const struct pool_config *cfg = &partition_pool(e, p)->cfg;

		if (!p->going || cfg->on_revoke != REVOKE_ENDS || p->nsessions == 0)
			continue;
		p->to_end = p->nsessions;
		c->hooks_until = later(c->hooks_until, e->now + cfg->session_hook_timeout_us);
		timers_arm(&e->timers, &c->end_timer, e->now);
	}
}

void closing_begin(struct engine *e, const struct tp *tp, size_t n, bool lost)
{
	struct closing *c = &e->closing;

	CHECK(!c->active);
	for (size_t i = 0; i < n; i++)
		revoke(e, tp[i], lost);
	c->active = true;
	c->lost = lost;
	c->last_commit = 0;
	c->until = lost ? e->now : e->now + e->cfg.drain_revoke_us;
	c->hooks_until = e->now;
	if (!lost)
		begin_ends(e);
}

/* Some at a time; each is cleaned up in its line. */
static int end_some(struct engine *e, struct partition *p, int most)
{
	struct session *s;

	for (; most > 0 && p->to_end > 0; most--, p->to_end--) {
		s = TAILQ_FIRST(&p->sessions);
		if (s == NULL) {
			p->to_end = 0;
			break;
		}
		TAILQ_REMOVE(&p->sessions, s, of_partition);
		TAILQ_INSERT_TAIL(&p->sessions, s, of_partition);
		session_end(e, s, END_PARTITION);
	}
	return most;
}

void closing_end_fired(struct engine *e, struct timer *t)
{
	struct partition *p;
	int left = SESSIONS_AT_ONCE;
	bool more = false;

	TAILQ_FOREACH (p, &e->partitions, all) {
		left = end_some(e, p, left);
		more |= p->to_end > 0;
	}
	if (more)
		timers_arm(&e->timers, t, e->now + MS_US);
}

/* A run whose request has ended may still touch its session: the next owner is not to run beside it. */
static bool overdue(const struct slot *w)
{
	const struct call_entry *c;

	for (c = w->overdue > 0 ? w->calls : NULL; c != NULL; c = c->hh.next)
		if (c->cancelled && c->session != NULL && c->session->home != NULL &&
			c->session->home->state == PARTITION_CLOSING)
			return true;
	return false;
}

/* Sessions of it are being cleaned up, or will be: what they save is to be there when the next owner begins them. */
static bool sessions_end(const struct partition *p)
{
	return p->to_end > 0 || p->ending > 0;
}

static bool hooks_run(const struct engine *e)
{
	const struct partition *p;

	if (e->now >= e->closing.hooks_until || MUTANT(88))
		return false;
	TAILQ_FOREACH (p, &e->partitions, all)
		if (p->going && sessions_end(p) && partition_pool(e, p)->cfg.on_revoke == REVOKE_ENDS)
			return true;
	return false;
}

/* What a revoke still waits for: runs, hooks and acknowledgements until the drain's end, then one last commit. */
static bool still_working(const struct engine *e)
{
	const struct partition *p;

	if (e->now >= e->closing.until || MUTANT(22))
		return false;
	TAILQ_FOREACH (p, &e->partitions, all)
		if ((p->state == PARTITION_CLOSING && (p->running > 0 || p->unacked > 0)) || (p->going && sessions_end(p)))
			return true;
	for (size_t i = 0; i < e->cfg.npools; i++)
		for (uint32_t k = 0; k < e->pools[i].nslots; k++)
			if (overdue(&e->pools[i].slots[k]))
				return true;
	return false;
}

static void release(struct engine *e)
{
	struct partition *p;

	e->closing.active = false;
	timers_disarm(&e->timers, &e->closing.timer);
	timers_disarm(&e->timers, &e->closing.end_timer);
	TAILQ_FOREACH (p, &e->partitions, all) {
		p->going = false;
		p->to_end = 0; /* whoever comes back goes on */
		if (p->state == PARTITION_CLOSING)
			partition_suspend(e, p);
	}
	if (MUTANT(11))
		return;
	e->port.release(e->port.ctx);
	if (MUTANT(14))
		e->port.release(e->port.ctx);
}

void closing_progress(struct engine *e)
{
	struct closing *c = &e->closing;
	int64_t patience;

	if (!c->active)
		return;
	if (c->lost) { /* nothing is waited for, and nothing committed */
		release(e);
		return;
	}
	if (c->last_commit == 0 && still_working(e) && timers_wait(&e->timers, &c->timer, c->until, e->now))
		return;
	if (c->last_commit == 0 && hooks_run(e) && timers_wait(&e->timers, &c->timer, c->hooks_until, e->now))
		return;
	if (c->hooks_until > e->now) /* what follows counts from the end of the hooks */
		c->hooks_until = e->now;
	patience = later(c->until, c->hooks_until) + last_commit_wait_us;
	if (c->last_commit == 0) {
		/* it was under way before the work ended: one more after it */
		if (e->commit_in_flight != 0 && timers_wait(&e->timers, &c->timer, patience, e->now))
			return;
		commit_now(e);
		c->last_commit = e->commit_in_flight;
	}
	if (c->last_commit != 0 && e->commit_in_flight == c->last_commit && timers_wait(&e->timers, &c->timer, patience, e->now))
		return;
	release(e);
}

void closing_timer_fired(struct engine *e, struct timer *t)
{
	(void)e; /* closing_progress runs at the end of every turn */
	(void)t;
}
