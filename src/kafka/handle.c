/* handle.c: one librdkafka client on the loop. */
#include "handle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"

enum {
	ASK_TIMEOUT_MS = 1000,
	ASK_EVERY_MS = 1000,
	LOG_BURST = 5,
	FAULT_BURST = 3,
};
static const int64_t LIMIT_PER_US = 30 * SECOND_US;

/* ---- log lines of the library ---- */

static const char *name_of(rd_kafka_type_t type)
{
	return type == RD_KAFKA_CONSUMER ? "consumer" : "producer";
}

static enum log_level level_of(int syslog_level)
{
	return syslog_level >= 7 ? LOG_DEBUG : syslog_level >= 5 ? LOG_INFO : LOG_WARN;
}

/* What rd_kafka_consumer_close() finds in the queues, in the side thread; the library would write it to stderr as it is. */
static void on_last_log(const rd_kafka_t *rk, int syslog_level, const char *facility, const char *text)
{
	log_line(level_of(syslog_level), "librdkafka", "client=%s %s: %s", name_of(rd_kafka_type(rk)), facility, text);
}

static void handle_log(struct handle *h, rd_kafka_event_t *event)
{
	const char *facility, *text;
	unsigned dropped;
	int syslog_level;
	enum log_level level;

	if (rd_kafka_event_log(event, &facility, &text, &syslog_level))
		return;
	level = level_of(syslog_level);
	if (level != LOG_DEBUG && !log_allow(&h->log_limit, LOG_BURST, LIMIT_PER_US, clock_mono_us(), &dropped))
		return;
	log_line(level, "librdkafka", "client=%s %s: %s", h->name, facility, text);
}

/* ---- does a broker answer? ----
 *
 * An error of a connection says little: the other brokers may be up, and an idle client hears nothing when they come back. So
 * an error is only a reason to ask. */

struct question {
	struct lane_job job;
	struct handle *handle;
	rd_kafka_resp_err_t err;
};

static void handle_reach(struct handle *h, enum reach_state to)
{
	enum reach_state from = h->reach;

	if (from == to)
		return;
	h->reach = to;
	if (to == REACH_AWAY)
		h->events.fault(h->events.ctx, KAFKA_UNREACHABLE, h->reach_why);
	else if (to == REACH_GOOD && from == REACH_AWAY)
		h->events.fault(h->events.ctx, KAFKA_REACHABLE, "");
}

static void run_question(struct lane_job *job)
{
	struct question *q = (struct question *)job;
	const struct rd_kafka_metadata *metadata;

	q->err = rd_kafka_metadata(q->handle->rk, 0, NULL, &metadata, ASK_TIMEOUT_MS);
	if (!q->err)
		rd_kafka_metadata_destroy(metadata);
}

static void question_done(struct lane_job *job)
{
	struct question *q = (struct question *)job;
	struct handle *h = q->handle;
	bool good = !q->err;

	free(q);
	h->asking = false;
	if (h->closing)
		return;
	handle_reach(h, good ? REACH_GOOD : REACH_AWAY);
	if (!good) {
		h->ask_at_us = clock_mono_us() + ASK_EVERY_MS * MS_US;
		wake_within(h->wake, ASK_EVERY_MS);
	}
}

static void handle_ask(struct handle *h)
{
	struct question *q = xcalloc(1, sizeof *q);

	q->job = (struct lane_job){run_question, question_done, NULL};
	q->handle = h;
	h->asking = true;
	h->ask_at_us = 0;
	lane_post(h->lane, &q->job);
}

static void handle_suspect(struct handle *h, const char *why)
{
	if (h->reach != REACH_GOOD)
		return;
	snprintf(h->reach_why, sizeof h->reach_why, "%s", why);
	handle_reach(h, REACH_SUSPECT);
	handle_ask(h);
}

/* ---- errors ---- */

void handle_fault(struct handle *h, enum kafka_fault fault, const char *why)
{
	unsigned dropped;

	if (log_allow(&h->fault_limits[fault], FAULT_BURST, LIMIT_PER_US, clock_mono_us(), &dropped))
		h->events.fault(h->events.ctx, fault, why);
}

/* What the group refuses does not pass by itself, and librdkafka tries again for ever. NULL: nothing to be said about it. */
static const char *refusal_of(rd_kafka_resp_err_t err)
{
	switch (err) {
	case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL:
		return "all instances of a group need the same partition.assignment.strategy";
	case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
		return "session.timeout.ms must lie within group.min.session.timeout.ms and group.max.session.timeout.ms of the brokers";
	case RD_KAFKA_RESP_ERR_GROUP_MAX_SIZE_REACHED:
		return "the group has as many members as group.max.size of the brokers allows";
	default: return NULL;
	}
}

static void handle_refused(struct handle *h, const char *why)
{
	if (h->refused)
		h->refused(h->events.ctx, why);
}

static void handle_other(struct handle *h, rd_kafka_resp_err_t err, const char *why)
{
	const char *mend = refusal_of(err);
	unsigned dropped;

	if (mend)
		handle_refused(h, why);
	if (!mend)
		log_line(LOG_DEBUG, "kafka_error", "client=%s %s: %s", h->name, rd_kafka_err2name(err), why);
	else if (log_allow(&h->refusal_limit, 1, LIMIT_PER_US, clock_mono_us(), &dropped))
		log_line(LOG_ERROR, "group_refused", "the group does not take this instance, it is tried again: %s; %s", why,
			mend);
}

static void handle_fatal(struct handle *h)
{
	char why[512];
	rd_kafka_resp_err_t err = rd_kafka_fatal_error(h->rk, why, sizeof why);

	handle_fault(h, err == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID ? KAFKA_FENCED : KAFKA_FATAL, why);
}

void handle_error(struct handle *h, rd_kafka_resp_err_t err, const char *why)
{
	if (err == RD_KAFKA_RESP_ERR__FATAL) {
		handle_fatal(h);
		return;
	}
	if (err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
		handle_refused(h, why);
	switch (faults_class(err)) {
	case ERROR_CONNECTION: handle_suspect(h, why); break;
	case ERROR_TOPIC: handle_fault(h, KAFKA_TOPIC_MISSING, why); break;
	case ERROR_FORBIDDEN: handle_fault(h, KAFKA_FORBIDDEN, why); break;
	default: handle_other(h, err, why);
	}
}

void handle_event(struct handle *h, rd_kafka_event_t *event)
{
	switch (rd_kafka_event_type(event)) {
	case RD_KAFKA_EVENT_LOG: handle_log(h, event); break;
	case RD_KAFKA_EVENT_ERROR:
		if (rd_kafka_event_error_is_fatal(event))
			handle_fatal(h);
		else
			handle_error(h, rd_kafka_event_error(event), rd_kafka_event_error_string(event));
		break;
	default: break;
	}
}

/* ---- life ---- */

struct ending {
	struct lane_job job;
	struct handle *handle;
};

static void run_ending(struct lane_job *job)
{
	struct handle *h = ((struct ending *)job)->handle;

	h->events.leave(h->events.ctx);
}

static void run_destroy(struct lane_job *job)
{
	rd_kafka_destroy(((struct ending *)job)->handle->rk);
}

static void on_wake_closed(void *ctx)
{
	struct handle *h = ctx;

	h->events.closed(h->events.ctx);
}

static void on_lane_closed(void *ctx)
{
	struct handle *h = ctx;

	wake_close(h->wake, on_wake_closed);
}

static void destroy_done(struct lane_job *job)
{
	struct handle *h = ((struct ending *)job)->handle;

	free(job);
	h->rk = NULL;
	lane_close(h->lane, on_lane_closed, h);
}

/* To be out of the group is one thing, to be destroyed another, which librdkafka now and then does not come to an end with. */
static void ending_done(struct lane_job *job)
{
	struct handle *h = ((struct ending *)job)->handle;

	*job = (struct lane_job){run_destroy, destroy_done, NULL};
	lane_post(h->lane, job);
	if (h->events.left)
		h->events.left(h->events.ctx);
}

static void handle_end(struct handle *h)
{
	struct ending *e = xcalloc(1, sizeof *e);

	wake_stop(h->wake);
	e->job = (struct lane_job){run_ending, ending_done, NULL};
	e->handle = h;
	lane_post(h->lane, &e->job);
}

static void on_serve(void *ctx, struct work *work)
{
	struct handle *h = ctx;

	if (h->ask_at_us && !h->asking && clock_mono_us() >= h->ask_at_us)
		handle_ask(h);
	h->serving = true;
	h->events.serve(h->events.ctx, work);
	h->serving = false;
	if (h->closing)
		handle_end(h);
}

static void on_nothing(void *ctx)
{
	(void)ctx;
}

/* What the client needs of ours. False: errno and errstr say what the machine has not. */
static bool open_own(struct handle *h, uv_loop_t *loop, char *errstr, size_t size)
{
	int error;

	h->lane = lane_new(loop);
	if (!h->lane) {
		snprintf(errstr, size,
			"the Kafka %s gets no thread: the limit of processes is reached; raise it (ulimit -u, TasksMax, pids.max)",
			h->name);
		return false;
	}
	h->wake = wake_new(loop, on_serve, h);
	if (h->wake)
		return true;
	error = errno;
	lane_close(h->lane, on_nothing, NULL);
	snprintf(errstr, size,
		"the Kafka %s gets no descriptor that the loop watches: %s; raise the limit of open files (ulimit -n)", h->name,
		strerror(error));
	errno = error;
	return false;
}

bool handle_open(struct handle *h, uv_loop_t *loop, rd_kafka_type_t type, rd_kafka_conf_t *conf, const struct handle_events *ev,
	char *errstr, size_t size)
{
	char why[512];
	int error;

	*h = (struct handle){.events = *ev, .name = name_of(type)};
	rd_kafka_conf_set_log_cb(conf, on_last_log);
	h->rk = rd_kafka_new(type, conf, why, sizeof why);
	if (!h->rk) {
		snprintf(errstr, size, "the Kafka %s cannot be made: %s; look at kafka.properties and kafka.%s_properties",
			h->name, why, h->name);
		error = rd_kafka_last_error() == RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE ? EAGAIN : 0;
		rd_kafka_conf_destroy(conf);
		errno = error;
		return false;
	}
	if (open_own(h, loop, errstr, size))
		return true;
	error = errno;
	rd_kafka_destroy(h->rk);
	h->rk = NULL;
	errno = error;
	return false;
}

void handle_close(struct handle *h)
{
	CHECK(!h->closing);
	h->closing = true;
	if (!h->serving)
		handle_end(h); /* else when the event that is being served is over */
}
