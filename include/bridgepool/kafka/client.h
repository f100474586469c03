/* client.h: a plain blocking reader and writer of topics, for commands and tests on the terminal side (submit, tail, demo): never
 * in the daemon. */
#ifndef BRIDGEPOOL_KAFKA_CLIENT_H
#define BRIDGEPOOL_KAFKA_CLIENT_H

#include "bridgepool/base/buf.h"

struct client;

struct client_config {
	const char *brokers;
	const char *const *properties; /* "name=value", NULL-terminated; may be NULL */
};

struct client_record {
	struct slice key, value, headers; /* headers: pairs.h list */
	const char *topic;
	int32_t partition;
	int64_t offset, timestamp_ms;
};

struct client *client_new(const struct client_config *c, char *errstr, size_t size);
/* Reads all partitions of a topic without a group, from the end (or the beginning). Positions are fixed when this returns. */
bool client_follow(struct client *c, const char *topic, bool from_beginning, int timeout_ms, char *errstr, size_t size);
/* The same from a time on, in milliseconds since the epoch. A broker that cannot look for times (librdkafka's mock cluster) gives
 * the last few hundred records: older ones may come. */
bool client_follow_since(struct client *c, const char *topic, int64_t since_ms, int timeout_ms, char *errstr, size_t size);
/* A topic could not be followed because there is none of that name. */
bool client_topic_missing(const struct client *c);
/* One record, or false after timeout_ms; errstr is empty when there was simply nothing. The record is borrowed until the next
 * call. */
bool client_read(struct client *c, int timeout_ms, struct client_record *out, char *errstr, size_t size);
bool client_at_end(const struct client *c); /* all followed partitions were read to where they ended */
bool client_send(struct client *c, const char *topic, struct slice key, struct slice value, struct slice headers, char *errstr,
	size_t size);
bool client_flush(struct client *c, int timeout_ms, char *errstr, size_t size); /* all sent records are acknowledged */
void client_free(struct client *c);

#endif
