/* partials.c: see partials.h. */
#include "partials.h"

#include <stdlib.h>

#include "mutant.h"
#include "state.h"

static void timer_fired(struct engine *e, struct timer *t)
{
	struct partials *p = TIMER_OWNER(t, struct partials, timer);

	partials_flush(e, p->request);
}

static struct partials *partials_of(struct engine *e, struct request *r)
{
	if (r->partials == NULL) {
		r->partials = xcalloc(1, sizeof(*r->partials));
		r->partials->request = r;
		r->partials->timer.fire = timer_fired;
		r->partials->last_at = INT64_MIN;
		buf_init(&r->partials->gathered, e->cfg.result_limit);
	}
	return r->partials;
}

/* Waits until partial_interval after the last one, and for memory: parts never push out what matters more. */
static bool due(const struct engine *e, const struct partials *p, int64_t interval)
{
	return (p->last_at == INT64_MIN || e->now - p->last_at >= interval) && budget_open(&e->budget);
}

void partials_take(struct engine *e, struct call_entry *c, const struct answer *a)
{
	int64_t interval = c->slot->pool->cfg.partial_interval_us;
	struct request *r = c->request;
	struct partials *p;

	if (c->kind != CALL_REQUEST || r == NULL || !r->fields.stream || a->payload.data == NULL)
		return;
	p = partials_of(e, r);
	if (p->next >= PARTIALS_MOST || p->gathered.len + a->payload.len + 1 > p->gathered.limit) {
		e->counters.partials_dropped++;
		return;
	}
	if (p->gathered.len > 0)
		buf_text(&p->gathered, ",");
	buf_add(&p->gathered, a->payload);
	if (due(e, p, interval))
		partials_flush(e, r);
	else if (p->timer.place == 0)
		timers_arm(&e->timers, &p->timer, p->last_at == INT64_MIN || e->now - p->last_at >= interval ? e->now + interval : p->last_at + interval);
}

void partials_flush(struct engine *e, struct request *r)
{
	struct partials *p = r->partials;

	if (p == NULL || p->gathered.len == 0)
		return;
	timers_disarm(&e->timers, &p->timer);
	if (r->place != PLACE_RUNNING || r->session->call == NULL) { /* of a run that has failed */
		buf_reset(&p->gathered);
		return;
	}
	if (!MUTANT(46))
		result_part(e, r, buf_slice(&p->gathered), p->next);
	p->next++;
	p->last_at = e->now;
	buf_reset(&p->gathered);
}

void partials_restart(struct engine *e, struct request *r)
{
	if (r->partials == NULL || MUTANT(47))
		return;
	timers_disarm(&e->timers, &r->partials->timer);
	buf_reset(&r->partials->gathered);
	r->partials->next = 0;
	r->partials->last_at = INT64_MIN;
}

void partials_stop(struct engine *e, struct request *r)
{
	if (r->partials != NULL)
		timers_disarm(&e->timers, &r->partials->timer);
}

void partials_free(struct request *r)
{
	if (r->partials == NULL)
		return;
	buf_free(&r->partials->gathered);
	free(r->partials);
	r->partials = NULL;
}

int32_t partials_next(const struct request *r)
{
	return r->partials != NULL ? r->partials->next : 0;
}
