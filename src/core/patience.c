/* patience.c: see patience.h. */
#include "patience.h"

#include "mutant.h"
#include "state.h"

static void cancel(struct engine *e, struct call_entry *c, const char *reason)
{
	struct call cancel = {.target = c->id, .reason = slice_of(reason), .remaining_ms = TIME_NONE};

	if (c->kind == CALL_REQUEST && !MUTANT(30) && (c->slot->capabilities & CAPABILITY_CANCEL) &&
		c->slot->state != HEALTH_TERMINATING)
		c->cancel = slot_begin(e, c->slot, CALL_CANCEL, NULL, NULL, &cancel)->id;
}

void patience_orphan(struct engine *e, struct call_entry *c, const char *reason)
{
	struct request *r = c->request;
	int64_t patience = r->run_until - e->now + c->slot->pool->cfg.kill_grace_us;

	request_drop(e, r);
	slot_overdue(e, c, patience);
	cancel(e, c, reason);
}

/* How long an answer is waited for that nobody needs any more. A run is told to stop; a hook is not, and keeps its own time. */
static int64_t patience_after(const struct engine *e, const struct call_entry *c)
{
	int64_t grace = c->slot->pool->cfg.kill_grace_us, until = c->request->run_until;

	if (c->kind == CALL_REQUEST || until <= e->now || MUTANT(92))
		return grace;
	return until - e->now + grace;
}

/* Its end is told now; what runs of it is told to stop, and keeps its place until it answers. */
static void end_early(struct engine *e, struct request *r, struct outcome *o, const char *reason)
{
	struct call_entry *c = r->place == PLACE_RUNNING ? r->session->call : NULL;
	int64_t patience;

	if (r->attempts > 0 && (c == NULL || c->kind == CALL_REQUEST))
		session_ran(r->session);
	if (c == NULL) {
		result_publish(e, r, o);
		return;
	}
	o->worker = c->slot;
	patience = patience_after(e, c);
	result_publish(e, r, o);
	slot_overdue(e, c, patience);
	cancel(e, c, reason);
}

bool patience_is_over(const struct engine *e, const struct request *r)
{
	return e->now >= r->run_until || e->now >= r->deadline;
}

/* Whoever reads it must know which of the times to look at. */
static const char *what_is_over(const struct engine *e, const struct request *r)
{
	const struct call_entry *c = r->place == PLACE_RUNNING ? r->session->call : NULL;

	if (e->now >= r->deadline)
		return "its own time, timeout_ms or deadline, was over before it was answered";
	if (c != NULL && c->kind != CALL_REQUEST)
		return "a hook of its session took longer than session_hook_timeout of its pool";
	return "one run took longer than request_timeout of its pool";
}

struct outcome patience_outcome(const struct engine *e, const struct request *r)
{
	enum encoding encoding = r->fields.encoding;

	if (r->attempts > 0)
		return outcome_of(encoding, STATUS_TIMEOUT, "TIMEOUT", what_is_over(e, r));
	if (e->pools[r->pool].circuit.state != CIRCUIT_CLOSED)
		return outcome_of(encoding, STATUS_EXPIRED, "pool_unavailable",
			"its own time, timeout_ms or deadline, was over while the workers of its pool failed");
	return outcome_of(encoding, STATUS_EXPIRED, "EXPIRED",
		"its own time, timeout_ms or deadline, was over before it could run");
}

void patience_cancelled(struct engine *e, struct request *r)
{
	struct outcome o = outcome_of(r->fields.encoding, STATUS_CANCELLED, "CANCELLED",
		"a request of the command cancel ended it");

	end_early(e, r, &o, "cancel");
}

void patience_request_fired(struct engine *e, struct timer *t)
{
	struct request *r = TIMER_OWNER(t, struct request, timer);
	struct session *s = r->session;

	struct outcome o;

	if (r->place != PLACE_WAITING || e->now >= r->deadline) {
		o = patience_outcome(e, r);
		end_early(e, r, &o, "timeout");
		return;
	}
	if (MUTANT(10)) {
		TAILQ_REMOVE(&s->requests, r, line);
		TAILQ_INSERT_TAIL(&s->requests, r, line);
	}
	r->told_by = 0;
	request_place(e, r, PLACE_QUEUED);
	request_arm(e, r);
	if (s->state == SESSION_WAITING)
		session_next(e, s);
}

/* Patience with a call is over: first its hook's time, then the grace for an answer that nobody needs any more. */
void patience_call_fired(struct engine *e, struct timer *t)
{
	struct call_entry *c = TIMER_OWNER(t, struct call_entry, timer);

	if (!c->cancelled)
		slot_overdue(e, c, c->slot->pool->cfg.kill_grace_us);
	else if (!MUTANT(29))
		slot_stop(e, c->slot, STOPPED_HUNG, "a call was not answered within kill_grace after its time was over");
}
