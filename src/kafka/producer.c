/* producer.c: publishes records; their bytes are borrowed until the delivery report. */
#include "bridgepool/kafka/producer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "handle.h"
#include "headers.h"
#include "props.h"
#include "wave.h"

enum { EVENTS = RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_LOG, HELD_KEPT = 4096 };
/* Of what nobody waits for, with librdkafka: as much as goes to a broker that answers at once. */
enum { UNAWAITED_MOST = 256, UNAWAITED_BYTES = 1 << 20 };

/* A record that waits for the wave before it. */
struct held {
	rd_kafka_topic_t *topic;
	struct record record;
};

/* A record that librdkafka refused at once: told from the queue, never from inside producer_send. */
struct refusal {
	struct refusal *next;
	uint64_t serial;
	rd_kafka_resp_err_t err;
	char topic[256];
};

struct producer {
	struct handle handle;
	struct producer_events events;
	rd_kafka_queue_t *queue;
	rd_kafka_event_t *reports; /* one event holds many: what is left of it is for the next wake-up, or NULL */
	struct refusal *refused, **refused_last;
	size_t pending;                    /* sent and not yet reported; those that are held or refused too */
	size_t under_way;                  /* with librdkafka */
	size_t unawaited, unawaited_bytes; /* of those, who have no serial */
	bool full;                         /* one without a serial was not taken, and that there is room again is not told yet */
	struct wave wave;
	struct held *held; /* in their order */
	size_t nheld, held_capacity;
	rd_kafka_topic_t **topics;
	size_t ntopics;
	struct log_limit lost_limit, unwritten_limit;
	bool closing;
};

/* ---- reports ---- */

static void say_lost(struct producer *p, const char *topic, const char *why)
{
	unsigned dropped;

	if (log_allow(&p->lost_limit, 3, 30 * SECOND_US, clock_mono_us(), &dropped))
		log_line(LOG_WARN, "record_lost",
			"a record that nobody waits for was not written topic=%s reason=\"%s\" left_out=%u", topic, why, dropped);
}

/* What has a fault of its own (topics, rights, the connection) is told as that. */
static void say_unwritten(struct producer *p, const char *topic, rd_kafka_resp_err_t err)
{
	unsigned dropped;

	if (log_allow(&p->unwritten_limit, 3, 30 * SECOND_US, clock_mono_us(), &dropped))
		log_line(LOG_WARN, "record_unwritten",
			"a record was not taken, it is sent again topic=%s reason=\"%s\" left_out=%u", topic,
			rd_kafka_err2str(err), dropped);
}

static void report(struct producer *p, uint64_t serial, enum delivery delivery)
{
	CHECK(p->pending > 0);
	p->pending--;
	if (serial)
		p->events.delivered(p->events.ctx, serial, delivery);
}

static void explain(struct producer *p, rd_kafka_resp_err_t err, const char *topic, uint64_t serial)
{
	char why[512];

	snprintf(why, sizeof why, "%s: %s", topic, rd_kafka_err2str(err));
	if (faults_delivery(err) == DELIVERY_REFUSED)
		handle_error(&p->handle, err, why);
	if (!serial)
		say_lost(p, topic, rd_kafka_err2str(err));
	else if (faults_class(err) == ERROR_INVALID || faults_class(err) == ERROR_REFUSED || faults_class(err) == ERROR_OTHER)
		say_unwritten(p, topic, err);
}

static void take_report(struct producer *p, const rd_kafka_message_t *m)
{
	uint64_t serial = (uint64_t)(uintptr_t)m->_private;

	if (m->err)
		explain(p, m->err, rd_kafka_topic_name(m->rkt), serial);
	p->under_way--;
	if (!serial) {
		p->unawaited--;
		p->unawaited_bytes -= m->len + m->key_len;
	}
	report(p, serial, faults_delivery(m->err));
}

static void forget_reports(struct producer *p)
{
	if (p->reports)
		rd_kafka_event_destroy(p->reports);
	p->reports = NULL;
}

static void take_reports(struct producer *p, struct work *work)
{
	const rd_kafka_message_t *m;

	while (p->reports && !p->closing && work_take(work)) {
		m = rd_kafka_event_message_next(p->reports);
		if (m)
			take_report(p, m);
		else
			forget_reports(p);
	}
}

static void tell_refused(struct producer *p)
{
	struct refusal *r;

	while (!p->closing && (r = p->refused)) {
		p->refused = r->next;
		if (!p->refused)
			p->refused_last = &p->refused;
		explain(p, r->err, r->topic, r->serial);
		report(p, r->serial, faults_delivery(r->err));
		free(r);
	}
}

/* ---- sending ---- */

static void refuse(struct producer *p, const char *topic, uint64_t serial, rd_kafka_resp_err_t err)
{
	struct refusal *r = xcalloc(1, sizeof *r);

	r->serial = serial;
	r->err = err;
	snprintf(r->topic, sizeof r->topic, "%s", topic);
	*p->refused_last = r;
	p->refused_last = &r->next;
	p->pending++;
	wake_signal(p->handle.wake);
}

/* Neither copied nor freed by librdkafka: ours until the report. Only the key is copied. */
static rd_kafka_resp_err_t produce(struct producer *p, rd_kafka_topic_t *topic, const struct record *r)
{
	int flags = r->serial ? 0 : RD_KAFKA_MSG_F_COPY;
	rd_kafka_headers_t *headers = headers_make(r->headers);
	rd_kafka_vu_t vus[6] = {
		{.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = topic},
		{.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = flags},
		{.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)(uintptr_t)r->value.data, r->value.len}},
		{.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)(uintptr_t)r->key.data, r->key.len}},
		{.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = (void *)(uintptr_t)r->serial},
		{.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
	};
	rd_kafka_error_t *error = rd_kafka_produceva(p->handle.rk, vus, headers ? 6 : 5);
	rd_kafka_resp_err_t err = error ? rd_kafka_error_code(error) : RD_KAFKA_RESP_ERR_NO_ERROR;

	if (error) {
		rd_kafka_error_destroy(error);
		if (headers)
			rd_kafka_headers_destroy(headers); /* it takes them only when it takes the record */
	} else {
		p->under_way++;
		p->unawaited += r->serial == 0;
		p->unawaited_bytes += r->serial == 0 ? r->value.len + r->key.len : 0;
	}
	return err;
}

/* NULL: librdkafka does not take the name, and says why. By handle, it need not look for the topic with each record. */
static rd_kafka_topic_t *topic_of(struct producer *p, const char *name)
{
	rd_kafka_topic_t *topic;

	for (size_t i = 0; i < p->ntopics; i++)
		if (strcmp(rd_kafka_topic_name(p->topics[i]), name) == 0)
			return p->topics[i];
	topic = rd_kafka_topic_new(p->handle.rk, name, NULL);
	if (topic) {
		p->topics = xrealloc(p->topics, (p->ntopics + 1) * sizeof(struct rd_kafka_topic_t *));
		p->topics[p->ntopics++] = topic;
	}
	return topic;
}

static void hold(struct producer *p, rd_kafka_topic_t *topic, const struct record *r)
{
	if (p->nheld == p->held_capacity) {
		p->held_capacity = p->held_capacity ? p->held_capacity * 2 : 64;
		p->held = xrealloc(p->held, p->held_capacity * sizeof *p->held);
	}
	if (p->nheld == 0)
		wake_within(p->handle.wake, WAVE_PATIENCE_MS);
	p->held[p->nheld++] = (struct held){topic, *r};
	p->pending++;
}

static void forget_held(struct producer *p, size_t n)
{
	p->nheld -= n;
	memmove(p->held, p->held + n, p->nheld * sizeof *p->held);
	if (p->nheld == 0 && p->held_capacity > HELD_KEPT) {
		free(p->held);
		p->held = NULL;
		p->held_capacity = 0;
	}
}

/* The next wave: all of them, as far as librdkafka's queue takes them. */
static void release(struct producer *p)
{
	size_t n;

	if (p->nheld == 0)
		return;
	if (!wave_takes(&p->wave, p->under_way, clock_mono_us())) {
		wake_within(p->handle.wake, WAVE_PATIENCE_MS); /* it was the tick of each second that came between */
		return;
	}
	for (n = 0; n < p->nheld; n++) {
		struct held *h = &p->held[n];
		rd_kafka_resp_err_t err = produce(p, h->topic, &h->record);
		if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
			break;
		if (err) {
			p->pending--;
			refuse(p, rd_kafka_topic_name(h->topic), h->record.serial, err);
		}
	}
	forget_held(p, n);
	if (p->nheld > 0)
		wake_within(p->handle.wake, WAVE_PATIENCE_MS);
}

static bool send_now(struct producer *p, rd_kafka_topic_t *topic, const struct record *r)
{
	rd_kafka_resp_err_t err = produce(p, topic, r);

	switch (err) {
	case RD_KAFKA_RESP_ERR_NO_ERROR: p->pending++; return true;
	case RD_KAFKA_RESP_ERR__QUEUE_FULL:
	case RD_KAFKA_RESP_ERR__FATAL: /* told as a fault; nothing is sent any more */ return false;
	default: refuse(p, rd_kafka_topic_name(topic), r->serial, err); return true;
	}
}

static bool has_room(const struct producer *p, size_t bytes)
{
	return p->unawaited == 0 || (p->unawaited < UNAWAITED_MOST && p->unawaited_bytes + bytes <= UNAWAITED_BYTES);
}

/* Its bytes are not ours later, and it is seldom: it goes at once or not at all. librdkafka's own queue is far too long for it.
 */
static bool send_unawaited(struct producer *p, rd_kafka_topic_t *topic, const struct record *r)
{
	bool sent = has_room(p, r->value.len + r->key.len) && send_now(p, topic, r);

	p->full = p->full || !sent;
	return sent;
}

bool producer_send(struct producer *p, const char *name, const struct record *r)
{
	rd_kafka_topic_t *topic;

	if (p->closing)
		return false;
	topic = topic_of(p, name);
	if (!topic) {
		refuse(p, name, r->serial, rd_kafka_last_error());
		return true;
	}
	if (r->serial == 0)
		return send_unawaited(p, topic, r);
	if (p->nheld == 0 && wave_takes(&p->wave, p->under_way, clock_mono_us()))
		return send_now(p, topic, r);
	hold(p, topic, r);
	return true;
}

void producer_prepare(struct producer *p, const char *topic)
{
	topic_of(p, topic);
}

size_t producer_pending(const struct producer *p)
{
	return p->pending;
}

/* ---- the loop ---- */

static void tell_room(struct producer *p)
{
	if (!p->full || !has_room(p, UNAWAITED_BYTES / 2))
		return;
	p->full = false;
	if (p->events.room)
		p->events.room(p->events.ctx);
}

static void on_serve(void *ctx, struct work *work)
{
	struct producer *p = ctx;
	rd_kafka_event_t *event;

	tell_refused(p);
	take_reports(p, work);
	while (!p->closing && work_take(work) && (event = rd_kafka_queue_poll(p->queue, 0))) {
		if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR) {
			p->reports = event;
			take_reports(p, work);
			continue;
		}
		handle_event(&p->handle, event);
		rd_kafka_event_destroy(event);
	}
	if (!p->closing)
		tell_room(p);
	if (!p->closing)
		release(p);
}

/* ---- life ---- */

static void on_fault(void *ctx, enum kafka_fault fault, const char *why)
{
	struct producer *p = ctx;

	p->events.fault(p->events.ctx, fault, why);
}

/* In the side thread. The purge drops what is not acknowledged, so that the end does not wait for a broker. */
static void on_leave(void *ctx)
{
	struct producer *p = ctx;

	wake_ignore(p->handle.wake, p->queue);
	forget_reports(p);
	for (size_t i = 0; i < p->ntopics; i++)
		rd_kafka_topic_destroy(p->topics[i]);
	rd_kafka_purge(p->handle.rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	rd_kafka_queue_destroy(p->queue);
}

static void producer_free(struct producer *p)
{
	struct refusal *r;

	while ((r = p->refused)) {
		p->refused = r->next;
		free(r);
	}
	free(p->topics);
	free(p->held);
	free(p);
}

static void on_closed(void *ctx)
{
	producer_free(ctx);
}

static rd_kafka_conf_t *make_conf(const struct producer_config *k, char *errstr, size_t size)
{
	char linger[32];
	const struct property given[] = {
		{"bootstrap.servers", k->brokers, NULL},
		{"linger.ms", linger, NULL},
		{NULL, NULL, NULL},
	};
	const char *const *lists[] = {k->properties, k->more_properties};
	rd_kafka_conf_t *conf;

	snprintf(linger, sizeof linger, "%" PRId64 ".%03" PRId64, k->linger_us / MS_US, k->linger_us % MS_US);
	conf = props_make(&props_producer, given, lists, 2, errstr, size);
	if (conf)
		rd_kafka_conf_set_events(conf, EVENTS);
	return conf;
}

struct producer *producer_new(struct uv_loop_s *loop, const struct producer_config *k, const struct producer_events *ev,
	char *errstr, size_t size)
{
	struct producer *p;
	rd_kafka_conf_t *conf = make_conf(k, errstr, size);
	const struct handle_events hev = {NULL, on_serve, on_fault, on_leave, on_closed, NULL};

	if (!conf) {
		errno = 0;
		return NULL;
	}
	p = xcalloc(1, sizeof *p);
	p->events = *ev;
	p->refused_last = &p->refused;
	p->wave.linger_us = k->linger_us;
	if (!handle_open(&p->handle, loop, RD_KAFKA_PRODUCER, conf, &hev, errstr, size)) {
		int error = errno;

		producer_free(p);
		errno = error;
		return NULL;
	}
	p->handle.events.ctx = p;
	rd_kafka_set_log_queue(p->handle.rk, NULL);
	p->queue = rd_kafka_queue_get_main(p->handle.rk);
	wake_watch(p->handle.wake, p->queue);
	return p;
}

void producer_close(struct producer *p)
{
	CHECK(!p->closing);
	p->closing = true;
	handle_close(&p->handle);
}

bool producer_takes_property(const char *line, char *errstr, size_t size)
{
	return props_take(&props_producer, line, errstr, size);
}
