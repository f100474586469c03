/* view.c: see view.h. */
#include "bridgepool/core/view.h"

#include <stdio.h>
#include <string.h>

#include "replace.h"
#include "state.h"

static void view_worker(const struct slot *w, int64_t now, struct worker_view *out)
{
	*out = (struct worker_view){.state = w->state, .role = role_name(w->role), .pid = w->pid, .runs = w->runs, .resident = w->resident, .version = w->version, .in_flight = w->places, .concurrency = w->concurrency,
		.unanswered = w->overdue, .sessions = w->bound, .ready_ms = w->ready_at == INT64_MAX ? TIME_NONE : (now - w->ready_at) / MS_US};
	memcpy(out->id, w->name, sizeof(out->id));
}

size_t engine_workers_most(const struct engine *e, uint16_t pool)
{
	return e->pools[pool].nslots;
}

size_t engine_view_workers(const struct engine *e, uint16_t pool, int64_t now, struct worker_view *out)
{
	const struct pool *p = &e->pools[pool];
	size_t n = 0;

	for (uint32_t i = 0; i < p->nslots; i++)
		if (p->slots[i].role != ROLE_UNUSED)
			view_worker(&p->slots[i], now, &out[n++]);
	return n;
}

static void worker_of(const struct engine *e, const struct session *s, char out[96])
{
	if (session_bound(e, s))
		memcpy(out, e->pools[s->pool].slots[s->at.slot].name, 96);
	else
		out[0] = '\0';
}

static const char *queued_waits_for(const struct engine *e, const struct request *r)
{
	const struct pool *p = &e->pools[r->pool];
	const struct session *s = r->session;

	if (r != TAILQ_FIRST(&s->requests))
		return "earlier requests of its session";
	if (s->state == SESSION_RUNNING)
		return "its worker, which opens or ends the session, or has not answered a cancel yet";
	if (p->circuit.state == CIRCUIT_OPEN)
		return "the circuit of its pool, which is open because workers fail";
	if (p->circuit.state == CIRCUIT_PROBING)
		return "the one request that the circuit of its pool tries";
	if (s->reserved)
		return "its worker to have nothing else to do: it runs alone";
	if (session_bound(e, s))
		return "a place on its session's worker";
	return pool_able(p) == 0 ? "a worker that is READY" : "a place on any worker";
}

static const char *waits_for(const struct engine *e, const struct request *r)
{
	switch (r->place) {
	case PLACE_RUNNING:
		return "the answer of its worker";
	case PLACE_WAITING:
		return "its next run";
	case PLACE_QUEUED:
		return queued_waits_for(e, r);
	default:
		return "room in the window of its partition";
	}
}

static void view_session(const struct engine *e, const struct session *s, int64_t now, struct session_view *out)
{
	static const char *const names[] = {"new", "idle", "ready", "running", "waiting"};
	const struct request *r;

	*out = (struct session_view){.pool = e->pools[s->pool].cfg.name, .state = names[s->state], .alive = session_bound(e, s),
		.idle_ms = s->state == SESSION_IDLE ? (now - s->since) / MS_US : TIME_NONE, .head_ms = TIME_NONE};
	worker_of(e, s, out->worker);
	if (out->alive)
		epoch_text(s->epoch, out->epoch);
	TAILQ_FOREACH(r, &s->requests, line)
		out->requests++;
	r = TAILQ_FIRST(&s->requests);
	if (r != NULL) {
		out->head = r->fields.request_id;
		out->head_ms = (now - r->since) / MS_US;
		out->waits_for = waits_for(e, r);
	} else if (s->state == SESSION_RUNNING) {
		out->waits_for = "its worker, which ends the session, or has not answered a cancel yet";
	}
}

bool engine_view_session(const struct engine *e, struct slice id, uint16_t *pool, int64_t now, struct session_view *out)
{
	struct session *s = NULL;

	if (id.len == 0 || id.len > SESSION_ID_MAX)
		return false;
	while (s == NULL && *pool < e->cfg.npools)
		s = session_find(&e->sessions, (*pool)++, id);
	if (s != NULL)
		view_session(e, s, now, out);
	return s != NULL;
}

static void view_request(const struct engine *e, const struct request *r, int64_t now, struct request_view *out)
{
	static const char *const names[PLACES] = {"new", "parked", "queued", "running", "waiting"};

	*out = (struct request_view){.place = names[r->place], .waits_for = waits_for(e, r), .pool = e->pools[r->pool].cfg.name,
		.session = r->session ? session_id(r->session) : (struct slice){NULL, 0}, .source = r->m.source,
		.topic = e->cfg.sources[r->m.source.tp.topic].topic, .attempts = r->attempts, .age_ms = (now - r->received) / MS_US,
		.since_ms = (now - r->since) / MS_US, .left_ms = r->deadline == INT64_MAX ? TIME_NONE : (r->deadline - now) / MS_US};
	if (r->session != NULL)
		worker_of(e, r->session, out->worker);
	if (r->place == PLACE_RUNNING)
		memcpy(out->worker, r->session->call->slot->name, sizeof(out->worker));
}

bool engine_view_request(const struct engine *e, struct slice id, int64_t now, struct request_view *out)
{
	const struct partition *p;
	const struct request *r;

	TAILQ_FOREACH(p, &e->partitions, all)
		TAILQ_FOREACH(r, &p->requests, of_partition)
			if (r->place != PLACE_PARKED && slice_equal(r->fields.request_id, id)) {
				view_request(e, r, now, out);
				return true;
			}
	return false;
}
