/* group.c: see group.h.
 *
 * An eager rebalance takes everything from everyone, waits until all have answered, and deals anew. A cooperative one takes only
 * what moves. A member that is silent for the session timeout is put out; when it wakes up it learns that all was lost. A killed
 * one stays a member until then, unless membership is static and it comes back in time. */
#include "group.h"

#include <string.h>

#include "broker.h"
#include "instance.h"
#include "oracle.h"

enum { NOBODY = -1 };

static struct member *member_of(struct world *w, const struct instance *i)
{
	return i->member == NOBODY ? NULL : &w->group.member[i->member];
}

static struct instance *process_of(struct world *w, const struct member *m)
{
	return m->ghost ? NULL : &w->instance[m->instance];
}

/* Events of one member come in order. */
static void plan_for(struct world *w, struct member *m, enum event_kind kind, uint32_t mask)
{
	int64_t at = w->now + world_delay(w, w->k.rebalance_us);

	if (at <= m->last_event)
		at = m->last_event + 1;
	m->last_event = at;
	world_plan(w, &w->instance[m->instance], at - w->now, (struct event){.kind = kind, .id = m->serial, .a = mask});
}

/* ---- dealing ---- */

static uint32_t every_partition(const struct world *w)
{
	uint32_t all = 0;

	for (unsigned t = 0; t < w->k.topics; t++)
		for (unsigned p = 0; p < w->k.partitions[t]; p++)
			all |= 1u << tp_bit(t, (int32_t)p);
	return all;
}

static struct member *random_member(struct world *w)
{
	struct member *found = NULL;
	unsigned n = 0;

	for (int k = 0; k < MAX_MEMBERS; k++)
		if (w->group.member[k].used && random_below(&w->random, ++n) == 0)
			found = &w->group.member[k];
	return found;
}

static struct member *holder(struct world *w, uint32_t bit)
{
	for (int k = 0; k < MAX_MEMBERS; k++)
		if (w->group.member[k].used && w->group.member[k].target & bit)
			return &w->group.member[k];
	return NULL;
}

/* Whoever had a partition last keeps it as often as not: coming back is as interesting as moving. */
static void deal(struct world *w, bool anew)
{
	uint32_t all = every_partition(w);

	for (unsigned b = 0; b < MAX_TPS; b++) {
		uint32_t bit = 1u << b;
		struct member *had = holder(w, bit), *to;

		if (!(all & bit) || (had != NULL && !anew))
			continue;
		to = had != NULL && random_below(&w->random, 2) ? had : random_member(w);
		if (had != NULL)
			had->target &= ~bit;
		if (to != NULL)
			to->target |= bit;
	}
}

static uint32_t held_by_others(struct world *w)
{
	uint32_t held = 0;

	for (int k = 0; k < MAX_MEMBERS; k++)
		if (w->group.member[k].used)
			held |= w->group.member[k].mask;
	return held;
}

static void complete(struct world *w)
{
	struct group *g = &w->group;
	unsigned members = 0;

	g->rebalancing = false;
	g->generation++;
	deal(w, !w->k.cooperative); /* a cooperative one was dealt before; what a member had that went since is dealt now */
	for (int k = 0; k < MAX_MEMBERS; k++) {
		struct member *m = &g->member[k];
		uint32_t gain = m->target & ~held_by_others(w);

		if (!m->used)
			continue;
		members++;
		m->mask |= gain;
		if (gain != 0 || world_chance(w, w->k.empty_permille))
			plan_for(w, m, EV_ASSIGN, gain);
	}
	TRACE(w, REBALANCE, g->generation, members);
}

static void progress(struct world *w)
{
	const struct group *g = &w->group;
	bool any = false;

	if (!g->rebalancing)
		return;
	for (int k = 0; k < MAX_MEMBERS; k++) {
		if (g->member[k].used && !g->member[k].joined)
			return;
		any |= g->member[k].used;
	}
	if (any)
		complete(w);
	else
		w->group.rebalancing = false;
}

static uint32_t to_take(const struct world *w, const struct member *m)
{
	return w->k.cooperative ? m->mask & ~m->target : m->mask;
}

void group_rebalance(struct world *w)
{
	struct group *g = &w->group;

	if (g->rebalancing)
		return;
	g->rebalancing = true;
	if (w->k.cooperative)
		deal(w, true);
	for (int k = 0; k < MAX_MEMBERS; k++) {
		struct member *m = &g->member[k];
		struct instance *i = m->used ? process_of(w, m) : NULL;
		uint32_t take = to_take(w, m);

		if (!m->used)
			continue;
		m->joined = i != NULL && take == 0 && !i->revoke_pending;
		if (i != NULL && take != 0 && !i->revoke_pending)
			plan_for(w, m, EV_REVOKE, take);
	}
	progress(w);
}

/* ---- coming and going ---- */

static struct member *ghost_of(struct world *w, const struct instance *i)
{
	for (int k = 0; k < MAX_MEMBERS; k++)
		if (w->group.member[k].used && w->group.member[k].ghost && w->group.member[k].instance == i->index)
			return &w->group.member[k];
	return NULL;
}

static struct member *free_member(struct world *w)
{
	for (int k = 0; k < MAX_MEMBERS; k++)
		if (!w->group.member[k].used)
			return &w->group.member[k];
	return NULL;
}

static void enter(struct world *w, struct instance *i, struct member *m)
{
	m->used = true;
	m->ghost = false;
	m->instance = i->index;
	m->serial = ++w->group.last_serial;
	m->last_event = w->now;
	i->member = (int)(m - w->group.member);
	i->member_serial = m->serial;
	i->evicted = false;
}

void group_join(struct world *w, struct instance *i)
{
	struct member *m = w->k.fixed_members ? ghost_of(w, i) : NULL;

	if (m != NULL && !w->group.rebalancing) { /* a static member that is back has what it had */
		enter(w, i, m);
		plan_for(w, m, EV_ASSIGN, m->mask);
		return;
	}
	if (m == NULL)
		m = free_member(w);
	CHECK(m != NULL); /* ghosts go after the session timeout; there are places for many */
	enter(w, i, m);
	m->mask = m->target = 0;
	m->joined = true;
	if (w->group.rebalancing)
		progress(w);
	else
		group_rebalance(w);
}

static void put_out(struct world *w, struct member *m)
{
	*m = (struct member){0};
	if (w->group.rebalancing)
		progress(w);
	else
		group_rebalance(w);
}

static void await_silence(struct world *w, struct member *m)
{
	struct event ev = {.kind = EV_MEMBER_TIMEOUT, .id = m->serial};

	m->ghost_until = w->now + w->k.session_timeout_us;
	world_plan(w, NULL, w->k.session_timeout_us, ev);
}

void group_died(struct world *w, struct instance *i)
{
	struct member *m = member_of(w, i);

	i->member = NOBODY;
	if (m == NULL)
		return;
	m->ghost = true;
	m->joined = false;
	await_silence(w, m);
}

void group_froze(struct world *w, struct instance *i)
{
	if (i->member != NOBODY)
		await_silence(w, member_of(w, i));
}

void group_member_timeout(struct world *w, struct instance *unused, const struct event *ev)
{
	struct member *m = NULL;
	struct instance *i;

	(void)unused;
	for (int k = 0; k < MAX_MEMBERS; k++)
		if (w->group.member[k].used && w->group.member[k].serial == ev->id)
			m = &w->group.member[k];
	if (m == NULL || m->ghost_until > w->now)
		return;
	i = process_of(w, m);
	if (i != NULL && !i->frozen) /* it woke up in time */
		return;
	TRACE(w, EVICTED, m->instance);
	if (i != NULL) {
		i->member = NOBODY;
		i->evicted = true;
	}
	put_out(w, m);
}

static uint32_t owned_mask(const struct world *w, const struct instance *i)
{
	uint32_t mask = 0;

	for (unsigned t = 0; t < w->k.topics; t++)
		for (unsigned p = 0; p < w->k.partitions[t]; p++)
			if (i->own[t][p].state == OWNED_ASSIGNED)
				mask |= 1u << tp_bit(t, (int32_t)p);
	return mask;
}

/* A member that was put out: all it has is lost, then it joins again. A leaver gives back, then is out. */
static void settle(struct world *w, struct instance *i)
{
	uint32_t mask = owned_mask(w, i);
	struct member *m;

	if (i->revoke_pending || (!i->evicted && !i->leaving))
		return;
	if (mask != 0) {
		world_plan(w, i, world_delay(w, w->k.rebalance_us),
			(struct event){.kind = EV_REVOKE, .id = 0, .a = mask, .b = i->evicted});
		return;
	}
	if (i->leaving) {
		m = member_of(w, i);
		i->member = NOBODY;
		i->leaving = i->evicted = false;
		instance_left(w, i);
		if (m != NULL && w->k.fixed_members) { /* a static member does not say goodbye */
			m->ghost = true;
			m->joined = false;
			await_silence(w, m);
		} else if (m != NULL) {
			put_out(w, m);
		}
		return;
	}
	if (i->draining)
		return;
	i->evicted = false;
	group_join(w, i);
}

void group_thawed(struct world *w, struct instance *i)
{
	settle(w, i);
}

void group_leave(struct world *w, struct instance *i)
{
	i->leaving = true;
	settle(w, i);
}

/* ---- what the engine is told ---- */

static size_t list(struct world *w, struct instance *i, uint32_t mask, enum owned_state in, struct tp *tps)
{
	size_t n = 0;

	for (uint32_t t = 0; t < w->k.topics; t++)
		for (unsigned p = 0; p < w->k.partitions[t]; p++)
			if (mask >> tp_bit(t, (int32_t)p) & 1 && i->own[t][p].state == in)
				tps[n++] = (struct tp){t, (int32_t)p, i->own[t][p].epoch};
	return n;
}

static void take_over(struct instance *i, struct tp *tp)
{
	struct owned *o = &i->own[tp->topic][tp->partition], before = *o;

	tp->epoch = i->last_epoch;
	*o = (struct owned){.state = OWNED_ASSIGNED, .epoch = i->last_epoch, .since = i->last_epoch, .known = before.known};
	if (!before.suspended)
		return;
	o->comeback = true;
	o->since = before.since;
	o->full = before.full;
	o->sent = before.sent;
	o->accepted = before.accepted;
	o->sent_id = before.sent_id;
}

/* What was given back and is not in the assignment after that is not waited for any longer. */
static void went_elsewhere(struct instance *i)
{
	for (unsigned k = 0; k < MAX_TPS; k++)
		if (i->own[k / MAX_PARTITIONS][k % MAX_PARTITIONS].state == OWNED_NOT)
			i->own[k / MAX_PARTITIONS][k % MAX_PARTITIONS].suspended = false;
}

void group_assign(struct world *w, struct instance *i, const struct event *ev)
{
	struct tp tps[MAX_TPS];
	uint32_t mask = (uint32_t)ev->a;
	size_t n;

	if (i->member == NOBODY || i->member_serial != ev->id)
		return;
	if (i->leaving || i->drained) /* the client is closing: it takes nothing */
		return;
	n = list(w, i, mask, OWNED_NOT, tps);
	if (n > 0)
		i->last_epoch++;
	for (size_t k = 0; k < n; k++)
		take_over(i, &tps[k]);
	went_elsewhere(i);
	TRACE(w, ASSIGNED, i->index, (int64_t)n, n ? tps[0].topic : 0, n ? tps[0].partition : -1, i->last_epoch);
	engine_assigned(instance_enter(w, i), tps, n, w->now);
	instance_leave(w, i);
}

static void answered(struct world *w, struct instance *i, uint32_t mask)
{
	struct member *m = member_of(w, i);

	if (m != NULL && !(i->leaving && w->k.fixed_members)) { /* a static member that leaves keeps what it has in the group */
		m->mask &= ~mask;
		m->joined = to_take(w, m) == 0;
		if (!m->joined && w->group.rebalancing)
			plan_for(w, m, EV_REVOKE, to_take(w, m));
		progress(w);
	}
	settle(w, i);
}

/* Told by the group (id: the member it means), or by the client itself when it closes or finds itself put out (id 0). */
void group_revoke(struct world *w, struct instance *i, const struct event *ev)
{
	struct tp tps[MAX_TPS];
	uint32_t mask = (uint32_t)ev->a;
	bool lost = ev->b != 0;
	size_t n;

	if (ev->id != 0 ? i->member == NOBODY || i->member_serial != ev->id : !i->evicted && !i->leaving)
		return;
	if (i->revoke_pending) /* answered once: what is left is settled then */
		return;
	n = list(w, i, mask, OWNED_ASSIGNED, tps);
	if (n == 0) {
		answered(w, i, mask);
		return;
	}
	for (size_t k = 0; k < n; k++)
		i->own[tps[k].topic][tps[k].partition].state = OWNED_REVOKING;
	i->revoke_pending = true;
	i->revoke_lost = lost;
	i->revoked_at = w->now;
	i->revokes++;
	TRACE(w, REVOKED, i->index, (int64_t)n, tps[0].topic, tps[0].partition, lost);
	if (lost)
		oracle_lost(w, i);
	engine_revoked(instance_enter(w, i), tps, n, lost, w->now);
	if (lost && i->revoke_pending)
		breach(w, "13: a lost assignment was not released within engine_revoked (instance %d)", i->index);
	instance_leave(w, i);
	if (i->revoke_pending)
		world_plan(w, i, w->k.engine.drain_revoke_us + knobs_longest_hook(&w->k) + 12 * SECOND_US,
			(struct event){.kind = EV_RELEASE_CHECK, .id = i->revokes});
}

void group_release_check(struct world *w, struct instance *i, const struct event *ev)
{
	int64_t patience = w->k.engine.drain_revoke_us + knobs_longest_hook(&w->k) + 11 * SECOND_US;

	if (!i->revoke_pending || i->revokes != ev->id)
		return;
	if (i->thawed_at > i->revoked_at && w->now - i->thawed_at < patience) {
		world_plan(w, i, patience, *ev);
		return;
	}
	breach(w, "13: instance %d has not released a revoke since %lld us", i->index, (long long)(w->now - i->revoked_at));
}

/* ---- things of a former assignment ---- */

/* Positions that were being read, and messages that were fetched: both can come when the partition is somewhere else, or back. */
static void leave_late_things(struct world *w, const struct instance *i, uint32_t topic, unsigned partition, uint32_t epoch)
{
	struct event ev = {.kind = EV_LATE, .id = epoch, .a = topic, .b = partition};

	if (!w->quiet && world_chance(w, w->k.late_permille))
		for (int n = 0; n < 4; n++)
			world_plan(w, i, world_delay(w, 4 * w->k.rebalance_us + w->k.offsets_us), ev);
}

void group_late(struct world *w, struct instance *i, const struct event *ev)
{
	struct tp tp = {(uint32_t)ev->a, (int32_t)ev->b, (uint32_t)ev->id};
	const struct request_log *log = &w->log[tp.topic][tp.partition];
	struct committed c = {.tp = tp, .offset = log->end, .metadata = SLICE("")};
	bool message = random_below(&w->random, 2);
	struct message m;

	TRACE(w, LATE, i->index, tp.topic, tp.partition, tp.epoch, message);
	if (message && log->n > 0) {
		broker_message(w, log->records[random_below(&w->random, log->n)], tp.epoch, &m);
		engine_receive(instance_enter(w, i), &m, w->now);
	} else {
		engine_offsets(instance_enter(w, i), &c, 1, w->now);
	}
	instance_leave(w, i);
}

/* ---- orders of the engine ---- */

struct owned *group_owned(struct world *w, struct instance *i, struct tp tp)
{
	struct owned *o;

	if (tp.topic >= w->k.topics || tp.partition < 0 || (unsigned)tp.partition >= w->k.partitions[tp.topic])
		return NULL;
	o = &i->own[tp.topic][tp.partition];
	return o->state != OWNED_NOT && o->epoch == tp.epoch ? o : NULL;
}

void group_release(struct world *w, struct instance *i)
{
	bool lost = i->revoke_lost;
	uint32_t mask = 0;

	TRACE(w, RELEASED, i->index);
	if (!i->revoke_pending)
		breach(w, "13: instance %d released although no revoke is pending", i->index);
	oracle_released(w, i);
	i->revoke_pending = i->revoke_lost = false;
	for (unsigned t = 0; t < w->k.topics; t++) {
		for (unsigned p = 0; p < w->k.partitions[t]; p++) {
			if (i->own[t][p].state != OWNED_REVOKING)
				continue;
			i->own[t][p].state = OWNED_NOT;
			i->own[t][p].released_at = w->now;
			i->own[t][p].suspended = (i->own[t][p].located || i->own[t][p].comeback) && !lost;
			leave_late_things(w, i, t, p, i->own[t][p].epoch);
			mask |= 1u << tp_bit(t, (int32_t)p);
		}
	}
	answered(w, i, mask);
}

void group_hold(struct world *w, struct instance *i, struct tp tp, bool on)
{
	struct owned *o = group_owned(w, i, tp);

	TRACE(w, HOLD, i->index, tp.topic, tp.partition, on);
	if (o == NULL)
		breach(w, "12: instance %d holds partition %d of topic %u in epoch %u, which it has not got", i->index,
			tp.partition, tp.topic, tp.epoch);
	if (o->held == on)
		breach(w, "18: hold of partition %d is already %d", tp.partition, on);
	o->held = on;
}

void group_read_offsets(struct world *w, struct instance *i, const struct tp *tp, size_t n)
{
	int64_t delay = world_delay(w, w->k.offsets_us);

	for (size_t k = 0; k < n; k++) {
		struct owned *o = group_owned(w, i, tp[k]);

		TRACE(w, READ_OFFSETS, i->index, tp[k].topic, tp[k].partition, tp[k].epoch);
		if (o == NULL || o->asked_offsets)
			breach(w, "12: instance %d reads offsets of partition %d in epoch %u, which it %s", i->index,
				tp[k].partition, tp[k].epoch, o == NULL ? "has not got" : "has read already");
		o->asked_offsets = true;
		if (world_chance(w, w->k.offsets_split_permille))
			delay += world_delay(w, w->k.offsets_us);
		world_plan(w, i, delay,
			(struct event){.kind = EV_OFFSETS, .id = tp[k].epoch, .a = tp[k].topic, .b = tp[k].partition});
	}
}

static void look_up(struct world *w, struct instance *i, struct tp tp, struct committed *c, const struct offsetmap *map)
{
	const struct request_log *log = &w->log[tp.topic][tp.partition];
	struct owned *o = group_owned(w, i, tp);
	struct mark found = oracle_mark(c->offset, c->metadata);

	if (!o->comeback || (!oracle_same_mark(found, o->accepted) && !oracle_same_mark(found, o->sent)))
		o->since = o->epoch;
	else
		oracle_came_back(w, i, tp.topic, tp.partition);
	o->comeback = false;
	o->sent = o->accepted = found;
	o->sent_id = 0;
	o->located = true;
	if (o->known < c->offset + map->span)
		o->known = c->offset + map->span;
	o->nsuspects = map->nsuspects;
	for (unsigned k = 0; k < map->nsuspects; k++) {
		o->suspects[k].offset = c->offset + map->suspects[k].delta;
		o->suspects[k].kills = map->suspects[k].kills;
	}
	for (o->position = 0; o->position < log->n && log->records[o->position]->offset < c->offset;)
		o->position++;
	TRACE(w, OFFSETS, i->index, tp.topic, tp.partition, c->offset, (int64_t)c->metadata.len);
}

void group_offsets(struct world *w, struct instance *i, const struct event *ev)
{
	struct tp tp = {(uint32_t)ev->a, (int32_t)ev->b, (uint32_t)ev->id};
	const struct request_log *log = &w->log[tp.topic][tp.partition];
	const struct owned *o = group_owned(w, i, tp);
	struct committed c = {
		.tp = tp,
		.offset = log->committed < 0 ? log->start : log->committed,
		.metadata = slice_of(log->metadata),
		.none = log->committed < 0,
	};
	struct offsetmap map;

	if (o == NULL || o->state != OWNED_ASSIGNED)
		return;
	if (!w->quiet && world_chance(w, w->k.foreign_map_permille))
		c.metadata = SLICE("somebody else's note");
	if (!offsetmap_decode(c.metadata, c.offset, &map) && c.metadata.data == log->metadata)
		breach(w, "11: the committed map of partition %d does not decode", tp.partition);
	look_up(w, i, tp, &c, &map);
	engine_offsets(instance_enter(w, i), &c, 1, w->now);
	instance_leave(w, i);
}
