/* consumer.c: one group member on the loop: its life, and the way of a message.
 *
 * Two queues: control (rebalances, commit results, errors, log) is always served; messages only while somebody wants some. So a
 * full house never costs the membership. */
#include "bridgepool/kafka/consumer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "headers.h"
#include "inside.h"
#include "props.h"

enum {
	EVENTS = RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_OFFSET_COMMIT | RD_KAFKA_EVENT_FETCH | RD_KAFKA_EVENT_ERROR |
		 RD_KAFKA_EVENT_LOG
};
static const int64_t UNREADABLE_AGAIN_US = 30 * SECOND_US;

/* ---- messages ---- */

static struct slice bytes(const void *data, size_t len)
{
	return (struct slice){data, data ? len : 0};
}

static void deliver(struct consumer *c, const rd_kafka_message_t *m, struct part *part)
{
	rd_kafka_timestamp_type_t type;
	struct message message = {
		.source = {part->tp, m->offset},
		.timestamp_ms = rd_kafka_message_timestamp(m, &type),
		.key = bytes(m->key, m->key_len),
		.value = bytes(m->payload, m->len),
		.headers = headers_read(m, &c->headers),
	};

	if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE)
		message.timestamp_ms = -1;
	part->next = m->offset + 1;
	c->events.message(c->events.ctx, &message);
}

/* The library tries again without an end, twice a second, and nothing else would say why nothing comes of this partition. */
static void say_unreadable(struct consumer *c, struct part *part, int64_t offset, const char *why)
{
	int64_t now = clock_mono_us();
	char text[512];

	if (part->unreadable_at_us && now - part->unreadable_at_us < UNREADABLE_AGAIN_US)
		return;
	part->unreadable_at_us = now;
	snprintf(text, sizeof text, "%s[%" PRId32 "] at offset %" PRId64 ": %s", parts_topic(c->parts, part->tp.topic),
		part->tp.partition, offset >= 0 ? offset : part->next, why);
	handle_fault(&c->handle, KAFKA_UNREADABLE, text);
}

/* It is not the connection, what we may do, our membership or the topic that is wrong: what stands there cannot be read. */
static bool is_unreadable(rd_kafka_resp_err_t err)
{
	switch (faults_class(err)) {
	case ERROR_CONNECTION:
	case ERROR_FORBIDDEN:
	case ERROR_STALE:
	case ERROR_TOPIC: return false;
	default: return true;
	}
}

static void partition_error(struct consumer *c, rd_kafka_resp_err_t err, const rd_kafka_topic_partition_t *at, const char *why)
{
	struct part *part = at->topic ? parts_at(c->parts, at->topic, at->partition) : NULL;
	bool live = part && part->state == PART_LIVE;
	char text[512];

	snprintf(text, sizeof text, "%s%s%s", at->topic ? at->topic : "", at->topic ? ": " : "", why);
	if (live && err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
		rebalance_out_of_range(c, part);
	else if (live && is_unreadable(err))
		say_unreadable(c, part, at->offset, why);
	else
		handle_error(&c->handle, err, text);
	if (live && faults_class(err) == ERROR_TOPIC)
		doubts_begin(c, part);
}

/* What was fetched before its partition was held, and what comes behind that, waits for its turn. */
static bool must_wait(const struct part *part)
{
	return part->held || !STAILQ_EMPTY(&part->kept);
}

/* Late ones, of an assignment that is over or closing, and repeated ones are dropped: they are read again by whom they belong to.
 * True: the event is kept. */
static bool one_message(struct consumer *c, rd_kafka_event_t *event, const rd_kafka_message_t *m)
{
	const char *topic = m->rkt ? rd_kafka_topic_name(m->rkt) : NULL;
	const rd_kafka_topic_partition_t at = {.topic = (char *)(uintptr_t)topic, .partition = m->partition, .offset = m->offset};
	struct part *part;

	if (m->err) {
		partition_error(c, m->err, &at, rd_kafka_message_errstr(m));
		return false;
	}
	part = parts_at(c->parts, topic, m->partition);
	if (!part || part->state != PART_LIVE || m->offset < part->next)
		return false;
	silence_heard(c, part);
	part->mean_bytes += ((double)(m->len + m->key_len) - part->mean_bytes) / 16;
	if (!must_wait(part)) {
		deliver(c, m, part);
		return false;
	}
	part->kept_bytes += kept_add(&part->kept, event, m);
	c->nkept++;
	return true;
}

/* Taking the message out, of which there is one, is what moves the position. */
static bool fetch_event(struct consumer *c, rd_kafka_event_t *event)
{
	const rd_kafka_message_t *m = rd_kafka_event_message_next(event);

	return m && one_message(c, event, m);
}

/* ---- queues ---- */

static void error_event(struct consumer *c, rd_kafka_event_t *event)
{
	rd_kafka_topic_partition_t *at = rd_kafka_event_topic_partition(event);

	if (at && !rd_kafka_event_error_is_fatal(event))
		partition_error(c, rd_kafka_event_error(event), at, rd_kafka_event_error_string(event));
	else
		handle_event(&c->handle, event);
	if (!at && faults_class(rd_kafka_event_error(event)) == ERROR_TOPIC)
		doubts_begin_named(c, rd_kafka_event_error_string(event));
	if (at)
		rd_kafka_topic_partition_destroy(at);
}

bool consumer_event(struct consumer *c, rd_kafka_event_t *event)
{
	switch (rd_kafka_event_type(event)) {
	case RD_KAFKA_EVENT_FETCH: return fetch_event(c, event);
	case RD_KAFKA_EVENT_REBALANCE: rebalance_event(c, event); break;
	case RD_KAFKA_EVENT_OFFSET_COMMIT: commits_event(c, event); break;
	case RD_KAFKA_EVENT_ERROR: error_event(c, event); break;
	default: handle_event(&c->handle, event); break;
	}
	return false;
}

/* False: the queue is empty, or this wake-up has done enough. */
static bool serve_one(struct consumer *c, rd_kafka_queue_t *queue, struct work *work)
{
	rd_kafka_event_t *event;

	if (c->closing || !work_take(work))
		return false;
	event = rd_kafka_queue_poll(queue, 0);
	if (!event)
		return false;
	if (!consumer_event(c, event))
		rd_kafka_event_destroy(event);
	return true;
}

static bool may_take(const struct consumer *c, const struct part *part)
{
	return !c->closing && part->state == PART_LIVE && !part->held && c->events.wants(c->events.ctx);
}

static void serve_kept(struct consumer *c, struct work *work)
{
	struct kept *k;

	for (struct part *p = NULL; c->nkept > 0 && (p = parts_next(c->parts, p));)
		while (!STAILQ_EMPTY(&p->kept) && may_take(c, p) && work_take(work)) {
			k = kept_take(&p->kept);
			c->nkept--;
			p->kept_bytes -= k->bytes;
			if (k->message->offset >= p->next)
				deliver(c, k->message, p);
			kept_free(k);
		}
}

static void on_serve(void *ctx, struct work *work)
{
	struct consumer *c = ctx;

	rebalance_retry(c);
	doubts_ask(c);
	commits_refused(c);
	while (serve_one(c, c->control, work))
		;
	serve_kept(c, work);
	hold_look(c);
	while (!c->closing && c->events.wants(c->events.ctx) && serve_one(c, c->messages, work))
		;
	silence_ask(c);
}

void consumer_kick(struct consumer *c)
{
	if (!c->closing)
		wake_signal(c->handle.wake);
}

/* ---- life ---- */

static long long number_of(const rd_kafka_conf_t *conf, const char *name)
{
	char text[32] = "";
	size_t size = sizeof text;

	rd_kafka_conf_get(conf, name, text, &size);
	return strtoll(text, NULL, 10);
}

/* librdkafka lets it pass, and the group throws the member out between two heartbeats, for ever. */
static bool heartbeats_fit(const rd_kafka_conf_t *conf, char *errstr, size_t size)
{
	long long session = number_of(conf, "session.timeout.ms"), heartbeat = number_of(conf, "heartbeat.interval.ms");

	if (heartbeat < session)
		return true;
	snprintf(errstr, size,
		"Kafka property \"session.timeout.ms\": %lld is not above heartbeat.interval.ms=%lld; three times as long is usual",
		session, heartbeat);
	return false;
}

static rd_kafka_conf_t *make_conf(const struct consumer_config *k, char *errstr, size_t size)
{
	bool is_static = k->instance_id && *k->instance_id;
	const struct property given[] = {
		{"bootstrap.servers", k->brokers, NULL},
		{"group.id", k->group, NULL},
		{"session.timeout.ms", is_static ? "45000" : "15000", NULL},
		{"group.instance.id", is_static ? k->instance_id : NULL, NULL},
		{NULL, NULL, NULL},
	};
	char ahead[48];
	const char *const own[] = {k->ahead_bytes ? ahead : NULL, NULL};
	const char *const *lists[] = {own, k->properties, k->more_properties};
	rd_kafka_conf_t *conf;

	snprintf(ahead, sizeof ahead, "queued.max.messages.kbytes=%" PRIu64, k->ahead_bytes / 1024);
	conf = props_make(&props_consumer, given, lists, 3, errstr, size);
	if (!conf)
		return NULL;
	if (!heartbeats_fit(conf, errstr, size)) {
		rd_kafka_conf_destroy(conf);
		return NULL;
	}
	rd_kafka_conf_set_events(conf, EVENTS);
	return conf;
}

bool consumer_takes_property(const char *line, char *errstr, size_t size)
{
	return props_take(&props_consumer, line, errstr, size);
}

bool consumer_config_fits(const struct consumer_config *k, char *errstr, size_t size)
{
	rd_kafka_conf_t *conf = make_conf(k, errstr, size);

	if (conf)
		rd_kafka_conf_destroy(conf);
	return conf != NULL;
}

static bool check_topics(const struct consumer_config *k, char *errstr, size_t size)
{
	for (size_t i = 0; i < k->ntopics; i++)
		if (!*k->topics[i] || *k->topics[i] == '^') {
			snprintf(errstr, size,
				"\"%s\" is no name of a topic to read from; a pattern cannot be given, name each topic",
				k->topics[i]);
			return false;
		}
	return true;
}

static void on_fault(void *ctx, enum kafka_fault fault, const char *why)
{
	struct consumer *c = ctx;

	c->events.fault(c->events.ctx, fault, why);
}

/* Who has partitions is a member still: another request was refused. */
static void on_refused(void *ctx, const char *why)
{
	struct consumer *c = ctx;

	if (!parts_next(c->parts, NULL))
		c->events.out(c->events.ctx, why);
}

static void leave_queue(struct consumer *c, rd_kafka_queue_t *queue)
{
	wake_ignore(c->handle.wake, queue);
	rd_kafka_queue_destroy(queue);
}

/* In the side thread. Nobody polls meanwhile: consumer_close() serves the queues itself, and answers a revoke. */
static void on_leave(void *ctx)
{
	struct consumer *c = ctx;

	for (struct part *p = NULL; (p = parts_next(c->parts, p));)
		ended_add(c, p);
	wake_ignore(c->handle.wake, c->control);
	rd_kafka_consumer_close(c->handle.rk);
	ended_drain(c);
	rd_kafka_queue_destroy(c->control);
	leave_queue(c, c->messages);
}

static void on_left(void *ctx)
{
	struct consumer *c = ctx;

	if (c->events.left)
		c->events.left(c->events.ctx);
}

static void on_closed(void *ctx)
{
	struct consumer *c = ctx;

	c->closed = true;
	c->events.closed(c->events.ctx);
}

static void consumer_clear(struct consumer *c)
{
	rebalance_forget(c);
	commits_forget(c);
	rd_kafka_topic_partition_list_destroy(c->subscription);
	parts_free(c->parts);
	buf_free(&c->headers);
	free(c);
}

/* The library's log and the main queue's errors come through the control queue too. */
static void open_queues(struct consumer *c)
{
	rd_kafka_t *rk = c->handle.rk;

	rd_kafka_set_log_queue(rk, NULL);
	rd_kafka_poll_set_consumer(rk);
	c->control = rd_kafka_queue_get_consumer(rk);
	c->messages = rd_kafka_queue_new(rk);
	wake_watch(c->handle.wake, c->control);
	wake_watch(c->handle.wake, c->messages);
}

struct consumer *consumer_new(struct uv_loop_s *loop, const struct consumer_config *k, const struct consumer_events *ev,
	char *errstr, size_t size)
{
	struct consumer *c;
	rd_kafka_conf_t *conf;
	const struct handle_events hev = {NULL, on_serve, on_fault, on_leave, on_closed, on_left};

	if (!check_topics(k, errstr, size) || !(conf = make_conf(k, errstr, size))) {
		errno = 0;
		return NULL;
	}
	c = xcalloc(1, sizeof *c);
	c->events = *ev;
	c->ahead_most = (uint64_t)number_of(conf, "queued.max.messages.kbytes") * 1024;
	c->parts = parts_new(k->topics, k->ntopics);
	c->subscription = rd_kafka_topic_partition_list_new((int)k->ntopics);
	for (size_t i = 0; i < k->ntopics; i++)
		rd_kafka_topic_partition_list_add(c->subscription, k->topics[i], RD_KAFKA_PARTITION_UA);
	headers_buf_init(&c->headers);
	if (!handle_open(&c->handle, loop, RD_KAFKA_CONSUMER, conf, &hev, errstr, size)) {
		int error = errno;

		consumer_clear(c);
		errno = error;
		return NULL;
	}
	c->handle.events.ctx = c;
	c->handle.refused = on_refused;
	open_queues(c);
	return c;
}

void consumer_subscribe(struct consumer *c)
{
	rd_kafka_resp_err_t err = c->closing ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_subscribe(c->handle.rk, c->subscription);

	if (err)
		log_line(LOG_ERROR, "subscribe", "the topics cannot be subscribed to: %s", rd_kafka_err2str(err));
}

void consumer_close(struct consumer *c)
{
	if (c->closing)
		return;
	c->closing = true;
	handle_close(&c->handle);
}

void consumer_free(struct consumer *c)
{
	CHECK(c->closed);
	consumer_clear(c);
}
