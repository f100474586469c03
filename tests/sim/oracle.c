/* oracle.c: what is looked at beside runs and records: notes, and the end. */
#include "oracle.h"

#include "group.h"

/* Nothing was heard of a partition since it was given back: it does not come back, whatever is heard later. */
static bool given_up(const struct world *w, struct instance *i, struct tp tp)
{
	struct owned *o = &i->own[tp.topic][tp.partition];

	if (o->state != OWNED_NOT || !o->suspended || o->epoch != tp.epoch || w->now - o->released_at < 10 * SECOND_US)
		return false;
	o->suspended = false;
	return true;
}

void oracle_note(struct world *w, struct instance *i, const struct note *n)
{
	TRACE(w, NOTE, i->index, n->kind, n->worker.generation ? n->worker.slot : -1, n->tp.epoch ? n->tp.partition : -1,
		n->count);
	w->notes += n->kind != NOTE_PARTIALS_DROPPED && n->kind != NOTE_REQUEST_REJECTED && n->kind != NOTE_REQUEST_DEAD;
	if (n->kind >= NOTE_KINDS)
		breach(w, "22: note %d is in no table", n->kind);
	if (n->kind == NOTE_CIRCUIT)
		oracle_circuit(w, i, n);
	if (n->kind == NOTE_REQUEST_SLOW && (w->k.engine.slow_us == 0 || n->count < w->k.engine.slow_us / MS_US))
		breach(w, "22: a request is told to be slow after %lld ms", (long long)n->count);
	if (n->kind == NOTE_WORKER_LEAVING)
		oracle_leaving(w, i, n->worker, slice_is(n->reason, "the pool is smaller now"));
	if (n->kind == NOTE_PARTITION_LOST && given_up(w, i, n->tp))
		return;
	if (n->tp.epoch != 0 && group_owned(w, i, n->tp) == NULL)
		breach(w, "12: note %d of instance %d names epoch %u of partition %d, which is over", n->kind, i->index,
			n->tp.epoch, n->tp.partition);
	if (n->kind == NOTE_PARTIALS_DROPPED)
		oracle_parts_dropped(w, i, n);
}

void oracle_headers(struct world *w, const struct asked *r, struct slice headers)
{
	struct slice value;

	if (pairs_find(headers, "authorization", &value) || pairs_find(headers, "spring_json_header_types", &value))
		breach(w, "a header of record %u goes on that must not", r->index);
	if (r->headers.data != NULL && (!pairs_find(headers, "traceparent", &value) || !slice_is(value, "00-trace") ||
					       !pairs_find(headers, "X-Tenant", &value) || !slice_is(value, "one")))
		breach(w, "a header of record %u does not go on", r->index);
}

/* Without faults there is something to tell about the lives of workers, partitions and instances, and nothing per request but
 * what is refused, given up or left out of it. */
static void check_notes(struct world *w)
{
	uint64_t life = 6 * w->starts + w->lives * (20 + 3 * MAX_TPS) + 4 * w->group.generation * MAX_TPS;

	if (w->k.faultless && w->notes > life + w->k.requests / 100)
		breach(w, "22: %llu notes in a run without faults; %llu belong to workers, partitions and instances",
			(unsigned long long)w->notes, (unsigned long long)life);
}

/* ---- the snapshot ---- */

static void check_pool(struct world *w, const struct instance *i, unsigned pool, const struct pool_snapshot *s)
{
	uint32_t places = 0, size = 0, going = i->resizes > 0 ? MAX_SPARE : 0,
		 wanted = i->pools[pool].size + i->pools[pool].spare;

	for (unsigned k = 0; k < MAX_SLOTS; k++) {
		const struct proc *p = i->procs[pool][k];

		places += p != NULL ? p->nworks : 0;
		going += p != NULL && i->resizes > 0 && (p->leaving_at != INT64_MAX || p->stopped);
	}
	for (int k = 0; k < HEALTH_STATE_COUNT; k++)
		size += s->workers[k];
	if ((size < wanted && !i->draining) || size > wanted + going + 1 || s->slots_used != places)
		breach(w, "15: pool %u has %u workers in its snapshot and %u calls in flight; there are %u and %u", pool, size,
			s->slots_used, wanted, places);
	if (s->starts != i->starts[pool] || s->exits != i->exits[pool])
		breach(w, "15: pool %u tells %llu starts and %llu exits; there were %llu and %llu", pool,
			(unsigned long long)s->starts, (unsigned long long)s->exits, (unsigned long long)i->starts[pool],
			(unsigned long long)i->exits[pool]);
}

static void check_partition(struct world *w, const struct instance *i, const struct partition_snapshot *s)
{
	for (unsigned t = 0; t < w->k.topics; t++) {
		const struct owned *o = &i->own[t][s->partition];

		if (!slice_is(s->topic, w->sources[t].topic) || o->state != OWNED_ASSIGNED || !o->located)
			continue;
		if (s->held != o->held || s->base > o->known || s->base > s->next || s->window != s->next - s->base)
			breach(w, "the snapshot of partition %d: held %d, base %lld, next %lld", s->partition, s->held,
				(long long)s->base, (long long)s->next);
	}
}

/* Who has not answered its first ping within start_timeout is ended. */
static void check_starts(struct world *w, const struct instance *i)
{
	int64_t since;

	for (unsigned k = 0; k < MAX_POOLS * MAX_SLOTS; k++) {
		const struct proc *p = i->procs[k / MAX_SLOTS][k % MAX_SLOTS];

		if (p == NULL || p->ready || p->cause != CAUSE_NONE || i->frozen)
			continue;
		since = p->started_at > i->thawed_at ? p->started_at : i->thawed_at;
		if (w->now - since > w->k.pool[p->ref.pool].start_timeout_us + SECOND_US)
			breach(w, "worker %d.%u starts since %lld us", p->ref.slot, p->ref.generation,
				(long long)(w->now - p->started_at));
	}
}

static bool has_nothing(const struct world *w, const struct snapshot *s, unsigned pool)
{
	bool some = false, here = false;

	for (size_t k = 0; k < s->nmemory; k++)
		some |= !slice_is(slice_of(s->memory[k].name), "requests") && s->memory[k].n > 0;
	for (size_t k = 0; k < s->npartitions; k++)
		for (unsigned t = 0; t < w->k.topics; t++)
			if (slice_is(s->partitions[k].topic, w->sources[t].topic) && w->sources[t].pool == pool) {
				some |= s->partitions[k].backlog > 0;
				here = true;
			}
	return here && !some;
}

/* Of one that has neither requests nor results to wait for. Memory that a single request can fill is shared by nobody. */
static void check_shares(struct world *w, const struct instance *i, const struct snapshot *s)
{
	bool shared = w->k.engine.memory_limit >= 10 * w->k.engine.request_limit || w->k.big_permille == 0;

	for (unsigned pool = 0; pool < w->k.npools && !i->draining && shared; pool++) {
		if (!has_nothing(w, s, pool))
			continue;
		if (!engine_takes(i->engine))
			breach(w, "27: pool %u of instance %d has nothing in memory, and nothing is read", pool, i->index);
		for (unsigned k = 0; k < MAX_TPS; k++) {
			const struct owned *o = &i->own[k / MAX_PARTITIONS][k % MAX_PARTITIONS];

			if (k / MAX_PARTITIONS < w->k.topics && w->sources[k / MAX_PARTITIONS].pool == pool &&
				o->state == OWNED_ASSIGNED && o->located && o->held)
				breach(w,
					"27: pool %u of instance %d has nothing in memory, and partition %u of topic %u is held",
					pool, i->index, k % MAX_PARTITIONS, k / MAX_PARTITIONS);
		}
	}
}

void oracle_starved(struct world *w, struct instance *i)
{
	struct snapshot s;

	engine_snapshot(i->engine, w->now, &s);
	check_shares(w, i, &s);
	snapshot_free(&s);
}

void oracle_snapshot(struct world *w, struct instance *i)
{
	struct snapshot s;

	check_starts(w, i);
	engine_snapshot(i->engine, w->now, &s);
	for (unsigned k = 0; k < s.npools; k++)
		check_pool(w, i, k, &s.pools[k]);
	for (size_t k = 0; k < s.npartitions; k++)
		check_partition(w, i, &s.partitions[k]);
	check_shares(w, i, &s);
	snapshot_free(&s);
}

/* What waits until it is known whether a partition comes back is counted for none. */
static bool any_suspended(const struct instance *i)
{
	for (unsigned k = 0; k < MAX_TPS; k++)
		if (i->own[k / MAX_PARTITIONS][k % MAX_PARTITIONS].suspended)
			return true;
	return false;
}

/* Of an instance that has neither requests nor records nothing is charged for them. */
static void check_empty(struct world *w, struct instance *i)
{
	uint64_t queued = 0, backlog = 0, open = 0;
	struct snapshot s;

	if (!i->alive || i->frozen || i->evicted || !TAILQ_EMPTY(&i->sent) || any_suspended(i))
		return;
	engine_snapshot(i->engine, w->now, &s);
	for (unsigned k = 0; k < s.npools; k++)
		queued += s.pools[k].queued;
	for (size_t k = 0; k < s.npartitions; k++) {
		backlog += s.partitions[k].backlog;
		open += s.partitions[k].window;
	}
	if (backlog == 0 && open == 0 && (s.memory_used != 0 || queued != 0))
		breach(w, "14: instance %d has no request and no record, and holds %llu bytes and %llu requests in line",
			i->index, (unsigned long long)s.memory_used, (unsigned long long)queued);
	if (w->k.faultless && backlog > 0)
		breach(w, "14: all is over, and instance %d has a backlog of %llu", i->index, (unsigned long long)backlog);
	snapshot_free(&s);
}

void oracle_end(struct world *w)
{
	for (size_t k = 0; k < w->nasked; k++)
		if (!w->asked[k].claimed || w->asked[k].finals == 0)
			breach(w, "1: record %zu has %u finals and is %scommitted at the end", k, w->asked[k].finals,
				w->asked[k].claimed ? "" : "not ");
	for (size_t k = 0; w->k.faultless && k < w->nasked; k++)
		if (w->lives == w->k.engines && w->group.generation <= w->k.engines && w->k.engines == 1 &&
			w->asked[k].finals != 1)
			breach(w, "record %zu has %u finals in a run without faults or rebalances", k, w->asked[k].finals);
	for (unsigned k = 0; k < w->k.engines; k++)
		check_empty(w, &w->instance[k]);
	check_notes(w);
}
