/* kafka_member.h: a consumer or producer on a loop of its own for tests: records what it is told, answers as a test wants. */
#ifndef KAFKA_MEMBER_H
#define KAFKA_MEMBER_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/kafka/consumer.h"
#include "bridgepool/kafka/producer.h"

enum { MEMBER_PARTS = 64, MEMBER_MESSAGES = 1 << 16, MEMBER_TEXT = 128, MEMBER_PATIENCE_MS = 60000 };

struct seen_part {
	struct tp tp;
	bool revoked, has_offset;
	int64_t offset;      /* where reading starts */
	char metadata[4097]; /* of the commit */
	int64_t next;        /* one past the last message */
};

struct seen_message {
	struct tp tp;
	int64_t offset, timestamp_ms;
	char key[MEMBER_TEXT], value[MEMBER_TEXT];
	size_t headers_len, value_len;
	bool has_key, has_value;
};

struct member {
	uv_loop_t *loop;
	struct consumer *consumer;
	struct producer *producer;
	/* how it behaves */
	size_t credit;      /* messages it still takes */
	bool keeps_revoked; /* the test calls consumer_release itself */
	bool slow_offsets;  /* the test calls consumer_read_offsets itself */
	/* what it saw */
	struct seen_part parts[MEMBER_PARTS]; /* every (partition, epoch) in the order of assignment */
	size_t nparts;
	struct seen_message *messages;
	size_t nmessages;
	unsigned assigned, revoked, lost;
	unsigned committed, faulty_commits;
	uint64_t last_commit;
	enum commit_verdict last_verdict;
	unsigned faults[KAFKA_FATAL + 1];
	char last_why[KAFKA_FATAL + 1][256];
	unsigned delivered, deliveries[DELIVERY_REFUSED + 1];
	uint64_t last_serial;
	unsigned rooms;
	bool left, closed, inside; /* inside: a function of the room is running; no event may come */
};

/* ---- events ---- */

static struct seen_part *member_part(struct member *m, struct tp tp)
{
	for (size_t i = 0; i < m->nparts; i++)
		if (memcmp(&m->parts[i].tp, &tp, sizeof tp) == 0)
			return &m->parts[i];
	ck_abort_msg("a partition of an unknown epoch: %u/%d epoch %u", tp.topic, tp.partition, tp.epoch);
	return NULL;
}

static void member_assigned(void *ctx, const struct tp *tp, size_t n)
{
	struct member *m = ctx;

	ck_assert(!m->inside);
	m->assigned++;
	for (size_t i = 0; i < n; i++) {
		ck_assert_uint_lt(m->nparts, MEMBER_PARTS);
		ck_assert_uint_ne(tp[i].epoch, 0);
		for (size_t k = 0; k < m->nparts; k++)
			ck_assert_uint_gt(tp[i].epoch, m->parts[k].tp.epoch);
		m->parts[m->nparts++] = (struct seen_part){.tp = tp[i]};
	}
	if (!m->slow_offsets)
		consumer_read_offsets(m->consumer, tp, n);
}

static void member_revoked(void *ctx, const struct tp *tp, size_t n, bool lost)
{
	struct member *m = ctx;

	ck_assert(!m->inside);
	m->revoked++;
	m->lost += lost;
	for (size_t i = 0; i < n; i++)
		member_part(m, tp[i])->revoked = true;
	if (!m->keeps_revoked)
		consumer_release(m->consumer);
}

static void member_offsets(void *ctx, const struct committed *at, size_t n)
{
	struct member *m = ctx;

	ck_assert(!m->inside);
	for (size_t i = 0; i < n; i++) {
		struct seen_part *p = member_part(m, at[i].tp);
		ck_assert(!p->revoked && !p->has_offset);
		p->has_offset = true;
		p->offset = p->next = at[i].offset;
		ck_assert_uint_lt(at[i].metadata.len, sizeof p->metadata);
		if (at[i].metadata.len)
			memcpy(p->metadata, at[i].metadata.data, at[i].metadata.len);
	}
}

static bool member_wants(void *ctx)
{
	return ((struct member *)ctx)->credit > 0;
}

static void member_copy(char out[MEMBER_TEXT], struct slice s)
{
	snprintf(out, MEMBER_TEXT, "%.*s", (int)(s.data ? s.len : 0), s.data ? (const char *)s.data : "");
}

static void member_message(void *ctx, const struct message *msg)
{
	struct member *m = ctx;
	struct seen_part *p = member_part(m, msg->source.tp);
	struct seen_message *s = &m->messages[m->nmessages++];

	ck_assert(!m->inside);
	ck_assert_uint_gt(m->credit, 0);
	ck_assert_uint_lt(m->nmessages, MEMBER_MESSAGES);
	ck_assert(p->has_offset && !p->revoked);
	ck_assert_int_ge(msg->source.offset, p->next);
	m->credit--;
	p->next = msg->source.offset + 1;
	*s = (struct seen_message){
		.tp = msg->source.tp,
		.offset = msg->source.offset,
		.timestamp_ms = msg->timestamp_ms,
		.headers_len = msg->headers.len,
		.value_len = msg->value.len,
		.has_key = msg->key.data,
		.has_value = msg->value.data,
	};
	member_copy(s->key, msg->key);
	member_copy(s->value, msg->value);
}

static void member_committed(void *ctx, uint64_t commit, const struct tp_fault *f, size_t n)
{
	struct member *m = ctx;

	ck_assert(!m->inside);
	m->committed++;
	m->last_commit = commit;
	m->faulty_commits += n > 0;
	if (n)
		m->last_verdict = f[0].verdict;
}

static void member_fault(void *ctx, enum kafka_fault fault, const char *why)
{
	struct member *m = ctx;

	ck_assert(!m->inside);
	m->faults[fault]++;
	snprintf(m->last_why[fault], sizeof m->last_why[fault], "%s", why);
}

static void member_delivered(void *ctx, uint64_t serial, enum delivery d)
{
	struct member *m = ctx;

	ck_assert(!m->inside);
	m->delivered++;
	m->deliveries[d]++;
	m->last_serial = serial;
}

static void member_out(void *ctx, const char *why)
{
	struct member *m = ctx;

	ck_assert(!m->inside);
	ck_assert(*why != '\0');
}

static void member_left(void *ctx)
{
	struct member *m = ctx;

	ck_assert(!m->left && !m->closed);
	m->left = true;
}

static void member_closed(void *ctx)
{
	struct member *m = ctx;

	ck_assert(m->left && !m->closed);
	m->closed = true;
}

static void member_room(void *ctx)
{
	struct member *m = ctx;

	ck_assert(!m->inside);
	m->rooms++;
}

/* ---- life ---- */

static inline struct member *member_new(uv_loop_t *loop)
{
	struct member *m = xcalloc(1, sizeof *m);

	m->loop = loop;
	m->messages = xcalloc(MEMBER_MESSAGES, sizeof *m->messages);
	m->credit = SIZE_MAX;
	return m;
}

static inline struct member *member_consumer(uv_loop_t *loop, const struct consumer_config *k)
{
	struct member *m = member_new(loop);
	const struct consumer_events ev = {m, member_assigned, member_revoked, member_offsets, member_wants, member_message,
		member_committed, member_fault, member_closed, member_out, member_left};
	char why[512] = "";

	m->consumer = consumer_new(loop, k, &ev, why, sizeof why);
	ck_assert_msg(m->consumer != NULL, "%s", why);
	return m;
}

static inline struct member *member_producer(uv_loop_t *loop, const struct producer_config *k)
{
	struct member *m = member_new(loop);
	const struct producer_events ev = {m, member_delivered, member_fault, member_room};
	char why[512] = "";

	m->producer = producer_new(loop, k, &ev, why, sizeof why);
	ck_assert_msg(m->producer != NULL, "%s", why);
	return m;
}

static void member_timeout(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

/* Turns the loop until the condition holds; false when the time is over before. */
static inline bool loop_until(uv_loop_t *loop, bool (*condition)(void *ctx), void *ctx, uint64_t ms)
{
	bool late = false;
	uv_timer_t timer;

	uv_timer_init(loop, &timer);
	timer.data = &late;
	uv_timer_start(&timer, member_timeout, ms, 0);
	while (!late && !condition(ctx))
		uv_run(loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(loop, UV_RUN_NOWAIT);
	return condition(ctx);
}

#define AWAIT(loop, condition, ctx)                                                                                      \
	ck_assert_msg(loop_until(loop, condition, ctx, MEMBER_PATIENCE_MS), "%s did not come true in %d ms", #condition, \
		MEMBER_PATIENCE_MS)

static bool member_is_closed(void *ctx)
{
	return ((struct member *)ctx)->closed;
}

static inline void member_free(struct member *m)
{
	free(m->messages);
	free(m);
}

static inline void member_close_consumer(struct member *m)
{
	consumer_close(m->consumer);
	AWAIT(m->loop, member_is_closed, m);
	consumer_free(m->consumer);
	member_free(m);
}

/* A producer says nothing at its end: the loop has nothing left of it. */
static inline void member_close_producer(struct member *m)
{
	producer_close(m->producer);
	uv_run(m->loop, UV_RUN_DEFAULT);
	member_free(m);
}

static inline void member_send(struct member *m, const char *topic, uint64_t serial, const char *key, const char *value)
{
	const struct record r = {.serial = serial, .key = slice_of(key), .value = slice_of(value)};
	bool sent;

	m->inside = true;
	sent = producer_send(m->producer, topic, &r);
	m->inside = false;
	ck_assert(sent);
}

static inline void member_commit(struct member *m, uint64_t id, struct tp tp, int64_t base, const char *metadata)
{
	const struct commit_entry e = {tp, base, metadata};

	m->inside = true;
	consumer_commit(m->consumer, &(struct commit){id, &e, 1});
	m->inside = false;
}

#endif
