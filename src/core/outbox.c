/* outbox.c: see outbox.h. */
#include "outbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/wire/pairs.h"
#include "mutant.h"
#include "state.h"

enum { KEY_KEPT = 1024 };                       /* bytes of a key that every topic takes */
static const int64_t full_wait_us = 10 * MS_US; /* the producer's queue was full */
static const int64_t again_most_us = SECOND_US;
static const int64_t refused_wait_us = SECOND_US, refused_most_us = 30 * SECOND_US;

void outbox_init(struct outbox *o)
{
	for (int k = 0; k < RECORD_KINDS; k++)
		outlet_init(&o->outlet[k]);
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
	free(r->made_key);
	free(r);
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

/* One that is PENDING. */
static void forget(struct engine *e, struct outgoing *r)
{
	outlet_remove(&e->outbox.outlet[r->record.kind], r);
	close_ticket(e, r->ticket, false);
	free_outgoing(e, r);
}

void outbox_cleanup(struct engine *e)
{
	struct outbox *o = &e->outbox;
	struct outgoing *r, *next;

	for (int k = 0; k < RECORD_KINDS; k++) {
		for (int l = 0; l < OUTLET_LINES; l++) {
			while ((r = TAILQ_FIRST(&o->outlet[k].lines[l])) != NULL)
				forget(e, r);
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
	outlet_add(&o->outlet[r->record.kind], r);
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

static void pump_outlet(struct engine *e, struct outlet *outlet)
{
	struct outbox *o = &e->outbox;
	struct outgoing *r, *next;

	for (r = TAILQ_FIRST(&outlet->lines[OUTLET_PENDING]); r != NULL && outlet->again.place == 0; r = next) {
		next = TAILQ_NEXT(r, line);
		if (!ours(e, r))
			continue;
		if (!outlet_may_send(outlet, r))
			return;
		if (!e->port.produce(e->port.ctx, &r->record)) {
			outlet_wait(e, outlet, full_wait_us);
			return;
		}
		outlet_remove(outlet, r);
		outlet_sent(outlet, r);
		move(o, r, OUTBOX_SENT);
		HASH_ADD(hh, o->sent, record.serial, sizeof(r->record.serial), r);
	}
}

void outbox_pump(struct engine *e)
{
	for (int k = 0; k < RECORD_KINDS; k++)
		pump_outlet(e, &e->outbox.outlet[k]);
}

static void pend_again(struct engine *e, struct outgoing *r)
{
	outlet_return(&e->outbox.outlet[r->record.kind], r);
	move(&e->outbox, r, OUTBOX_PENDING);
}

/* Not at once: whatever it was that failed, to send as fast as it fails helps nobody. */
static void came_back(struct engine *e, struct outgoing *r)
{
	pend_again(e, r);
	outlet_pause(e, &e->outbox.outlet[r->record.kind], full_wait_us, again_most_us);
}

static const char *kind_name(const struct outgoing *r)
{
	return r->record.kind == RECORD_RESULT ? "results" : "dead letters";
}

static void tell_refused(struct engine *e, const struct outgoing *r, const char *which)
{
	char reason[64];
	struct note n = {
		.kind = NOTE_DELIVERY_REFUSED,
		.count = (int64_t)e->outbox.n[OUTBOX_PENDING],
	};

	snprintf(reason, sizeof(reason), "%s%s", kind_name(r), which);
	n.reason = slice_of(reason);
	engine_note(e, &n);
}

static void refused(struct engine *e, struct outgoing *r)
{
	pend_again(e, r);
	if (outlet_pause(e, &e->outbox.outlet[r->record.kind], refused_wait_us, refused_most_us))
		tell_refused(e, r, "");
}

/* A topic that is compacted takes no record without a key: it gets one that is its request's place, which nothing else has. */
static bool make_key(struct engine *e, struct outgoing *r)
{
	char id[MADE_ID];

	if (r->record.key.data != NULL)
		return false;
	request_made_id(e, (struct source){r->ticket->tp, r->ticket->offset}, id);
	r->made_key = xstrdup(id);
	r->record.key = slice_of(r->made_key);
	return true;
}

/* Alone, so it is this one that is not taken: the others go on without it. */
static void invalid(struct engine *e, struct outgoing *r)
{
	struct outlet *outlet = &e->outbox.outlet[r->record.kind];

	if (make_key(e, r)) {
		outlet_suspect(outlet, r, false);
		pend_again(e, r);
		return;
	}
	outlet_lay_aside(e, outlet, r);
	move(&e->outbox, r, OUTBOX_PENDING);
	tell_refused(e, r, ": some for what is in them");
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

static void judged(struct engine *e, struct outgoing *r, enum delivery d, bool alone)
{
	if (alone)
		r->suspect_in = 0; /* this is its own verdict */
	switch (d) {
	case DELIVERY_AGAIN: came_back(e, r); return;
	case DELIVERY_TOO_LARGE:
	case DELIVERY_INVALID:
		if (!alone && !MUTANT(94)) {
			outlet_suspect(&e->outbox.outlet[r->record.kind], r, d == DELIVERY_TOO_LARGE);
			pend_again(e, r);
		} else if (d == DELIVERY_INVALID) {
			invalid(e, r);
		} else if (shrink(r)) {
			pend_again(e, r);
		} else {
			refused(e, r);
		}
		return;
	default: refused(e, r);
	}
}

/* A part is sent once: what it held is in none now. */
static void lose_part(struct engine *e, const struct outgoing *r, enum delivery d)
{
	if (r->values > 0 && r->state == OUTBOX_SENT && d != DELIVERY_OK)
		e->pools[r->pool].partials_dropped += r->values;
}

static void taken(struct engine *e, struct outlet *outlet, const struct outgoing *r, bool alone)
{
	struct note n = {
		.kind = NOTE_BATCHES_SMALLER,
		.reason = slice_of(kind_name(r)),
	};

	outlet->refusals = 0;
	if (!alone || !outlet_learn(outlet, r))
		return;
	n.count = (int64_t)outlet->most;
	engine_note(e, &n);
}

void outbox_delivered(struct engine *e, uint64_t serial, enum delivery d)
{
	struct outbox *o = &e->outbox;
	struct outgoing *r;
	struct outlet *outlet;
	bool alone;

	HASH_FIND(hh, o->sent, &serial, sizeof(serial), r);
	if (r == NULL) {
		e->counters.stale++;
		return;
	}
	HASH_DEL(o->sent, r);
	outlet = &o->outlet[r->record.kind];
	alone = outlet_reported(outlet, r);
	if (d == DELIVERY_OK)
		taken(e, outlet, r, alone);
	if (r->state == OUTBOX_DEAD || d == DELIVERY_OK || r->ticket == NULL || (MUTANT(4) && d == DELIVERY_AGAIN)) {
		lose_part(e, r, d);
		close_ticket(e, r->ticket, r->state == OUTBOX_SENT);
		free_outgoing(e, r);
		return;
	}
	judged(e, r, d, alone);
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
		for (int l = 0; l < OUTLET_LINES; l++) {
			for (r = TAILQ_FIRST(&o->outlet[k].lines[l]); r != NULL; r = next) {
				next = TAILQ_NEXT(r, line);
				if (of(r, tp))
					forget(e, r);
			}
		}
	}
}

bool outbox_empty(const struct outbox *o)
{
	return o->n[OUTBOX_PENDING] == 0 && o->n[OUTBOX_SENT] == 0;
}

static void check_line(const struct outlet *outlet, enum outlet_line in, enum record_kind kind, size_t *n, uint64_t *charged,
	uint64_t *parts)
{
	const struct outgoing *r;
	uint64_t last = 0;

	TAILQ_FOREACH (r, &outlet->lines[in], line) {
		CHECK(r->state == OUTBOX_PENDING && r->record.kind == kind && r->in == in &&
			(r->ticket == NULL || r->ticket->open > 0));
		CHECK(in == OUTLET_ASIDE || r->record.serial > last);
		last = r->record.serial;
		n[r->state]++;
		*(r->values > 0 ? parts : charged) -= r->charge;
	}
}

void outbox_check(const struct outbox *o, uint64_t charged, uint64_t parts)
{
	size_t n[OUTBOX_STATES] = {0}, flying[RECORD_KINDS] = {0};
	const struct outgoing *r;

	for (int k = 0; k < RECORD_KINDS; k++) {
		for (int l = 0; l < OUTLET_LINES; l++)
			check_line(&o->outlet[k], (enum outlet_line)l, (enum record_kind)k, n, &charged, &parts);
	}
	for (r = o->sent; r != NULL; r = r->hh.next) {
		CHECK(r->state != OUTBOX_PENDING);
		n[r->state]++;
		flying[r->record.kind] += r->flying;
		*(r->values > 0 ? &parts : &charged) -= r->charge;
	}
	CHECK(charged == 0 && parts == 0);
	for (int k = 0; k < RECORD_KINDS; k++)
		CHECK(flying[k] == o->outlet[k].flying && (o->outlet[k].only == NULL || o->outlet[k].only->flying == flying[k]));
	for (int k = 0; k < OUTBOX_STATES; k++)
		CHECK(n[k] == o->n[k]);
}
