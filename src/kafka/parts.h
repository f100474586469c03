/* parts.h: the partitions that we were given, with the epoch of each assignment: what is late finds nothing here. */
#ifndef KAFKA_PARTS_H
#define KAFKA_PARTS_H

#include <librdkafka/rdkafka.h>

#include "bridgepool/core/message.h"
#include "kept.h"

/* NONE -> WAITING (assigned, its offset is being read) -> LIVE (it is read) -> CLOSING (a revoke is not answered yet) -> NONE;
 * WAITING -> CLOSING; LIVE <-> DOUBTED (its topic was gone: is it still the same one?) -> CLOSING. */
enum part_state { PART_NONE, PART_WAITING, PART_LIVE, PART_CLOSING, PART_DOUBTED, PART_STATES };

struct part {
	struct tp tp;
	enum part_state state; /* part_move is its only writer */
	bool held, paused;     /* not read; nothing is fetched for it either */
	int64_t held_at_us;    /* since when */
	int64_t refused_at_us; /* when it could not be paused or resumed; 0: it could */
	struct kept_line kept; /* came while it was held */
	size_t kept_bytes;
	double mean_bytes;        /* of a message; the newest count most */
	int64_t unreadable_at_us; /* when it was last told so; 0: never */
	bool doubted;             /* nothing of it is committed, also when it closes */
	bool marked;              /* the group has a committed offset of it */
	bool silent, asked;       /* it was silent (silence.c), and that is not yet, or just being, looked into */
	int64_t known_at_us;      /* when it was last known to be the log that we read */
	int64_t next;             /* LIVE: the lowest offset that may still come */
	rd_kafka_queue_t *queue;  /* LIVE and after: its own messages */
};

struct parts;

struct parts *parts_new(const char *const *topics, size_t ntopics); /* copies */
void parts_free(struct parts *p);                                   /* every queue has been given back */
void part_move(struct part *p, enum part_state to);
struct part *parts_open(struct parts *p, const char *topic,
	int32_t partition);                             /* a fresh epoch, WAITING. NULL: not our topic, or already here */
struct part *parts_find(struct parts *p, struct tp tp); /* NULL: that epoch is over */
struct part *parts_at(struct parts *p, const char *topic, int32_t partition); /* whatever its state but NONE, or NULL */
const char *parts_topic(const struct parts *p, uint32_t topic);
/* Walks all that are not NONE: NULL to start, NULL at the end. */
struct part *parts_next(struct parts *p, const struct part *after);

#endif
