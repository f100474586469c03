/* replace.c: see replace.h. */
#include "replace.h"

#include <inttypes.h>
#include <stdio.h>

#include "mutant.h"
#include "state.h"

enum { SESSIONS_ENDED_AT_ONCE = 64 }; /* of a worker that leaves, in one step of the loop */

static const char *const wear_texts[WEARS] = {[WEAR_REQUESTS] = "it has run recycle_requests", [WEAR_AGE] = "it is older than recycle_age",
	[WEAR_MEMORY] = "it holds more than recycle_memory", [WEAR_ROLL] = "all workers are replaced",
	[WEAR_SURPLUS] = "the pool is smaller now"};

const char *role_name(enum slot_role role)
{
	static const char *const names[ROLES] = {[ROLE_UNUSED] = "unused", [ROLE_SERVING] = "serving", [ROLE_SPARE] = "spare", [ROLE_LEAVING] = "leaving"};

	return names[role];
}

static bool able(const struct slot *w)
{
	return w->state == HEALTH_READY || w->state == HEALTH_DEGRADED;
}

bool replace_serves(const struct slot *w)
{
	return w->role == ROLE_SERVING || (w->role == ROLE_LEAVING && MUTANT(48));
}

/* Up to a fifth less, so that workers of one start are not replaced in one moment. */
static uint64_t jittered(struct engine *e, uint64_t most)
{
	return most - random_below(&e->random, most / 5 + 1);
}

void replace_new_process(struct engine *e, struct slot *w)
{
	const struct pool_config *cfg = &w->pool->cfg;

	w->wear = WEAR_NOT;
	w->runs = w->resident = 0;
	w->pid = 0;
	w->runs_most = cfg->recycle_requests > 0 ? jittered(e, cfg->recycle_requests) : UINT64_MAX;
}

static void arm_age(struct engine *e, struct slot *w)
{
	int64_t age = w->pool->cfg.recycle_age_us, at;

	if (age == 0)
		return;
	at = w->ready_at + (int64_t)jittered(e, (uint64_t)age);
	timers_arm(&e->timers, &w->wear_timer, at > e->now ? at : e->now + 1);
}

void replace_ready(struct engine *e, struct slot *w)
{
	w->pool->restless = true;
	arm_age(e, w);
}

void replace_retuned(struct engine *e, struct slot *w)
{
	uint64_t most = w->pool->cfg.recycle_requests;

	w->runs_most = most > 0 ? jittered(e, most) : UINT64_MAX;
	if (!able(w) || w->role == ROLE_LEAVING)
		return;
	timers_disarm(&e->timers, &w->wear_timer);
	if (w->wear != WEAR_AGE)
		arm_age(e, w);
}

void replace_worn(struct slot *w, enum wear why)
{
	if (w->wear != WEAR_NOT || w->role == ROLE_LEAVING || w->role == ROLE_UNUSED)
		return;
	w->wear = why;
	w->pool->restless = true;
}

void replace_memory(struct engine *e, struct slot *w, uint64_t resident)
{
	const struct pool_config *cfg = &w->pool->cfg;
	char reason[128];

	w->resident = resident;
	if (cfg->memory_limit > 0 && resident > cfg->memory_limit && !MUTANT(52)) {
		snprintf(reason, sizeof(reason), "it holds %" PRIu64 " MiB, and resident_limit is %" PRIu64 " MiB", resident >> 20, cfg->memory_limit >> 20);
		slot_stop(e, w, STOPPED_MEMORY, reason);
	} else if (cfg->recycle_memory > 0 && resident > cfg->recycle_memory && able(w)) {
		replace_worn(w, WEAR_MEMORY);
	}
}

static uint32_t count(const struct pool *p, enum slot_role role)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->nslots; i++)
		n += p->slots[i].role == role;
	return n;
}

void replace_gone(struct slot *w)
{
	w->pool->restless = true;
	if (w->role != ROLE_LEAVING)
		return;
	w->pool->nleaving--;
	w->role = count(w->pool, ROLE_SPARE) < w->pool->cfg.spare ? ROLE_SPARE : ROLE_UNUSED;
}

/* fresh: as the successor of a worn one; else anything that is warm will do. */
static struct slot *warm(struct pool *p, bool fresh)
{
	struct slot *any = NULL;

	for (uint32_t i = 0; i < p->nslots; i++) {
		struct slot *w = &p->slots[i];

		if (w->role != ROLE_SPARE || w->state != HEALTH_READY)
			continue;
		if (w->wear == WEAR_NOT)
			return w;
		any = w;
	}
	return fresh ? NULL : any;
}

static void serve(struct slot *w)
{
	w->role = ROLE_SERVING;
	slot_feed_later(w);
	w->pool->hungry = true;
}

static void fill_places(struct pool *p)
{
	struct slot *successor;

	for (uint32_t i = 0; i < p->nslots; i++) {
		struct slot *w = &p->slots[i];

		if (w->role != ROLE_SERVING || able(w) || (successor = warm(p, false)) == NULL)
			continue;
		w->role = ROLE_SPARE;
		serve(successor);
	}
}

static void begin_leaving(struct engine *e, struct slot *w)
{
	struct note n = {.kind = NOTE_WORKER_LEAVING, .worker = w->ref, .has_pool = true, .from = w->state, .to = w->state, .count = (int64_t)w->bound,
		.reason = slice_of(wear_texts[w->wear])};

	w->role = ROLE_LEAVING;
	w->to_end = w->bound;
	w->pool->nleaving++;
	w->leave_until = MUTANT(51) ? e->now : e->now + w->pool->cfg.recycle_grace_us;
	timers_arm(&e->timers, &w->wear_timer, w->leave_until);
	engine_note(e, &n);
}

/* True: one that is worn has no successor yet. */
static bool let_worn_leave(struct engine *e, struct pool *p)
{
	struct slot *successor;
	bool waits = false;

	for (uint32_t i = 0; i < p->nslots; i++) {
		struct slot *w = &p->slots[i];

		if (w->wear == WEAR_NOT || !able(w) || w->reserved != NULL)
			continue;
		if (w->role == ROLE_SPARE)
			slot_stop(e, w, STOPPED_RECYCLED, wear_texts[w->wear]);
		if (w->role != ROLE_SERVING)
			continue;
		successor = warm(p, true);
		if (successor != NULL)
			serve(successor);
		if (successor == NULL && !MUTANT(49)) {
			waits = true;
			continue;
		}
		begin_leaving(e, w);
	}
	return waits;
}

/* ---- the pool's size ---- */

/* One whose back-off goes on may be taken: it is as good as any that would fail to start beside it. */
static struct slot *unused(struct pool *p)
{
	for (uint32_t i = 0; i < p->nslots; i++)
		if (p->slots[i].role == ROLE_UNUSED && p->slots[i].state == HEALTH_TERMINATED)
			return &p->slots[i];
	return pool_new_slot(p);
}

/* Whose end costs least: nobody's, then that of the highest slot. */
static struct slot *surplus(struct pool *p)
{
	struct slot *found = NULL;

	for (uint32_t i = 0; i < p->nslots; i++) {
		struct slot *w = &p->slots[i];

		if (w->role != ROLE_SERVING || w->reserved != NULL)
			continue;
		if (found == NULL || able(found) || !able(w) || MUTANT(64))
			found = w;
	}
	return found;
}

static void let_surplus_leave(struct engine *e, struct slot *w)
{
	bool stays = able(w);

	w->wear = WEAR_SURPLUS;
	if (w->state == HEALTH_TERMINATED) {
		w->role = ROLE_UNUSED;
		return;
	}
	if (stays && !MUTANT(63)) {
		begin_leaving(e, w);
		return;
	}
	w->role = ROLE_LEAVING;
	w->pool->nleaving++;
	slot_stop(e, w, STOPPED_RECYCLED, wear_texts[w->wear]); /* nothing, if that is under way */
}

/* As many serve and wait as are wanted now. Those that leave become spare ones when they are gone, if such are missing. */
static void resize(struct engine *e, struct pool *p)
{
	uint32_t serving = count(p, ROLE_SERVING), spare = count(p, ROLE_SPARE) + p->nleaving;
	struct slot *w;

	for (; serving < p->cfg.size && (w = unused(p)) != NULL; serving++)
		w->role = ROLE_SERVING;
	for (; serving > p->cfg.size && (w = surplus(p)) != NULL; serving--)
		let_surplus_leave(e, w);
	for (; spare < p->cfg.spare && (w = unused(p)) != NULL; spare++)
		w->role = ROLE_SPARE;
}

/* That leave for a successor; those that are too many have none. */
static uint32_t replaced(const struct pool *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->nslots; i++)
		n += p->slots[i].role == ROLE_LEAVING && p->slots[i].wear != WEAR_SURPLUS;
	return n;
}

/* With no spare on its way an unused slot starts the successor: one worker more than are wanted, whoever leaves. */
static void start_successor(struct pool *p)
{
	struct slot *w;

	if (count(p, ROLE_SPARE) == 0 && replaced(p) <= p->cfg.spare && (w = unused(p)) != NULL)
		w->role = ROLE_SPARE;
}

static struct slot *spare_in(struct pool *p, enum health_state state)
{
	for (uint32_t i = 0; i < p->nslots; i++)
		if (p->slots[i].role == ROLE_SPARE && p->slots[i].state == state)
			return &p->slots[i];
	return NULL;
}

/* A successor that is not needed any more, because the worn one died. */
static void trim(struct engine *e, struct pool *p)
{
	struct slot *w;

	while (count(p, ROLE_SPARE) > p->cfg.spare && (w = spare_in(p, HEALTH_TERMINATED)) != NULL)
		w->role = ROLE_UNUSED; /* its back-off goes on: it may be wanted again */
	if (count(p, ROLE_SPARE) > p->cfg.spare && spare_in(p, HEALTH_TERMINATING) == NULL && (w = spare_in(p, HEALTH_READY)) != NULL)
		slot_stop(e, w, STOPPED_RECYCLED, "it is not needed any more");
}

void replace_step(struct engine *e, struct pool *p)
{
	resize(e, p);
	fill_places(p);
	if (let_worn_leave(e, p))
		start_successor(p);
	else
		trim(e, p);
	pool_judge(e, p);
}

void replace_stop_empty(struct engine *e, struct pool *p)
{
	for (uint32_t i = 0; i < p->nslots && p->nleaving > 0; i++) {
		struct slot *w = &p->slots[i];

		if (w->role == ROLE_LEAVING && able(w) && w->bound == 0 && (w->places == 0 || MUTANT(50)))
			slot_stop(e, w, STOPPED_RECYCLED, wear_texts[w->wear]);
	}
}

/* Their time is over: each is cleaned up in its line, after what runs of it. */
static void end_sessions(struct engine *e, struct slot *w)
{
	struct session *s;

	for (int n = 0; n < SESSIONS_ENDED_AT_ONCE && w->to_end > 0; n++, w->to_end--) {
		s = TAILQ_FIRST(&w->sessions);
		if (s == NULL)
			return;
		TAILQ_REMOVE(&w->sessions, s, of_slot);
		TAILQ_INSERT_TAIL(&w->sessions, s, of_slot);
		session_end(e, s, END_RECYCLE);
	}
	if (w->to_end > 0)
		timers_arm(&e->timers, &w->wear_timer, e->now + MS_US);
}

void replace_timer_fired(struct engine *e, struct timer *t)
{
	struct slot *w = TIMER_OWNER(t, struct slot, wear_timer);

	if (w->role == ROLE_LEAVING)
		end_sessions(e, w);
	else
		replace_worn(w, WEAR_AGE);
}
