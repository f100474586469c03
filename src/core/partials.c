/* partials.c: see partials.h. */
#include "partials.h"

#include <inttypes.h>
#include <stdio.h>
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

/* Told once for each run: a log line for what a program does wrong again and again. */
static void tell_full(struct engine *e, const struct slot *w, const struct request *r, const char *bound)
{
	char text[256];
	struct note n = {.kind = NOTE_PARTIALS_DROPPED, .worker = w->ref, .has_pool = true, .tp = r->partition->tp, .count = r->m.source.offset};

	snprintf(text, sizeof(text), "request %.*s has reached %s after %" PRId32 " parts of %" PRIu64 " bytes", (int)(r->fields.request_id.len < 64 ? r->fields.request_id.len : 64),
		(const char *)r->fields.request_id.data, bound, r->partials->next, r->partials->bytes);
	n.reason = slice_of(text);
	engine_note(e, &n);
}

/* The bound that this would go beyond; NULL: none. */
static const char *bound_reached(const struct pool_config *cfg, const struct partials *p, size_t len)
{
	if (cfg->partial_max > 0 && (uint32_t)p->next >= cfg->partial_max && !MUTANT(61))
		return "partial_max";
	if (cfg->partial_bytes_max > 0 && p->bytes + len > cfg->partial_bytes_max && !MUTANT(62))
		return "partial_bytes_max";
	return NULL;
}

/* False: dropped. */
static bool gather(struct engine *e, const struct slot *w, struct request *r, struct slice value)
{
	struct partials *p = partials_of(e, r);
	const char *bound;

	if (p->full || p->gathered.len + value.len + 1 > p->gathered.limit)
		return false;
	bound = bound_reached(&w->pool->cfg, p, value.len);
	if (bound != NULL) {
		p->full = true;
		tell_full(e, w, r, bound);
		return false;
	}
	if (p->gathered.len > 0)
		buf_text(&p->gathered, ",");
	buf_add(&p->gathered, value);
	p->bytes += value.len;
	return true;
}

void partials_take(struct engine *e, struct call_entry *c, const struct answer *a)
{
	int64_t interval = c->slot->pool->cfg.partial_interval_us;
	struct request *r = c->request;
	struct partials *p;

	if (c->kind != CALL_REQUEST || r == NULL || !r->fields.stream || a->payload.data == NULL)
		return;
	if (!gather(e, c->slot, r, a->payload)) {
		c->slot->pool->partials_dropped++;
		return;
	}
	p = r->partials;
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
	e->pools[r->pool].partials++;
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
	r->partials->bytes = 0;
	r->partials->full = false;
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
