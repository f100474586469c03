/* watch.c: see watch.h. */
#include "watch.h"

#include "state.h"

static const int64_t watch_us = SECOND_US, stuck_us = 300 * SECOND_US;
/* A group that has settled need not tell it with an assignment. What waits for one must not stop the rest by its memory. */
static const int64_t suspended_most_us = 300 * SECOND_US, suspended_pressed_us = 10 * SECOND_US;

static bool pressed(const struct engine *e)
{
	const struct partition *p;

	if (!budget_open(&e->budget))
		return true;
	TAILQ_FOREACH (p, &e->partitions, all)
		if (p->held)
			return true;
	return false;
}

/* Told when it has lasted from one look to the next, so that a busy second is not an event. */
static void watch_pressure(struct engine *e)
{
	struct note n = {
		.kind = NOTE_BACKPRESSURE,
		.from = HEALTH_READY,
		.to = HEALTH_DEGRADED,
		.reason = SLICE("requests wait in Kafka: the memory limit, a partition's share or its window is reached"),
	};
	bool now = pressed(e);

	if (now == e->pressure || now != e->pressed_before) {
		e->pressed_before = now;
		return;
	}
	e->pressure = now;
	if (!now) {
		n.from = HEALTH_DEGRADED;
		n.to = HEALTH_READY;
		n.reason = SLICE("requests are read again");
	}
	engine_note(e, &n);
}

static void watch_stuck(struct engine *e, struct partition *p)
{
	struct note n = {.kind = NOTE_PARTITION_STUCK, .tp = p->tp, .count = (e->now - p->moved_at) / MS_US};

	if ((p->nrequests == 0 && p->unacked == 0) || p->state == PARTITION_SUSPENDED)
		p->moved_at = e->now;
	if (e->now - p->moved_at < stuck_us) {
		p->stuck_told = false;
	} else if (!p->stuck_told) {
		p->stuck_told = true;
		engine_note(e, &n);
	}
}

static void watch_suspended(struct engine *e, struct partition *p)
{
	struct note n = {.kind = NOTE_PARTITION_LOST, .tp = p->tp, .count = (int64_t)p->nrequests};

	if (p->state != PARTITION_SUSPENDED ||
		e->now - p->suspended_at < (budget_open(&e->budget) ? suspended_most_us : suspended_pressed_us))
		return;
	engine_note(e, &n);
	partition_drop(e, p);
}

void watch_timer_fired(struct engine *e, struct timer *t)
{
	struct partition *p, *next;
	bool busy = e->pressure || e->pressed_before;

	watch_pressure(e);
	for (p = TAILQ_FIRST(&e->partitions); p != NULL; p = next) {
		next = TAILQ_NEXT(p, all);
		busy |= p->nrequests > 0 || p->unacked > 0 || p->state == PARTITION_SUSPENDED;
		watch_stuck(e, p);
		watch_suspended(e, p);
	}
	partition_share(e);
	if (busy)
		timers_arm(&e->timers, t, e->now + watch_us);
}

void watch_begin(struct engine *e)
{
	if (e->watch_timer.place == 0)
		timers_arm(&e->timers, &e->watch_timer, e->now + watch_us);
}
