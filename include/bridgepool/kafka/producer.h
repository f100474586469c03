/* producer.h: publishes records; their bytes are borrowed until the delivery report. Idempotent, acks=all, no message timeout. */
#ifndef BRIDGEPOOL_KAFKA_PRODUCER_H
#define BRIDGEPOOL_KAFKA_PRODUCER_H

#include "bridgepool/kafka/consumer.h"

struct producer;

struct producer_events {
	void *ctx;
	void (*delivered)(void *ctx, uint64_t serial, enum delivery d);
	void (*fault)(void *ctx, enum kafka_fault fault, const char *why);
	void (*room)(void *ctx); /* records without a serial, of which one was not taken, are taken again; or NULL */
};

struct producer_config {
	const char *brokers;
	const char *const *properties; /* "name=value", NULL-terminated; may be NULL */
	const char *const *more_properties;
	int64_t linger_us;
};

/* NULL: as consumer_new says. */
struct producer *producer_new(struct uv_loop_s *loop, const struct producer_config *c, const struct producer_events *ev,
	char *errstr, size_t size);
/* Looks for a topic that will be written to: the first record to one that was never heard of waits for a second. */
void producer_prepare(struct producer *p, const char *topic);
/* topic is borrowed for the call; the partition is chosen by the key. serial 0: no delivery event (health), and the bytes are
 * copied; only 256 of them, and 1 MiB, are on their way at a time. False: not taken, for it is full or closing, or after a fatal
 * error. When it was full for a record with serial 0, `room` tells when to ask again; otherwise nothing does. */
bool producer_send(struct producer *p, const char *topic, const struct record *r);
size_t producer_pending(const struct producer *p);
/* Waits for nothing: what is not acknowledged yet is dropped. Call when producer_pending is 0 or time is up; frees p in a later
 * turn of the loop. */
void producer_close(struct producer *p);
bool producer_takes_property(const char *line, char *errstr, size_t size); /* as consumer_takes_property */

#endif
