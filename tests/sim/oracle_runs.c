/* oracle_runs.c: invariants 4 to 9 and 23: who may run what, where, and when. */
#include "oracle.h"

#include <stdio.h>
#include <string.h>

#include "client.h"
#include "workers.h"

enum { POISON_AFTER = 2 };

static const struct pool_config *pool_of(const struct world *w, const struct proc *p)
{
	return &w->k.pool[p->ref.pool];
}

static bool takes_place(enum call_kind k)
{
	return k == CALL_REQUEST || k == CALL_OPEN_SESSION || k == CALL_CLEANUP_SESSION;
}

static struct owned *place_of(struct instance *i, const struct asked *r)
{
	return &i->own[r->topic][r->partition];
}

/* ---- times that end a request at once ---- */

/* What is received is looked at then, and not later. */
bool oracle_parks_nothing(const struct world *w)
{
	return w->k.engine.window_cap == OFFSETMAP_SPAN_MAX && w->k.gap_permille == 0;
}

/* Nothing stands between the end of a request and its publication. */
static bool publishes_at_once(const struct world *w)
{
	const struct knobs *k = &w->k;

	return k->queue_full_permille == 0 && k->again_permille == 0 && k->landed_again_permille == 0 && !k->clock_steps &&
	       !k->small_batches && !k->needs_key && (k->chaos_us == 0 || !k->chaos[CHAOS_REFUSE]) &&
	       k->output_limit > 2 * OFFSETMAP_SPAN_MAX && oracle_parks_nothing(w);
}

static void plan_prompt_check(struct world *w, struct instance *i, const struct asked *r, int64_t delay)
{
	struct event ev = {.kind = EV_PROMPT_CHECK, .id = r->index, .a = place_of(i, r)->epoch, .b = w->now};

	if (publishes_at_once(w))
		world_plan(w, i, (delay > 0 ? delay : 0) + i->late_us + 2 * MS_US, ev);
}

void oracle_prompt_check(struct world *w, struct instance *i, const struct event *ev)
{
	const struct asked *r = &w->asked[ev->id];
	const struct view *v = &i->views[ev->id];
	const struct owned *o = place_of(i, r);

	if (o->state != OWNED_ASSIGNED || o->epoch != ev->a || i->thawed_at >= ev->b || i->draining || v->has_final ||
		v->complete || r->claimed)
		return;
	if (v->received_at == ev->b && world_wall_ms(w) > r->deadline_ms)
		breach(w, "record %u has not ended although its client's time is over", r->index);
	if (v->run == RUN_LIVE && v->dispatched_at == ev->b)
		breach(w, "record %u runs since %lld us and its run's time is over", r->index,
			(long long)(w->now - v->dispatched_at));
}

/* The ownership of its partition that it was seen in before is over: nothing of that time counts. */
static void new_round(const struct owned *o, const struct asked *r, struct view *v)
{
	struct view fresh = {
		.received = v->received,
		.rounds = v->rounds + 1,
		.since = o->since,
		.finals = v->finals,
		.dead_letters = v->dead_letters,
		.complete = v->complete,
		.final_acked = v->final_acked,
		.dead_letter_acked = v->dead_letter_acked,
	};

	*v = fresh;
	for (unsigned k = 0; k < o->nsuspects; k++)
		if (o->suspects[k].offset == r->offset)
			v->kills = v->certain_kills = o->suspects[k].kills;
	v->was_lost = v->kills > 0;
}

/* It had been put back when its partition was revoked: its runs are counted anew, but not the workers that it killed. */
static void begin_again(const struct owned *o, struct view *v)
{
	if (o->full)
		v->kills = v->certain_kills = 0;
	v->again = v->began = false;
	v->recounted |= v->attempt > 0;
	v->was_lost = v->kills > 0;
	v->run = RUN_NONE;
	v->first_received_at = v->received_at;
	v->ran_us = v->not_before = 0;
	v->attempt = 0;
}

/* Its partition is back and nobody else has committed. What runs goes on; what did not run had been put back. */
void oracle_came_back(struct world *w, struct instance *i, uint32_t topic, int32_t partition)
{
	const struct request_log *log = &w->log[topic][partition];

	for (size_t k = 0; k < log->n; k++) {
		struct view *v = &i->views[log->records[k]->index];

		v->again = v->since == i->own[topic][partition].since && v->run != RUN_LIVE;
	}
}

void oracle_received(struct world *w, struct instance *i, const struct asked *r)
{
	struct owned *o = place_of(i, r);
	struct view *v = &i->views[r->index];
	bool first = v->rounds == 0 || v->since != o->since;
	bool open = i->circuit[r->pool].told == HEALTH_UNAVAILABLE && w->k.pool[r->pool].circuit_rejects;

	if (first)
		new_round(o, r, v);
	v->received++;
	v->received_at = v->receipts[++v->nreceipts % RECEIPTS] = w->now;
	if (first)
		v->first_received_at = w->now;
	if (first || v->again)
		v->came_while_open = open;
	v->once_while_open |= open;
	if (r->deadline_ms != INT64_MAX)
		plan_prompt_check(w, i, r, (r->deadline_ms - world_wall_ms(w)) * MS_US);
	if (r->ask == ASK_CANCEL && w->asked[r->target].session == r->session)
		i->views[r->target].cancel_came = true;
	if (o->known <= r->offset)
		o->known = r->offset + 1;
}

/* ---- starts ---- */

void oracle_started(struct world *w, struct instance *i, struct slot_ref ref)
{
	const struct pool_config *pool = &w->k.pool[ref.pool];
	int64_t gone = i->gone_at[ref.pool][ref.slot];
	unsigned starting = 0;

	for (unsigned s = 0; s < MAX_SLOTS; s++) {
		const struct proc *p = i->procs[ref.pool][s];

		starting += p != NULL && !p->ready && p->cause == CAUSE_NONE;
	}
	i->starts[ref.pool]++;
	if (starting > pool->start_batch) /* the new one is among them */
		breach(w, "%u workers of pool %d start at once; start_batch is %u", starting, ref.pool, pool->start_batch);
	if (gone != 0 && w->now - gone < pool->backoff_min_us / 2)
		breach(w, "worker %d/%d starts again %lld us after its end", ref.pool, ref.slot, (long long)(w->now - gone));
}

/* ---- any call ---- */

static uint32_t room_of(const struct world *w, const struct proc *p)
{
	uint32_t said = p->concurrency ? p->concurrency : 1, most = pool_of(w, p)->concurrency;

	return most && most < said ? most : said;
}

static void check_ping(struct world *w, const struct proc *p, const struct work *k)
{
	if (k->kind == CALL_PING && !k->initialization && p->nworks > 0 && !(p->capabilities & CAPABILITY_PING_BUSY))
		breach(w, "worker %d.%u is busy and cannot answer a ping beside that", p->ref.slot, p->ref.generation);
}

static void check_worker(struct world *w, const struct proc *p, const struct work *k)
{
	const struct work *beside;

	if (p->cause != CAUSE_NONE && k->kind != CALL_SHUTDOWN)
		breach(w, "6: a call to worker %d.%u, which is stopped or has failed", p->ref.slot, p->ref.generation);
	check_ping(w, p, k);
	if (!takes_place(k->kind))
		return;
	if (!p->ready)
		breach(w, "a request for worker %d.%u, which has not answered its first ping", p->ref.slot, p->ref.generation);
	if (p->nworks >= room_of(w, p))
		breach(w, "15: %u calls in flight on worker %d.%u, which takes %u", p->nworks + 1, p->ref.slot, p->ref.generation,
			room_of(w, p));
	if (k->solo && p->nworks > 0)
		breach(w, "9: a request that may have killed a worker runs beside others on %d.%u", p->ref.slot,
			p->ref.generation);
	TAILQ_FOREACH (beside, &p->works, line)
		if (beside->solo)
			breach(w, "9: beside a request that may have killed a worker another call goes to %d.%u", p->ref.slot,
				p->ref.generation);
}

/* ---- sessions ---- */

bool oracle_state_lives(const struct instance *i, const struct session_view *s)
{
	const struct proc *p = s->at.generation ? i->procs[s->at.pool][s->at.slot] : NULL;

	return p != NULL && p->ref.generation == s->at.generation && !s->cleaned;
}

static bool same_slot(struct slot_ref a, struct slot_ref b)
{
	return a.pool == b.pool && a.slot == b.slot && a.generation == b.generation;
}

/* Another instance runs the session at the same time, and nothing excuses it. */
static void check_elsewhere(struct world *w, const struct instance *i, const struct asked *r)
{
	for (unsigned k = 0; k < w->k.engines; k++) {
		const struct instance *other = &w->instance[k];
		const struct session_view *s;

		if (other == i || !other->alive || other->frozen || other->evicted)
			continue;
		s = &other->sessions[r->session];
		if (s->busy != NULL && s->busy->kind != CALL_CLEANUP_SESSION && !s->orphan)
			breach(w, "7: session %d runs on instance %d and on instance %d at once", r->session, other->index,
				i->index);
	}
}

/* 27: who leaves keeps what lives there for a while, and gets nothing new. */
static void check_leaving(struct world *w, const struct instance *i, const struct proc *p, bool fresh)
{
	int64_t until;

	if (p->leaving_at == INT64_MAX)
		return;
	until = p->leaving_at + pool_of(w, p)->recycle_grace_us + SECOND_US;
	if (fresh)
		breach(w, "27: worker %d.%u is being replaced and gets something new", p->ref.slot, p->ref.generation);
	if (w->now > until && i->thawed_at < p->leaving_at)
		breach(w, "27: worker %d.%u is being replaced since %lld us and still runs requests", p->ref.slot,
			p->ref.generation, (long long)(w->now - p->leaving_at));
}

static void new_state(struct world *w, struct instance *i, struct session_view *s, const struct asked *r, const struct proc *p,
	const struct call *c)
{
	const struct view *v = &i->views[r->index];

	if (oracle_state_lives(i, s) && s->runs > 0)
		breach(w, "8: session %d begins anew on worker %d.%u while its state lives on %d.%u", r->session, p->ref.slot,
			p->ref.generation, s->at.slot, s->at.generation);
	if (pool_of(w, p)->on_session_loss == SESSION_LOSS_FAIL && s->made_lost_at > v->received_at && v->run == RUN_NONE &&
		oracle_parks_nothing(w))
		breach(w, "on_session_loss=fail: record %u waited when its session's worker died, and runs in a new state",
			r->index);
	check_leaving(w, i, p, true);
	s->at = p->ref;
	s->since = place_of(i, r)->since;
	s->opened = false;
	snprintf(s->epoch, sizeof(s->epoch), "%.*s", (int)c->session_epoch.len, (const char *)c->session_epoch.data);
	s->cleaned = false;
	s->runs = s->requests = 0;
	s->last_record = -1;
}

static void check_state(struct world *w, struct instance *i, struct session_view *s, const struct asked *r, const struct proc *p,
	const struct call *c)
{
	if (c->session_epoch.data == NULL || c->session_epoch.len >= EPOCH_TEXT)
		breach(w, "8: record %u of session %d runs without an epoch", r->index, r->session);
	if (r->named && !slice_is(c->session_epoch, r->epoch))
		breach(w, "SESSION_LOST: record %u expects epoch %s and runs in %.*s", r->index, r->epoch,
			(int)c->session_epoch.len, (const char *)c->session_epoch.data);
	if (s->at.generation == 0 || !slice_is(c->session_epoch, s->epoch))
		new_state(w, i, s, r, p, c);
	if (!same_slot(s->at, p->ref) || s->cleaned)
		breach(w, "8: session %d has its state on worker %d.%u%s and runs on %d.%u", r->session, s->at.slot,
			s->at.generation, s->cleaned ? " (cleaned up)" : "", p->ref.slot, p->ref.generation);
	if (c->kind == CALL_REQUEST && !s->opened && p->capabilities & CAPABILITY_SESSIONS)
		breach(w, "record %u of session %d runs before open_session is answered", r->index, r->session);
	if (c->kind == CALL_REQUEST && c->session_new != (s->runs == 0))
		breach(w, "8: record %u is told session_new=%d, and its session ran %u times in that state", r->index,
			c->session_new, s->runs);
}

static void check_order(struct world *w, struct instance *i, struct session_view *s, const struct asked *r)
{
	uint32_t since = place_of(i, r)->since;

	if (w->session[r->session].violates)
		return;
	if (s->run_since == since && r->offset < s->newest_run)
		breach(w, "4: session %d runs offset %lld after offset %lld", r->session, (long long)r->offset,
			(long long)s->newest_run);
	s->run_since = since;
	s->newest_run = r->offset;
	if (!i->evicted) /* else it is about to learn that all was lost */
		check_elsewhere(w, i, r);
}

static void session_runs(struct world *w, struct instance *i, struct proc *p, struct work *k, const struct asked *r,
	const struct call *c)
{
	struct session_view *s = &i->sessions[r->session];
	struct view *v = &i->views[r->index];
	bool keeps = pool_of(w, p)->state == POOL_STATE_MEMORY;

	if (s->busy != NULL)
		breach(w, "5: session %d has a call out already when record %u runs", r->session, r->index);
	check_order(w, i, s, r);
	s->busy = k;
	s->orphan = false;
	v->may_repeat = true;
	if (!keeps && c->session_epoch.data != NULL)
		breach(w, "session %d has no state, and its call names one", r->session);
	if (!keeps)
		return;
	check_state(w, i, s, r, p, c);
	if (strcmp(v->epoch, s->epoch) != 0)
		v->ran = v->began = false;
	snprintf(v->epoch, sizeof(v->epoch), "%s", s->epoch);
	if (c->kind == CALL_REQUEST) {
		v->ran = true;
		v->began |= s->runs == 0;
		s->runs++;
		s->requests += s->last_record != (int)r->index;
		s->last_record = (int)r->index;
	}
	v->may_repeat = r->idempotent || s->requests <= 1;
}

/* ---- runs of a request ---- */

static bool attempt_fits(const struct view *v, int32_t attempt)
{
	switch (v->run) {
	case RUN_NONE: return attempt == 1;
	case RUN_KILLED: return attempt == v->attempt;
	case RUN_OPENED:
	case RUN_UNSURE: return attempt == v->attempt || attempt == v->attempt + 1;
	default: return attempt == v->attempt + 1;
	}
}

/* The group knows what killed a worker before that runs again: whoever takes over is to know it too. */
static void check_told(struct world *w, const struct instance *i, const struct asked *r, const struct view *v)
{
	bool too_large = w->k.metadata_limit < OFFSETMAP_TEXT_MAX;

	if (v->run != RUN_LOST || !v->alone || too_large || i->own[r->topic][r->partition].full || i->evicted ||
		w->now >= v->ended_at + 5 * SECOND_US)
		return;
	if (oracle_kills_told(w, r) < v->kills)
		breach(w, "9: record %u killed %u workers alone and runs again before a commit tells that", r->index, v->kills);
}

static void check_repeat(struct world *w, const struct asked *r, const struct view *v, int32_t attempt)
{
	bool lost = v->run == RUN_LOST || v->run == RUN_KILLED || v->run == RUN_UNSURE;

	if (v->run == RUN_LIVE)
		breach(w, "6: record %u runs while its earlier run may live", r->index);
	if (v->has_final || (v->run != RUN_NONE && v->run != RUN_OPENED && v->run != RUN_RETRIABLE && !lost))
		breach(w, "record %u has ended and runs again", r->index);
	if (w->now < v->not_before)
		breach(w, "record %u runs again %lld us before the time that its worker named", r->index,
			(long long)(v->not_before - w->now));
	if (lost && !v->may_repeat)
		breach(w, "record %u runs again although its session had run on the worker that died", r->index);
	if (v->kills >= POISON_AFTER)
		breach(w, "9: record %u killed %u workers alone and runs again", r->index, v->kills);
	if (!attempt_fits(v, attempt))
		breach(w, "9: attempt %d of record %u after attempt %d", attempt, r->index, v->attempt);
	if (attempt > (int32_t)w->k.engine.max_attempts)
		breach(w, "9: attempt %d of record %u; %u are allowed", attempt, r->index, w->k.engine.max_attempts);
}

static bool attributes_fit(const struct asked *r, struct slice attributes)
{
	char text[ATTRIBUTE_TEXT];
	struct slice value;

	if (!r->attributed)
		return attributes.len == 0;
	client_attribute(r, text);
	return pairs_count(attributes) == 1 && pairs_find(attributes, "tenant", &value) && slice_is(value, text);
}

static void check_words(struct world *w, const struct instance *i, const struct asked *r, const struct call *c)
{
	int64_t late_ms = world_wall_ms(w) - i->late_us / MS_US - r->deadline_ms; /* a tick may come so late */

	if (c->kind == CALL_REQUEST && (!slice_equal(c->args, r->args) || !slice_is(c->command, "work")))
		breach(w, "args or command of record %u are not as they were sent", r->index);
	oracle_headers(w, r, c->headers);
	if (!attributes_fit(r, c->attributes))
		breach(w, "the attributes of record %u do not go on", r->index);
	if (r->ask != ASK_RUN)
		breach(w, "record %u is no valid request and runs", r->index);
	if (r->session >= 0 ? !slice_is(c->session_id, w->session[r->session].id) : c->session_id.data != NULL)
		breach(w, "record %u runs in the wrong session", r->index);
	if (!w->k.clock_steps && late_ms > 1)
		breach(w, "record %u runs %lld ms after its client's deadline", r->index, (long long)late_ms);
}

static void check_right(struct world *w, struct instance *i, const struct asked *r)
{
	const struct owned *o = place_of(i, r);

	bool opened = i->views[r->index].run == RUN_OPENED && o->state == OWNED_REVOKING; /* it has begun already */

	if ((o->state != OWNED_ASSIGNED && !opened) || i->views[r->index].received == 0)
		breach(w, "12: instance %d runs record %u of partition %d, which is %s", i->index, r->index, r->partition,
			o->state == OWNED_REVOKING ? "being revoked"
			: o->state == OWNED_NOT    ? "not its own"
						   : "not read");
	if (i->draining && i->views[r->index].run != RUN_OPENED)
		breach(w, "instance %d drains and runs record %u", i->index, r->index);
}

static struct asked *record_of(struct world *w, const struct call *c)
{
	struct asked *r = NULL;

	for (unsigned t = 0; t < w->k.topics; t++)
		if (slice_is(c->source_topic, w->sources[t].topic))
			r = client_find(w, t, c->source_partition, c->source_offset);
	if (r == NULL)
		breach(w, "a call names a record that does not exist: partition %d, offset %lld", c->source_partition,
			(long long)c->source_offset);
	return r;
}

static void request_runs(struct world *w, struct instance *i, struct proc *p, struct work *k, const struct call *c)
{
	struct asked *r = record_of(w, c);
	struct view *v = &i->views[r->index];

	k->record = (int)r->index;
	if (c->kind == CALL_REQUEST)
		TRACE(w, RUN, i->index, r->index, p->ref.slot, p->ref.generation, c->attempt);
	check_right(w, i, r);
	if (v->again && !v->has_final)
		begin_again(place_of(i, r), v);
	check_words(w, i, r, c);
	check_repeat(w, r, v, c->attempt);
	check_told(w, i, r, v);
	if (v->came_while_open && v->run == RUN_NONE && oracle_parks_nothing(w))
		breach(w, "28: record %u came while the circuit of its pool was open and rejects, and runs", r->index);
	check_leaving(w, i, p, r->session < 0 || pool_of(w, p)->state == POOL_STATE_NONE);
	p->ran = true;
	k->round = v->rounds;
	k->solo = v->was_lost;
	if (r->session >= 0)
		session_runs(w, i, p, k, r, c);
	else
		v->may_repeat = true;
	v->recounted |= v->run != RUN_OPENED && (int32_t)c->attempt <= v->attempt;
	v->run = RUN_LIVE;
	v->attempt = c->attempt;
	v->dispatched_at = w->now;
	v->at = p->ref;
	plan_prompt_check(w, i, r,
		c->kind == CALL_REQUEST ? pool_of(w, p)->request_timeout_us : pool_of(w, p)->session_hook_timeout_us);
	w->runs++;
}

/* Nobody ends a session that is in use, or whose partition is still here. */
static void check_reason(struct world *w, const struct instance *i, const struct session_view *s, const struct work *k,
	const struct proc *p, struct slice reason)
{
	const struct client_session *c = &w->session[k->session];
	const struct owned *o = &i->own[c->topic][c->partition];
	bool here = (o->state != OWNED_NOT || o->suspended) && o->since == s->since;

	if (slice_is(reason, "ttl") && w->now - s->free_at < pool_of(w, p)->session_ttl_us)
		breach(w, "session %d is ended %lld us after its last run, and session_ttl is %lld us", k->session,
			(long long)(w->now - s->free_at), (long long)pool_of(w, p)->session_ttl_us);
	if (slice_is(reason, "max_sessions") && pool_of(w, p)->max_sessions >= w->k.sessions)
		breach(w, "session %d is ended for want of room, and there is room for all", k->session);
	if (slice_is(reason, "recycle") &&
		(p->leaving_at == INT64_MAX || w->now - p->leaving_at < pool_of(w, p)->recycle_grace_us))
		breach(w, "27: session %d is ended for a new worker before recycle_grace is over", k->session);
	if (slice_is(reason, "shutdown") && !i->draining)
		breach(w, "23: session %d is ended for a shutdown, and there is none", k->session);
	if (slice_is(reason, "partition") && here && !c->violates && pool_of(w, p)->on_revoke != REVOKE_ENDS)
		breach(w, "23: session %d is ended as if its partition had gone, and it is here", k->session);
}

static void session_is_cleaned(struct world *w, struct instance *i, struct proc *p, struct work *k, const struct call *c)
{
	struct session_view *s = k->session >= 0 ? &i->sessions[k->session] : NULL;

	if (s == NULL || !same_slot(s->at, p->ref) || !slice_is(c->session_epoch, s->epoch))
		breach(w, "23: cleanup of a state that is not on worker %d.%u", p->ref.slot, p->ref.generation);
	if (s->cleaned)
		breach(w, "23: session %d is cleaned up twice", k->session);
	if (s->busy != NULL)
		breach(w, "5: session %d is cleaned up while a call of it is out", k->session);
	check_reason(w, i, s, k, p, c->reason);
	s->cleaned = true;
	s->busy = k;
	k->by_recycling = slice_is(c->reason, "recycle");
	k->by_client = slice_is(c->reason, "end_session");
}

/* ---- the circuit ---- */

void oracle_circuit(struct world *w, struct instance *i, const struct note *n)
{
	struct circuit_view *c = &i->circuit[n->worker.pool];
	uint32_t least = n->from == HEALTH_READY ? w->k.pool[n->worker.pool].circuit_failures : 1;
	struct work *k;

	if (n->to == HEALTH_UNAVAILABLE && (least == 0 || c->failures < least))
		breach(w, "28: the circuit of pool %d opens after %u failures", n->worker.pool, c->failures);
	if (n->from == n->to || n->from != (c->told == HEALTH_UNKNOWN ? HEALTH_READY : c->told))
		breach(w, "28: the circuit of pool %d was not in the state that it is told to leave", n->worker.pool);
	if (n->from == HEALTH_UNAVAILABLE)
		c->left_open_at = w->now;
	c->told = n->to;
	c->probing_since = w->now;
	c->tried_suspect &= n->to != HEALTH_READY;
	c->others_first = c->tried_suspect; /* one that was answered without telling anything makes nobody wait */
	for (unsigned s = 0; s < MAX_SLOTS; s++)
		if (i->procs[n->worker.pool][s] != NULL)
			TAILQ_FOREACH (k, &i->procs[n->worker.pool][s]->works, line)
				k->probe = false;
}

static bool circuit_closed(const struct instance *i, const struct proc *p)
{
	enum health_state told = i->circuit[p->ref.pool].told;

	return told == HEALTH_UNKNOWN || told == HEALTH_READY;
}

/* Received in this ownership, inside the window beyond doubt, not refused, and not ended. */
static bool waits(const struct world *w, struct instance *i, const struct asked *r)
{
	const struct view *v = &i->views[r->index];
	const struct owned *o = place_of(i, r);
	const struct request_log *log = &w->log[r->topic][r->partition];
	int64_t base = log->committed < 0 ? log->start : log->committed;
	bool here = o->state == OWNED_ASSIGNED && o->located && v->received > 0 && v->since == o->since && !v->again &&
		    !r->claimed;

	return here && v->run == RUN_NONE && !v->has_final && !v->came_while_open && r->offset < base + w->k.engine.window_cap;
}

/* Nothing of its session is before it, and no worker has its state. */
static bool may_run_anywhere(const struct world *w, struct instance *i, const struct asked *r)
{
	const struct pool_config *pool = &w->k.pool[r->pool];
	const struct session_view *s = &i->sessions[r->session < 0 ? 0 : r->session];

	if (r->session < 0)
		return true;
	if (w->session[r->session].violates || pool->on_session_loss == SESSION_LOSS_FAIL || pool->max_queued_per_session > 0 ||
		pool->max_sessions < w->k.sessions || s->busy != NULL ||
		(pool->state == POOL_STATE_MEMORY && oracle_state_lives(i, s)))
		return false;
	for (const struct asked *before = w->asked; before < r; before++)
		if (before->session == r->session && !i->views[before->index].has_final)
			return false;
	return true;
}

/* It has lost no worker, and could be tried. */
static bool waits_innocent(const struct world *w, struct instance *i, const struct asked *r)
{
	const struct view *v = &i->views[r->index];

	return waits(w, i, r) && r->ask == ASK_RUN && !r->named && !v->cancel_came && v->kills == 0 &&
	       r->deadline_ms == INT64_MAX && may_run_anywhere(w, i, r);
}

static bool has_lost_a_worker(struct instance *i, const struct asked *r)
{
	const struct view *v = &i->views[r->index];

	return v->again ? v->kills > 0 && !place_of(i, r)->full : v->was_lost;
}

/* Who has lost a worker is tried only if there is nobody else, and others have had time to come. */
static void check_suspect(struct world *w, struct instance *i, const struct proc *p, const struct asked *r)
{
	const struct circuit_view *c = &i->circuit[p->ref.pool];

	if (c->others_first && w->now < c->probing_since + pool_of(w, p)->circuit_pause_us)
		breach(w, "28: record %u, which has lost a worker, is tried again before others had time to come", r->index);
	for (size_t k = 0; pool_of(w, p)->max_queued == 0 && p->leaving_at == INT64_MAX && k < w->nasked; k++)
		if (w->asked[k].pool == r->pool && waits_innocent(w, i, &w->asked[k]))
			breach(w, "28: record %u, which has lost a worker, is tried while record %zu waits", r->index, k);
}

/* r: NULL: it is no request. */
static void check_circuit(struct world *w, struct instance *i, const struct proc *p, struct work *k, const struct asked *r)
{
	struct circuit_view *c = &i->circuit[p->ref.pool];
	const struct work *other;

	if (circuit_closed(i, p) || !takes_place(k->kind))
		return;
	if (c->told == HEALTH_UNAVAILABLE)
		breach(w, "28: a call begins on worker %d.%u while the circuit of its pool is open", p->ref.slot,
			p->ref.generation);
	for (unsigned s = 0; s < MAX_SLOTS; s++)
		if (i->procs[p->ref.pool][s] != NULL)
			TAILQ_FOREACH (other, &i->procs[p->ref.pool][s]->works, line)
				if (other->probe && other != k)
					breach(w, "28: a second call begins while one is tried in pool %d", p->ref.pool);
	k->probe = true;
	if (r != NULL && has_lost_a_worker(i, r))
		check_suspect(w, i, p, r);
	c->tried_suspect = r != NULL && has_lost_a_worker(i, r);
}

void oracle_call(struct world *w, struct instance *i, struct proc *p, struct work *k, const struct call *c)
{
	const struct asked *r = c->kind == CALL_REQUEST || c->kind == CALL_OPEN_SESSION ? record_of(w, c) : NULL;

	if (c->kind != CALL_REQUEST || i->views[r->index].run != RUN_OPENED) /* else it goes on */
		check_circuit(w, i, p, k, r);
	if (c->kind == CALL_REQUEST || c->kind == CALL_OPEN_SESSION)
		request_runs(w, i, p, k, c);
	if (c->kind == CALL_CLEANUP_SESSION)
		session_is_cleaned(w, i, p, k, c);
	check_worker(w, p, k);
}

/* ---- what becomes of calls ---- */

/* What a request that has not ended had made there is no loss to the others. */
static bool had_made_something(const struct instance *i, const struct session_view *s)
{
	bool unfinished = s->last_record >= 0 && !i->views[s->last_record].has_final;

	return s->requests > (unfinished ? 1u : 0u);
}

static void session_is_free(const struct world *w, struct instance *i, const struct work *k)
{
	struct session_view *s = k->session >= 0 ? &i->sessions[k->session] : NULL;

	if (s == NULL || s->busy != k)
		return;
	s->busy = NULL;
	s->orphan = false;
	s->free_at = w->now;
	s->ends += k->by_client;
	if (!k->by_recycling)
		return;
	s->lost_at = w->now;
	if (had_made_something(i, s))
		s->made_lost_at = w->now;
}

static enum run_state state_after(const struct world *w, const struct work *k, const struct answer *a)
{
	if (a->kind == ANSWER_ERROR)
		return a->retriable ? RUN_RETRIABLE : k->kind == CALL_OPEN_SESSION ? RUN_HOOK_ERROR : RUN_ERROR;
	if (a->kind == ANSWER_UNREADABLE)
		return RUN_UNREADABLE;
	if (k->kind == CALL_OPEN_SESSION)
		return RUN_OPENED;
	return a->payload.len > w->k.engine.result_limit ? RUN_HUGE : RUN_OK;
}

void oracle_partial(struct world *w, struct instance *i, struct work *k)
{
	struct view *v = k->record >= 0 ? &i->views[k->record] : NULL;

	k->partials++;
	if (v != NULL && k->kind == CALL_REQUEST && k->round == v->rounds && w->asked[k->record].stream)
		v->parts[v->attempt % PARTS_KEPT].said++;
}

void oracle_answered(struct world *w, struct instance *i, struct proc *p, struct work *k, const struct answer *a)
{
	struct view *v = k->record >= 0 ? &i->views[k->record] : NULL;

	if (k->initialization && a->kind == ANSWER_OK && p->cause == CAUSE_NONE) {
		p->ready = true;
		oracle_ready(w, i, p);
	}
	if (k->kind == CALL_REQUEST && a->kind != ANSWER_UNREADABLE)
		i->circuit[p->ref.pool].failures = i->circuit[p->ref.pool].certain = 0;
	if (!takes_place(k->kind))
		return;
	session_is_free(w, i, k);
	if (k->kind == CALL_OPEN_SESSION && k->session >= 0 && a->kind == ANSWER_OK)
		i->sessions[k->session].opened = true;
	if (v == NULL || k->round != v->rounds)
		return;
	v->run = state_after(w, k, a);
	v->ended_at = w->now;
	v->ran_us += w->now - v->dispatched_at;
	v->not_before = a->retriable && a->retry_after_ms > 0 ? w->now + a->retry_after_ms * MS_US : 0;
}

static bool time_may_be_over(const struct world *w, const struct instance *i, const struct proc *p, const struct view *v,
	const struct asked *r)
{
	int64_t ran = w->now - v->dispatched_at;

	return v->cancel_came || (i->draining && w->now >= i->drain_until) || ran >= pool_of(w, p)->request_timeout_us ||
	       ran >= pool_of(w, p)->session_hook_timeout_us ||
	       (r->deadline_ms != INT64_MAX && (w->k.clock_steps || world_wall_ms(w) >= r->deadline_ms));
}

static void run_is_lost(struct world *w, struct instance *i, const struct proc *p, const struct work *k)
{
	struct view *v = &i->views[k->record];

	if (k->round != v->rounds)
		return;
	v->run = p->cause == CAUSE_ENGINE || !circuit_closed(i, p) ? RUN_KILLED
		 : p->cause == CAUSE_UNSURE                        ? RUN_UNSURE
								   : RUN_LOST;
	v->ended_at = w->now;
	v->ran_us += w->now - v->dispatched_at;
	v->alone = p->nworks_at_cause == 1; /* who was answered between may have been the cause */
	v->was_lost |= p->cause == CAUSE_ITSELF;
	v->kills += v->run == RUN_LOST && v->alone;
	v->certain_kills += v->run == RUN_LOST && v->alone && !time_may_be_over(w, i, p, v, &w->asked[k->record]);
	w->asked[k->record].kills += v->run != RUN_KILLED && v->alone;
}

static void states_are_lost(struct world *w, struct instance *i, const struct proc *p)
{
	for (unsigned n = 0; n < w->k.sessions; n++) {
		struct session_view *s = &i->sessions[n];

		if (!same_slot(s->at, p->ref) || s->cleaned)
			continue;
		s->lost_at = w->now;
		if (had_made_something(i, s))
			s->made_lost_at = w->now;
	}
}

void oracle_gone(struct world *w, struct instance *i, struct proc *p)
{
	const struct work *k;

	i->circuit[p->ref.pool].failures++;
	i->circuit[p->ref.pool].certain += p->ready && p->cause == CAUSE_ITSELF;
	states_are_lost(w, i, p);
	TAILQ_FOREACH (k, &p->works, line) {
		session_is_free(w, i, k);
		if (k->record >= 0)
			run_is_lost(w, i, p, k);
	}
}

/* Their last failure is known to the engine. */
void oracle_buried(struct world *w, const struct instance *i, unsigned pool)
{
	const struct circuit_view *c = &i->circuit[pool];
	uint32_t most = w->k.pool[pool].circuit_failures;

	if (most > 0 && c->certain >= most && !i->draining && (c->told == HEALTH_UNKNOWN || c->told == HEALTH_READY))
		breach(w, "28: %u workers of pool %u failed one after the other, and its circuit is closed", c->certain, pool);
}

/* ---- replacing ---- */

/* 27: one that has run nothing yet is READY beside it; or as many as are wanted, if it is one too many. */
void oracle_leaving(struct world *w, struct instance *i, struct slot_ref ref, bool surplus)
{
	struct proc *p = workers_find(i, ref);
	uint32_t stay = 0, warm = 0; /* warm: its successor, those that have just taken a place, and spare ones */

	if (p == NULL || p->leaving_at != INT64_MAX)
		breach(w, "27: worker %d.%u is to be replaced and is gone, or for the second time", ref.slot, ref.generation);
	for (unsigned s = 0; s < MAX_SLOTS; s++) {
		const struct proc *other = i->procs[ref.pool][s];

		stay += other != NULL && other != p && other->ready && other->leaving_at == INT64_MAX && !other->stopped;
		warm += other != NULL && other != p && other->ready && !other->ran && other->cause == CAUSE_NONE;
	}
	if (surplus && stay < i->pools[ref.pool].size)
		breach(w, "27: worker %d.%u is to leave, and only %u stay", ref.slot, ref.generation, stay);
	if (!surplus && i->pools[ref.pool].spare > 0 && warm == 1)
		breach(w, "27: worker %d.%u is to be replaced by the last spare worker", ref.slot, ref.generation);
	if (!surplus && warm == 0)
		breach(w, "27: worker %d.%u is to be replaced and no other is warm", ref.slot, ref.generation);
	p->leaving_at = w->now;
}

void oracle_recycled(struct world *w, struct proc *p)
{
	if (p->nworks > 0)
		breach(w, "27: worker %d.%u is stopped to be replaced, with %u calls in flight", p->ref.slot, p->ref.generation,
			p->nworks);
	if (p->leaving_at == INT64_MAX && p->ran)
		breach(w, "27: worker %d.%u is stopped and has not been told to leave", p->ref.slot, p->ref.generation);
	p->orderly = true;
}

/* ---- cancelling ---- */

struct work *oracle_run_of(struct instance *i, const struct asked *r, struct proc **p)
{
	struct slot_ref at = i->views[r->index].at;
	struct work *k;

	*p = at.generation ? workers_find(i, at) : NULL;
	if (*p == NULL)
		return NULL;
	TAILQ_FOREACH (k, &(*p)->works, line)
		if (k->record == (int)r->index && k->round == i->views[r->index].rounds)
			return k;
	return NULL;
}

/* Its partition is here, or may come back. */
static bool wanted(struct instance *i, const struct work *k)
{
	const struct view *v = &i->views[k->record];
	const struct owned *o = place_of(i, &i->world->asked[k->record]);

	return k->round == v->rounds && o->since == v->since && (o->state != OWNED_NOT || o->suspended);
}

/* Only what has no time left, or what somebody else runs now. */
void oracle_cancelled(struct world *w, struct instance *i, struct proc *p, uint64_t target)
{
	struct work *k;

	TAILQ_FOREACH (k, &p->works, line)
		if (k->id == target)
			break;
	if (k == NULL || k->kind != CALL_REQUEST || k->cancelled)
		breach(w, "call %llu of worker %d.%u is cancelled and is no run, or for the second time",
			(unsigned long long)target, p->ref.slot, p->ref.generation);
	k->cancelled = true;
	if (!i->revoke_lost && wanted(i, k) && !time_may_be_over(w, i, p, &i->views[k->record], &w->asked[k->record]))
		breach(w, "record %d is cancelled and has time left", k->record);
}

/* ---- partitions go ---- */

static void orphan(struct world *w, struct instance *i, bool may_run_on)
{
	for (unsigned n = 0; n < w->k.sessions; n++) {
		struct session_view *s = &i->sessions[n];
		const struct asked *r = s->busy != NULL && s->busy->record >= 0 ? &w->asked[s->busy->record] : NULL;

		if (r == NULL || place_of(i, r)->state != OWNED_REVOKING)
			continue;
		if (!may_run_on && !s->orphan && !w->session[n].violates) /* an orphan's time was over before */
			breach(w, "7: instance %d gives back partition %d while record %u runs and there is time to wait for it",
				i->index, r->partition, r->index);
		s->orphan = true;
	}
}

void oracle_lost(struct world *w, struct instance *i)
{
	orphan(w, i, true);
}

/* Its worker could have been told that the session ends, and has not been, or has not answered. */
static void check_heard(struct world *w, struct instance *i, unsigned session, int64_t since, bool by_shutdown)
{
	const struct session_view *s = &i->sessions[session];
	const struct proc *p = s->at.generation ? workers_find(i, s->at) : NULL;
	bool cleaning = s->busy != NULL && s->busy->kind == CALL_CLEANUP_SESSION;
	bool works = p != NULL && p->ready && !p->dead &&
		     (p->cause == CAUSE_NONE || (p->cause == CAUSE_ENGINE && p->closed_at == w->now && by_shutdown));

	if (!works || (s->cleaned && !cleaning) || w->session[session].violates)
		return;
	if (p->capabilities & CAPABILITY_SESSIONS ? !s->opened && s->busy == NULL
						  : by_shutdown) /* it did not begin; nobody asked */
		return;
	if (w->now >= since + (by_shutdown ? knobs_longest_hook(&w->k) : pool_of(w, p)->session_hook_timeout_us) ||
		i->thawed_at >= since)
		return;
	breach(w, "23: instance %d gives back session %d, and its worker %d/%d.%u %s", i->index, session, p->ref.pool,
		p->ref.slot, p->ref.generation, cleaning ? "still cleans it up" : "has not heard of that");
}

void oracle_released(struct world *w, struct instance *i)
{
	bool over = w->now >= i->revoked_at + w->k.engine.drain_revoke_us;

	orphan(w, i, over || i->draining || i->evicted);
	for (unsigned n = 0; n < w->k.sessions && !i->evicted && !i->revoke_lost; n++) {
		const struct client_session *c = &w->session[n];
		const struct owned *o = &i->own[c->topic][c->partition];

		if (w->k.pool[c->pool].on_revoke == REVOKE_ENDS && o->state == OWNED_REVOKING && o->since == i->sessions[n].since)
			check_heard(w, i, n, i->revoked_at, false);
	}
}

void oracle_drained(struct world *w, struct instance *i)
{
	for (unsigned n = 0; n < w->k.sessions; n++)
		check_heard(w, i, n, i->drain_begun, true);
}
