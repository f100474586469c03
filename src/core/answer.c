/* answer.c: see answer.h. */
#include "answer.h"

#include <stdio.h>

#include "dispatch.h"
#include "loss.h"
#include "mutant.h"
#include "patience.h"
#include "result.h"
#include "retry.h"
#include "spent.h"
#include "state.h"

static void answered_request(struct engine *e, struct call_entry *c, const struct answer *a)
{
	struct session *s = c->session;
	struct request *r = c->request;
	struct outcome o = outcome_of(r->fields.encoding, STATUS_OK, NULL, NULL);
	struct retry_case failed = {
		.attempts = r->attempts,
		.max_attempts = e->cfg.max_attempts,
		.kills = r->kills,
		.backoff_us = e->cfg.retry_backoff_us,
		.failure = a->retriable ? FAILURE_RETRIABLE : FAILURE_ERROR,
		.retry_after_ms = a->retry_after_ms,
	};
	bool said_no = false;
	int64_t delay;

	if (a->kind == ANSWER_ERROR && patience_is_over(e, r) && !MUTANT(60)) {
		o = patience_outcome(e, r); /* a worker that keeps the time itself may be heard before our own timer */
	} else if (a->kind != ANSWER_OK) {
		o.status = STATUS_ERROR;
		o.code_said = a->code;
		o.message_said = a->message.data ? a->message : SLICE("");
		o.details = a->details;
		o.retriable = a->retriable;
		o.retry_after_ms = a->retry_after_ms;
		said_no = true;
	} else if (a->payload.len > e->cfg.result_limit) {
		o = outcome_of(r->fields.encoding, STATUS_ERROR, "RESULT_TOO_LARGE", "the worker's result is over limits.result");
	} else {
		o.result = a->payload;
	}
	o.worker = c->slot;
	o.usage = a->usage;
	switch (said_no ? retry_decide(&failed, &e->random, &delay) : RETRY_FINAL) {
	case RETRY_AGAIN:
		request_repeat(e, r, delay);
		c->request = NULL;
		return;
	case RETRY_DEAD: o.dead = true; break;
	case RETRY_FINAL: break;
	}
	session_ran(s);
	result_publish(e, r, &o);
}

static void count_end(struct engine *e, struct pool *p, const struct session *s, enum end_reason why)
{
	char what[32];

	p->ended[why]++;
	snprintf(what, sizeof(what), "ended by %s", end_reason_name(why));
	session_tell(e, s, what);
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
		dispatch_run(e, w, s, r);
		return;
	}
	if (r != NULL && !ok)
		answered_request(e, c, a);
	slot_finish(e, c);
	if (r != NULL && ok) { /* the worker is being stopped, or the partition was given back: it has not run */
		r->attempts--;
		request_repeat(e, r, 0);
	}
	if (!s->opened) {
		count_end(e, w->pool, s, END_OPEN);
		session_unbind(e, s);
	}
	session_next(e, s);
}

void answer_cleaned_up(struct engine *e, struct call_entry *c, struct slice payload)
{
	struct session *s = c->session;
	struct request *r = c->request;
	struct outcome o;
	bool recycled = s->ending == END_RECYCLE;

	if (r != NULL) {
		o = outcome_of(r->fields.encoding, STATUS_OK, NULL, NULL);
		o.result = payload;
		o.worker = c->slot;
		result_publish(e, r, &o);
	}
	slot_finish(e, c);
	session_unbind(e, s);
	if (!recycled || !loss_fails_line(e, s, true))
		session_next(e, s);
}

void answer_take(struct engine *e, struct call_entry *c, const struct answer *a)
{
	struct session *s = c->session;

	if (c->cancelled)
		e->counters.late_answers++;
	switch (c->kind) {
	case CALL_OPEN_SESSION: opened(e, c, a); return;
	case CALL_CLEANUP_SESSION:
		count_end(e, c->slot->pool, s, (enum end_reason)s->ending);
		answer_cleaned_up(e, c, a->kind == ANSWER_OK ? a->payload : (struct slice){NULL, 0});
		return;
	case CALL_REQUEST:
		if (a->kind != ANSWER_UNREADABLE)
			circuit_answered(e, c->slot->pool);
		spent_add(&c->slot->pool->used, a->usage);
		if (c->request != NULL)
			answered_request(e, c, a);
		slot_finish(e, c);
		session_next(e, s);
		return;
	default: slot_finish(e, c);
	}
}
