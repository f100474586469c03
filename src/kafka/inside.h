/* inside.h: the consumer's struct, for the files that make it up: consumer (life and intake), rebalance (which partitions, from
 * where), hold (which of them are not read for a while), ended (what comes of those that are not ours any more), commits (which
 * offsets are told to the broker), doubts (is a topic still the one it was), silence (who is asked for that unasked). */
#ifndef KAFKA_INSIDE_H
#define KAFKA_INSIDE_H

#include "handle.h"
#include "parts.h"
#include "positions.h"

struct pending_commit {
	uint64_t id;
	struct consumer *consumer;
	rd_kafka_resp_err_t err;               /* refused at once: told from the queue, never from inside consumer_commit */
	rd_kafka_topic_partition_list_t *list; /* not sent yet, or NULL */
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
	size_t nkept;                         /* messages that wait because their partitions are or were held */
	size_t nstopped;                      /* partitions that are held or paused */
	uint64_t ahead_most;                  /* bytes that may be fetched ahead of all held ones together */
	struct buf headers;                   /* of the message being delivered */

	rd_kafka_queue_t **ended; /* of partitions that were given back, with what came late */
	size_t nended;

	rd_kafka_topic_partition_list_t *revoking; /* a revoke that is not answered yet, or NULL */
	bool losing;                               /* `revoking` is of our own making: the others stay */
	bool cooperative;                          /* how the group rebalances, as of the last event */
	struct positions *retry;                   /* positions to ask for again at retry_at_us, or NULL */
	int64_t retry_at_us;

	bool doubting;       /* it is being asked whether topics are what they were */
	int64_t doubt_at_us; /* when to ask next */

	bool silence;        /* some part may have been silent */
	bool asking;         /* whether the group's commits of those that were silent are there still */
	int64_t asked_at_us; /* since when */
	int64_t ask_at_us;   /* not before */

	struct pending_commit *commits; /* sent or refused, not yet told */
	bool refused_commits;           /* some of them have err set */
	bool closing, closed;
};

/* consumer.c */
bool consumer_event(struct consumer *c, rd_kafka_event_t *event); /* true: it is kept, else its caller destroys it */

/* rebalance.c */
void rebalance_event(struct consumer *c, rd_kafka_event_t *event);
void rebalance_retry(struct consumer *c);
/* The log ends before, or begins after, the position of this partition. */
void rebalance_out_of_range(struct consumer *c, struct part *part);
void rebalance_forget(struct consumer *c); /* at the end: what was kept for later */
bool rebalance_answered(const struct position *p);
/* Reads on at part->next. */
void rebalance_resume(struct consumer *c, struct part *part);
/* Of these partitions nothing is committed any more: they are lost, and come as new ones, in a new epoch. The others go on.
 * False: not now, the group is moving; if it does not take them away, try again. */
bool rebalance_lose(struct consumer *c, const rd_kafka_topic_partition_list_t *list);
/* Those of them that stand in the assignment; may be none. librdkafka refuses a cooperative removal as a whole, and the group
 * waits for ever, if one does not: its offset is still being read, or it was taken out before. */
rd_kafka_topic_partition_list_t *rebalance_removable(rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *asked);

/* doubts.c */
void doubts_begin(struct consumer *c, struct part *part);      /* its topic is not there */
void doubts_begin_topic(struct consumer *c, uint32_t topic);   /* it may be another one of that name */
void doubts_begin_named(struct consumer *c, const char *text); /* those of all topics that this error's text names */
void doubts_ask(struct consumer *c);                           /* when it is time */

/* silence.c */
void silence_heard(struct consumer *c, struct part *part);            /* a record of it came */
void silence_look(struct consumer *c, const struct tp *tp, size_t n); /* they are to be committed: who was silent until now? */
/* True: of some of them it is not known whether they are still what they were; commits_go_on is called when it is. */
bool silence_lasts(struct consumer *c, const struct tp *tp, size_t n);
void silence_ask(struct consumer *c); /* when there is somebody to ask for */

/* hold.c */
void hold_look(struct consumer *c); /* who of those that are held is to be paused, and who of those to be resumed */
void hold_leave(struct consumer *c, struct part *part);  /* it is read on, whatever was */
void hold_forget(struct consumer *c, struct part *part); /* it is given back */

/* ended.c */
void ended_add(struct consumer *c, struct part *part); /* it is given back: its queue goes here, what is kept of it is dropped */
void ended_drain(struct consumer *c);                  /* those that were added have stopped */

/* commits.c */
void commits_event(struct consumer *c, rd_kafka_event_t *event);
void commits_refused(struct consumer *c);
void commits_go_on(struct consumer *c, bool known); /* those that waited; known: it could be found out what they waited for */
void commits_forget(struct consumer *c);

#endif
