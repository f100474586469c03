/* views.c: the engine looked at: the snapshot for people, and every invariant for tests. */
#include <stdlib.h>
#include <string.h>

#include "replace.h"
#include "state.h"

static struct named_count *view_ended(const struct pool *p, size_t *n)
{
	struct named_count *out = xcalloc(END_REASONS, sizeof(*out));

	*n = 0;
	for (int i = END_NONE + 1; i < END_REASONS; i++)
		out[(*n)++] = (struct named_count){end_reason_name((enum end_reason)i), p->ended[i]};
	return out;
}

static struct named_count *view_exited(const struct pool *p, size_t *n)
{
	struct named_count *out = xcalloc(STOP_REASONS, sizeof(*out));

	*n = 0;
	for (int i = STOPPED_NOT + 1; i < STOP_REASONS; i++) /* counted as a crash */
		out[(*n)++] = (struct named_count){stop_reason_name((enum stop_reason)i), p->exited[i]};
	return out;
}

static struct named_count *view_memory(const struct engine *e, size_t *n)
{
	static const char *const names[BUDGET_KINDS] = {[BUDGET_REQUESTS] = "requests", [BUDGET_RECORDS] = "records"};
	struct named_count *out = xcalloc(BUDGET_KINDS, sizeof(*out));

	for (*n = 0; *n < BUDGET_KINDS; (*n)++)
		out[*n] = (struct named_count){names[*n], e->budget.used[*n]};
	return out;
}

static struct worker_snapshot *view_workers(const struct pool *p, size_t *n)
{
	struct worker_snapshot *out = xcalloc(p->nslots, sizeof(*out));

	*n = 0;
	for (uint32_t i = 0; i < p->nslots; i++) {
		const struct slot *w = &p->slots[i];

		if (w->role != ROLE_UNUSED)
			out[(*n)++] = (struct worker_snapshot){.id = w->name, .role = role_name(w->role), .state = w->state, .in_flight = w->places,
				.unanswered = w->overdue, .sessions = w->bound, .resident = w->resident};
	}
	return out;
}

static uint64_t bound_in_all(const struct pool *p)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < p->nslots; i++)
		n += p->slots[i].bound;
	return n;
}

static void view_pool(const struct pool *p, struct pool_snapshot *out)
{
	*out = (struct pool_snapshot){.name = slice_of(p->cfg.name), .state = p->state, .queued = p->queued, .sessions = p->live,
		.slots_used = (uint32_t)p->places_used, .sessions_created = p->created, .sessions_lost = p->lost, .starts = p->starts, .exits = p->exits,
		.circuit = (int)p->circuit.state, .memory_limit = p->cfg.memory_limit,
		.recycle_memory = p->cfg.recycle_memory};
	for (int i = 0; i < END_REASONS; i++)
		out->sessions_ended += p->ended[i];
	memcpy(out->requests, p->finished, sizeof(out->requests));
	memcpy(out->duration, p->duration, sizeof(out->duration));
	memcpy(out->times, p->times, sizeof(out->times));
	out->used = p->used;
	out->parts = p->partials;
	out->partials_dropped = p->partials_dropped;
	out->commands = tally_view(&p->commands, &out->ncommands);
	out->ended = view_ended(p, &out->nended);
	out->exited = view_exited(p, &out->nexited);
	out->worker_list = view_workers(p, &out->nworker_list);
	for (uint32_t i = 0; i < p->nslots; i++) {
		const struct slot *w = &p->slots[i];
		bool able = w->state == HEALTH_READY || w->state == HEALTH_DEGRADED;

		out->workers[w->state] += w->role != ROLE_UNUSED || w->state != HEALTH_TERMINATED;
		out->busy += able && w->places > 0;
		out->slots_total += able && w->role != ROLE_SPARE ? w->concurrency : 0;
	}
	if (p->cfg.state == POOL_STATE_MEMORY) /* not those whose worker died: that is noticed when they are used again */
		out->sessions = p->bound;
}

static void view_partition(const struct engine *e, const struct partition *p, int64_t now, struct partition_snapshot *out)
{
	const struct request *oldest = TAILQ_FIRST(&p->requests);

	*out = (struct partition_snapshot){.topic = slice_of(e->cfg.sources[p->tp.topic].topic), .partition = p->tp.partition,
		.base = p->window.base, .next = p->window.next, .backlog = p->nrequests, .window = (uint32_t)(p->window.next - p->window.base),
		.oldest_ms = oldest ? (now - oldest->received) / MS_US : 0, .held = p->held, .metadata_bytes = p->metadata_bytes};
}

/* Of the pools' states the one that needs people most. */
static enum health_state worse(enum health_state a, enum health_state b)
{
	static const int rank[HEALTH_STATE_COUNT] = {[HEALTH_READY] = 1, [HEALTH_DEGRADED] = 2, [HEALTH_STARTING] = 3, [HEALTH_UNAVAILABLE] = 4,
		[HEALTH_STOPPED] = 5, [HEALTH_DRAINING] = 6};

	return rank[b] > rank[a] ? b : a;
}

void engine_snapshot(const struct engine *e, int64_t now, struct snapshot *s)
{
	const struct partition *p;

	*s = (struct snapshot){.npools = e->cfg.npools, .memory_used = budget_used(&e->budget), .memory_limit = e->budget.limit,
		.late_answers = e->counters.late_answers, .dropped_stale = e->counters.stale, .rebalances = e->counters.rebalances,
		.commits = e->counters.commits, .affinity_violations = e->counters.affinity_violations,
		.records_pending = e->outbox.n[OUTBOX_PENDING] + e->outbox.n[OUTBOX_SENT],
		.last_commit_ms = e->counters.committed_at ? (now - e->counters.committed_at) / MS_US : TIME_NONE};
	s->memory = view_memory(e, &s->nmemory);
	s->dead_letters = tally_view(&e->dead_letters, &s->ndead_letters);
	s->pools = xcalloc(e->cfg.npools, sizeof(*s->pools));
	s->partitions = xcalloc(e->npartitions + 1, sizeof(*s->partitions));
	s->state = HEALTH_READY;
	for (size_t i = 0; i < e->cfg.npools; i++) {
		view_pool(&e->pools[i], &s->pools[i]);
		s->state = worse(s->state, e->pools[i].state);
	}
	TAILQ_FOREACH(p, &e->partitions, all)
		view_partition(e, p, now, &s->partitions[s->npartitions++]);
}

/* ---- invariants ---- */

/* How many slots the largest pool has. */
static size_t stride(const struct engine *e)
{
	size_t most = 0;

	for (size_t i = 0; i < e->cfg.npools; i++)
		most = e->pools[i].nslots > most ? e->pools[i].nslots : most;
	return most;
}

static void check_slot(const struct engine *e, const struct slot *w, uint64_t *places)
{
	const struct call_entry *c;
	const struct session *s;
	uint32_t n = 0, overdue = 0;

	for (c = w->calls; c != NULL; c = c->hh.next) {
		CHECK(c->slot == w && c->id != 0 && c->id <= w->last_id);
		overdue += c->cancelled;
		if (c->session == NULL)
			continue;
		n++;
		CHECK(c->session->call == c && c->session->state == SESSION_RUNNING);
		CHECK(c->request == NULL || (c->request->place == PLACE_RUNNING && c->request->session == c->session));
	}
	CHECK(n == w->places && n <= w->concurrency && overdue == w->overdue);
	CHECK(!w->solo || n == 1);
	CHECK(w->state != HEALTH_TERMINATED || (w->calls == NULL && w->bound == 0 && TAILQ_EMPTY(&w->ready)));
	CHECK(w->reserved == NULL || w->reserved->reserved);
	CHECK(w->role != ROLE_UNUSED || w->state == HEALTH_TERMINATED);
	CHECK(w->role == ROLE_SERVING || w->role == ROLE_LEAVING || w->state == HEALTH_TERMINATING || (w->places == 0 && w->bound == 0));
	TAILQ_FOREACH(s, &w->ready, line)
		CHECK(s->state == SESSION_READY && !s->in_pool_line && session_bound(e, s));
	*places += n;
}

/* As many serve as are wanted, and no warm one waits while the place of one that serves is empty. */
static void check_roles(const struct engine *e, const struct pool *p)
{
	uint32_t n[ROLES] = {0};
	bool empty = false, warm = false;
	uint32_t reserved = 0;

	for (uint32_t i = 0; i < p->nslots; i++) {
		const struct slot *w = &p->slots[i];

		n[w->role]++;
		reserved += w->role == ROLE_SERVING && w->reserved != NULL;
		empty |= w->role == ROLE_SERVING && w->state != HEALTH_READY && w->state != HEALTH_DEGRADED;
		warm |= w->role == ROLE_SPARE && w->state == HEALTH_READY;
	}
	CHECK(n[ROLE_LEAVING] == p->nleaving);
	if (!e->drain.active && e->started) { /* one that is kept for what is to run alone there stays so long */
		CHECK(n[ROLE_SERVING] >= p->cfg.size || p->nslots == POOL_SLOTS_MOST);
		CHECK(n[ROLE_SERVING] <= p->cfg.size + reserved);
	}
	CHECK(!(empty && warm) || e->drain.active || !e->started);
}

static void check_pool(const struct engine *e, const struct pool *p)
{
	uint32_t by_state[HEALTH_STATE_COUNT] = {0};
	const struct session *s;
	uint64_t places = 0;

	for (uint32_t i = 0; i < p->nslots; i++) {
		check_slot(e, &p->slots[i], &places);
		by_state[p->slots[i].state]++;
	}
	CHECK(memcmp(by_state, p->by_state, sizeof(by_state)) == 0);
	check_roles(e, p);
	CHECK(places == p->places_used);
	TAILQ_FOREACH(s, &p->ready, line)
		CHECK(s->state == SESSION_READY && s->in_pool_line && !TAILQ_EMPTY(&s->requests));
	TAILQ_FOREACH(s, &p->waiting, line)
		CHECK(s->state == SESSION_WAITING && TAILQ_FIRST(&s->requests)->place == PLACE_WAITING);
	TAILQ_FOREACH(s, &p->idle, line)
		CHECK(s->state == SESSION_IDLE && TAILQ_EMPTY(&s->requests) && s->call == NULL);
}

static void check_session(const struct engine *e, const struct session *s, uint64_t *bound, size_t width)
{
	const struct request *r;

	TAILQ_FOREACH(r, &s->requests, line) {
		CHECK(r->session == s && r->pool == s->pool);
		CHECK(r == TAILQ_FIRST(&s->requests) || r->place == PLACE_QUEUED);
		CHECK(r->place != PLACE_RUNNING || (s->call != NULL && s->call->request == r));
	}
	CHECK((s->call != NULL) == (s->state == SESSION_RUNNING));
	CHECK(s->state != SESSION_NEW);
	if (session_bound(e, s))
		bound[s->pool * width + s->at.slot]++;
}

static uint64_t check_partition(const struct engine *e, const struct partition *p)
{
	const struct request *r;
	size_t n = 0, run = 0, charge = 0, share = e->budget.limit / e->npartitions;

	TAILQ_FOREACH(r, &p->requests, of_partition) {
		CHECK(r->partition == p);
		n++;
		run += r->place == PLACE_RUNNING;
		charge += r->charge;
		CHECK(r->place == PLACE_PARKED || r->session != NULL);
		CHECK(r->place == PLACE_RUNNING || p->state == PARTITION_ACTIVE);
		CHECK(r->attempts <= e->attempts_ever);
	}
	CHECK(n == p->nrequests && run == p->running && charge == p->charge);
	CHECK(!p->held || p->state == PARTITION_ACTIVE);
	if (p->state == PARTITION_ACTIVE && !e->drain.active) /* a drain reads nothing, held or not */
		CHECK(TAILQ_EMPTY(&p->parked) ? (p->held ? charge > share / 2 : charge <= share) : p->held);
	window_check(&p->window);
	CHECK(p->state == PARTITION_WAITING_MAP || p->window.ntaken + 0u >= p->unacked);
	return charge;
}

void engine_check(const struct engine *e)
{
	size_t width = stride(e);
	uint64_t *bound = xcalloc(e->cfg.npools * width, sizeof(*bound)), charge = 0;
	const struct partition *p;

	timers_check(&e->timers);
	for (size_t i = 0; i < e->cfg.npools; i++)
		check_pool(e, &e->pools[i]);
	for (int i = 0; i < SESSION_SHARDS; i++)
		for (const struct session *s = e->sessions.shard[i]; s != NULL; s = s->hh.next)
			check_session(e, s, bound, width);
	for (size_t i = 0; i < e->cfg.npools; i++)
		for (uint32_t k = 0; k < e->pools[i].nslots; k++)
			CHECK(bound[i * width + k] == e->pools[i].slots[k].bound);
	for (size_t i = 0; i < e->cfg.npools; i++)
		CHECK(bound_in_all(&e->pools[i]) == e->pools[i].bound);
	TAILQ_FOREACH(p, &e->partitions, all)
		charge += check_partition(e, p);
	CHECK(charge == e->budget.used[BUDGET_REQUESTS]);
	outbox_check(&e->outbox, e->budget.used[BUDGET_RECORDS]);
	TAILQ_FOREACH(p, &e->gone, all)
		CHECK(p->state == PARTITION_GONE && TAILQ_EMPTY(&p->requests) && e->gone_timer.place != 0);
	free(bound);
}
