/* outbox.c: see outbox.h. */
#include "outbox.h"

#include <stdlib.h>
#include <string.h>

#include "bridgepool/wire/pairs.h"
#include "mutant.h"
#include "retry.h"
#include "state.h"

enum { KEY_KEPT = 1024 };                       /* bytes of a key that every topic takes */
static const int64_t full_wait_us = 10 * MS_US; /* the producer's queue was full */
static const int64_t again_most_us = SECOND_US;
static const int64_t refused_wait_us = SECOND_US, refused_most_us = 30 * SECOND_US;

static void lane_fired(struct engine *e, struct timer *t)
{
	(void)e; /* armed meant closed; the pump at the end of every turn goes on */
	(void)t;
}

void outbox_init(struct outbox *o)
{
	for (int k = 0; k < RECORD_KINDS; k++) {
		TAILQ_INIT(&o->lane[k].pending);
		o->lane[k].again.fire = lane_fired;
	}
}

/* PENDING -> SENT -> PENDING ..., SENT -> DEAD; it is freed from any of them. */
static void move(struct outbox *o, struct outgoing *r, enum outbox_state to)
{
	CHECK(r->state != to && (to == OUTBOX_DEAD ? r->state == OUTBOX_SENT : r->state != OUTBOX_DEAD));
	o->n[r->state]--;
	o->n[to]++;
	r->state = to;
}

static enum budget_kind kind_of(const struct outgoing *r)
{
	return r->values > 0 ? BUDGET_PARTS : BUDGET_RECORDS;
}

static void free_outgoing(struct engine *e, struct outgoing *r)
{
	if (!MUTANT(21) || !r->shrunk)
		budget_release(&e->budget, kind_of(r), r->charge);
	e->outbox.n[r->state]--;
	free(r->twin);
	free(r);
}

static void leave_pending(struct record_lane *lane, struct outgoing *r)
{
	if (lane->returned == r)
		lane->returned = TAILQ_NEXT(r, line);
	TAILQ_REMOVE(&lane->pending, r, line);
}

/* One record of the offset is settled, by acknowledgement or because nobody wants it any more. */
static void close_ticket(struct engine *e, struct ticket *t, bool wanted)
{
	struct partition *p;

	if (t == NULL)
		return;
	CHECK(t->open > 0);
	if (--t->open > 0 && !(MUTANT(7) && wanted))
		return;
	p = wanted ? partition_alive(e, t->tp) : NULL;
	if (p != NULL)
		partition_settle(e, p, t->offset);
	if (t->open == 0)
		free(t);
}

void outbox_cleanup(struct engine *e)
{
	struct outbox *o = &e->outbox;
	struct outgoing *r, *next;

	for (int k = 0; k < RECORD_KINDS; k++) {
		while ((r = TAILQ_FIRST(&o->lane[k].pending)) != NULL) {
			leave_pending(&o->lane[k], r);
			close_ticket(e, r->ticket, false);
			free_outgoing(e, r);
		}
	}
	HASH_ITER (hh, o->sent, r, next) {
		HASH_DEL(o->sent, r);
		close_ticket(e, r->ticket, false);
		free_outgoing(e, r);
	}
}

struct outgoing *outgoing_new(enum record_kind kind, struct slice key, struct slice value, struct slice headers)
{
	struct outgoing *r = xmalloc(sizeof(*r) + key.len + value.len + headers.len + 3);
	uint8_t *at = r->bytes;

	memset(r, 0, sizeof(*r));
	r->record.kind = kind;
	r->record.key = slice_copy(&at, key);
	r->record.value = slice_copy(&at, value);
	r->record.headers = slice_copy(&at, headers);
	return r;
}

struct ticket *outbox_ticket(struct engine *e, struct tp tp, int64_t offset)
{
	struct ticket *t = xcalloc(1, sizeof(*t));
	struct partition *p = partition_alive(e, tp);

	t->tp = tp;
	t->offset = offset;
	CHECK(p != NULL);
	p->unacked++;
	return t;
}

static void add(struct engine *e, struct outgoing *r, struct tp tp)
{
	struct outbox *o = &e->outbox;

	r->record.serial = ++o->last_serial;
	r->tp = tp;
	r->charge = sizeof(*r) + r->record.key.len + r->record.value.len + r->record.headers.len + r->twin_len;
	budget_charge(&e->budget, kind_of(r), r->charge);
	r->state = OUTBOX_PENDING;
	o->n[OUTBOX_PENDING]++;
	TAILQ_INSERT_TAIL(&o->lane[r->record.kind].pending, r, line);
}

void outbox_add(struct engine *e, struct outgoing *r, struct ticket *t)
{
	r->ticket = t;
	t->open++;
	add(e, r, t->tp);
}

void outbox_add_part(struct engine *e, struct outgoing *r, struct tp tp, bool ahead)
{
	CHECK(r->values > 0 && (!ahead || budget_takes_part(&e->budget)));
	add(e, r, tp);
}

/* What was decided about a partition after it was given back waits until it is known whether it comes back. */
static bool ours(struct engine *e, const struct outgoing *r)
{
	const struct partition *p = partition_alive(e, r->tp);

	CHECK(p != NULL);
	return p->state == PARTITION_ACTIVE || p->state == PARTITION_CLOSING;
}

static void pump_lane(struct engine *e, struct record_lane *lane)
{
	struct outbox *o = &e->outbox;
	struct outgoing *r, *next;

	for (r = TAILQ_FIRST(&lane->pending); r != NULL && lane->again.place == 0; r = next) {
		next = TAILQ_NEXT(r, line);
		if (!ours(e, r))
			continue;
		if (!e->port.produce(e->port.ctx, &r->record)) {
			timers_arm(&e->timers, &lane->again, e->now + full_wait_us);
			return;
		}
		leave_pending(lane, r);
		move(o, r, OUTBOX_SENT);
		HASH_ADD(hh, o->sent, record.serial, sizeof(r->record.serial), r);
	}
}

void outbox_pump(struct engine *e)
{
	for (int k = 0; k < RECORD_KINDS; k++)
		pump_lane(e, &e->outbox.lane[k]);
}

/* In order of birth. Many come back at once when a topic refuses them, in that order mostly: the next one's place is near the
 * last one's. */
static void pend_again(struct engine *e, struct outgoing *r)
{
	struct record_lane *lane = &e->outbox.lane[r->record.kind];
	struct outgoing *after = lane->returned != NULL ? lane->returned : TAILQ_FIRST(&lane->pending), *before;

	while (after != NULL && after->record.serial < r->record.serial)
		after = TAILQ_NEXT(after, line);
	while (after != NULL && (before = TAILQ_PREV(after, outgoing_line, line)) != NULL &&
		before->record.serial > r->record.serial)
		after = before;
	if (after != NULL)
		TAILQ_INSERT_BEFORE(after, r, line);
	else
		TAILQ_INSERT_TAIL(&lane->pending, r, line);
	lane->returned = r;
	move(&e->outbox, r, OUTBOX_PENDING);
}

static void pause_lane(struct engine *e, struct record_lane *lane, int64_t least, int64_t most)
{
	lane->refusals++;
	timers_arm(&e->timers, &lane->again, e->now + retry_backoff(least, most, lane->refusals, &e->random));
}

/* Not at once: whatever it was that failed, to send as fast as it fails helps nobody. */
static void came_back(struct engine *e, struct outgoing *r)
{
	struct record_lane *lane = &e->outbox.lane[r->record.kind];

	pend_again(e, r);
	if (lane->again.place == 0)
		pause_lane(e, lane, full_wait_us, again_most_us);
}

static void refused(struct engine *e, struct outgoing *r)
{
	struct record_lane *lane = &e->outbox.lane[r->record.kind];
	struct note n = {
		.kind = NOTE_DELIVERY_REFUSED,
		.reason = slice_of(r->record.kind == RECORD_RESULT ? "results" : "dead letters"),
	};

	pend_again(e, r);
	if (lane->again.place != 0)
		return;
	pause_lane(e, lane, refused_wait_us, refused_most_us);
	n.count = (int64_t)e->outbox.n[OUTBOX_PENDING];
	engine_note(e, &n);
}

static void drop_body(struct outgoing *r)
{
	struct buf headers;

	buf_init(&headers, SIZE_MAX);
	buf_add(&headers, r->record.headers);
	pairs_add(&headers, SLICE("bridgepool.truncated"), SLICE("true"));
	r->twin = buf_take(&headers, &r->record.headers.len);
	r->record.headers.data = r->twin;
	r->record.value = (struct slice){NULL, 0};
}

/* What is left of a dead letter is what we say about it: where it was, and why it came here. */
static bool drop_foreign(struct outgoing *r)
{
	bool long_key = r->record.key.len > KEY_KEPT, any = long_key || r->foreign_len > 0;

	r->record.headers.data = (const uint8_t *)r->record.headers.data + r->foreign_len;
	r->record.headers.len -= r->foreign_len;
	r->foreign_len = 0;
	if (long_key)
		r->record.key = (struct slice){NULL, 0};
	return any;
}

static bool shrink_dead_letter(struct outgoing *r)
{
	if (r->shrunk)
		return drop_foreign(r);
	drop_body(r);
	return true;
}

static bool shrink_result(struct outgoing *r)
{
	if (r->shrunk || r->twin == NULL)
		return false;
	r->record.value = (struct slice){r->twin, r->twin_len};
	return true;
}

/* The small twin of a result says RESULT_TOO_LARGE; a dead letter loses its body first, then its key and headers too. */
static bool shrink(struct outgoing *r)
{
	bool can = r->record.kind == RECORD_RESULT ? shrink_result(r) : shrink_dead_letter(r);

	r->shrunk = true;
	return can;
}

/* A part is sent once: what it held is in none now. */
static void lose_part(struct engine *e, const struct outgoing *r, enum delivery d)
{
	if (r->values > 0 && r->state == OUTBOX_SENT && d != DELIVERY_OK)
		e->pools[r->pool].partials_dropped += r->values;
}

void outbox_delivered(struct engine *e, uint64_t serial, enum delivery d)
{
	struct outbox *o = &e->outbox;
	struct outgoing *r;
	struct record_lane *lane;

	HASH_FIND(hh, o->sent, &serial, sizeof(serial), r);
	if (r == NULL) {
		e->counters.stale++;
		return;
	}
	HASH_DEL(o->sent, r);
	lane = &o->lane[r->record.kind];
	if (r->state == OUTBOX_DEAD || d == DELIVERY_OK || r->ticket == NULL || (MUTANT(4) && d == DELIVERY_AGAIN)) {
		if (d == DELIVERY_OK)
			lane->refusals = 0;
		lose_part(e, r, d);
		close_ticket(e, r->ticket, r->state == OUTBOX_SENT);
		free_outgoing(e, r);
		return;
	}
	if (d == DELIVERY_TOO_LARGE && shrink(r))
		pend_again(e, r);
	else if (d == DELIVERY_AGAIN)
		came_back(e, r);
	else
		refused(e, r);
}

static bool of(const struct outgoing *r, struct tp tp)
{
	return r->tp.topic == tp.topic && r->tp.partition == tp.partition;
}

void outbox_kill(struct engine *e, struct tp tp)
{
	struct outbox *o = &e->outbox;
	struct outgoing *r, *next;

	for (r = o->sent; r != NULL; r = r->hh.next)
		if (r->state == OUTBOX_SENT && of(r, tp) && !MUTANT(38))
			move(o, r, OUTBOX_DEAD);
	for (int k = 0; k < RECORD_KINDS; k++) {
		for (r = TAILQ_FIRST(&o->lane[k].pending); r != NULL; r = next) {
			next = TAILQ_NEXT(r, line);
			if (!of(r, tp))
				continue;
			leave_pending(&o->lane[k], r);
			close_ticket(e, r->ticket, false);
			free_outgoing(e, r);
		}
	}
}

bool outbox_empty(const struct outbox *o)
{
	return o->n[OUTBOX_PENDING] == 0 && o->n[OUTBOX_SENT] == 0;
}

void outbox_check(const struct outbox *o, uint64_t charged, uint64_t parts)
{
	size_t n[OUTBOX_STATES] = {0};
	const struct outgoing *r;

	for (int k = 0; k < RECORD_KINDS; k++) {
		uint64_t last = 0;

		TAILQ_FOREACH (r, &o->lane[k].pending, line) {
			CHECK(r->state == OUTBOX_PENDING && (int)r->record.kind == k && r->record.serial > last &&
				(r->ticket == NULL || r->ticket->open > 0));
			last = r->record.serial;
			n[r->state]++;
			*(r->values > 0 ? &parts : &charged) -= r->charge;
		}
	}
	for (r = o->sent; r != NULL; r = r->hh.next) {
		CHECK(r->state != OUTBOX_PENDING);
		n[r->state]++;
		*(r->values > 0 ? &parts : &charged) -= r->charge;
	}
	CHECK(charged == 0 && parts == 0);
	for (int k = 0; k < OUTBOX_STATES; k++)
		CHECK(n[k] == o->n[k]);
}
