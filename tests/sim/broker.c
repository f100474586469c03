/* broker.c: see broker.h. */
#include "broker.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "instance.h"
#include "oracle.h"

/* ---- reading ---- */

/* The next record of a partition that the consumer may deliver; NULL: none. */
static struct asked *next_of(struct world *w, const struct instance *i, uint32_t topic, int32_t partition)
{
	const struct owned *o = &i->own[topic][partition];
	const struct request_log *log = &w->log[topic][partition];

	if (o->state != OWNED_ASSIGNED || !o->located || o->held || o->position >= log->n)
		return NULL;
	return log->records[o->position];
}

/* A rebalance that is not answered stops all reading. */
static bool may_read(const struct instance *i)
{
	return i->alive && !i->frozen && !i->revoke_pending && !i->leaving && !i->left;
}

static bool anything_to_read(struct world *w, const struct instance *i)
{
	for (unsigned t = 0; t < w->k.topics; t++)
		for (unsigned p = 0; p < w->k.partitions[t]; p++)
			if (next_of(w, i, t, (int32_t)p) != NULL)
				return true;
	return false;
}

void broker_plan_poll(struct world *w, struct instance *i)
{
	if (i->poll_planned || !may_read(i) || !anything_to_read(w, i) || !engine_takes(i->engine))
		return;
	i->poll_planned = true;
	world_plan(w, i, world_delay(w, 500), (struct event){.kind = EV_POLL});
}

void broker_message(const struct world *w, const struct asked *r, uint32_t epoch, struct message *m)
{
	(void)w;
	*m = (struct message){.source = {{r->topic, r->partition, epoch}, r->offset},
		.timestamp_ms = r->timestamp_ms,
		.key = r->key,
		.value = r->value,
		.headers = r->headers};
}

static void deliver(struct world *w, struct instance *i, struct asked *r)
{
	struct owned *o = &i->own[r->topic][r->partition];
	struct message m;

	o->position++;
	broker_message(w, r, o->epoch, &m);
	TRACE(w, RECEIVE, i->index, r->index, r->partition, r->offset, o->epoch);
	oracle_received(w, i, r);
	engine_receive(instance_enter(w, i), &m, w->now);
	instance_leave(w, i);
}

void broker_poll(struct world *w, struct instance *i, const struct event *ev)
{
	unsigned many = 1 + (unsigned)random_below(&w->random, w->k.fetch_max), places = w->k.topics * MAX_PARTITIONS;

	(void)ev;
	/* poll_planned stays set meanwhile: deliver() shall not plan another */
	for (unsigned tried = 0; many > 0 && tried < places && may_read(i);) {
		unsigned at = i->poll_turn++ % places;
		struct asked *r = next_of(w, i, at / MAX_PARTITIONS, (int32_t)(at % MAX_PARTITIONS));

		tried++;
		for (; r != NULL && many > 0 && may_read(i) && engine_takes(i->engine); many--, tried = 0) {
			deliver(w, i, r);
			r = next_of(w, i, at / MAX_PARTITIONS, (int32_t)(at % MAX_PARTITIONS));
		}
	}
	i->poll_planned = false;
	broker_plan_poll(w, i);
}

/* ---- writing ---- */

static uint64_t sum_of(const struct record *r)
{
	uint64_t sum = XXH3_64bits(r->headers.data, r->headers.len);

	if (r->key.data != NULL)
		sum = XXH3_64bits_withSeed(r->key.data, r->key.len, sum);
	return r->value.data ? XXH3_64bits_withSeed(r->value.data, r->value.len, sum) : sum;
}

static struct sent *sent_find(struct instance *i, uint64_t serial)
{
	struct sent *s;

	TAILQ_FOREACH (s, &i->sent, line)
		if (s->record.serial == serial)
			return s;
	return NULL;
}

/* A batch is what is on its way together; the last of it is judged for all that is wrong with it. */
static enum delivery judge_batch(const struct world *w, const struct instance *i, const struct sent *new)
{
	size_t bytes = 0, n = 0;
	bool keyless = false;
	const struct sent *s;

	TAILQ_FOREACH (s, &i->sent, line) {
		if (s->record.kind != new->record.kind || s->landed)
			continue;
		n++;
		bytes += s->record.value.len;
		keyless |= s->record.key.data == NULL;
	}
	if (w->k.needs_key && keyless)
		return DELIVERY_INVALID;
	return w->k.small_batches && n > 1 && bytes > w->k.output_limit ? DELIVERY_TOO_LARGE : DELIVERY_OK;
}

static enum delivery verdict_for(struct world *w, const struct sent *s, bool *lands)
{
	const struct record *r = &s->record;

	*lands = false;
	if (r->value.len > w->k.output_limit)
		return DELIVERY_TOO_LARGE;
	if (s->batch != DELIVERY_OK)
		return s->batch;
	if (w->refused[r->kind])
		return DELIVERY_REFUSED;
	if (!w->quiet && world_chance(w, w->k.again_permille))
		return DELIVERY_AGAIN;
	*lands = true;
	return !w->quiet && world_chance(w, w->k.landed_again_permille) ? DELIVERY_AGAIN : DELIVERY_OK;
}

bool broker_produce(struct world *w, struct instance *i, const struct record *r)
{
	struct sent *s;
	int64_t at;

	if (!w->quiet && world_chance(w, w->k.queue_full_permille)) {
		TRACE(w, QUEUE_FULL, i->index, (int64_t)r->serial);
		return false;
	}
	s = xcalloc(1, sizeof(*s));
	s->record = *r;
	s->sum = sum_of(r);
	s->asked = oracle_produced(w, i, r);
	TAILQ_INSERT_TAIL(&i->sent, s, line);
	s->batch = judge_batch(w, i, s);
	at = w->now + world_delay(w, w->k.delivery_us);
	if (at < i->last_land[r->kind])
		at = i->last_land[r->kind]; /* one connection: in order */
	i->last_land[r->kind] = at;
	world_plan(w, i, at - w->now, (struct event){.kind = EV_LAND, .id = r->serial});
	return true;
}

static void land(struct world *w, struct instance *i, struct sent *s)
{
	bool lands;

	if (sum_of(&s->record) != s->sum)
		breach(w, "record %llu of instance %d was changed while the producer had it",
			(unsigned long long)s->record.serial, i->index);
	s->landed = true;
	s->verdict = verdict_for(w, s, &lands);
	if (lands)
		oracle_landed(w, i, s->record.serial);
}

void broker_land(struct world *w, struct instance *i, const struct event *ev)
{
	land(w, i, sent_find(i, ev->id));
	world_plan(w, i, world_delay(w, w->k.report_us), (struct event){.kind = EV_REPORT, .id = ev->id});
}

void broker_report(struct world *w, struct instance *i, const struct event *ev)
{
	struct sent *s = sent_find(i, ev->id);
	enum delivery verdict = s->verdict;

	TRACE(w, REPORT, i->index, (int64_t)ev->id, verdict);
	TAILQ_REMOVE(&i->sent, s, line);
	free(s);
	oracle_reported(w, i, ev->id, verdict);
	engine_delivered(instance_enter(w, i), ev->id, verdict, w->now);
	instance_leave(w, i);
}

/* ---- offsets ---- */

void broker_commit(struct world *w, struct instance *i, const struct commit *c)
{
	struct flying_commit *f = &i->commit;

	if (f->flying)
		breach(w, "two commits of instance %d are in flight", i->index);
	*f = (struct flying_commit){
		.flying = true,
		.id = c->id,
		.member_serial = i->member < 0 ? 0 : i->member_serial,
		.generation = w->group.generation,
		.n = c->n,
	};
	for (size_t k = 0; k < c->n; k++) {
		f->entries[k] = c->entries[k];
		f->entries[k].metadata = xstrdup(c->entries[k].metadata);
		TRACE(w, COMMIT, i->index, (int64_t)c->id, c->entries[k].tp.partition, c->entries[k].base,
			(int64_t)strlen(c->entries[k].metadata));
		oracle_commit(w, i, c->id, &c->entries[k]);
	}
	world_plan(w, i, world_delay(w, w->k.commit_us), (struct event){.kind = EV_COMMIT_APPLY, .id = c->id});
}

/* The coordinator knows members and generations; it does not know who has which partition. */
static bool member_may_commit(const struct world *w, const struct instance *i, const struct flying_commit *f)
{
	return i->member >= 0 && i->member_serial == f->member_serial && f->generation == w->group.generation;
}

static void refuse(struct flying_commit *f, enum commit_verdict verdict)
{
	f->refused = true;
	f->verdict = verdict;
}

static void apply(struct world *w, struct instance *i, struct flying_commit *f)
{
	for (size_t k = 0; k < f->n; k++) {
		struct commit_entry *entry = &f->entries[k];
		struct request_log *log = &w->log[entry->tp.topic][entry->tp.partition];

		oracle_committed(w, i, entry);
		log->committed = entry->base;
		free(log->metadata);
		log->metadata = xstrdup(entry->metadata);
	}
	f->applied = true;
}

static bool too_large(const struct world *w, const struct flying_commit *f)
{
	for (size_t k = 0; k < f->n; k++)
		if (strlen(f->entries[k].metadata) > w->k.metadata_limit)
			return true;
	return false;
}

static void decide(struct world *w, struct instance *i, struct flying_commit *f)
{
	bool member = i->member >= 0 && i->member_serial == f->member_serial;

	if (!member) {
		refuse(f, COMMIT_STALE);
	} else if (!member_may_commit(w, i, f)) {
		refuse(f, w->k.cooperative ? COMMIT_UNKNOWN : COMMIT_STALE); /* what it kept is still its own */
	} else if (too_large(w, f)) {
		refuse(f, COMMIT_TOO_LARGE);
	} else {
		bool unknown = !w->quiet && world_chance(w, w->k.commit_unknown_permille);

		if (!unknown || random_below(&w->random, 2))
			apply(w, i, f);
		if (unknown)
			refuse(f, COMMIT_UNKNOWN);
	}
}

void broker_commit_apply(struct world *w, struct instance *i, const struct event *ev)
{
	decide(w, i, &i->commit);
	world_plan(w, i, world_delay(w, w->k.commit_us), (struct event){.kind = EV_COMMIT_ANSWER, .id = ev->id});
}

static void forget_commit(struct flying_commit *f)
{
	for (size_t k = 0; k < f->n; k++)
		free((void *)(uintptr_t)f->entries[k].metadata);
	*f = (struct flying_commit){0};
}

void broker_commit_answer(struct world *w, struct instance *i, const struct event *ev)
{
	struct flying_commit *f = &i->commit;
	struct tp_fault faults[MAX_TPS];
	size_t n = 0;

	for (size_t k = 0; f->refused && k < f->n; k++) {
		if (f->verdict == COMMIT_TOO_LARGE && strlen(f->entries[k].metadata) <= w->k.metadata_limit)
			faults[n++] = (struct tp_fault){f->entries[k].tp, COMMIT_UNKNOWN, "the commit failed as a whole"};
		else
			faults[n++] = (struct tp_fault){f->entries[k].tp, f->verdict, "refused"};
	}
	TRACE(w, COMMITTED, i->index, (int64_t)ev->id, f->applied, f->refused ? (int64_t)f->verdict : -1);
	for (size_t k = 0; k < f->n; k++)
		oracle_commit_answered(i, ev->id, f->entries[k].tp, !f->refused);
	forget_commit(f);
	if (!w->quiet && world_chance(w, w->k.late_permille / 4))
		world_plan(w, i, 1 + world_delay(w, w->k.engine.commit_interval_us + 2 * w->k.commit_us),
			(struct event){.kind = EV_COMMIT_LATE, .id = ev->id});
	engine_committed(instance_enter(w, i), ev->id, faults, n, w->now);
	instance_leave(w, i);
}

void broker_commit_late(struct world *w, struct instance *i, const struct event *ev)
{
	TRACE(w, STALE, i->index, -1);
	engine_committed(instance_enter(w, i), ev->id, NULL, 0, w->now);
	instance_leave(w, i);
}

void broker_cut(struct world *w, struct instance *i)
{
	struct sent *s;

	TAILQ_FOREACH (s, &i->sent, line)
		if (!s->landed && random_below(&w->random, 2))
			land(w, i, s);
	if (i->commit.flying && !i->commit.applied && !i->commit.refused && random_below(&w->random, 2))
		decide(w, i, &i->commit);
}

void broker_forget(struct world *w, struct instance *i)
{
	struct sent *s;

	(void)w;
	while ((s = TAILQ_FIRST(&i->sent)) != NULL) {
		TAILQ_REMOVE(&i->sent, s, line);
		free(s);
	}
	forget_commit(&i->commit);
}
