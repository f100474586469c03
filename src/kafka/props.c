/* props.c: librdkafka's properties: the tables, and a configuration made from them. */
#include "props.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"

enum { NAME_MAX_LEN = 128, COOPERATIVE_FROM = 0x020a0000 };

/* Aliases of one property stand beside it: librdkafka takes both. */
#define OWNED_BY_BOTH(X)                                             \
	X("bootstrap.servers", NULL, "set kafka.brokers instead")    \
	X("metadata.broker.list", NULL, "set kafka.brokers instead") \
	X("log.queue", "true", "bridgepool writes the library's log lines into its own log")

#define OWNED_BY_CONSUMER(X)                                                                                     \
	X("group.id", NULL, "set kafka.group instead")                                                           \
	X("group.instance.id", NULL, "set instance.id instead")                                                  \
	X("group.protocol", NULL, "bridgepool drains its work in the rebalance of the classic protocol")         \
	X("enable.auto.commit", "false", "only what is done is committed, together with its done map")           \
	X("auto.commit.enable", NULL, "only what is done is committed, together with its done map")              \
	X("enable.auto.offset.store", "false", "only what is done is committed, together with its done map")     \
	X("auto.offset.reset", "error", "a position that is gone must be told, never be skipped silently")       \
	X("check.crcs", "false",                                                                                 \
		"librdkafka passes over records of a wrong checksum, and their requests would be lost silently") \
	X("isolation.level", "read_committed",                                                                   \
		"requests of aborted transactions must not run, and committed offsets must be stable")           \
	X("enable.partition.eof", "false", "the end of a partition means nothing to bridgepool")

#define OWNED_BY_PRODUCER(X)                                                                                          \
	X("enable.idempotence", "true", "a repeated send must not make a second record")                              \
	X("acks", "all", "a result counts only when all replicas in sync have it")                                    \
	X("request.required.acks", NULL, "a result counts only when all replicas in sync have it")                    \
	X("message.timeout.ms", "0", "a record that is given up may still be in the log; bridgepool waits instead")   \
	X("delivery.timeout.ms", NULL, "a record that is given up may still be in the log; bridgepool waits instead") \
	X("delivery.report.only.error", "false", "an offset is done when its result was acknowledged")                \
	X("transactional.id", NULL, "set delivery.guarantee instead")                                                 \
	X("linger.ms", NULL, "set kafka.linger instead")                                                              \
	X("queue.buffering.max.ms", NULL, "set kafka.linger instead")

#define ROW(name, value, reason) {name, value, reason},
#define NAME(name, value, reason) name,

static const struct property consumer_owned[] = {OWNED_BY_BOTH(ROW) OWNED_BY_CONSUMER(ROW){NULL, NULL, NULL}};
static const struct property producer_owned[] = {OWNED_BY_BOTH(ROW) OWNED_BY_PRODUCER(ROW){NULL, NULL, NULL}};
static const struct property client_owned[] = {
	{"bootstrap.servers", NULL, "give the brokers by their own option"},
	{"metadata.broker.list", NULL, "give the brokers by their own option"},
	{NULL, NULL, NULL},
};

/* 64 MB and 100,000 messages ahead bound the memory, and are more than a second of traffic: with less the fetcher of librdkafka
 * sleeps a second although the queue was drained. A topic that is created, or forbidden, is noticed by the next refresh. */
static const struct property consumer_defaults[] = {
	{"client.id", "bridgepool", NULL},
	{"socket.nagle.disable", "true", NULL},
	{"socket.keepalive.enable", "true", NULL},
	{"reconnect.backoff.max.ms", "3000", NULL},
	{"partition.assignment.strategy", "range", NULL},
	{"heartbeat.interval.ms", "3000", NULL},
	{"max.poll.interval.ms", "300000", NULL},
	{"topic.metadata.refresh.interval.ms", "30000", NULL},
	{"queued.min.messages", "100000", NULL},
	{"queued.max.messages.kbytes", "65536", NULL},
	{NULL, NULL, NULL},
};

/* From 2.2 on that sleep can be shortened. */
static const struct property consumer_newer[] = {
	{"fetch.queue.backoff.ms", "50", NULL},
	{NULL, NULL, NULL},
};

/* message.max.bytes: the topic's own limit is the judge of what is too large. batch.size: that judge looks at whole batches, so
 * they stay well below any usual limit of a topic. */
static const struct property producer_defaults[] = {
	{"client.id", "bridgepool", NULL},
	{"socket.nagle.disable", "true", NULL},
	{"socket.keepalive.enable", "true", NULL},
	{"reconnect.backoff.max.ms", "3000", NULL},
	{"partitioner", "murmur2_random", NULL},
	{"message.max.bytes", "67108864", NULL},
	{"batch.size", "262144", NULL},
	{NULL, NULL, NULL},
};

static const struct property client_defaults[] = {
	{"client.id", "bridgepool", NULL},
	{"socket.nagle.disable", "true", NULL},
	{"reconnect.backoff.max.ms", "3000", NULL},
	{NULL, NULL, NULL},
};

const struct props props_consumer = {consumer_owned, consumer_defaults, consumer_newer};
const struct props props_producer = {producer_owned, producer_defaults, NULL};
const struct props props_client = {client_owned, client_defaults, NULL};

const char *const *props_consumer_owned(void)
{
	static const char *const names[] = {OWNED_BY_BOTH(NAME) OWNED_BY_CONSUMER(NAME) NULL};

	return names;
}

const char *const *props_producer_owned(void)
{
	static const char *const names[] = {OWNED_BY_BOTH(NAME) OWNED_BY_PRODUCER(NAME) NULL};

	return names;
}

/* The reason of librdkafka stands in errstr already. Values may be secrets: only names are told. */
static bool set_one(rd_kafka_conf_t *conf, const char *name, const char *value, char *errstr, size_t size)
{
	char why[512];

	if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK)
		return true;
	snprintf(errstr, size, "Kafka property \"%s\": %s; librdkafka %s lists what it knows in its CONFIGURATION.md", name, why,
		rd_kafka_version_str());
	return false;
}

static bool set_table(rd_kafka_conf_t *conf, const struct property *p, char *errstr, size_t size)
{
	for (; p && p->name; p++)
		if (p->value && !set_one(conf, p->name, p->value, errstr, size))
			return false;
	return true;
}

static void set_newer(rd_kafka_conf_t *conf, const struct property *p)
{
	size_t size;

	for (; p && p->name; p++)
		if (rd_kafka_conf_get(conf, p->name, NULL, &size) == RD_KAFKA_CONF_OK)
			rd_kafka_conf_set(conf, p->name, p->value, NULL, 0);
}

static const struct property *find(const struct property *p, const char *name)
{
	for (; p->name; p++)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

bool props_assignor_fits(const char *strategy, int library_version, char *errstr, size_t size)
{
	if (!strstr(strategy, "cooperative") || library_version >= COOPERATIVE_FROM)
		return true;
	snprintf(errstr, size,
		"Kafka property \"partition.assignment.strategy\": cooperative rebalances lose assignments before librdkafka 2.10, this is %s; "
		"use range, and instance.id for quick restarts",
		rd_kafka_version_str());
	return false;
}

static bool set_user(rd_kafka_conf_t *conf, const struct props *p, const char *line, char *errstr, size_t size)
{
	const char *equals = strchr(line, '=');
	const struct property *owned;
	char name[NAME_MAX_LEN];

	if (!equals || equals == line || (size_t)(equals - line) >= sizeof name) {
		snprintf(errstr, size,
			"a Kafka property is not of the form name=value; it is not shown here, because it may hold a secret");
		return false;
	}
	snprintf(name, sizeof name, "%.*s", (int)(equals - line), line);
	owned = find(p->owned, name);
	if (owned) {
		snprintf(errstr, size, "Kafka property \"%s\" cannot be set: %s", name, owned->reason);
		return false;
	}
	if (strcmp(name, "partition.assignment.strategy") == 0 &&
		!props_assignor_fits(equals + 1, rd_kafka_version(), errstr, size))
		return false;
	return set_one(conf, name, equals + 1, errstr, size);
}

static bool set_users(rd_kafka_conf_t *conf, const struct props *p, const char *const *list, char *errstr, size_t size)
{
	for (; list && *list; list++)
		if (!set_user(conf, p, *list, errstr, size))
			return false;
	return true;
}

rd_kafka_conf_t *props_make(const struct props *p, const struct property *given, const char *const *const *lists, size_t nlists,
	char *errstr, size_t size)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	bool good = set_table(conf, p->defaults, errstr, size) && set_table(conf, given, errstr, size);

	set_newer(conf, p->newer);
	for (size_t i = 0; good && i < nlists; i++)
		good = set_users(conf, p, lists[i], errstr, size);
	if (good && set_table(conf, p->owned, errstr, size))
		return conf;
	rd_kafka_conf_destroy(conf);
	return NULL;
}

bool props_take(const struct props *p, const char *line, char *errstr, size_t size)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	bool good = set_user(conf, p, line, errstr, size);

	rd_kafka_conf_destroy(conf);
	return good;
}
