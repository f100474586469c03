/* request.c: see request.h. */
#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mutant.h"
#include "partials.h"
#include "patience.h"
#include "state.h"

struct request *request_new(const struct message *m, int64_t now)
{
	struct request *r = xcalloc(1, sizeof(*r) + m->key.len + m->value.len + m->headers.len + 3);
	uint8_t *at = r->raw;

	r->m = *m;
	r->m.key = slice_copy(&at, m->key);
	r->m.value = slice_copy(&at, m->value);
	r->m.headers = slice_copy(&at, m->headers);
	r->key = r->m.key;
	r->received = r->since = now;
	r->deadline = INT64_MAX;
	buf_init(&r->scratch, SIZE_MAX);
	buf_init(&r->copied, SIZE_MAX);
	return r;
}

static const bool legal[PLACES][PLACES] = {
	[PLACE_NONE] = {[PLACE_PARKED] = true, [PLACE_QUEUED] = true},
	[PLACE_PARKED] = {[PLACE_NONE] = true},
	[PLACE_QUEUED] = {[PLACE_RUNNING] = true, [PLACE_NONE] = true},
	[PLACE_RUNNING] = {[PLACE_WAITING] = true, [PLACE_NONE] = true},
	[PLACE_WAITING] = {[PLACE_QUEUED] = true, [PLACE_NONE] = true},
};

size_t request_size(const struct request *r)
{
	return sizeof(*r) + r->m.key.len + r->m.value.len + r->m.headers.len + r->scratch.capacity + r->copied.capacity +
	       partials_size(r);
}

void request_free(struct request *r)
{
	partials_free(r);
	buf_free(&r->scratch);
	buf_free(&r->copied);
	free(r);
}

void request_made_id(const struct engine *e, struct source at, char out[MADE_ID])
{
	snprintf(out, MADE_ID, "%.180s-%d-%lld", e->cfg.sources[at.tp.topic].topic, at.tp.partition, (long long)at.offset);
}

/* Counters that follow a request's place. */
static void count_place(struct engine *e, const struct request *r, int by)
{
	if (r->place == PLACE_QUEUED || r->place == PLACE_WAITING)
		e->pools[r->pool].queued += (uint64_t)(int64_t)by;
	if (r->place == PLACE_RUNNING)
		r->partition->running += (size_t)by;
}

static int64_t *spent_on(struct request *r)
{
	if (r->place == PLACE_RUNNING)
		return &r->timings.run_us;
	if (r->place == PLACE_WAITING)
		return &r->timings.retry_wait_us;
	return r->turn ? &r->timings.worker_wait_us : &r->timings.session_wait_us;
}

void request_spend(struct engine *e, struct request *r)
{
	*spent_on(r) = (MUTANT(26) ? 0 : *spent_on(r)) + e->now - r->since;
	r->since = e->now;
}

void request_turn(struct engine *e, struct request *r)
{
	if (r->turn)
		return;
	request_spend(e, r);
	r->turn = true;
}

void request_place(struct engine *e, struct request *r, enum request_place to)
{
	CHECK(legal[r->place][to]);
	request_spend(e, r);
	count_place(e, r, -1);
	r->place = to;
	count_place(e, r, 1);
}

void request_recharge(struct engine *e, struct request *r)
{
	size_t size = request_size(r);

	partition_charge(e, r->partition, r->charge, size);
	r->charge = size;
}

void request_drop(struct engine *e, struct request *r)
{
	struct session *s = r->session;
	struct partition *p = r->partition;
	bool was_running = r->place == PLACE_RUNNING;

	timers_disarm(&e->timers, &r->timer);
	if (r->place == PLACE_PARKED)
		TAILQ_REMOVE(&p->parked, r, line);
	if (s != NULL)
		TAILQ_REMOVE(&s->requests, r, line);
	if (r->place != PLACE_NONE)
		request_place(e, r, PLACE_NONE);
	TAILQ_REMOVE(&p->requests, r, of_partition);
	p->nrequests--;
	partition_charge(e, p, r->charge, 0);
	if (s != NULL && s->call != NULL && s->call->request == r)
		s->call->request = NULL;
	CHECK(r->place == PLACE_NONE && r->timer.place == 0);
	partials_stop(e, r);
	request_free(r);
	if (s != NULL && !was_running)
		session_next(e, s);
}

static int64_t runs_again_at(const struct request *r)
{
	return later(r->told_by, r->retry_at);
}

void request_arm(struct engine *e, struct request *r)
{
	int64_t at = r->deadline;

	r->timer.fire = patience_request_fired;
	if (r->place == PLACE_WAITING && runs_again_at(r) < at)
		at = runs_again_at(r);
	if (r->place == PLACE_RUNNING && r->run_until < at)
		at = r->run_until;
	if (at == INT64_MAX)
		timers_disarm(&e->timers, &r->timer);
	else
		timers_arm(&e->timers, &r->timer, at);
}

/* Nothing new may begin for it: its partition is being given back, or the whole instance drains. */
static bool winding_up(const struct engine *e, const struct request *r)
{
	return e->drain.active || r->partition->state != PARTITION_ACTIVE;
}

static void put_back(struct engine *e, struct request *r)
{
	window_put_back(&r->partition->window, r->m.source.offset);
	request_drop(e, r);
}

void request_repeat(struct engine *e, struct request *r, int64_t delay)
{
	if (winding_up(e, r)) {
		put_back(e, r);
		return;
	}
	request_place(e, r, PLACE_WAITING);
	r->retry_at = e->now + delay;
	request_arm(e, r);
}
