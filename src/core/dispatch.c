/* dispatch.c: a session's turn on a slot, and what comes of it: an answer, an end of time, or the loss of the worker. */
#include <string.h>

#include "mutant.h"
#include "state.h"

static void head_lost(struct engine *e, struct request *r, const char *message)
{
	struct outcome o = {.status = STATUS_SESSION_LOST, .code = "SESSION_LOST", .message = message, .encoding = r->fields.encoding, .retry_after_ms = TIME_NONE};

	result_publish(e, r, &o);
}

static bool keeps_state(const struct engine *e, const struct session *s)
{
	return !s->anonymous && e->pools[s->pool].cfg.state == POOL_STATE_MEMORY;
}

/* The request names a state that does not live here. */
static bool names_dead_epoch(const struct engine *e, const struct session *s, const struct request *r)
{
	char live[17];

	if (r->fields.session_epoch.data == NULL || !keeps_state(e, s))
		return false;
	epoch_text(s->epoch, live);
	return !session_bound(e, s) || !slice_is(r->fields.session_epoch, live);
}

void request_arm(struct engine *e, struct request *r)
{
	int64_t at = r->deadline;

	r->timer.fire = request_timer_fired;
	if (r->place == PLACE_WAITING && r->retry_at < at)
		at = r->retry_at;
	if (r->place == PLACE_RUNNING && r->run_until < at)
		at = r->run_until;
	if (at == INT64_MAX)
		timers_disarm(&e->timers, &r->timer);
	else
		timers_arm(&e->timers, &r->timer, at);
}

static void fill_call(struct engine *e, struct session *s, struct request *r, struct call *c, char epoch[17])
{
	int64_t until = r->run_until < r->deadline ? r->run_until : r->deadline;

	c->command = r->fields.command;
	c->args = r->fields.args;
	c->request_id = r->fields.request_id;
	c->attempt = (int32_t)r->attempts;
	c->remaining_ms = until > e->now ? (until - e->now + MS_US - 1) / MS_US : 0;
	c->stream = r->fields.stream;
	c->headers = buf_slice(&r->copied);
	c->attributes = r->fields.attributes;
	c->source_topic = slice_of(e->cfg.sources[r->m.source.tp.topic].topic);
	c->source_partition = r->m.source.tp.partition;
	c->source_offset = r->m.source.offset;
	c->session_id = session_id(s);
	if (s->at.generation != 0) {
		epoch_text(s->epoch, epoch);
		c->session_epoch = slice_of(epoch);
	}
}

static void begin_run(struct engine *e, struct slot *w, struct session *s, struct request *r)
{
	struct call c = {0};
	char epoch[17];

	r->run_until = e->now + w->pool->cfg.request_timeout_us;
	if (keeps_state(e, s) && s->fresh) {
		r->began = true;
		c.session_new = !MUTANT(8);
		s->fresh = false;
	}
	fill_call(e, s, r, &c, epoch);
	slot_begin(e, w, CALL_REQUEST, s, r, &c);
	request_arm(e, r);
}

static void begin_open(struct engine *e, struct slot *w, struct session *s, struct request *r)
{
	struct call c = {.session_new = true};
	char epoch[17];

	r->run_until = e->now + w->pool->cfg.session_hook_timeout_us;
	fill_call(e, s, r, &c, epoch);
	c.session_new = true;
	slot_begin(e, w, CALL_OPEN_SESSION, s, r, &c);
	request_arm(e, r);
}

/* r: the end_session request that asked for it, or NULL. */
static void begin_cleanup(struct engine *e, struct slot *w, struct session *s, struct request *r)
{
	enum end_reason why = r != NULL ? END_CLIENT : (enum end_reason)s->ending;
	struct call c = {.session_id = session_id(s), .reason = slice_of(end_reason_name(why)), .remaining_ms = TIME_NONE};
	struct call_entry *entry;
	char epoch[17];

	epoch_text(s->epoch, epoch);
	c.session_epoch = slice_of(epoch);
	entry = slot_begin(e, w, CALL_CLEANUP_SESSION, s, r, &c);
	if (r == NULL)
		timers_arm(&e->timers, &entry->timer, e->now + w->pool->cfg.session_hook_timeout_us);
	else
		request_arm(e, r);
}

static void start_attempt(struct engine *e, struct request *r)
{
	request_place(e, r, PLACE_RUNNING);
	r->attempts++;
	r->dispatched = e->now;
	if (r->first_dispatched == 0)
		r->first_dispatched = e->now;
}

void dispatch(struct engine *e, struct slot *w, struct session *s)
{
	struct request *r = TAILQ_FIRST(&s->requests);
	struct outcome unknown = {.status = STATUS_ERROR, .code = "session_not_found", .retry_after_ms = TIME_NONE,
		.message = "there is no such session here: it has ended, or never began"};

	if (s->ending != END_NONE) {
		begin_cleanup(e, w, s, NULL);
		return;
	}
	CHECK(r != NULL && r->place == PLACE_QUEUED);
	if (r->deadline <= e->now) { /* its timer is due in this very turn */
		request_timer_fired(e, &r->timer);
		return;
	}
	if (names_dead_epoch(e, s, r)) {
		head_lost(e, r, "the session state that the request names lives no more: open the session again without session_epoch");
		return;
	}
	if (r->ends_session && !session_bound(e, s)) {
		unknown.encoding = r->fields.encoding;
		result_publish(e, r, &unknown);
		return;
	}
	start_attempt(e, r);
	if (r->ends_session) {
		r->run_until = e->now + w->pool->cfg.session_hook_timeout_us;
		begin_cleanup(e, w, s, r);
		return;
	}
	if (keeps_state(e, s) && !session_bound(e, s))
		session_bind(e, s, w);
	if (keeps_state(e, s) && !s->opened && (w->capabilities & CAPABILITY_SESSIONS))
		begin_open(e, w, s, r);
	else
		begin_run(e, w, s, r);
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

static void wait_and_repeat(struct engine *e, struct request *r, int64_t delay)
{
	if (winding_up(e, r)) {
		put_back(e, r);
		return;
	}
	request_place(e, r, PLACE_WAITING);
	r->waiting_since = e->now;
	r->retry_at = e->now + delay;
	request_arm(e, r);
}

static void ran_once(struct session *s)
{
	if (s->ran < UINT32_MAX)
		s->ran++;
}

static void answered_request(struct engine *e, struct call_entry *c, const struct answer *a)
{
	struct session *s = c->session;
	struct request *r = c->request;
	struct outcome o = {.status = STATUS_OK, .result = a->payload, .usage = a->usage, .worker = c->slot, .encoding = r->fields.encoding, .retry_after_ms = TIME_NONE};
	struct retry_case failed = {.attempts = r->attempts, .max_attempts = e->cfg.max_attempts, .kills = r->kills, .backoff_us = e->cfg.retry_backoff_us,
		.failure = a->retriable ? FAILURE_RETRIABLE : FAILURE_ERROR, .retry_after_us = a->retry_after_ms > 0 ? a->retry_after_ms * MS_US : 0};
	int64_t delay;

	if (a->kind != ANSWER_OK) {
		o.status = STATUS_ERROR;
		o.result = (struct slice){NULL, 0};
		o.code_said = a->code;
		o.message_said = a->message.data ? a->message : SLICE("");
		o.details = a->details;
		o.retriable = a->retriable;
		o.retry_after_ms = a->retry_after_ms;
	} else if (a->payload.len > e->cfg.result_limit) {
		o = (struct outcome){.status = STATUS_ERROR, .code = "RESULT_TOO_LARGE", .worker = c->slot, .encoding = r->fields.encoding, .retry_after_ms = TIME_NONE,
			.message = "the worker's result is over limits.result"};
	} else {
		ran_once(s);
		result_publish(e, r, &o);
		return;
	}
	switch (o.code == NULL ? retry_decide(&failed, &e->random, &delay) : RETRY_FINAL) {
	case RETRY_AGAIN:
		wait_and_repeat(e, r, delay);
		c->request = NULL;
		return;
	case RETRY_DEAD:
		o.dead = true;
		break;
	case RETRY_FINAL:
		break;
	}
	ran_once(s);
	result_publish(e, r, &o);
}

static void opened(struct engine *e, struct call_entry *c, const struct answer *a)
{
	struct session *s = c->session;
	struct request *r = c->request;
	struct slot *w = c->slot;
	bool ok = a->kind == ANSWER_OK;

	s->opened = ok && w->state != HEALTH_TERMINATING;
	if (s->opened && r != NULL && r->partition->state != PARTITION_SUSPENDED) {
		slot_finish(e, c);
		begin_run(e, w, s, r);
		return;
	}
	if (r != NULL && !ok)
		answered_request(e, c, a);
	slot_finish(e, c);
	if (r != NULL && ok) { /* the worker is being stopped, or the partition was given back: it has not run */
		r->attempts--;
		wait_and_repeat(e, r, 0);
	}
	if (!s->opened)
		session_unbind(e, s);
	session_next(e, s);
}

static void cleaned_up(struct engine *e, struct call_entry *c, struct slice payload)
{
	struct session *s = c->session;
	struct request *r = c->request;
	struct outcome o = {.status = STATUS_OK, .result = payload, .worker = c->slot, .retry_after_ms = TIME_NONE};

	if (r != NULL) {
		o.encoding = r->fields.encoding;
		c->slot->pool->ended[END_CLIENT]++;
		result_publish(e, r, &o);
	}
	slot_finish(e, c);
	session_unbind(e, s);
	session_next(e, s);
}

void dispatch_answer(struct engine *e, struct call_entry *c, const struct answer *a)
{
	struct session *s = c->session;

	if (c->cancelled)
		e->counters.late_answers++;
	switch (c->kind) {
	case CALL_OPEN_SESSION:
		opened(e, c, a);
		return;
	case CALL_CLEANUP_SESSION:
		cleaned_up(e, c, a->kind == ANSWER_OK ? a->payload : (struct slice){NULL, 0});
		return;
	case CALL_REQUEST:
		if (c->request != NULL)
			answered_request(e, c, a);
		slot_finish(e, c);
		session_next(e, s);
		return;
	default:
		slot_finish(e, c);
	}
}

/* The queued requests of a session whose state died with its worker; with `waiting` also one that waits for its next run. True: at
 * least one ended, and s may be gone. */
static bool fail_line(struct engine *e, struct session *s, bool waiting)
{
	struct request *r, *next;
	bool any = false;

	if (e->pools[s->pool].cfg.on_session_loss != SESSION_LOSS_FAIL || s->ran == 0 || !keeps_state(e, s))
		return false;
	for (r = TAILQ_FIRST(&s->requests); r != NULL; r = next) {
		next = TAILQ_NEXT(r, line);
		if (r->place != PLACE_QUEUED && !(waiting && r->place == PLACE_WAITING))
			continue;
		any = true;
		head_lost(e, r, "the session's worker died, and with it the state that earlier requests made");
	}
	return any;
}

void dispatch_orphaned(struct engine *e, struct session *s)
{
	if (s->at.generation != 0 && fail_line(e, s, true))
		return;
	if (s->state != SESSION_WAITING)
		session_next(e, s);
}

static void lost_request(struct engine *e, struct session *s, struct request *r, enum failure failure)
{
	struct outcome o = {.status = STATUS_WORKER_LOST, .code = "WORKER_LOST", .encoding = r->fields.encoding, .retry_after_ms = TIME_NONE,
		.message = "its worker died while it ran; running it again could repeat what it did to its session"};
	struct retry_case failed = {.failure = failure, .max_attempts = e->cfg.max_attempts, .backoff_us = e->cfg.retry_backoff_us,
		.may_repeat = !keeps_state(e, s) || s->ran == 0 || r->fields.idempotent};
	struct note poison = {.kind = NOTE_REQUEST_POISON, .tp = r->partition->tp, .count = r->m.source.offset, .reason = r->fields.request_id};
	int64_t delay;

	if (failure == FAILURE_KILLED)
		r->attempts--;
	if (failure == FAILURE_LOST_ALONE)
		partition_suspect(e, r->partition, r->m.source.offset, ++r->kills);
	failed.attempts = r->attempts;
	failed.kills = r->kills;
	switch (retry_decide(&failed, &e->random, &delay)) {
	case RETRY_AGAIN:
		r->alone |= failure != FAILURE_KILLED;
		wait_and_repeat(e, r, delay);
		return;
	case RETRY_DEAD:
		o.dead = true;
		if (r->kills >= POISON_KILLS) {
			o.code = "POISON";
			o.message = "it killed its worker each time it ran alone";
			e->counters.poison++;
			if (r->partition->state != PARTITION_SUSPENDED) /* of what was given back nothing is told */
				engine_note(e, &poison);
		} else {
			o.message = "its worker died in every one of the attempts that delivery.max_attempts allows";
		}
		break;
	case RETRY_FINAL:
		break;
	}
	result_publish(e, r, &o);
}

void dispatch_lost(struct engine *e, struct call_entry *c, bool alone, bool by_us)
{
	struct session *s = c->session;
	struct request *r = c->request;
	enum failure failure = by_us ? FAILURE_KILLED : alone ? FAILURE_LOST_ALONE : FAILURE_LOST_SHARED;

	if (s != NULL && c->kind == CALL_CLEANUP_SESSION) {
		cleaned_up(e, c, (struct slice){NULL, 0}); /* its state is as gone as it can be */
		return;
	}
	slot_finish(e, c);
	if (s == NULL)
		return;
	if (r != NULL)
		lost_request(e, s, r, failure);
	session_unbind(e, s);
	if (!fail_line(e, s, false)) /* what runs again after this loss is allowed to */
		session_next(e, s);
}

void dispatch_cancel(struct engine *e, struct call_entry *c, const char *reason)
{
	struct call cancel = {.target = c->id, .reason = slice_of(reason), .remaining_ms = TIME_NONE};

	if (c->kind == CALL_REQUEST && (c->slot->capabilities & CAPABILITY_CANCEL) && c->slot->state != HEALTH_TERMINATING)
		slot_begin(e, c->slot, CALL_CANCEL, NULL, NULL, &cancel);
}

void dispatch_orphan(struct engine *e, struct call_entry *c, const char *reason)
{
	struct request *r = c->request;
	int64_t patience = r->run_until - e->now + c->slot->pool->cfg.kill_grace_us;

	request_drop(e, r);
	slot_overdue(e, c, patience);
	dispatch_cancel(e, c, reason);
}

static void time_over(struct engine *e, struct request *r)
{
	bool ran = r->attempts > 0;
	struct outcome o = {.status = ran ? STATUS_TIMEOUT : STATUS_EXPIRED, .code = ran ? "TIMEOUT" : "EXPIRED", .encoding = r->fields.encoding,
		.retry_after_ms = TIME_NONE, .message = ran ? "its time was over before it was answered" : "its time was over before it could run"};
	struct call_entry *c = r->place == PLACE_RUNNING ? r->session->call : NULL;
	int64_t grace = e->pools[r->pool].cfg.kill_grace_us;

	if (ran && (c == NULL || c->kind == CALL_REQUEST))
		ran_once(r->session);
	if (c == NULL) {
		result_publish(e, r, &o);
		return;
	}
	o.worker = c->slot;
	result_publish(e, r, &o);
	slot_overdue(e, c, grace);
	dispatch_cancel(e, c, "timeout");
}

void request_timer_fired(struct engine *e, struct timer *t)
{
	struct request *r = TIMER_OWNER(t, struct request, timer);
	struct session *s = r->session;

	if (r->place != PLACE_WAITING || e->now >= r->deadline) {
		time_over(e, r);
		return;
	}
	r->timings.retry_wait_us += e->now - r->waiting_since;
	if (MUTANT(10)) {
		TAILQ_REMOVE(&s->requests, r, line);
		TAILQ_INSERT_TAIL(&s->requests, r, line);
	}
	request_place(e, r, PLACE_QUEUED);
	request_arm(e, r);
	if (s->state == SESSION_WAITING)
		session_next(e, s);
}

/* Patience with a call is over: first its hook's time, then the grace for an answer that nobody needs any more. */
void call_timer_fired(struct engine *e, struct timer *t)
{
	struct call_entry *c = TIMER_OWNER(t, struct call_entry, timer);

	if (!c->cancelled)
		slot_overdue(e, c, c->slot->pool->cfg.kill_grace_us);
	else
		slot_stop(e, c->slot, STOPPED_HUNG, "a call was not answered within kill_grace after its time was over");
}
