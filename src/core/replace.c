/* replace.c: see replace.h. */
#include "replace.h"

#include <inttypes.h>
#include <stdio.h>

#include "mutant.h"
#include "state.h"

static const char *const wear_texts[WEARS] = {
	[WEAR_REQUESTS] = "it has run recycle_requests",
	[WEAR_AGE] = "it is older than recycle_age",
	[WEAR_MEMORY] = "it holds too much memory",
	[WEAR_ROLL] = "all workers are replaced",
	[WEAR_SURPLUS] = "the pool is smaller now",
};

const char *role_name(enum slot_role role)
{
	static const char *const names[ROLES] = {
		[ROLE_UNUSED] = "unused",
		[ROLE_SERVING] = "serving",
		[ROLE_SPARE] = "spare",
		[ROLE_LEAVING] = "leaving",
	};

	return names[role];
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
	w->runs = w->resident = w->lent = 0;
	w->sunk = false;
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
	if (!slot_able(w) || w->role == ROLE_LEAVING)
		return;
	timers_disarm(&e->timers, &w->wear_timer);
	if (w->wear != WEAR_AGE)
		arm_age(e, w);
}

void replace_worn(struct slot *w, enum wear why)
{
	if (w->role == ROLE_LEAVING || w->role == ROLE_UNUSED || w->wear == why || (w->wear != WEAR_NOT && why != WEAR_MEMORY))
		return;
	w->wear = why;
	w->pool->restless = true;
}

void replace_all(struct pool *p)
{
	for (uint32_t i = 0; i < p->nslots; i++) {
		struct slot *w = &p->slots[i];

		if (w->state == HEALTH_TERMINATED)
			continue;
		w->rolled = true;
		replace_worn(w, WEAR_ROLL);
	}
}

/* ---- who serves ---- */

static uint32_t count(const struct pool *p, enum slot_role role)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->nslots; i++)
		n += p->slots[i].role == role;
	return n;
}

static bool any_rolled(const struct pool *p)
{
	for (uint32_t i = 0; i < p->nslots; i++)
		if (p->slots[i].rolled)
			return true;
	return false;
}

/* However it ended. */
static void tell_rolled(struct engine *e, struct slot *w)
{
	struct note n = {.kind = NOTE_POOL_ROLLED, .worker = {w->pool->index, 0, 0}, .has_pool = true};

	if (!w->rolled)
		return;
	w->rolled = false;
	if (!any_rolled(w->pool) && !e->drain.active)
		engine_note(e, &n);
}

void replace_gone(struct engine *e, struct slot *w)
{
	w->pool->restless = true;
	tell_rolled(e, w);
	if (w->role != ROLE_LEAVING)
		return;
	w->pool->nleaving--;
	w->role = ROLE_UNUSED;
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

		if (w->role != ROLE_SERVING || slot_able(w) || (successor = warm(p, false)) == NULL)
			continue;
		w->role = ROLE_SPARE;
		serve(successor);
	}
}

/* Why; and where somebody waits for it, how long it may take. */
static void leaving_text(const struct slot *w, char *out, size_t size)
{
	if (w->wear == WEAR_ROLL && w->bound > 0)
		snprintf(out, size, "%s; its sessions are ended in %" PRId64 " s", wear_texts[w->wear],
			(w->pool->cfg.recycle_grace_us + SECOND_US - 1) / SECOND_US);
	else
		snprintf(out, size, "%s", wear_texts[w->wear]);
}

static void begin_leaving(struct engine *e, struct slot *w)
{
	struct note n = {
		.kind = NOTE_WORKER_LEAVING,
		.worker = w->ref,
		.has_pool = true,
		.from = w->state,
		.to = w->state,
		.count = (int64_t)w->bound,
	};
	char reason[128];

	leaving_text(w, reason, sizeof(reason));
	n.reason = slice_of(reason);
	w->role = ROLE_LEAVING;
	w->to_end = w->bound;
	w->pool->nleaving++;
	w->pool->restless = true; /* it may be empty already */
	w->leave_until = MUTANT(51) ? e->now : e->now + w->pool->cfg.recycle_grace_us;
	timers_arm(&e->timers, &w->wear_timer, w->leave_until);
	engine_note(e, &n);
}

static uint32_t warm_spares(const struct pool *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->nslots; i++)
		n += p->slots[i].role == ROLE_SPARE && p->slots[i].state == HEALTH_READY;
	return n;
}

/* Who serves and is to be replaced first: who holds too much memory, then the lowest slot. One that is kept empty for a request
 * that is to run alone there stays until that has run. */
static struct slot *most_worn(struct pool *p)
{
	struct slot *found = NULL;

	for (uint32_t i = 0; i < p->nslots; i++) {
		struct slot *w = &p->slots[i];

		if (w->role != ROLE_SERVING || w->wear == WEAR_NOT || !slot_able(w) || w->reserved != NULL)
			continue;
		if (w->wear == WEAR_MEMORY)
			return w;
		found = found != NULL ? found : w;
	}
	return found;
}

/* Its successor is warm; and where spare workers are wanted, another one is, for whoever dies meanwhile. */
static void let_worn_leave(struct engine *e, struct pool *p)
{
	uint32_t kept = p->cfg.spare > 0 && !MUTANT(72) ? 1 : 0;
	struct slot *w, *successor;

	while ((w = most_worn(p)) != NULL) {
		successor = warm_spares(p) > kept ? warm(p, true) : NULL;
		if (successor == NULL && !MUTANT(49))
			return;
		if (successor != NULL)
			serve(successor);
		begin_leaving(e, w);
	}
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
		if (found == NULL || slot_able(found) || !slot_able(w) || MUTANT(64))
			found = w;
	}
	return found;
}

static void let_surplus_leave(struct engine *e, struct slot *w)
{
	bool stays = slot_able(w);

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

/* As many serve as are wanted now. */
static void resize(struct engine *e, struct pool *p)
{
	uint32_t serving = count(p, ROLE_SERVING);
	struct slot *w;

	for (; serving < p->cfg.size && (w = unused(p)) != NULL; serving++)
		w->role = ROLE_SERVING;
	for (; serving > p->cfg.size && (w = surplus(p)) != NULL; serving--)
		let_surplus_leave(e, w);
}

/* ---- spare workers, and successors ---- */

/* That leave for a successor; those that are too many have none. */
static uint32_t replaced(const struct pool *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->nslots; i++)
		n += p->slots[i].role == ROLE_LEAVING && p->slots[i].wear != WEAR_SURPLUS;
	return n;
}

static bool any_worn(const struct pool *p)
{
	for (uint32_t i = 0; i < p->nslots; i++)
		if (p->slots[i].wear != WEAR_NOT && slot_able(&p->slots[i]) && p->slots[i].role != ROLE_LEAVING)
			return true;
	return false;
}

/* One worker more than size and spare together may live, whoever leaves: there is memory for that, and for no more. */
static uint32_t spares_wanted(const struct pool *p)
{
	uint32_t most = p->cfg.spare + 1, leaving = replaced(p), wanted = p->cfg.spare + (any_worn(p) ? 1 : 0);

	most = leaving < most ? most - leaving : 0;
	return wanted < most ? wanted : most;
}

static struct slot *spare_in(struct pool *p, enum health_state state, bool worn)
{
	for (uint32_t i = 0; i < p->nslots; i++)
		if (p->slots[i].role == ROLE_SPARE && p->slots[i].state == state && (!worn || p->slots[i].wear != WEAR_NOT))
			return &p->slots[i];
	return NULL;
}

/* A worn spare worker is better than none: it ends when all others are warm. */
static bool worn_spare_may_end(const struct pool *p, uint32_t spares)
{
	return p->cfg.spare == 0 || (spares > 1 && warm_spares(p) == spares);
}

/* One after the other. */
static void end_spare(struct engine *e, struct pool *p, uint32_t wanted)
{
	uint32_t spares = count(p, ROLE_SPARE);
	struct slot *worn = spare_in(p, HEALTH_READY, true), *any = worn != NULL ? worn : spare_in(p, HEALTH_READY, false);

	if (any == NULL || spare_in(p, HEALTH_TERMINATING, false) != NULL)
		return;
	if (spares > wanted)
		slot_stop(e, any, STOPPED_RECYCLED, "it is not needed any more");
	else if (worn != NULL && worn_spare_may_end(p, spares))
		slot_stop(e, worn, STOPPED_RECYCLED, wear_texts[worn->wear]);
}

static void keep_spares(struct engine *e, struct pool *p)
{
	uint32_t wanted = spares_wanted(p);
	struct slot *w;

	while (count(p, ROLE_SPARE) < wanted && (w = unused(p)) != NULL)
		w->role = ROLE_SPARE;
	while (count(p, ROLE_SPARE) > wanted && (w = spare_in(p, HEALTH_TERMINATED, false)) != NULL)
		w->role = ROLE_UNUSED; /* its back-off goes on: it may be wanted again */
	end_spare(e, p, wanted);
}

void replace_step(struct engine *e, struct pool *p)
{
	resize(e, p);
	fill_places(p);
	let_worn_leave(e, p);
	keep_spares(e, p);
	pool_judge(e, p);
}

void replace_stop_empty(struct engine *e, struct pool *p)
{
	for (uint32_t i = 0; i < p->nslots && p->nleaving > 0; i++) {
		struct slot *w = &p->slots[i];

		if (w->role == ROLE_LEAVING && slot_able(w) && w->bound == 0 && (w->places == 0 || MUTANT(50)))
			slot_stop(e, w, STOPPED_RECYCLED, wear_texts[w->wear]);
	}
}

/* Their time is over, or that of the whole instance: each is cleaned up in its line, after what runs of it. */
static void end_sessions(struct engine *e, struct slot *w)
{
	struct session *s;

	for (int n = 0; n < SESSIONS_AT_ONCE && w->to_end > 0; n++, w->to_end--) {
		s = TAILQ_FIRST(&w->sessions);
		if (s == NULL)
			return;
		TAILQ_REMOVE(&w->sessions, s, of_slot);
		TAILQ_INSERT_TAIL(&w->sessions, s, of_slot);
		session_end(e, s, e->drain.active ? END_SHUTDOWN : END_RECYCLE);
	}
	if (w->to_end > 0)
		timers_arm(&e->timers, &w->wear_timer, e->now + MS_US);
}

void replace_end_sessions(struct engine *e, struct slot *w)
{
	w->to_end = w->bound;
	timers_arm(&e->timers, &w->wear_timer, e->now);
}

void replace_timer_fired(struct engine *e, struct timer *t)
{
	struct slot *w = TIMER_OWNER(t, struct slot, wear_timer);

	if (w->role == ROLE_LEAVING || e->drain.active)
		end_sessions(e, w);
	else if (!MUTANT(70))
		replace_worn(w, WEAR_AGE);
}
