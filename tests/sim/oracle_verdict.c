/* oracle_verdict.c: may a request end like this, and does it need a dead letter? The table of what happens when, from the
 * outside. */
#include "oracle.h"

#include <stdio.h>
#include <string.h>

#include "client.h"
#include "workers.h"

enum { POISON_AFTER = 2 };

struct last { /* what a request ends with */
	struct world *w;
	struct instance *i;
	const struct asked *r;
	struct view *v;
	const struct told *t;
};

static _Noreturn void wrong(const struct last *l, const char *why)
{
	breach(l->w, "record %u ends %.*s (%.*s): %s", l->r->index, (int)l->t->status.len, (const char *)l->t->status.data,
		(int)l->t->code.len, l->t->code.data ? (const char *)l->t->code.data : "", why);
}

static bool out_of_attempts(const struct last *l)
{
	return l->v->attempt >= (int32_t)l->w->k.engine.max_attempts;
}

static bool deadline_over(const struct last *l)
{
	return l->w->k.clock_steps || world_wall_ms(l->w) >= l->r->deadline_ms;
}

/* Its own time, from the start of the last run to its end, or to now. */
static bool run_time_over(const struct last *l)
{
	const struct pool_config *pool = &l->w->k.pool[l->r->pool];
	int64_t ran = (l->v->run == RUN_LIVE ? l->w->now : l->v->ended_at) - l->v->dispatched_at;

	return ran >= pool->request_timeout_us || ran >= pool->session_hook_timeout_us;
}

/* It was over when the worker answered, beyond doubt. */
static bool answered_too_late(const struct last *l)
{
	const struct pool_config *pool = &l->w->k.pool[l->r->pool];
	int64_t ran = l->v->ended_at - l->v->dispatched_at, wall = world_wall_ms(l->w) - (l->w->now - l->v->ended_at) / MS_US;

	return (ran >= pool->request_timeout_us && ran >= pool->session_hook_timeout_us) ||
	       (!l->w->k.clock_steps && l->r->deadline_ms != INT64_MAX && wall > l->r->deadline_ms + 1);
}

static void check_worker(const struct last *l)
{
	char worker[WORKER_ID_MAX];

	snprintf(worker, sizeof(worker), "%s/%u.%u", l->w->k.pool[l->v->at.pool].name, l->v->at.slot, l->v->at.generation);
	if (!slice_is(l->t->worker_id, worker))
		wrong(l, "another worker ran it");
}

/* What a run that was answered tells about itself. */
static void check_run(const struct last *l)
{
	if (l->t->attempts != l->v->attempt)
		wrong(l, "its attempts are miscounted");
	check_worker(l);
	if (l->t->run_us != l->v->ran_us)
		wrong(l, "it did not run so long");
}

static bool add_up(const struct last *l, int64_t received_at)
{
	int64_t ended_at = l->w->now - (world_wall_ms(l->w) - l->t->completed_at_ms) * MS_US, passed = ended_at - received_at;

	return l->t->all_us >= passed - MS_US && l->t->all_us <= passed + MS_US;
}

/* Its times here add up to the time from its receipt to its end. Of one that may have been put back, and read again, and put
 * back, it is not known which receipt that was. */
static void check_times(const struct last *l)
{
	bool fits = add_up(l, l->v->first_received_at);

	for (unsigned k = 0; l->v->again && k < RECEIPTS; k++)
		fits |= add_up(l, l->v->receipts[k]);
	if (!fits && !l->w->k.clock_steps && l->v->nreceipts <= RECEIPTS)
		wrong(l, "its times do not add up");
}

static void check_attributes(const struct last *l)
{
	char text[ATTRIBUTE_TEXT], expected[ATTRIBUTE_TEXT + 16] = "{}";

	if (l->r->ask == ASK_TOMBSTONE || l->r->ask == ASK_UNDECODABLE || l->r->ask == ASK_OVERSIZED)
		return;
	if (l->r->attributed) {
		client_attribute(l->r, text);
		snprintf(expected, sizeof(expected), "{\"tenant\":\"%s\"}", text);
	}
	if (!slice_is(l->t->attributes, expected))
		wrong(l, "its attributes are others");
}

/* Of each state the first result of a request that ran there tells that it is new, whoever ran there first: that one may have
 * been put back. Where a session comes from several partitions, whose results have no order, at least who ran first tells it. */
static void check_new(const struct last *l)
{
	struct session_view *s = l->r->session >= 0 ? &l->i->sessions[l->r->session] : NULL;
	bool there = l->v->ran && l->t->attempts > 0 && slice_is(l->t->session_epoch, l->v->epoch);
	bool told = s == NULL || strcmp(s->told, l->v->epoch) == 0;

	if (s != NULL && l->w->session[l->r->session].violates) {
		if (there && l->v->began && !l->t->session_new)
			wrong(l, "it began its session's state, and does not tell that");
	} else if (l->t->session_new != (there && !told)) {
		wrong(l, "session_new is not right");
	}
	if (l->t->session_new && s != NULL)
		snprintf(s->told, sizeof(s->told), "%s", l->v->epoch);
}

static void check_ok(const struct last *l)
{
	struct buf expected;

	if (l->r->ask == ASK_END_SESSION) {
		struct session_view *s = &l->i->sessions[l->r->session];

		if (++s->end_finals > s->ends)
			wrong(l, "no session was cleaned up for it");
		return;
	}
	if (l->r->ask == ASK_CANCEL) {
		if (!l->i->views[l->r->target].cancelled)
			wrong(l, "what it was to end has not ended so");
		return;
	}
	if (l->v->run != RUN_OK)
		wrong(l, "its last run did not end so");
	buf_init(&expected, SIZE_MAX);
	workers_payload(l->r, l->v->attempt, false, &expected);
	if (!slice_equal(l->t->result, buf_slice(&expected)))
		wrong(l, "its result is not what the worker answered, byte for byte");
	buf_free(&expected);
	check_run(l);
	if (l->r->session < 0 || l->w->k.pool[l->r->pool].state == POOL_STATE_NONE)
		return;
	if (!slice_is(l->t->session_epoch, l->v->epoch))
		wrong(l, "it names another session state than it ran in");
}

static void check_error(const struct last *l)
{
	static const char *const code[] = {
		[RUN_ERROR] = "MODEL_ERROR",
		[RUN_HOOK_ERROR] = "MODEL_ERROR",
		[RUN_RETRIABLE] = "MODEL_BUSY",
		[RUN_UNREADABLE] = "INVALID_RESULT",
		[RUN_HUGE] = "RESULT_TOO_LARGE",
		[RUN_UNSURE] = NULL,
	};

	if (l->r->ask == ASK_END_SESSION) {
		if (!slice_is(l->t->code, "session_not_found"))
			wrong(l, "end_session answers OK or session_not_found");
		return;
	}
	if (l->r->ask == ASK_CANCEL) {
		if (!slice_is(l->t->code, "request_not_found"))
			wrong(l, "cancel answers OK or request_not_found");
		return;
	}
	if (l->v->run > RUN_HOOK_ERROR || code[l->v->run] == NULL || !slice_is(l->t->code, code[l->v->run]))
		wrong(l, "its last run did not end so");
	if ((l->v->run == RUN_ERROR || l->v->run == RUN_HOOK_ERROR || l->v->run == RUN_RETRIABLE) && answered_too_late(l))
		wrong(l, "it was answered when its time was over: that is TIMEOUT");
	check_run(l);
	if (l->v->run != RUN_RETRIABLE)
		return;
	if (!out_of_attempts(l))
		wrong(l, "it may be tried again, and has attempts left");
	l->v->needs_dead_letter = l->v->may_dead_letter = true;
}

static void check_timeout(const struct last *l)
{
	const struct work *run;
	struct proc *p;

	if (l->r->ask == ASK_END_SESSION) /* the time of its hook is over */
		return;
	if (!run_time_over(l) && !deadline_over(l))
		wrong(l, "neither its run's time nor its client's is over");
	if (l->v->run == RUN_NONE)
		wrong(l, "it never ran: that is EXPIRED");
	run = l->v->run == RUN_LIVE ? oracle_run_of(l->i, l->r, &p) : NULL;
	if (run != NULL && run->kind == CALL_REQUEST && p->capabilities & CAPABILITY_CANCEL && p->cause == CAUSE_NONE &&
		!run->cancelled)
		wrong(l, "its worker was not told");
}

static void check_cancelled(const struct last *l)
{
	const struct work *run;
	struct proc *p;

	if (!l->v->cancel_came)
		wrong(l, "nobody wanted that");
	l->v->cancelled = true;
	run = l->v->run == RUN_LIVE ? oracle_run_of(l->i, l->r, &p) : NULL;
	if (run != NULL && run->kind == CALL_REQUEST && p->capabilities & CAPABILITY_CANCEL && p->cause == CAUSE_NONE &&
		!run->cancelled)
		wrong(l, "its worker was not told");
}

static void check_expired(const struct last *l)
{
	if (!deadline_over(l))
		wrong(l, "its client's time is not over");
	if (l->v->run == RUN_LIVE)
		wrong(l, "it runs: that is TIMEOUT");
}

static void check_worker_lost(const struct last *l)
{
	bool poison = slice_is(l->t->code, "POISON"), lost = l->v->run == RUN_LOST, killed = l->v->run == RUN_KILLED;

	l->v->may_dead_letter = poison || (lost && l->v->may_repeat) || l->v->run == RUN_UNSURE;
	l->v->needs_dead_letter = poison || (lost && l->v->may_repeat);
	if (poison && l->r->kills < POISON_AFTER && l->v->kills < POISON_AFTER)
		wrong(l, "it did not kill two workers alone");
	if (poison)
		return;
	if (!lost && !killed && l->v->run != RUN_UNSURE)
		wrong(l, "its last run did not lose its worker");
	if (lost || killed)
		check_worker(l);
	if (lost && l->v->alone && l->v->kills >= POISON_AFTER)
		wrong(l, "it is poison");
	if (l->v->may_repeat && (killed || (lost && !out_of_attempts(l))))
		wrong(l, "it may run again");
}

static void check_session_lost(const struct last *l)
{
	const struct session_view *s = l->r->session >= 0 ? &l->i->sessions[l->r->session] : NULL;
	const struct pool_config *pool = &l->w->k.pool[l->r->pool];

	if (s == NULL || pool->state == POOL_STATE_NONE)
		wrong(l, "there is no state to lose");
	if (pool->on_session_loss == SESSION_LOSS_FAIL && s->lost_at >= l->v->first_received_at)
		return;
	if (!l->r->named)
		wrong(l, "it named no state, and none was lost");
	if (s->runs > 0 && strcmp(s->epoch, l->r->epoch) == 0 && oracle_state_lives(l->i, s) &&
		l->i->procs[s->at.pool][s->at.slot]->cause == CAUSE_NONE)
		wrong(l, "the state that it names lives");
}

/* Requests of its session, or of its pool, that came before it in this ownership and have not ended. */
static uint64_t before(const struct last *l, bool of_session)
{
	uint64_t n = 0;

	for (size_t k = 0; k < l->w->nasked; k++) {
		const struct asked *r = &l->w->asked[k];
		const struct view *v = &l->i->views[k];

		n += r != l->r && r->pool == l->r->pool && (!of_session || r->session == l->r->session) && v->received > 0 &&
		     !v->has_final;
	}
	return n;
}

/* A result that comes later than its request was refused while others waited whose ends may have been told since. */
static bool full(const struct last *l)
{
	const struct pool_config *pool = &l->w->k.pool[l->r->pool];
	bool late = l->w->now > l->v->received_at;

	if (slice_is(l->t->code, "SESSION_QUEUE_FULL"))
		return pool->max_queued_per_session > 0 && l->r->session >= 0 &&
		       (late || before(l, true) >= pool->max_queued_per_session);
	return slice_is(l->t->code, "POOL_QUEUE_FULL") && pool->max_queued > 0 && (late || before(l, false) >= pool->max_queued);
}

/* Sessions of its pool that were in use when it came: of those somebody waits for an end, or a call is out. */
static uint64_t in_use(const struct last *l)
{
	bool counted[MAX_SESSIONS] = {false};
	uint64_t n = 0;

	for (size_t k = 0; k < l->w->nasked; k++) {
		const struct asked *r = &l->w->asked[k];
		const struct view *v = &l->i->views[k];

		if (r != l->r && r->pool == l->r->pool && r->session >= 0 && v->received > 0 && !v->has_final)
			counted[r->session] = true;
	}
	for (unsigned k = 0; k < l->w->k.sessions; k++)
		n += counted[k] || (l->w->session[k].pool == l->r->pool && l->i->sessions[k].busy != NULL &&
					   l->i->sessions[k].busy->kind != CALL_CLEANUP_SESSION);
	return n;
}

/* It was open when that was decided: at one of its receipts, for its result may wait for the broker while its partition goes and
 * comes back; or, where it may have been parked, at some time since. */
static bool circuit_was_open(const struct last *l)
{
	const struct circuit_view *c = &l->i->circuit[l->r->pool];

	if (oracle_parks_nothing(l->w))
		return l->v->once_while_open;
	return l->w->k.pool[l->r->pool].circuit_rejects &&
	       (c->told == HEALTH_UNAVAILABLE || (c->left_open_at != 0 && c->left_open_at >= l->v->first_received_at));
}

static void check_rejected(const struct last *l)
{
	bool unread = l->r->ask == ASK_UNDECODABLE || l->r->ask == ASK_OVERSIZED;

	if ((l->r->ask == ASK_RUN || l->r->ask == ASK_END_SESSION) && !slice_is(l->t->code, "SESSION_LIMIT") &&
		!slice_is(l->t->code, "pool_unavailable") && !full(l))
		wrong(l, "it is a valid request");
	if (slice_is(l->t->code, "pool_unavailable") && !circuit_was_open(l))
		wrong(l, "its pool's circuit was not open, or lets requests wait");
	if (slice_is(l->t->code, "SESSION_LIMIT") && l->w->now == l->v->received_at &&
		in_use(l) < l->w->k.pool[l->r->pool].max_sessions)
		wrong(l, "there are not so many sessions in use");
	l->v->needs_dead_letter = l->v->may_dead_letter = unread;
}

static const struct {
	const char *status;
	void (*check)(const struct last *l);
} table[] = {
	{"OK", check_ok},
	{"ERROR", check_error},
	{"TIMEOUT", check_timeout},
	{"EXPIRED", check_expired},
	{"CANCELLED", check_cancelled},
	{"WORKER_LOST", check_worker_lost},
	{"SESSION_LOST", check_session_lost},
	{"REJECTED", check_rejected},
};

void verdict_check(struct world *w, struct instance *i, const struct asked *r, struct view *v, const struct told *t)
{
	struct last l = {w, i, r, v, t};
	bool valid = r->ask <= ASK_CANCEL;

	check_times(&l);
	check_attributes(&l);
	check_new(&l);
	if (!valid && !slice_is(t->status, "REJECTED"))
		wrong(&l, "it is no valid request");
	for (size_t k = 0; k < sizeof(table) / sizeof(table[0]); k++) {
		if (!slice_is(t->status, table[k].status))
			continue;
		table[k].check(&l);
		return;
	}
	wrong(&l, "there is no such status in this version");
}
