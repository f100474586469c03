/* consumer.h: one group member on the loop. Copies nothing, decides nothing; knows eager from cooperative so that nobody else
 * must. */
#ifndef BRIDGEPOOL_KAFKA_CONSUMER_H
#define BRIDGEPOOL_KAFKA_CONSUMER_H

#include "bridgepool/core/port.h"

struct uv_loop_s;
struct consumer;

enum kafka_fault {
	KAFKA_UNREACHABLE,   /* no broker answers; librdkafka goes on trying */
	KAFKA_REACHABLE,     /* it does again */
	KAFKA_TOPIC_MISSING, /* `why` names it */
	KAFKA_FORBIDDEN,     /* authorisation or authentication refused */
	KAFKA_UNREADABLE,    /* a partition stands still at what the library cannot read; `why` names it, with its offset */
	KAFKA_FENCED,        /* another process uses our instance.id */
	KAFKA_FATAL          /* this client is of no use any more */
};

/* All are called from the loop, never from inside a consumer_ function. */
struct consumer_events {
	void *ctx;
	void (*assigned)(void *ctx, const struct tp *tp, size_t n);
	/* librdkafka stands still until consumer_release; lost: called within, and what is lost alone comes again at once */
	void (*revoked)(void *ctx, const struct tp *tp, size_t n, bool lost);
	void (*offsets)(void *ctx, const struct committed *c, size_t n);
	bool (*wants)(void *ctx); /* messages, now */
	void (*message)(void *ctx, const struct message *m);
	void (*committed)(void *ctx, uint64_t commit, const struct tp_fault *faults, size_t n);
	void (*fault)(void *ctx, enum kafka_fault fault, const char *why);
	void (*closed)(void *ctx);
	/* no member of the group any more, or refused as one: until it is assigned something, or nothing, the next time */
	void (*out)(void *ctx, const char *why);
	void (*left)(void *ctx); /* out of the group, all commits answered or given up; `closed` follows. Or NULL */
};

struct consumer_config {
	const char *brokers, *group, *instance_id; /* instance_id NULL or "": dynamic membership */
	const char *const *topics;                 /* index = tp.topic */
	size_t ntopics;
	uint64_t ahead_bytes;          /* that librdkafka may fetch ahead, if the properties do not say it; 0: 64 MiB */
	const char *const *properties; /* "name=value", NULL-terminated: kafka.properties, then kafka.consumer_properties */
	const char *const *more_properties;
};

/* NULL: errstr says why; errno is 0 if c is wrong, else what the machine has not (threads, descriptors). */
struct consumer *consumer_new(struct uv_loop_s *loop, const struct consumer_config *c, const struct consumer_events *ev,
	char *errstr, size_t size); /* copies c */
void consumer_subscribe(struct consumer *c);
void consumer_read_offsets(struct consumer *c, const struct tp *tp, size_t n); /* in the side thread, again until clean */
void consumer_release(struct consumer *c);
/* Holds one partition, at once; the others go on. What was fetched for it before waits, at most queued.max.messages.kbytes of
 * all. If it is held for two seconds, or has more than its part of those bytes, nothing more is fetched for it, and what was
 * fetched ahead and not kept is fetched again afterwards. */
void consumer_hold(struct consumer *c, struct tp tp, bool on);
void consumer_commit(struct consumer *c, const struct commit *k); /* asynchronous */
void consumer_kick(struct consumer *c);                           /* wants() may be true again */
/* leaves the group (a static member does not); `closed` is the last event; then consumer_free */
void consumer_close(struct consumer *c);
void consumer_free(struct consumer *c);

/* Whether one "name=value" can stand in the lists, and whether all fit together, as far as that can be said without a broker.
 * False: errstr names the property, and says why and how to mend it. */
bool consumer_takes_property(const char *line, char *errstr, size_t size);
bool consumer_config_fits(const struct consumer_config *c, char *errstr, size_t size);

#endif
