/* inside.h: the consumer's struct, for the files that make it up: consumer (life and intake), rebalance (which partitions, from
 * where), commits (which offsets are told to the broker). */
#ifndef KAFKA_INSIDE_H
#define KAFKA_INSIDE_H

#include "handle.h"
#include "parts.h"
#include "positions.h"

struct pending_commit {
	uint64_t id;
	struct consumer *consumer;
	rd_kafka_resp_err_t err; /* refused at once: told from the queue, never from inside consumer_commit */
	struct pending_commit *next, **prev;
	size_t n;
	struct tp tp[];
};

struct consumer {
	struct handle handle;
	struct consumer_events events;
	struct parts *parts;
	rd_kafka_topic_partition_list_t *subscription;
	rd_kafka_queue_t *control, *messages; /* events and errors; records of all partitions that are not held */
	struct buf headers;                   /* of the message being delivered */

	rd_kafka_topic_partition_list_t *revoking; /* a revoke that is not answered yet, or NULL */
	bool cooperative;                          /* how the group rebalances, as of the last event */
	struct positions *retry;                   /* positions to ask for again at retry_at_us, or NULL */
	int64_t retry_at_us;

	bool doubting;        /* it is being asked whether topics are what they were */
	int64_t doubt_at_us;  /* when to ask next */

	struct pending_commit *commits;  /* sent or refused, not yet told */
	bool refused_commits;            /* some of them have err set */
	bool closing, closed;
};

/* rebalance.c */
void rebalance_event(struct consumer *c, rd_kafka_event_t *event);
void rebalance_retry(struct consumer *c);
/* The log ends before, or begins after, the position of this partition. */
void rebalance_out_of_range(struct consumer *c, struct part *part);
void rebalance_forget(struct consumer *c); /* at the end: what was kept for later */
bool rebalance_answered(const struct position *p);
/* Reads on at part->next. */
void rebalance_resume(struct consumer *c, struct part *part);
/* All of this assignment is over, nothing of it is committed; the group is joined anew. */
void rebalance_lose(struct consumer *c);

/* doubts.c */
void doubts_begin(struct consumer *c, struct part *part); /* its topic is not there */
void doubts_ask(struct consumer *c);			  /* when it is time */

/* commits.c */
void commits_event(struct consumer *c, rd_kafka_event_t *event);
void commits_refused(struct consumer *c);
void commits_forget(struct consumer *c);

#endif
