/* group.h: what the health topic tells of a group: its instances, their pools, the last events. Knows no Kafka, clock or
 * terminal; times are the caller's, in milliseconds that only grow. */
#ifndef CLI_GROUP_H
#define CLI_GROUP_H

#include <jansson.h>
#include <uthash.h>

#include "bridgepool/wire/record.h"

enum {
	GROUP_EVENTS = 200,
	GROUP_INTERVALS = 3, /* without a heartbeat: then an instance counts as silent */
	GROUP_MEMBERS = 256,
	GROUP_POOLS = 64 /* of an instance */
};
#define GROUP_MOST (INT64_C(1) << 46) /* no number is larger, nor below 0, whatever an event says: sums of them hold */

/* A pool as a heartbeat has it; counters grow through an incarnation. */
struct pool_beat {
	char name[64];
	enum health_state state;
	int64_t workers[HEALTH_STATE_COUNT], busy, used, places, queued, sessions, lost, finished, failed;
	int64_t durations[DURATION_BUCKETS];
};

struct beat {
	int64_t at_ms, seen_ms;    /* by the instance's clock; by ours */
	struct pool_beat *pools;   /* owned */
	size_t npools, more_pools; /* more: for which there is no room */
	int64_t partitions, held, backlog, oldest_ms, memory_used, memory_limit;
};

struct member {
	UT_hash_handle hh;
	char id[80], host[80], incarnation[24];
	enum health_state state;
	bool has_last, has_before; /* before: the heartbeat before the last, of the same incarnation */
	struct beat last, before;
	int64_t heard_ms, sequence, missed; /* missed: events that did not come */
	int64_t interval_ms;                /* until its next heartbeat; 0: none will come */
	bool silent;
};

struct group_event {
	int64_t at_ms; /* since the epoch, by the instance's clock */
	enum severity severity;
	char text[320]; /* one line: instance, kind, what it is about */
};

struct group {
	struct member *members;                  /* uthash by id, in the order of their names */
	struct group_event events[GROUP_EVENTS]; /* event n stands at n % GROUP_EVENTS */
	uint64_t nevents;
	int64_t interval_ms; /* of heartbeats, until an instance has shown its own; 0: none are expected */
	bool left_out;       /* there was no room for all of its members */
};

void group_init(struct group *g, int64_t interval_ms);
void group_free(struct group *g);
/* A HealthEvent as codec_to_json writes it; seen_ms: when it came. Returns the member whose heartbeat it is, else NULL. */
const struct member *group_take(struct group *g, const json_t *event, int64_t seen_ms);
/* Time goes by: who falls silent is told as an event, who has been gone for long is forgotten. wall_ms: for that event. */
void group_look(struct group *g, int64_t now_ms, int64_t wall_ms);
/* Every instance that runs has shown a heartbeat, if it makes any, and there is one. */
bool group_is_whole(const struct group *g);
bool member_lives(const struct member *m); /* neither silent nor STOPPED */

/* Per second, between the last two heartbeats; below 0: not known yet. */
double member_rate(const struct member *m, bool failed);
const struct pool_beat *beat_pool(const struct beat *b, const char *name); /* NULL: it has none of that name */

#endif
