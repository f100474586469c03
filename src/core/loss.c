/* loss.c: see loss.h. */
#include "loss.h"

#include "answer.h"
#include "mutant.h"
#include "result.h"
#include "state.h"

bool loss_fails_line(struct engine *e, struct session *s, bool waiting)
{
	struct request *r, *next;
	bool any = false;

	if (e->pools[s->pool].cfg.on_session_loss != SESSION_LOSS_FAIL || MUTANT(33) || !s->ran || !session_keeps_state(e, s))
		return false;
	for (r = TAILQ_FIRST(&s->requests); r != NULL; r = next) {
		next = TAILQ_NEXT(r, line);
		if (r->place != PLACE_QUEUED && !(waiting && r->place == PLACE_WAITING))
			continue;
		any = true;
		result_session_lost(e, r, "the session's worker died, and with it the state that earlier requests made");
	}
	return any;
}

void loss_of_state(struct engine *e, struct session *s)
{
	if (s->at.generation != 0 && loss_fails_line(e, s, true))
		return;
	if (s->state == SESSION_WAITING)
		session_unbind(e, s);
	else
		session_next(e, s);
}

static void lost_request(struct engine *e, const struct slot *worker, struct request *r, enum failure failure)
{
	const struct session *s = r->session;
	struct outcome o = outcome_of(r->fields.encoding, STATUS_WORKER_LOST, "WORKER_LOST",
		"its worker died while it ran; running it again could repeat what it did to its session");
	struct retry_case failed = {
		.failure = failure,
		.max_attempts = e->cfg.max_attempts,
		.backoff_us = e->cfg.retry_backoff_us,
		.may_repeat = !session_keeps_state(e, s) || !s->ran || r->fields.idempotent,
	};
	struct note poison = {
		.kind = NOTE_REQUEST_POISON,
		.count = r->m.source.offset,
		.reason = r->fields.request_id,
	};
	int64_t delay;

	o.worker = worker;
	if (failure == FAILURE_KILLED || failure == FAILURE_UNBLAMED)
		r->attempts--;
	if (failure == FAILURE_LOST_ALONE)
		partition_suspect(e, r, ++r->kills);
	failed.attempts = r->attempts;
	failed.kills = r->kills;
	switch (retry_decide(&failed, &e->random, &delay)) {
	case RETRY_AGAIN:
		r->alone |= failure != FAILURE_KILLED;
		request_repeat(e, r, delay);
		return;
	case RETRY_DEAD:
		o.dead = true;
		if (r->kills >= POISON_KILLS) {
			o.code = "POISON";
			o.message = "it killed its worker each time it ran alone";
			engine_note_of(e, r->partition, &poison);
		} else {
			o.message = "its worker died in every one of the attempts that delivery.max_attempts allows";
		}
		break;
	case RETRY_FINAL: break;
	}
	result_publish(e, r, &o);
}

void loss_of_worker(struct engine *e, struct call_entry *c, enum failure failure)
{
	struct session *s = c->session;
	struct request *r = c->request;
	const struct slot *worker = c->slot;

	if (s != NULL && c->kind == CALL_CLEANUP_SESSION) {
		answer_cleaned_up(e, c, (struct slice){NULL, 0}); /* its state is as gone as it can be */
		return;
	}
	slot_finish(e, c);
	if (s == NULL)
		return;
	if (r != NULL)
		lost_request(e, worker, r, failure);
	session_unbind(e, s);
	if (!loss_fails_line(e, s, false)) /* what runs again after this loss is allowed to */
		session_next(e, s);
}
