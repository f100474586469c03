/* client.c: a plain blocking reader and writer of topics, for commands.
 *
 * Reader and writer are made when they are first used. The reader belongs to no group and commits nothing. */
#include "bridgepool/kafka/client.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "faults.h"
#include "headers.h"
#include "props.h"

enum { RETRY_US = 100 * 1000, LEARN_MS = 1000, RECENT = 300 /* records of a partition */ };

struct client {
	char *brokers;
	char **properties; /* NULL-terminated */
	rd_kafka_t *reader, *writer;
	rd_kafka_topic_t *written;             /* the topic of the last record that was sent */
	char *topic;                           /* that is followed */
	rd_kafka_topic_partition_list_t *ends; /* offset: one past the last when it was followed */
	bool missing;                          /* it could not be, for there is none */
	size_t at_end;                         /* partitions read so far */
	bool *ended;
	rd_kafka_message_t *message; /* lent to the caller */
	struct buf headers;
	char failure[512]; /* of a sent record, told by client_flush */
};

static char **copy_list(const char *const *list)
{
	size_t n = 0;
	char **copy;

	while (list && list[n])
		n++;
	copy = xcalloc(n + 1, sizeof *copy);
	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(list[i]);
	return copy;
}

static rd_kafka_conf_t *make_conf(const struct client *c, const struct property *more, char *errstr, size_t size)
{
	const struct property *row = more;
	const char *const *lists[] = {(const char *const *)c->properties};
	struct property given[16] = {{"bootstrap.servers", c->brokers, NULL}};
	rd_kafka_conf_t *conf;

	for (size_t i = 1; row && row->name; i++, row++)
		given[i] = *row;
	conf = props_make(&props_client, given, lists, 1, errstr, size);
	if (conf)
		rd_kafka_conf_set_log_cb(conf, NULL); /* what matters is told by errstr */
	return conf;
}

static rd_kafka_t *open_handle(rd_kafka_type_t type, rd_kafka_conf_t *conf, char *errstr, size_t size)
{
	char why[512];
	rd_kafka_t *rk = conf ? rd_kafka_new(type, conf, why, sizeof why) : NULL;

	if (conf && !rk) {
		snprintf(errstr, size, "the Kafka client cannot be made: %s", why);
		rd_kafka_conf_destroy(conf);
	}
	return rk;
}

/* What to do about an error, to follow its text. */
static const char *mend(rd_kafka_resp_err_t err)
{
	switch (faults_class(err)) {
	case ERROR_CONNECTION:
		return "; look at the brokers' address, at the network, and at the security settings in kafka.properties";
	case ERROR_TOPIC: return "; `bridgepool topics` creates what is missing";
	case ERROR_FORBIDDEN: return "; look at kafka.properties, and at the ACLs that `bridgepool topics --print` shows";
	case ERROR_TOO_LARGE: return "; send less, or raise max.message.bytes of the topic";
	default: return "";
	}
}

struct client *client_new(const struct client_config *k, char *errstr, size_t size)
{
	struct client *c = xcalloc(1, sizeof *c);
	rd_kafka_conf_t *conf;

	c->brokers = xstrdup(k->brokers);
	c->properties = copy_list(k->properties);
	headers_buf_init(&c->headers);
	conf = make_conf(c, NULL, errstr, size); /* wrong properties are told now */
	if (!conf) {
		client_free(c);
		return NULL;
	}
	rd_kafka_conf_destroy(conf);
	return c;
}

/* ---- reading ---- */

/* A small fetch.wait.max.ms, because librdkafka's mock cluster answers a waiting fetch only when that time is over. */
static bool open_reader(struct client *c, char *errstr, size_t size)
{
	static const struct property rows[] = {
		{"group.id", "bridgepool-client", NULL},
		{"enable.auto.commit", "false", NULL},
		{"enable.auto.offset.store", "false", NULL},
		{"auto.offset.reset", "earliest", NULL},
		{"isolation.level", "read_committed", NULL},
		{"enable.partition.eof", "true", NULL},
		{"fetch.wait.max.ms", "20", NULL},
		{NULL, NULL, NULL},
	};

	c->reader = open_handle(RD_KAFKA_CONSUMER, make_conf(c, rows, errstr, size), errstr, size);
	if (c->reader)
		rd_kafka_poll_set_consumer(c->reader);
	return c->reader != NULL;
}

static rd_kafka_topic_partition_list_t *list_partitions(const struct rd_kafka_metadata_topic *t, int64_t offset)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(t->partition_cnt);

	for (int i = 0; i < t->partition_cnt; i++)
		rd_kafka_topic_partition_list_add(list, t->topic, t->partitions[i].id)->offset = offset;
	return list;
}

static rd_kafka_resp_err_t ask_partitions(struct client *c, int64_t until, int64_t offset, rd_kafka_topic_partition_list_t **list)
{
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(c->reader, c->topic, NULL);
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err = rd_kafka_metadata(c->reader, 0, rkt, &metadata, clock_left_ms(until, INT_MAX));

	rd_kafka_topic_destroy(rkt);
	if (err)
		return err;
	err = metadata->topics[0].err;
	if (!err && metadata->topics[0].partition_cnt == 0)
		err = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
	if (!err)
		*list = list_partitions(&metadata->topics[0], offset);
	rd_kafka_metadata_destroy(metadata);
	return err;
}

static rd_kafka_resp_err_t ask_offsets(struct client *c, int64_t until, int64_t which, rd_kafka_topic_partition_list_t **list)
{
	rd_kafka_resp_err_t err = ask_partitions(c, until, which, list);

	if (err)
		return err;
	err = rd_kafka_offsets_for_times(c->reader, *list, clock_left_ms(until, INT_MAX));
	for (int i = 0; !err && i < (*list)->cnt; i++)
		err = (*list)->elems[i].err;
	if (err) {
		rd_kafka_topic_partition_list_destroy(*list);
		*list = NULL;
	}
	return err;
}

/* Errors of a broker that is only just starting or electing pass by themselves. */
static rd_kafka_resp_err_t ask_patiently(struct client *c, int64_t until, int64_t which, rd_kafka_topic_partition_list_t **list)
{
	rd_kafka_resp_err_t err;

	do {
		err = ask_offsets(c, until, which, list);
		if (!err || faults_class(err) == ERROR_TOPIC || faults_class(err) == ERROR_FORBIDDEN)
			break;
		usleep(RETRY_US);
	} while (clock_mono_us() < until);
	return err;
}

static bool start_reading(struct client *c, rd_kafka_topic_partition_list_t *from, char *errstr, size_t size)
{
	rd_kafka_resp_err_t err;

	c->ended = xcalloc((size_t)c->ends->cnt + 1, sizeof *c->ended);
	for (int i = 0; i < c->ends->cnt; i++) {
		c->ended[i] = from->elems[i].offset >= c->ends->elems[i].offset;
		c->at_end += c->ended[i];
	}
	err = rd_kafka_assign(c->reader, from);
	if (err)
		snprintf(errstr, size, "topic %s cannot be read: %s", c->topic, rd_kafka_err2str(err));
	return !err;
}

/* Where the answer to a time is "the end", the end may be meant, or that this broker does not look for times. */
static rd_kafka_resp_err_t replace_ends(struct client *c, int64_t until, rd_kafka_topic_partition_list_t *from)
{
	rd_kafka_topic_partition_list_t *first = NULL;
	rd_kafka_resp_err_t err = ask_patiently(c, until, RD_KAFKA_OFFSET_BEGINNING, &first);

	for (int i = 0; !err && i < from->cnt; i++) {
		int64_t recent = c->ends->elems[i].offset - RECENT;

		if (from->elems[i].offset < 0)
			from->elems[i].offset = recent > first->elems[i].offset ? recent : first->elems[i].offset;
	}
	if (first)
		rd_kafka_topic_partition_list_destroy(first);
	return err;
}

/* from: an offset as rd_kafka_offsets_for_times takes it: END, BEGINNING, or a time. */
static rd_kafka_resp_err_t find_start(struct client *c, int64_t until, int64_t from, rd_kafka_topic_partition_list_t **list)
{
	rd_kafka_resp_err_t err;

	if (from == RD_KAFKA_OFFSET_END) {
		*list = rd_kafka_topic_partition_list_copy(c->ends);
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	err = ask_patiently(c, until, from, list);
	return !err && from >= 0 ? replace_ends(c, until, *list) : err;
}

static bool follow(struct client *c, const char *topic, int64_t where, int timeout_ms, char *errstr, size_t size)
{
	int64_t until = clock_mono_us() + timeout_ms * MS_US;
	rd_kafka_topic_partition_list_t *from = NULL;
	rd_kafka_resp_err_t err;
	bool good = false;

	CHECK(!c->topic);
	if (!open_reader(c, errstr, size))
		return false;
	c->topic = xstrdup(topic);
	err = ask_patiently(c, until, RD_KAFKA_OFFSET_END, &c->ends);
	if (!err)
		err = find_start(c, until, where, &from);
	c->missing = faults_class(err) == ERROR_TOPIC;
	if (err)
		snprintf(errstr, size, "topic %s at %s: %s%s", topic, c->brokers, rd_kafka_err2str(err), mend(err));
	else
		good = start_reading(c, from, errstr, size);
	if (from)
		rd_kafka_topic_partition_list_destroy(from);
	return good;
}

bool client_follow(struct client *c, const char *topic, bool from_beginning, int timeout_ms, char *errstr, size_t size)
{
	return follow(c, topic, from_beginning ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END, timeout_ms, errstr, size);
}

bool client_follow_since(struct client *c, const char *topic, int64_t since_ms, int timeout_ms, char *errstr, size_t size)
{
	return follow(c, topic, since_ms, timeout_ms, errstr, size);
}

bool client_topic_missing(const struct client *c)
{
	return c->missing;
}

static void note_progress(struct client *c, int32_t partition, int64_t next)
{
	for (int i = 0; i < c->ends->cnt; i++)
		if (c->ends->elems[i].partition == partition && !c->ended[i] && next >= c->ends->elems[i].offset) {
			c->ended[i] = true;
			c->at_end++;
		}
}

static void fill_record(struct client *c, struct client_record *out)
{
	const rd_kafka_message_t *m = c->message;
	rd_kafka_timestamp_type_t type;

	*out = (struct client_record){
		.key = {m->key, m->key_len},
		.value = {m->payload, m->len},
		.headers = headers_read(m, &c->headers),
		.topic = c->topic,
		.partition = m->partition,
		.offset = m->offset,
		.timestamp_ms = rd_kafka_message_timestamp(m, &type),
	};
}

/* Only what does not mend itself is an error: librdkafka comes back to brokers that went away. */
static void read_error(const struct client *c, const rd_kafka_message_t *m, char *errstr, size_t size)
{
	enum error_class class = faults_class(m->err);

	if (class == ERROR_TOPIC || class == ERROR_FORBIDDEN || m->err == RD_KAFKA_RESP_ERR__FATAL)
		snprintf(errstr, size, "reading %s: %s%s", c->topic, rd_kafka_message_errstr(m), mend(m->err));
}

bool client_read(struct client *c, int timeout_ms, struct client_record *out, char *errstr, size_t size)
{
	int64_t until = clock_mono_us() + timeout_ms * MS_US;

	CHECK(c->topic);
	*errstr = '\0';
	do {
		if (c->message)
			rd_kafka_message_destroy(c->message);
		c->message = rd_kafka_consumer_poll(c->reader, clock_left_ms(until, INT_MAX));
		if (!c->message)
			continue;
		if (!c->message->err) {
			note_progress(c, c->message->partition, c->message->offset + 1);
			fill_record(c, out);
			return true;
		}
		if (c->message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
			note_progress(c, c->message->partition, INT64_MAX);
		else
			read_error(c, c->message, errstr, size);
	} while (!*errstr && clock_mono_us() < until);
	return false;
}

bool client_at_end(const struct client *c)
{
	return c->ends && c->at_end == (size_t)c->ends->cnt;
}

/* ---- writing ---- */

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	struct client *c = opaque;

	(void)rk;
	if (m->err && !*c->failure)
		snprintf(c->failure, sizeof c->failure, "a record for %s was not written: %s%s", rd_kafka_topic_name(m->rkt),
			rd_kafka_err2str(m->err), mend(m->err));
}

static bool open_writer(struct client *c, char *errstr, size_t size)
{
	static const struct property rows[] = {
		{"enable.idempotence", "true", NULL},
		{"acks", "all", NULL},
		{"linger.ms", "1", NULL},
		{"message.timeout.ms", "30000", NULL},
		{"topic.metadata.propagation.max.ms", "5000", NULL}, /* how long a topic may be unknown */
		{"message.max.bytes", "67108864", NULL},
		{"partitioner", "murmur2_random", NULL},
		{NULL, NULL, NULL},
	};
	rd_kafka_conf_t *conf = make_conf(c, rows, errstr, size);

	if (conf) {
		rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
		rd_kafka_conf_set_opaque(conf, c);
	}
	c->writer = open_handle(RD_KAFKA_PRODUCER, conf, errstr, size);
	return c->writer != NULL;
}

/* librdkafka looks once a second for topics that it does not know yet; asked for, the first record does not wait for that. */
static void learn_topic(struct client *c, const char *topic)
{
	const struct rd_kafka_metadata *metadata;

	if (c->written && strcmp(rd_kafka_topic_name(c->written), topic) == 0)
		return;
	if (c->written)
		rd_kafka_topic_destroy(c->written);
	c->written = rd_kafka_topic_new(c->writer, topic, NULL);
	if (c->written && !rd_kafka_metadata(c->writer, 0, c->written, &metadata, LEARN_MS))
		rd_kafka_metadata_destroy(metadata);
}

bool client_send(struct client *c, const char *topic, struct slice key, struct slice value, struct slice headers, char *errstr,
	size_t size)
{
	rd_kafka_headers_t *list;
	rd_kafka_resp_err_t err;

	if (!c->writer && !open_writer(c, errstr, size))
		return false;
	learn_topic(c, topic);
	list = headers_make(headers);
	err = rd_kafka_producev(c->writer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
		RD_KAFKA_V_KEY((void *)(uintptr_t)key.data, key.len), RD_KAFKA_V_VALUE((void *)(uintptr_t)value.data, value.len),
		RD_KAFKA_V_HEADERS(list), RD_KAFKA_V_END);
	rd_kafka_poll(c->writer, 0);
	if (!err)
		return true;
	if (list)
		rd_kafka_headers_destroy(list);
	snprintf(errstr, size, "a record for %s cannot be sent: %s%s", topic, rd_kafka_err2str(err), mend(err));
	return false;
}

bool client_flush(struct client *c, int timeout_ms, char *errstr, size_t size)
{
	rd_kafka_resp_err_t err = c->writer ? rd_kafka_flush(c->writer, timeout_ms) : RD_KAFKA_RESP_ERR_NO_ERROR;

	if (*c->failure) {
		snprintf(errstr, size, "%s", c->failure);
		*c->failure = '\0';
		return false;
	}
	if (err)
		snprintf(errstr, size, "%d records are not acknowledged after %d ms: %s", rd_kafka_outq_len(c->writer),
			timeout_ms, rd_kafka_err2str(err));
	return !err;
}

static void close_writer(struct client *c)
{
	if (!c->writer)
		return;
	rd_kafka_purge(c->writer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	rd_kafka_flush(c->writer, 0);
	if (c->written)
		rd_kafka_topic_destroy(c->written);
	rd_kafka_destroy(c->writer);
}

void client_free(struct client *c)
{
	if (c->message)
		rd_kafka_message_destroy(c->message);
	if (c->ends)
		rd_kafka_topic_partition_list_destroy(c->ends);
	if (c->reader) {
		rd_kafka_consumer_close(c->reader);
		rd_kafka_destroy(c->reader);
	}
	close_writer(c);
	for (char **p = c->properties; *p; p++)
		free(*p);
	free(c->properties);
	free(c->brokers);
	free(c->topic);
	free(c->ended);
	buf_free(&c->headers);
	free(c);
}
