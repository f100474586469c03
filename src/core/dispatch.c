/* dispatch.c: see dispatch.h. */
#include "dispatch.h"

#include <string.h>

#include "mutant.h"
#include "partials.h"
#include "patience.h"
#include "result.h"
#include "state.h"

/* The request names a state that does not live here. */
static bool names_dead_epoch(const struct engine *e, const struct session *s, const struct request *r)
{
	char live[EPOCH_TEXT_SIZE];

	if (r->fields.session_epoch.data == NULL || !session_keeps_state(e, s) || MUTANT(32))
		return false;
	epoch_text(s->epoch, live);
	return !session_bound(e, s) || !slice_is(r->fields.session_epoch, live);
}

/* There is nothing to end. */
static bool ends_nothing(const struct engine *e, const struct session *s, const struct request *r)
{
	return r->ends_session && (!session_bound(e, s) || MUTANT(43));
}

bool dispatch_settles(const struct engine *e, const struct session *s)
{
	const struct request *r = TAILQ_FIRST(&s->requests);

	return s->ending == END_NONE && r != NULL && (names_dead_epoch(e, s, r) || ends_nothing(e, s, r));
}

static void fill_call(struct engine *e, struct session *s, struct request *r, struct call *c, char epoch[EPOCH_TEXT_SIZE])
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

void dispatch_run(struct engine *e, struct slot *w, struct session *s, struct request *r)
{
	struct call c = {0};
	char epoch[EPOCH_TEXT_SIZE];

	r->run_until = e->now + w->pool->cfg.request_timeout_us;
	r->began = MUTANT(91) ? s->fresh : s->untold;
	if (session_keeps_state(e, s) && s->fresh) {
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
	char epoch[EPOCH_TEXT_SIZE];

	r->run_until = e->now + w->pool->cfg.session_hook_timeout_us;
	fill_call(e, s, r, &c, epoch);
	slot_begin(e, w, CALL_OPEN_SESSION, s, r, &c);
	request_arm(e, r);
}

/* r: the end_session request that asked for it, or NULL. */
static void begin_cleanup(struct engine *e, struct slot *w, struct session *s, struct request *r)
{
	struct call c = {.session_id = session_id(s), .remaining_ms = TIME_NONE};
	struct call_entry *entry;
	char epoch[EPOCH_TEXT_SIZE];

	if (r != NULL)
		session_end(e, s, END_CLIENT); /* it takes no room from now on, whether or not its request waits for the end */
	c.reason = slice_of(end_reason_name((enum end_reason)s->ending));
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
	partials_restart(e, r);
	r->began = false; /* of a run before this one, whose state may be gone */
	r->attempts++;
}

void dispatch_turn(struct engine *e, struct slot *w, struct session *s)
{
	struct request *r = TAILQ_FIRST(&s->requests);
	struct outcome unknown;

	if (s->ending != END_NONE) {
		begin_cleanup(e, w, s, NULL);
		return;
	}
	CHECK(r != NULL && r->place == PLACE_QUEUED);
	if (r->deadline <= e->now) { /* its timer is due in this very turn */
		patience_request_fired(e, &r->timer);
		return;
	}
	if (names_dead_epoch(e, s, r)) {
		result_dead_epoch(e, r);
		return;
	}
	if (ends_nothing(e, s, r)) {
		unknown = outcome_of(r->fields.encoding, MUTANT(43) ? STATUS_OK : STATUS_ERROR, "session_not_found",
			"there is no such session here: it has ended, or never began");
		result_publish(e, r, &unknown);
		return;
	}
	CHECK(w != NULL);
	start_attempt(e, r);
	if (r->ends_session) {
		r->run_until = e->now + w->pool->cfg.session_hook_timeout_us;
		begin_cleanup(e, w, s, r);
		return;
	}
	if ((session_keeps_state(e, s) || (MUTANT(89) && !s->anonymous)) && !session_bound(e, s))
		session_bind(e, s, w);
	if (session_keeps_state(e, s) && !s->opened && (w->capabilities & CAPABILITY_SESSIONS) && !MUTANT(28))
		begin_open(e, w, s, r);
	else
		dispatch_run(e, w, s, r);
}
