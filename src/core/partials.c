/* partials.c: see partials.h. */
#include "partials.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "mutant.h"
#include "result.h"
#include "state.h"

enum { GATHERED_KEPT = 65536 };            /* what one large part needed is not kept */
static const int64_t wait_us = 50 * MS_US; /* before it is asked again whether parts are taken, at least */

static void flush(struct engine *e, struct request *r, bool ahead);

static int64_t interval_of(const struct engine *e, const struct request *r)
{
	return e->pools[r->pool].cfg.partial_interval_us;
}

static bool taken(const struct engine *e)
{
	return budget_takes_part(&e->budget) || MUTANT(77);
}

static void ask_later(struct engine *e, struct partials *p)
{
	int64_t interval = interval_of(e, p->request);

	timers_arm(&e->timers, &p->timer, e->now + (interval > wait_us ? interval : wait_us));
}

static void timer_fired(struct engine *e, struct timer *t)
{
	struct partials *p = TIMER_OWNER(t, struct partials, timer);

	if (taken(e))
		flush(e, p->request, true);
	else
		ask_later(e, p);
}

/* Its memory has changed. */
static void recharge(struct engine *e, struct request *r)
{
	if (r->charge == request_size(r) || MUTANT(78))
		return;
	request_recharge(e, r);
	partition_hold(e, r->partition);
}

static struct partials *partials_of(struct engine *e, struct request *r)
{
	if (r->partials == NULL) {
		r->partials = xcalloc(1, sizeof(*r->partials));
		r->partials->request = r;
		r->partials->timer.fire = timer_fired;
		r->partials->last_at = INT64_MIN;
		buf_init(&r->partials->gathered, e->cfg.result_limit);
		recharge(e, r);
	}
	return r->partials;
}

/* Told once for each run: a log line for what a program does wrong again and again. */
static void tell_full(struct engine *e, const struct slot *w, const struct request *r, const char *bound)
{
	char text[256];
	struct note n = {
		.kind = NOTE_PARTIALS_DROPPED,
		.worker = w->ref,
		.has_pool = true,
		.count = r->m.source.offset,
	};

	snprintf(text, sizeof(text), "request %.*s has reached %s after %" PRId32 " parts of %" PRIu64 " bytes",
		(int)(r->fields.request_id.len < 64 ? r->fields.request_id.len : 64), (const char *)r->fields.request_id.data,
		bound, r->partials->next, r->partials->bytes);
	n.reason = slice_of(text);
	engine_note_of(e, r->partition, &n);
}

/* The bound that this would go beyond; NULL: none. */
static const char *bound_reached(const struct pool_config *cfg, const struct partials *p, size_t len)
{
	if (cfg->partial_max > 0 && (uint32_t)p->next >= cfg->partial_max && !MUTANT(61))
		return "partial_max";
	if (cfg->partial_bytes_max > 0 && p->bytes + len > cfg->partial_bytes_max && !MUTANT(62))
		return "partial_bytes_max";
	if (len > p->gathered.limit)
		return "limits.result";
	if (p->gathered.len + len + 1 > p->gathered.limit && p->gathered.len > 0)
		return "limits.memory"; /* that is why the rest has not gone */
	return NULL;
}

/* False: dropped. */
static bool gather(struct engine *e, const struct slot *w, struct request *r, struct slice value)
{
	struct partials *p = partials_of(e, r);
	const char *bound;

	if (p->full && !MUTANT(93))
		return false;
	if (p->gathered.len + value.len + 1 > p->gathered.limit && taken(e))
		flush(e, r, true);
	bound = bound_reached(&w->pool->cfg, p, value.len);
	if (bound != NULL) {
		p->full = true;
		tell_full(e, w, r, bound);
		return false;
	}
	if (p->gathered.len > 0)
		buf_text(&p->gathered, ",");
	buf_add(&p->gathered, value);
	p->values++;
	p->bytes += value.len;
	recharge(e, r);
	return true;
}

void partials_take(struct engine *e, struct call_entry *c, const struct answer *a)
{
	struct request *r = c->request;
	struct partials *p;
	int64_t next;

	if (c->kind != CALL_REQUEST || r == NULL || !r->fields.stream || a->payload.data == NULL)
		return;
	if (!gather(e, c->slot, r, a->payload)) {
		c->slot->pool->partials_dropped++;
		return;
	}
	p = r->partials;
	next = p->last_at == INT64_MIN ? e->now : p->last_at + interval_of(e, r);
	if (next <= e->now && taken(e))
		flush(e, r, true);
	else if (p->timer.place == 0 && next <= e->now)
		ask_later(e, p);
	else if (p->timer.place == 0)
		timers_arm(&e->timers, &p->timer, next);
}

static void forget(struct partials *p)
{
	buf_reset(&p->gathered);
	p->values = 0;
}

static void flush(struct engine *e, struct request *r, bool ahead)
{
	struct partials *p = r->partials;

	if (p == NULL || p->gathered.len == 0)
		return;
	timers_disarm(&e->timers, &p->timer);
	if (r->place != PLACE_RUNNING || r->session->call == NULL) { /* of a run that has failed */
		forget(p);
		return;
	}
	if (!MUTANT(46))
		result_part(e, r, buf_slice(&p->gathered), p->values, ahead);
	e->pools[r->pool].partials++;
	p->next++;
	p->last_at = e->now;
	forget(p);
	if (p->gathered.capacity > GATHERED_KEPT)
		buf_free(&p->gathered);
	recharge(e, r);
}

void partials_end(struct engine *e, struct request *r)
{
	flush(e, r, false);
}

void partials_restart(struct engine *e, struct request *r)
{
	if (r->partials == NULL || MUTANT(47))
		return;
	timers_disarm(&e->timers, &r->partials->timer);
	forget(r->partials);
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

size_t partials_size(const struct request *r)
{
	return r->partials != NULL ? sizeof(*r->partials) + r->partials->gathered.capacity : 0;
}
