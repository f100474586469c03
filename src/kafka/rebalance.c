/* rebalance.c: which partitions are ours, and from where they are read.
 *
 * librdkafka stands still from an ASSIGN or REVOKE event to its answer. An ASSIGN is therefore answered at once with nothing new,
 * and the partitions are added when their offsets are known; a REVOKE is answered by consumer_release.
 *
 *   ASSIGN -> parts_open, events.assigned -> consumer_read_offsets -> side thread -> events.offsets, assign_live
 *   REVOKE -> events.revoked -> (drain, commits) -> consumer_release */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "inside.h"

enum { RETRY_FIRST_MS = 100, RETRY_MOST_MS = 5000 };

/* ---- answers to librdkafka ---- */

static void say_refused(struct consumer *c, const char *what, rd_kafka_resp_err_t err, const char *why)
{
	log_line(LOG_WARN, "assignment_refused", "librdkafka refused %s: %s", what, why);
	if (err == RD_KAFKA_RESP_ERR__FATAL)
		handle_error(&c->handle, err, why);
}

static void check_error(struct consumer *c, const char *what, rd_kafka_error_t *error)
{
	if (!error)
		return;
	say_refused(c, what, rd_kafka_error_code(error), rd_kafka_error_string(error));
	rd_kafka_error_destroy(error);
}

static void assign_eager(struct consumer *c, const char *what, const rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_resp_err_t err = rd_kafka_assign(c->handle.rk, list);

	if (err)
		say_refused(c, what, err, rd_kafka_err2str(err));
}

/* Nothing new yet, but the group may go on. */
static void answer_assign(struct consumer *c)
{
	rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);

	if (c->cooperative)
		check_error(c, "an empty addition", rd_kafka_incremental_assign(c->handle.rk, none));
	else
		assign_eager(c, "an empty assignment", none);
	rd_kafka_topic_partition_list_destroy(none);
}

rd_kafka_topic_partition_list_t *rebalance_removable(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *asked)
{
	rd_kafka_topic_partition_list_t *there, *both = rd_kafka_topic_partition_list_new(asked->cnt);

	if (rd_kafka_assignment(rk, &there))
		return both;
	for (int i = 0; i < asked->cnt; i++)
		if (rd_kafka_topic_partition_list_find(there, asked->elems[i].topic, asked->elems[i].partition))
			rd_kafka_topic_partition_list_add(both, asked->elems[i].topic, asked->elems[i].partition);
	rd_kafka_topic_partition_list_destroy(there);
	return both;
}

static void remove_cooperative(struct consumer *c, const rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_topic_partition_list_t *removable = rebalance_removable(c->handle.rk, list);

	check_error(c, "a removal", rd_kafka_incremental_unassign(c->handle.rk, removable));
	rd_kafka_topic_partition_list_destroy(removable);
}

static void answer_revoke(struct consumer *c, const rd_kafka_topic_partition_list_t *list)
{
	if (c->cooperative)
		remove_cooperative(c, list);
	else
		assign_eager(c, "the end of an assignment", NULL);
}

/* ---- partitions that can be read ---- */

/* Records of this partition go to the queue of all, unless it is held. */
static void forward(struct consumer *c, struct part *part)
{
	if (!part->queue)
		part->queue = rd_kafka_queue_get_partition(c->handle.rk, parts_topic(c->parts, part->tp.topic),
			part->tp.partition);
	if (part->queue)
		rd_kafka_queue_forward(part->queue, part->held ? NULL : c->messages);
}

static void forward_list(struct consumer *c, const rd_kafka_topic_partition_list_t *list)
{
	for (int i = 0; i < list->cnt; i++)
		forward(c, parts_at(c->parts, list->elems[i].topic, list->elems[i].partition));
}

/* When this returns, librdkafka has done what was asked of it before. */
static void barrier(struct consumer *c)
{
	rd_kafka_topic_partition_list_t *list;

	if (!rd_kafka_assignment(c->handle.rk, &list))
		rd_kafka_topic_partition_list_destroy(list);
}

static void list_part(struct consumer *c, rd_kafka_topic_partition_list_t *list, const struct part *part)
{
	rd_kafka_topic_partition_list_add(list, parts_topic(c->parts, part->tp.topic), part->tp.partition)->offset = part->next;
}

/* In an eager group the whole assignment is said each time: those that are read already go on at their place. They are stopped
 * for that, and stopping undoes the forward; so it is done before, for the new ones, and once more when the stop is over. */
static void assign_live(struct consumer *c, struct part **fresh, size_t n)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);

	for (struct part *p = NULL; !c->cooperative && (p = parts_next(c->parts, p));)
		if (p->state == PART_LIVE) {
			hold_leave(c, p); /* whether a pause outlives this nobody has promised */
			list_part(c, list, p);
		}
	for (size_t i = 0; c->cooperative && i < n; i++)
		list_part(c, list, fresh[i]);
	forward_list(c, list);
	if (c->cooperative)
		check_error(c, "an addition", rd_kafka_incremental_assign(c->handle.rk, list));
	else
		assign_eager(c, "an assignment", list);
	barrier(c);
	forward_list(c, list);
	rd_kafka_topic_partition_list_destroy(list);
}

/* ---- where to start ---- */

static void say_gap(const struct position *p, int64_t start, const char *why)
{
	log_line(LOG_ERROR, "offset_gone",
		"%s topic=%s partition=%" PRId32 " position=%" PRId64 " low=%" PRId64 " high=%" PRId64 " going_on_at=%" PRId64
		" missing=%" PRId64,
		why, p->topic, p->tp.partition, p->committed, p->low, p->high, start,
		start > p->committed ? start - p->committed : 0);
}

static struct committed start_of(const struct position *p, struct part *part)
{
	const char *why;
	struct committed at = {.tp = p->tp, .none = p->committed < 0};

	at.offset = position_start(p, &why);
	if (why)
		say_gap(p, at.offset, why);
	else
		at.metadata = (struct slice){p->metadata, p->metadata_len};
	part->next = at.offset;
	part->marked = !at.none;
	part->known_at_us = clock_mono_us();
	return at;
}

bool rebalance_answered(const struct position *p)
{
	return !p->err && p->low >= 0 && p->high >= p->low;
}

/* Asked for again, together with what else waits. */
static void put_back(struct consumer *c, struct positions *done)
{
	struct positions *again;
	size_t n = 0, before = c->retry ? c->retry->n : 0;
	uint64_t wait_ms = RETRY_FIRST_MS;

	again = positions_new(c->handle.rk, before + done->n, done->job.done, c);
	for (size_t i = 0; i < before; i++)
		again->at[n++] = (struct position){.tp = c->retry->at[i].tp, .topic = c->retry->at[i].topic};
	for (size_t i = 0; i < done->n; i++)
		if (!rebalance_answered(&done->at[i]) && parts_find(c->parts, done->at[i].tp))
			again->at[n++] = (struct position){.tp = done->at[i].tp, .topic = done->at[i].topic};
	again->n = n;
	again->tries = done->tries + 1;
	for (unsigned i = 1; i < again->tries && wait_ms < RETRY_MOST_MS; i++)
		wait_ms *= 2;
	if (c->retry)
		positions_free(c->retry);
	c->retry = again;
	c->retry_at_us = clock_mono_us() + (int64_t)wait_ms * MS_US;
	wake_within(c->handle.wake, wait_ms);
}

/* One of them stands for all. */
static void say_unanswered(struct consumer *c, const struct positions *p)
{
	const struct position *at = p->at;
	const char *reason;
	char why[512];

	while (rebalance_answered(at) || !parts_find(c->parts, at->tp))
		at++;
	reason = at->err ? rd_kafka_err2str(at->err) : "no answer about the ends of the log";
	log_line(LOG_WARN, "offsets_unread", "%s topic=%s partition=%" PRId32 " tries=%u", reason, at->topic, at->tp.partition,
		p->tries + 1);
	snprintf(why, sizeof why, "%s: %s", at->topic, reason);
	if (at->err)
		handle_error(&c->handle, at->err, why);
}

/* What was revoked meanwhile is dropped. */
static void positions_done(struct lane_job *job)
{
	struct positions *p = (struct positions *)job;
	struct consumer *c = p->ctx;
	struct committed *at = xcalloc(p->n + 1, sizeof *at);
	struct part **fresh = xcalloc(p->n + 1, sizeof *fresh), *part;
	size_t n = 0, unanswered = 0;

	for (size_t i = 0; !c->closing && i < p->n; i++) {
		part = parts_find(c->parts, p->at[i].tp);
		if (!part || part->state != PART_WAITING)
			continue;
		if (rebalance_answered(&p->at[i])) {
			at[n] = start_of(&p->at[i], part);
			fresh[n++] = part;
		} else {
			unanswered++;
		}
	}
	if (n) {
		c->events.offsets(c->events.ctx, at, n);
		for (size_t i = 0; i < n; i++)
			part_move(fresh[i], PART_LIVE);
		if (!c->closing)
			assign_live(c, fresh, n);
	}
	if (unanswered && !c->closing) {
		say_unanswered(c, p);
		put_back(c, p);
	}
	free(at);
	free(fresh);
	positions_free(p);
}

void consumer_read_offsets(struct consumer *c, const struct tp *tp, size_t n)
{
	struct positions *p;

	if (c->closing || !n)
		return;
	p = positions_new(c->handle.rk, n, positions_done, c);
	for (size_t i = 0; i < n; i++)
		p->at[i] = (struct position){.tp = tp[i], .topic = parts_topic(c->parts, tp[i].topic)};
	lane_post(c->handle.lane, &p->job);
}

void rebalance_retry(struct consumer *c)
{
	struct positions *p = c->retry;

	if (!p || clock_mono_us() < c->retry_at_us)
		return;
	c->retry = NULL;
	lane_post(c->handle.lane, &p->job);
}

void rebalance_forget(struct consumer *c)
{
	if (c->retry)
		positions_free(c->retry);
	c->retry = NULL;
	if (c->revoking)
		rd_kafka_topic_partition_list_destroy(c->revoking);
	c->revoking = NULL;
}

/* ---- the position is gone while reading ---- */

/* A partition whose position was refused stands still until it is assigned once more; a seek does not wake it. */
void rebalance_resume(struct consumer *c, struct part *part)
{
	rd_kafka_topic_partition_list_t *list;

	if (c->cooperative) {
		list = rd_kafka_topic_partition_list_new(1);
		list_part(c, list, part);
		remove_cooperative(c, list);
		rd_kafka_topic_partition_list_destroy(list);
		barrier(c);
	}
	assign_live(c, &part, 1);
}

/* Forward within the same epoch; back only as a new one, because what was done is known by its offset. */
static void move_to(struct consumer *c, struct part *part, int64_t start)
{
	rd_kafka_topic_partition_list_t *list;

	if (start < part->next) {
		list = rd_kafka_topic_partition_list_new(1);
		list_part(c, list, part);
		if (!rebalance_lose(c, list))
			doubts_begin(c, part); /* and is asked for again */
		rd_kafka_topic_partition_list_destroy(list);
		return;
	}
	part->next = start;
	rebalance_resume(c, part);
}

static void range_done(struct lane_job *job)
{
	struct positions *p = (struct positions *)job;
	struct consumer *c = p->ctx;
	struct position *at = p->at;
	struct part *part = c->closing ? NULL : parts_find(c->parts, at->tp);
	const char *why;
	int64_t start;

	if (part && part->state == PART_LIVE) {
		if (!rebalance_answered(at)) {
			rebalance_out_of_range(c, part); /* its 5 s timeout is the pause */
		} else {
			at->committed = part->next;
			start = position_start(at, &why);
			if (why)
				say_gap(at, start, why);
			move_to(c, part, start);
		}
	}
	positions_free(p);
}

void rebalance_out_of_range(struct consumer *c, struct part *part)
{
	struct positions *p = positions_new(c->handle.rk, 1, range_done, c);

	p->committed_too = false;
	p->at[0] = (struct position){.tp = part->tp, .topic = parts_topic(c->parts, part->tp.topic)};
	lane_post(c->handle.lane, &p->job);
}

/* ---- events ---- */

/* tp: has room for all of them; how many were opened. */
static size_t open_parts(struct consumer *c, const rd_kafka_topic_partition_list_t *list, struct tp *tp)
{
	struct part *part;
	size_t n = 0;

	for (int i = 0; i < list->cnt; i++) {
		part = parts_open(c->parts, list->elems[i].topic, list->elems[i].partition);
		if (part)
			tp[n++] = part->tp;
		else
			log_line(LOG_WARN, "assignment_odd",
				"a partition that is not ours to take, or was here already topic=%s partition=%" PRId32,
				list->elems[i].topic, list->elems[i].partition);
	}
	return n;
}

static void on_assign(struct consumer *c, const rd_kafka_topic_partition_list_t *list)
{
	struct tp *tp = xcalloc((size_t)list->cnt + 1, sizeof *tp);
	size_t n;

	ended_drain(c); /* the group has moved on: they have stopped */
	n = open_parts(c, list, tp);
	answer_assign(c);
	c->events.assigned(c->events.ctx, tp, n);
	free(tp);
}

static void on_revoke(struct consumer *c, const rd_kafka_topic_partition_list_t *list, bool lost)
{
	struct tp *tp = xcalloc((size_t)list->cnt + 1, sizeof *tp);
	struct part *part;
	size_t n = 0;

	CHECK(!c->revoking);
	c->revoking = rd_kafka_topic_partition_list_copy(list);
	for (int i = 0; i < list->cnt; i++) {
		part = parts_at(c->parts, list->elems[i].topic, list->elems[i].partition);
		if (part && part->state != PART_CLOSING) {
			part_move(part, PART_CLOSING);
			tp[n++] = part->tp;
		}
	}
	if (n)
		c->events.revoked(c->events.ctx, tp, n, lost);
	else
		consumer_release(c);
	free(tp);
}

static void part_leave(struct consumer *c, struct part *part)
{
	hold_forget(c, part);
	ended_add(c, part);
	part_move(part, PART_NONE);
}

void consumer_release(struct consumer *c)
{
	rd_kafka_topic_partition_list_t *list = c->revoking;
	struct part *part;

	if (!list || c->closing)
		return; /* leaving the group answers it */
	c->revoking = NULL;
	for (int i = 0; i < list->cnt; i++) {
		part = parts_at(c->parts, list->elems[i].topic, list->elems[i].partition);
		if (part && part->state == PART_CLOSING)
			part_leave(c, part);
	}
	if (c->losing && !c->cooperative)
		assign_live(c, NULL, 0); /* the others */
	else
		answer_revoke(c, list);
	rd_kafka_topic_partition_list_destroy(list);
}

static void lose_all(struct consumer *c)
{
	rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(0);

	for (struct part *p = NULL; (p = parts_next(c->parts, p));)
		list_part(c, all, p);
	on_revoke(c, all, true);
	rd_kafka_topic_partition_list_destroy(all);
}

/* librdkafka gave up on the assignment: the same as a loss of all. */
static void on_failure(struct consumer *c, const char *why)
{
	log_line(LOG_WARN, "rebalance_failed", "%s", why);
	if (c->revoking)
		return; /* its answer ends this assignment too */
	c->cooperative = false;
	lose_all(c);
	c->events.out(c->events.ctx, why);
}

/* The group is not asked, their owner stays who he is. What still comes of the former log finds a partition that waits. */
bool rebalance_lose(struct consumer *c, const rd_kafka_topic_partition_list_t *list)
{
	struct tp *tp;
	size_t n;

	if (c->revoking)
		return false;
	c->losing = true;
	on_revoke(c, list, true);
	c->losing = false;
	if (c->closing)
		return true;
	CHECK(!c->revoking);
	ended_drain(c); /* their queues are used again */
	tp = xcalloc((size_t)list->cnt + 1, sizeof *tp);
	n = open_parts(c, list, tp);
	c->events.assigned(c->events.ctx, tp, n);
	free(tp);
	return true;
}

static void on_lost(struct consumer *c, const rd_kafka_topic_partition_list_t *list)
{
	on_revoke(c, list, true);
	c->events.out(c->events.ctx, "its partitions were taken away, because it was not heard or not let in");
}

void rebalance_event(struct consumer *c, rd_kafka_event_t *event)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);

	c->cooperative = strcmp(rd_kafka_rebalance_protocol(c->handle.rk), "COOPERATIVE") == 0;
	switch (rd_kafka_event_error(event)) {
	case RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS: on_assign(c, list); break;
	case RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS:
		if (rd_kafka_assignment_lost(c->handle.rk))
			on_lost(c, list);
		else
			on_revoke(c, list, false);
		break;
	default: on_failure(c, rd_kafka_event_error_string(event)); break;
	}
}
