/* slot.c: see slot.h. */
#include "slot.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>

#include "loss.h"
#include "mutant.h"
#include "patience.h"
#include "pool.h"
#include "replace.h"
#include "retry.h"
#include "state.h"

/* A worker that was READY for so long begins with a clean record when it dies. */
static const int64_t forgiven_after_us = 10 * SECOND_US;

enum { LAST_FRESH_MS = 1000 };

static const bool legal[HEALTH_STATE_COUNT][HEALTH_STATE_COUNT] = {
	[HEALTH_TERMINATED] = {[HEALTH_INITIALIZING] = true},
	[HEALTH_INITIALIZING] = {[HEALTH_READY] = true, [HEALTH_TERMINATING] = true, [HEALTH_TERMINATED] = true},
	[HEALTH_READY] = {[HEALTH_DEGRADED] = true, [HEALTH_TERMINATING] = true, [HEALTH_TERMINATED] = true},
	[HEALTH_DEGRADED] = {[HEALTH_READY] = true, [HEALTH_TERMINATING] = true, [HEALTH_TERMINATED] = true},
	[HEALTH_TERMINATING] = {[HEALTH_TERMINATED] = true},
};

static void set(struct engine *e, struct slot *w, enum health_state to, const char *reason)
{
	struct note n = {
		.kind = NOTE_WORKER_STATE,
		.worker = w->ref,
		.has_pool = true,
		.from = w->state,
		.to = to,
		.reason = slice_of(reason),
	};

	CHECK(legal[w->state][to]);
	w->pool->by_state[w->state]--;
	w->pool->by_state[to]++;
	w->state = to;
	if (to != HEALTH_TERMINATED) /* told as WORKER_EXIT */
		engine_note(e, &n);
}

void slot_start(struct engine *e, struct slot *w)
{
	CHECK(w->calls == NULL && w->places == 0 && w->bound == 0);
	w->ref.generation++;
	w->last_id = 0;
	w->stop = STOPPED_NOT;
	w->pinging = w->solo = false;
	w->places_at_stop = 0;
	w->capabilities = 0;
	w->concurrency = 1;
	w->ready_at = INT64_MAX;
	w->version[0] = '\0';
	replace_new_process(e, w);
	engine_worker_id(e, w->ref, w->name);
	w->pool->starts++;
	set(e, w, HEALTH_INITIALIZING, "start");
	timers_arm(&e->timers, &w->timer, e->now + w->pool->cfg.start_timeout_us);
	e->port.worker_start(e->port.ctx, w->ref);
}

bool slot_able(const struct slot *w)
{
	return w->state == HEALTH_READY || w->state == HEALTH_DEGRADED;
}

bool slot_has_room(const struct slot *w)
{
	return (w->role == ROLE_SERVING || w->role == ROLE_LEAVING) && slot_able(w) && w->places < w->concurrency && !w->solo &&
	       w->reserved == NULL;
}

void slot_feed_later(struct slot *w)
{
	if (w->hungry)
		return;
	w->hungry = true;
	TAILQ_INSERT_TAIL(&w->pool->feed, w, feed);
}

static bool takes_place(enum call_kind k)
{
	return k == CALL_REQUEST || k == CALL_OPEN_SESSION || k == CALL_CLEANUP_SESSION;
}

struct call_entry *slot_begin(struct engine *e, struct slot *w, enum call_kind kind, struct session *s, struct request *r,
	struct call *c)
{
	struct call_entry *entry = xcalloc(1, sizeof(*entry));

	c->id = entry->id = ++w->last_id;
	c->kind = entry->kind = kind;
	c->sent_wall_ms = wall_ms(e);
	entry->slot = w;
	entry->session = s;
	entry->request = r;
	entry->timer.fire = patience_call_fired;
	if (kind == CALL_REQUEST && ++w->runs >= w->runs_most)
		replace_worn(w, WEAR_REQUESTS);
	if (takes_place(kind)) {
		w->places++;
		w->pool->places_used++;
		w->solo = r != NULL && r->alone;
		CHECK(w->places <= w->concurrency && (!w->solo || w->places == 1));
		CHECK(s->call == NULL);
		circuit_called(w->pool, entry);
		s->call = entry;
		session_set(e, s, SESSION_RUNNING);
	}
	HASH_ADD(hh, w->calls, id, sizeof(entry->id), entry);
	e->port.worker_call(e->port.ctx, w->ref, c);
	return entry;
}

enum answer_match slot_match(struct slot *w, uint64_t id, struct call_entry **out)
{
	HASH_FIND(hh, w->calls, &id, sizeof(id), *out);
	if (*out != NULL)
		return MATCH_FOUND;
	return id != 0 && id <= w->last_id ? MATCH_LATE : MATCH_NEVER;
}

static void judge_overdue(struct engine *e, struct slot *w)
{
	if (w->overdue > 0 && w->state == HEALTH_READY)
		set(e, w, HEALTH_DEGRADED, "a run's time is over and its answer still out");
	else if (w->overdue == 0 && w->state == HEALTH_DEGRADED)
		set(e, w, HEALTH_READY, "all late answers are in");
	pool_judge(e, w->pool);
}

void slot_overdue(struct engine *e, struct call_entry *c, int64_t patience)
{
	CHECK(!c->cancelled);
	c->cancelled = true;
	c->request = NULL;
	timers_arm(&e->timers, &c->timer, e->now + patience);
	c->slot->overdue++;
	judge_overdue(e, c->slot);
}

/* Nobody waits for the answer to a cancel whose target is over. */
static void drop_cancel(struct slot *w, const struct call_entry *target)
{
	struct call_entry *cancel = NULL;

	if (target->cancel != 0)
		HASH_FIND(hh, w->calls, &target->cancel, sizeof(target->cancel), cancel);
	if (cancel == NULL)
		return;
	HASH_DEL(w->calls, cancel);
	free(cancel);
}

void slot_finish(struct engine *e, struct call_entry *c)
{
	struct slot *w = c->slot;

	drop_cancel(w, c);
	HASH_DEL(w->calls, c);
	timers_disarm(&e->timers, &c->timer);
	if (takes_place(c->kind)) {
		CHECK(w->places > 0 && w->pool->places_used > 0 && c->session->call == c);
		w->places--;
		w->pool->places_used--;
		w->solo = false;
		c->session->call = NULL;
		circuit_finished(w->pool, c);
		slot_feed_later(w);
	}
	if (c->cancelled) {
		w->overdue--;
		judge_overdue(e, w);
	}
	free(c);
}

void slot_ping(struct engine *e, struct slot *w, bool first)
{
	struct call c = {.initialization = first};

	w->pinging = true;
	slot_begin(e, w, CALL_PING, NULL, NULL, &c);
	if (!first)
		timers_arm(&e->timers, &w->timer, e->now + w->pool->cfg.ping_timeout_us);
}

static bool first_answer(struct engine *e, struct slot *w, const struct answer *a)
{
	uint32_t said = a->concurrency ? a->concurrency : 1, most = w->pool->cfg.concurrency;
	struct slice version = slice_cut(a->version, sizeof(w->version) - 1);

	if (a->kind != ANSWER_OK)
		return false;
	w->concurrency = most && most < said ? most : said;
	w->capabilities = a->capabilities;
	snprintf(w->version, sizeof(w->version), "%.*s", (int)version.len, version.data ? (const char *)version.data : "");
	w->ready_at = e->now;
	set(e, w, HEALTH_READY, "its first ping was answered");
	slot_feed_later(w);
	replace_ready(e, w);
	circuit_worker_ready(e, w);
	pool_judge(e, w->pool);
	return true;
}

void slot_pong(struct engine *e, struct call_entry *c, const struct answer *a)
{
	struct slot *w = c->slot;

	if (a->kind == ANSWER_PARTIAL)
		return;
	slot_finish(e, c);
	if (!MUTANT(84) || w->places == 0)
		w->pinging = false;
	if (w->state == HEALTH_TERMINATING)
		return;
	if (w->state == HEALTH_INITIALIZING && !first_answer(e, w, a)) {
		slot_stop(e, w, STOPPED_START, "its first ping was answered with an error");
		return;
	}
	timers_arm(&e->timers, &w->timer, e->now + w->pool->cfg.ping_interval_us);
}

/* The ladder: shutdown and close, TERM, KILL. A hung or faulty worker begins at TERM. */
static void ladder_step(struct engine *e, struct slot *w, enum stop_step step)
{
	w->step = step;
	timers_arm(&e->timers, &w->timer, e->now + w->pool->cfg.stop_grace_us);
	e->port.worker_stop(e->port.ctx, w->ref, step);
}

/* Who was in flight when it failed may be to blame, also if others were answered before its end. */
static enum failure failure_of_calls(const struct slot *w)
{
	uint32_t suspects = w->places > w->places_at_stop || MUTANT(67) ? w->places : w->places_at_stop;

	if (w->stop == STOPPED_HUNG || w->stop == STOPPED_DRAIN || w->stop == STOPPED_RECYCLED)
		return FAILURE_KILLED;
	if (!circuit_blames(w->pool))
		return FAILURE_UNBLAMED;
	return suspects == 1 ? FAILURE_LOST_ALONE : FAILURE_LOST_SHARED;
}

static void lose_calls(struct engine *e, struct slot *w)
{
	enum failure failure = failure_of_calls(w); /* of all: each that goes leaves fewer */

	while (w->calls != NULL) /* each takes its call out, a cancelled one also its cancel */
		loss_of_worker(e, w->calls, failure);
	CHECK(w->calls == NULL && w->places == 0 && w->overdue == 0);
}

static bool tells_fault(enum stop_reason why)
{
	return why == STOPPED_CRASH || why == STOPPED_FAULT || why == STOPPED_MEMORY;
}

void slot_stop(struct engine *e, struct slot *w, enum stop_reason why, const char *reason)
{
	struct call shutdown = {0};
	bool talking = slot_able(w), gently = why == STOPPED_DRAIN || why == STOPPED_RECYCLED;

	if (w->state == HEALTH_TERMINATING || w->state == HEALTH_TERMINATED)
		return;
	w->stop = why;
	w->places_at_stop = w->places;
	if (tells_fault(why))
		snprintf(w->fault, sizeof(w->fault), "%s", reason);
	set(e, w, HEALTH_TERMINATING, reason);
	pool_judge(e, w->pool);
	if (gently && talking)
		slot_begin(e, w, CALL_SHUTDOWN, NULL, NULL, &shutdown);
	w->pool->restless = true;
	ladder_step(e, w, gently ? STOP_CLOSE : why == STOPPED_MEMORY ? STOP_KILL : STOP_TERM);
	if (MUTANT(5))
		lose_calls(e, w);
}

void slot_timer_fired(struct engine *e, struct timer *t)
{
	struct slot *w = TIMER_OWNER(t, struct slot, timer);
	bool may_ping = w->places == 0 || MUTANT(41) || (w->capabilities & CAPABILITY_PING_BUSY);

	switch (w->state) {
	case HEALTH_INITIALIZING:
		if (MUTANT(69))
			break;
		slot_stop(e, w, STOPPED_START, "no answer to its first ping within start_timeout");
		break;
	case HEALTH_READY:
	case HEALTH_DEGRADED:
		if (w->pinging)
			slot_stop(e, w, STOPPED_SILENT, "no answer to a ping within ping_timeout");
		else if (may_ping)
			slot_ping(e, w, false);
		else /* a busy worker is judged by its requests' time; looked at again when idle */
			timers_arm(&e->timers, t, e->now + w->pool->cfg.ping_interval_us);
		break;
	case HEALTH_TERMINATING: ladder_step(e, w, w->step == STOP_CLOSE ? STOP_TERM : STOP_KILL); break;
	default: w->pool->restless = true;
	}
}

/* Sessions in line for this slot go back to the pool's line; what became of their state is settled when they run. */
static void lose_line(struct engine *e, struct slot *w)
{
	struct session *s, *next;

	if (w->reserved != NULL)
		loss_of_state(e, w->reserved);
	while ((s = TAILQ_FIRST(&w->ready)) != NULL)
		loss_of_state(e, s);
	for (s = TAILQ_FIRST(&w->pool->waiting); s != NULL; s = next) {
		next = TAILQ_NEXT(s, line);
		if (s->at.slot == w->ref.slot && s->at.generation == w->ref.generation)
			loss_of_state(e, s);
	}
}

/* Whose words they are, and how old: what was said long before an end need not be its cause. */
static void last_text(const struct exit_report *x, char *out, size_t size)
{
	char age[48] = "";

	if (x->last_age_ms > LAST_FRESH_MS)
		snprintf(age, sizeof(age), " (%.1f s before)", (double)x->last_age_ms / 1000);
	snprintf(out, size, "; last line: \"%.*s\"%s", (int)(x->last.len < 200 ? x->last.len : 200), (const char *)x->last.data,
		age);
}

static void exit_text(const struct slot *w, const struct exit_report *x, char *out, size_t size)
{
	const char *const why[] = {
		[STOPPED_NOT] = "",
		[STOPPED_CRASH] = w->fault,
		[STOPPED_DRAIN] = "stopped for shutdown: ",
		[STOPPED_HUNG] = "stopped because a run did not end: ",
		[STOPPED_SILENT] = "stopped because it did not answer pings: ",
		[STOPPED_FAULT] = w->fault,
		[STOPPED_START] = "stopped because it did not get ready: ",
		[STOPPED_RECYCLED] = "stopped to be replaced: ",
		[STOPPED_MEMORY] = w->fault,
	};
	bool told = tells_fault(w->stop);
	int n = snprintf(out, size, "%s%s%s %d%s", why[w->stop], told ? ": " : "", x->exited ? "exit" : "signal",
		x->exited ? x->code : x->signal,
		x->by_limit            ? " (over its memory limit)"
		: x->signal == SIGXCPU ? " (over its processor time)"
				       : "");

	if (x->last.len > 0 && !(x->exited && x->code == 0) && n > 0 && (size_t)n < size)
		last_text(x, out + n, size - (size_t)n);
}

const char *stop_reason_name(enum stop_reason why)
{
	static const char *const names[STOP_REASONS] = {
		[STOPPED_NOT] = "crash",
		[STOPPED_CRASH] = "crash",
		[STOPPED_DRAIN] = "shutdown",
		[STOPPED_HUNG] = "hung",
		[STOPPED_SILENT] = "silent",
		[STOPPED_FAULT] = "protocol",
		[STOPPED_START] = "start_failed",
		[STOPPED_RECYCLED] = "recycled",
		[STOPPED_MEMORY] = "memory",
	};

	return names[why];
}

/* As what it is counted: whatever ended it before it was READY, it did not start. */
static enum stop_reason counted(const struct slot *w)
{
	bool by_itself = w->stop == STOPPED_NOT || w->stop == STOPPED_CRASH || w->stop == STOPPED_FAULT;

	if (by_itself && w->ready_at == INT64_MAX)
		return STOPPED_START;
	return w->stop == STOPPED_NOT ? STOPPED_CRASH : w->stop;
}

static void start_later(struct engine *e, struct slot *w, const char *reason)
{
	const struct pool_config *cfg = &w->pool->cfg;
	int64_t wait = retry_backoff(cfg->backoff_min_us, cfg->backoff_max_us, ++w->failures, &e->random);
	struct note n = {
		.kind = NOTE_WORKER_BACKOFF,
		.worker = w->ref,
		.has_pool = true,
		.reason = slice_of(reason),
		.count = wait / MS_US,
	};

	timers_arm(&e->timers, &w->timer, e->now + (MUTANT(34) ? 0 : wait));
	if (w->ready_at == INT64_MAX) /* it did not get ready */
		engine_note(e, &n);
}

void slot_gone(struct engine *e, struct slot *w, const struct exit_report *x)
{
	char reason[512];
	struct note n = {
		.kind = NOTE_WORKER_EXIT,
		.worker = w->ref,
		.has_pool = true,
		.to = HEALTH_TERMINATED,
		.count = (int64_t)w->bound,
		.ordered = w->stop == STOPPED_RECYCLED || w->stop == STOPPED_DRAIN,
	};

	n.from = w->ready_at == INT64_MAX ? HEALTH_INITIALIZING : w->state;
	if (w->ready_at != INT64_MAX && e->now - w->ready_at >= forgiven_after_us)
		w->failures = 0;
	exit_text(w, x, reason, sizeof(reason));
	n.reason = slice_of(reason);
	w->pool->exits++;
	w->pool->exited[counted(w)]++;
	w->pool->lost += w->bound;
	set(e, w, HEALTH_TERMINATED, reason);
	w->pool->bound -= w->bound;
	w->bound = 0;
	w->pid = 0;
	TAILQ_CONCAT(&w->pool->strays, &w->sessions, of_slot);
	timers_disarm(&e->timers, &w->timer);
	timers_disarm(&e->timers, &w->wear_timer);
	lose_calls(e, w);
	lose_line(e, w);
	circuit_worker_gone(e, w);
	engine_note(e, &n);
	if (n.count > 0 && w->stop != STOPPED_DRAIN)
		engine_note(e, &(struct note){
				       .kind = NOTE_SESSIONS_LOST,
				       .worker = w->ref,
				       .has_pool = true,
				       .count = n.count,
				       .reason = slice_of(reason),
			       });
	pool_judge(e, w->pool);
	replace_gone(e, w);
	if (e->drain.active)
		return;
	if (w->stop == STOPPED_RECYCLED)
		w->failures = 0;
	else
		start_later(e, w, reason);
}
