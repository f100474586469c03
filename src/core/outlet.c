/* outlet.c: see outlet.h. */
#include "outlet.h"

#include "mutant.h"
#include "outbox.h"
#include "retry.h"
#include "state.h"

/* Of what is on its way: well below what a batch holds at most, so that the first time it is lowered counts already. */
enum { BATCH_MOST = 262144 };
static const int64_t aside_least_us = SECOND_US, aside_most_us = 30 * SECOND_US;

static void again_fired(struct engine *e, struct timer *t)
{
	(void)e; /* armed meant closed; the pump at the end of every turn goes on */
	(void)t;
}

static void aside_fired(struct engine *e, struct timer *t)
{
	struct outlet *l = TIMER_OWNER(t, struct outlet, aside);
	struct outgoing *r;

	(void)e;
	while ((r = TAILQ_FIRST(&l->lines[OUTLET_ASIDE])) != NULL) {
		outlet_remove(l, r);
		outlet_suspect(l, r, false);
		outlet_return(l, r);
	}
}

void outlet_init(struct outlet *l)
{
	for (int k = 0; k < OUTLET_LINES; k++)
		TAILQ_INIT(&l->lines[k]);
	l->again.fire = again_fired;
	l->aside.fire = aside_fired;
	l->most = SIZE_MAX;
	l->round = 1;
}

/* ---- the lines ---- */

void outlet_add(struct outlet *l, struct outgoing *r)
{
	r->in = OUTLET_PENDING;
	TAILQ_INSERT_TAIL(&l->lines[OUTLET_PENDING], r, line);
}

void outlet_remove(struct outlet *l, struct outgoing *r)
{
	if (l->returned == r)
		l->returned = TAILQ_NEXT(r, line);
	TAILQ_REMOVE(&l->lines[r->in], r, line);
}

/* Many come back at once when a topic refuses them, in order mostly: the next one's place is near the last one's. */
void outlet_return(struct outlet *l, struct outgoing *r)
{
	struct outgoing_line *pending = &l->lines[OUTLET_PENDING];
	struct outgoing *after = l->returned != NULL ? l->returned : TAILQ_FIRST(pending), *before;

	while (after != NULL && after->record.serial < r->record.serial)
		after = TAILQ_NEXT(after, line);
	while (after != NULL && (before = TAILQ_PREV(after, outgoing_line, line)) != NULL &&
		before->record.serial > r->record.serial)
		after = before;
	if (after != NULL)
		TAILQ_INSERT_BEFORE(after, r, line);
	else
		TAILQ_INSERT_TAIL(pending, r, line);
	r->in = OUTLET_PENDING;
	l->returned = r;
}

/* ---- on their way ---- */

static size_t size_of(const struct outgoing *r)
{
	return r->record.key.len + r->record.value.len + r->record.headers.len;
}

/* A suspicion from before `most` was lowered is void: batches are others now. */
static bool must_be_alone(const struct outlet *l, const struct outgoing *r)
{
	return r->suspect_in == l->round || size_of(r) > l->most;
}

bool outlet_may_send(const struct outlet *l, const struct outgoing *r)
{
	if (l->only != NULL && must_be_alone(l, l->only))
		return false;
	return l->flying == 0 || (!must_be_alone(l, r) && l->flying + size_of(r) <= l->most);
}

void outlet_sent(struct outlet *l, struct outgoing *r)
{
	l->only = l->flying == 0 ? r : NULL;
	r->flying = size_of(r) + 1; /* an empty one is on its way too */
	l->flying += r->flying;
}

bool outlet_reported(struct outlet *l, struct outgoing *r)
{
	bool alone = l->only == r;

	l->flying -= r->flying;
	if (alone)
		l->only = NULL;
	return alone;
}

/* ---- blame ---- */

void outlet_suspect(struct outlet *l, struct outgoing *r, bool too_large)
{
	r->suspect_in = l->round;
	r->suspect_size = too_large;
}

bool outlet_learn(struct outlet *l, const struct outgoing *r)
{
	l->asides = 0;
	if (r->suspect_in != l->round || !r->suspect_size)
		return false;
	l->most = (l->most < BATCH_MOST ? l->most : BATCH_MOST) / 2;
	l->round++;
	return true;
}

void outlet_lay_aside(struct engine *e, struct outlet *l, struct outgoing *r)
{
	r->in = OUTLET_ASIDE;
	TAILQ_INSERT_TAIL(&l->lines[OUTLET_ASIDE], r, line);
	if (l->aside.place == 0)
		timers_arm(&e->timers, &l->aside, e->now + retry_backoff(aside_least_us, aside_most_us, ++l->asides, &e->random));
}

/* ---- pauses ---- */

void outlet_wait(struct engine *e, struct outlet *l, int64_t us)
{
	timers_arm(&e->timers, &l->again, e->now + us);
}

bool outlet_pause(struct engine *e, struct outlet *l, int64_t least, int64_t most)
{
	if (l->again.place != 0)
		return false;
	outlet_wait(e, l, retry_backoff(least, most, ++l->refusals, &e->random));
	return true;
}
