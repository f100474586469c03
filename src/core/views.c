/* views.c: the snapshot of the whole engine, for people. What is looked at one by one is in view.c. */
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
	static const char *const names[BUDGET_KINDS] = {
		[BUDGET_REQUESTS] = "requests",
		[BUDGET_RECORDS] = "records",
		[BUDGET_PARTS] = "parts",
	};
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
			out[(*n)++] = (struct worker_snapshot){
				.id = w->name,
				.role = role_name(w->role),
				.state = w->state,
				.in_flight = w->places,
				.unanswered = w->overdue,
				.sessions = w->bound,
				.resident = w->resident,
			};
	}
	return out;
}

static void view_pool(const struct pool *p, struct pool_snapshot *out)
{
	*out = (struct pool_snapshot){
		.name = slice_of(p->cfg.name),
		.state = p->state,
		.queued = p->queued,
		.sessions = p->live,
		.slots_used = (uint32_t)p->places_used,
		.sessions_created = p->created,
		.sessions_lost = p->lost,
		.starts = p->starts,
		.exits = p->exits,
		.circuit = p->circuit.state,
		.resident_limit = p->cfg.resident_limit,
		.recycle_memory = p->cfg.recycle_memory,
	};
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
		bool able = slot_able(w);

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

	*out = (struct partition_snapshot){
		.topic = slice_of(e->cfg.sources[p->tp.topic].topic),
		.partition = p->tp.partition,
		.base = p->window.base,
		.next = p->window.next,
		.backlog = p->nrequests,
		.window = (uint32_t)(p->window.next - p->window.base),
		.oldest_ms = oldest ? (now - oldest->received) / MS_US : 0,
		.held = p->held,
		.metadata_bytes = p->metadata_bytes,
	};
}

/* Of the pools' states the one that needs people most. */
static enum health_state worse(enum health_state a, enum health_state b)
{
	static const int rank[HEALTH_STATE_COUNT] = {
		[HEALTH_READY] = 1,
		[HEALTH_DEGRADED] = 2,
		[HEALTH_STARTING] = 3,
		[HEALTH_UNAVAILABLE] = 4,
		[HEALTH_STOPPED] = 5,
		[HEALTH_DRAINING] = 6,
	};

	return rank[b] > rank[a] ? b : a;
}

void engine_snapshot(const struct engine *e, int64_t now, struct snapshot *s)
{
	const struct partition *p;

	*s = (struct snapshot){
		.npools = e->cfg.npools,
		.memory_used = budget_used(&e->budget),
		.memory_limit = e->budget.limit,
		.late_answers = e->counters.late_answers,
		.dropped_stale = e->counters.stale,
		.rebalances = e->counters.rebalances,
		.commits = e->counters.commits,
		.affinity_violations = e->counters.affinity_violations,
		.records_pending = e->outbox.n[OUTBOX_PENDING] + e->outbox.n[OUTBOX_SENT],
		.last_commit_ms = e->counters.committed_at ? (now - e->counters.committed_at) / MS_US : TIME_NONE,
	};
	s->memory = view_memory(e, &s->nmemory);
	s->dead_letters = tally_view(&e->dead_letters, &s->ndead_letters);
	s->pools = xcalloc(e->cfg.npools, sizeof(*s->pools));
	s->partitions = xcalloc(e->npartitions + 1, sizeof(*s->partitions));
	s->state = HEALTH_READY;
	for (size_t i = 0; i < e->cfg.npools; i++) {
		view_pool(&e->pools[i], &s->pools[i]);
		s->state = worse(s->state, e->pools[i].state);
	}
	TAILQ_FOREACH (p, &e->partitions, all)
		view_partition(e, p, now, &s->partitions[s->npartitions++]);
}
