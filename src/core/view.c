/* view.c: see view.h. */
#include "view.h"

#include <stdio.h>
#include <string.h>

#include "replace.h"
#include "state.h"

static void view_worker(const struct slot *w, int64_t now, struct worker_view *out)
{
	*out = (struct worker_view){
		.state = w->state,
		.role = role_name(w->role),
		.pid = w->pid,
		.version = w->version,
		.runs = w->runs,
		.resident = w->resident,
		.in_flight = w->places,
		.concurrency = w->concurrency,
		.unanswered = w->overdue,
		.sessions = w->bound,
		.ready_ms = w->ready_at == INT64_MAX ? TIME_NONE : (now - w->ready_at) / MS_US,
	};
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

static void worker_of(const struct engine *e, const struct session *s, char out[WORKER_ID_MAX])
{
	if (session_bound(e, s))
		memcpy(out, e->pools[s->pool].slots[s->at.slot].name, WORKER_ID_MAX);
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
		return p->circuit.probe != 0 ? "the one request that the circuit of its pool tries"
					     : "the circuit of its pool, which tries others before what has lost a worker";
	if (s->reserved)
		return "its worker to have nothing else to do: it runs alone";
	if (session_bound(e, s))
		return "a place on its session's worker";
	return pool_able(p) == 0 ? "a worker that is READY" : "a place on any worker";
}

static const char *call_waits_for(const struct call_entry *c)
{
	switch (c->kind) {
	case CALL_OPEN_SESSION: return "its worker to open the session";
	case CALL_CLEANUP_SESSION: return "its worker to end the session";
	default: return "the answer of its worker";
	}
}

static const char *waits_for(const struct engine *e, const struct request *r)
{
	switch (r->place) {
	case PLACE_RUNNING: return call_waits_for(r->session->call);
	case PLACE_WAITING:
		return r->told_by != 0 && r->retry_at <= e->now ? "the commit that tells the group that it killed a worker"
								: "its next run";
	case PLACE_QUEUED: return queued_waits_for(e, r);
	default: return "room in the window of its partition";
	}
}

/* Nothing new begins for a session while it is not known whether its partition comes back. */
static bool suspended(const struct session *s)
{
	return s->home != NULL && (s->home->state == PARTITION_SUSPENDED || s->home->state == PARTITION_WAITING_MAP);
}

static void view_home(const struct engine *e, const struct session *s, struct session_view *out)
{
	if (session_homeless(s))
		return;
	out->topic = e->cfg.sources[s->home->tp.topic].topic;
	out->partition = s->home->tp.partition;
}

static void view_session(const struct engine *e, const struct session *s, int64_t now, struct session_view *out)
{
	static const char *const names[] = {"new", "idle", "ready", "running", "waiting"};
	const struct request *r;

	*out = (struct session_view){
		.pool = e->pools[s->pool].cfg.name,
		.state = suspended(s) ? "suspended" : names[s->state],
		.alive = session_bound(e, s),
		.idle_ms = s->state == SESSION_IDLE ? (now - s->since) / MS_US : TIME_NONE,
		.head_ms = TIME_NONE,
	};
	worker_of(e, s, out->worker);
	view_home(e, s, out);
	if (out->alive)
		epoch_text(s->epoch, out->epoch);
	TAILQ_FOREACH (r, &s->requests, line)
		out->requests++;
	r = TAILQ_FIRST(&s->requests);
	if (r != NULL) {
		out->head = r->fields.request_id;
		out->head_ms = (now - r->since) / MS_US;
		out->waits_for = waits_for(e, r);
	} else if (s->state == SESSION_RUNNING) {
		out->waits_for = "its worker, which ends the session, or has not answered a cancel yet";
	} else if (suspended(s)) {
		out->waits_for = "its partition to come back to this instance";
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

void view_request(const struct engine *e, const struct request *r, int64_t now, struct request_view *out)
{
	static const char *const names[PLACES] = {"new", "parked", "queued", "running", "waiting"};
	const struct source_config *from = &e->cfg.sources[r->m.source.tp.topic];

	*out = (struct request_view){
		.place = names[r->place],
		.same_id = 1,
		.waits_for = waits_for(e, r),
		.pool = e->pools[from->pool].cfg.name,
		.session = r->session ? session_id(r->session) : (struct slice){NULL, 0},
		.source = r->m.source,
		.topic = from->topic,
		.attempts = r->attempts,
		.age_ms = (now - r->received) / MS_US,
		.since_ms = (now - r->since) / MS_US,
		.left_ms = r->deadline == INT64_MAX ? TIME_NONE : (r->deadline - now) / MS_US,
	};
	if (r->session != NULL)
		worker_of(e, r->session, out->worker);
	if (r->place == PLACE_RUNNING)
		memcpy(out->worker, r->session->call->slot->name, sizeof(out->worker));
}
