/* admin.c: topics and what the broker says about them, by blocking calls. */
#include "bridgepool/kafka/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "faults.h"
#include "props.h"

enum {
	RETRY_US = 100 * 1000,
	GOOD_IN_A_ROW = 3, /* brokers learn of a new topic one after the other, and any of them may be asked */
	ASK_MOST_MS = 5000,
};

struct admin {
	rd_kafka_t *rk;
	char *brokers;
	char error[256]; /* the last one of a connection: why nobody answers */
};

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	struct admin *a = opaque;

	(void)rk;
	if (err != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
		snprintf(a->error, sizeof a->error, "%s", reason);
}

/* A consumer's handle: a producer's would create a topic by asking for it. It joins no group. */
struct admin *admin_new(const char *brokers, const char *const *properties, char *errstr, size_t size)
{
	const struct property given[] = {{"bootstrap.servers", brokers, NULL}, {NULL, NULL, NULL}};
	rd_kafka_conf_t *conf = props_make(&props_client, given, &properties, 1, errstr, size);
	struct admin *a;
	char why[512];

	if (!conf)
		return NULL;
	a = xcalloc(1, sizeof *a);
	a->brokers = xstrdup(brokers);
	rd_kafka_conf_set_opaque(conf, a);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_log_cb(conf, NULL); /* what matters is told by errstr */
	a->rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
	if (a->rk)
		return a;
	snprintf(errstr, size, "the Kafka client cannot be made: %s; look at kafka.properties", why);
	rd_kafka_conf_destroy(conf);
	admin_free(a);
	return NULL;
}

void admin_free(struct admin *a)
{
	if (a->rk)
		rd_kafka_destroy(a->rk);
	free(a->brokers);
	free(a);
}

bool admin_reach(struct admin *a, int timeout_ms, char *errstr, size_t size)
{
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err = rd_kafka_metadata(a->rk, 0, NULL, &metadata, timeout_ms);

	rd_kafka_poll(a->rk, 0);
	if (!err) {
		rd_kafka_metadata_destroy(metadata);
		return true;
	}
	snprintf(errstr, size,
		"no broker of %s answers: %s; look at kafka.brokers, at the network, and at the security settings in kafka.properties",
		a->brokers, *a->error ? a->error : rd_kafka_err2str(err));
	return false;
}

/* ---- topics ---- */

static rd_kafka_resp_err_t partition_error(const struct rd_kafka_metadata_topic *t)
{
	for (int i = 0; i < t->partition_cnt; i++)
		if (t->partitions[i].err)
			return t->partitions[i].err;
	return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t ask_topic(struct admin *a, const char *topic, int timeout_ms, struct topic_info *out)
{
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(a->rk, topic, NULL);
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err;

	if (!rkt)
		return rd_kafka_last_error();
	err = rd_kafka_metadata(a->rk, 0, rkt, &metadata, timeout_ms);
	rd_kafka_topic_destroy(rkt);
	if (err)
		return err;
	err = metadata->topics[0].err;
	out->partitions = metadata->topics[0].partition_cnt;
	if (!err && out->partitions == 0)
		err = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
	if (!err)
		err = partition_error(&metadata->topics[0]);
	rd_kafka_metadata_destroy(metadata);
	return err;
}

static enum topic_state state_of(rd_kafka_resp_err_t err)
{
	if (!err)
		return TOPIC_OK;
	switch (faults_class(err)) {
	case ERROR_TOPIC: return TOPIC_MISSING;
	case ERROR_FORBIDDEN: return TOPIC_FORBIDDEN;
	default: return TOPIC_UNKNOWN;
	}
}

/* An election or a broker that is just starting passes: asked again until the time is over. */
bool admin_topic(struct admin *a, const char *topic, int timeout_ms, struct topic_info *out)
{
	int64_t until = clock_mono_us() + timeout_ms * MS_US;
	rd_kafka_resp_err_t err;

	*out = (struct topic_info){.state = TOPIC_UNKNOWN};
	for (;;) {
		err = ask_topic(a, topic, clock_left_ms(until, ASK_MOST_MS), out);
		out->state = state_of(err);
		if (out->state != TOPIC_UNKNOWN || clock_mono_us() >= until)
			break;
		usleep(RETRY_US);
	}
	if (err)
		snprintf(out->why, sizeof out->why, "%s", rd_kafka_err2str(err));
	return out->state != TOPIC_UNKNOWN;
}

/* ---- requests to the controller ---- */

/* The event, or NULL after the request's own time limit and a little. */
static rd_kafka_event_t *await_event(rd_kafka_queue_t *queue, int timeout_ms)
{
	int64_t until = clock_mono_us() + (timeout_ms + 1000) * MS_US;
	rd_kafka_event_t *event = NULL;

	while (!event && clock_mono_us() < until)
		event = rd_kafka_queue_poll(queue, clock_left_ms(until, timeout_ms + 1000));
	return event;
}

static rd_kafka_AdminOptions_t *new_options(struct admin *a, rd_kafka_admin_op_t op, int timeout_ms)
{
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(a->rk, op);
	char why[256];

	rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, why, sizeof why);
	if (op == RD_KAFKA_ADMIN_OP_CREATETOPICS)
		rd_kafka_AdminOptions_set_operation_timeout(options, timeout_ms, why, sizeof why);
	return options;
}

static bool set_config(rd_kafka_NewTopic_t *topic, const char *pair, char *errstr, size_t size)
{
	const char *equals = strchr(pair, '=');
	char name[128];

	if (!equals || (size_t)(equals - pair) >= sizeof name) {
		snprintf(errstr, size, "topic setting \"%s\": write it as name=value", pair);
		return false;
	}
	snprintf(name, sizeof name, "%.*s", (int)(equals - pair), pair);
	rd_kafka_NewTopic_set_config(topic, name, equals + 1);
	return true;
}

static rd_kafka_NewTopic_t *new_topic(const struct topic_spec *t, char *errstr, size_t size)
{
	char why[256];
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(t->name, t->partitions, t->replication, why, sizeof why);

	if (!topic) {
		snprintf(errstr, size, "topic %s cannot be described: %s", t->name, why);
		return NULL;
	}
	for (const char *const *pair = t->config; pair && *pair; pair++)
		if (!set_config(topic, *pair, errstr, size)) {
			rd_kafka_NewTopic_destroy(topic);
			return NULL;
		}
	return topic;
}

static rd_kafka_resp_err_t created_error(rd_kafka_event_t *event, char *why, size_t size)
{
	const rd_kafka_topic_result_t *const *topics;
	rd_kafka_resp_err_t err = rd_kafka_event_error(event);
	const char *text = rd_kafka_event_error_string(event);
	size_t n;

	if (!err) {
		topics = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
		err = n ? rd_kafka_topic_result_error(topics[0]) : RD_KAFKA_RESP_ERR__FAIL;
		text = n ? rd_kafka_topic_result_error_string(topics[0]) : NULL;
	}
	snprintf(why, size, "%s", text ? text : rd_kafka_err2str(err));
	return err;
}

static rd_kafka_resp_err_t ask_create(struct admin *a, rd_kafka_NewTopic_t *topic, int timeout_ms, char *why, size_t size)
{
	rd_kafka_AdminOptions_t *options = new_options(a, RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout_ms);
	rd_kafka_queue_t *queue = rd_kafka_queue_new(a->rk);
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__TIMED_OUT;
	rd_kafka_event_t *event;

	snprintf(why, size, "no answer in %d ms", timeout_ms);
	rd_kafka_CreateTopics(a->rk, &topic, 1, options, queue);
	event = await_event(queue, timeout_ms);
	if (event) {
		err = created_error(event, why, size);
		rd_kafka_event_destroy(event);
	}
	rd_kafka_queue_destroy(queue);
	rd_kafka_AdminOptions_destroy(options);
	return err;
}

static bool await_topic(struct admin *a, const struct topic_spec *t, int64_t until, char *errstr, size_t size)
{
	struct topic_info info;
	unsigned good = 0;

	do {
		admin_topic(a, t->name, clock_left_ms(until, ASK_MOST_MS), &info);
		good = info.state == TOPIC_OK ? good + 1 : 0;
		if (!good)
			usleep(RETRY_US);
	} while (good < GOOD_IN_A_ROW && clock_mono_us() < until);
	if (good < GOOD_IN_A_ROW)
		snprintf(errstr, size, "topic %s was created, but is not usable yet: %s", t->name,
			*info.why ? info.why : "it comes and goes");
	return good == GOOD_IN_A_ROW;
}

bool admin_create(struct admin *a, const struct topic_spec *t, int timeout_ms, bool *created, char *errstr, size_t size)
{
	int64_t until = clock_mono_us() + timeout_ms * MS_US;
	rd_kafka_NewTopic_t *topic = new_topic(t, errstr, size);
	rd_kafka_resp_err_t err;
	char why[384];

	*created = false;
	if (!topic)
		return false;
	err = ask_create(a, topic, timeout_ms, why, sizeof why);
	rd_kafka_NewTopic_destroy(topic);
	if (err == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		return true;
	if (err) {
		snprintf(errstr, size, "topic %s cannot be created: %s", t->name, why);
		return false;
	}
	*created = true;
	return await_topic(a, t, until, errstr, size);
}

/* ---- settings ---- */

/* The embedded broker names a controller that is not there; a request to it would wait until its time is over. */
static bool has_controller(struct admin *a, int timeout_ms)
{
	const struct rd_kafka_metadata *metadata;
	int32_t id;
	bool found = false;

	if (rd_kafka_metadata(a->rk, 0, NULL, &metadata, timeout_ms))
		return false;
	id = rd_kafka_controllerid(a->rk, 0);
	for (int i = 0; i < metadata->broker_cnt; i++)
		found = found || metadata->brokers[i].id == id;
	rd_kafka_metadata_destroy(metadata);
	return found;
}

static bool find_setting(rd_kafka_event_t *event, const char *name, char *value, size_t size)
{
	const rd_kafka_ConfigResource_t **resources;
	const rd_kafka_ConfigEntry_t **entries;
	size_t n, entry_count;

	if (rd_kafka_event_error(event))
		return false;
	resources = rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &n);
	if (!n || rd_kafka_ConfigResource_error(resources[0]))
		return false;
	entries = rd_kafka_ConfigResource_configs(resources[0], &entry_count);
	for (size_t i = 0; i < entry_count; i++)
		if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) == 0 && rd_kafka_ConfigEntry_value(entries[i])) {
			snprintf(value, size, "%s", rd_kafka_ConfigEntry_value(entries[i]));
			return true;
		}
	return false;
}

bool admin_setting(struct admin *a, const char *topic, const char *name, int timeout_ms, char *value, size_t size)
{
	rd_kafka_AdminOptions_t *options;
	rd_kafka_ConfigResource_t *resource;
	rd_kafka_queue_t *queue;
	rd_kafka_event_t *event;
	bool found = false;

	if (!has_controller(a, timeout_ms))
		return false;
	options = new_options(a, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout_ms);
	resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
	queue = rd_kafka_queue_new(a->rk);
	rd_kafka_DescribeConfigs(a->rk, &resource, 1, options, queue);
	event = await_event(queue, timeout_ms);
	if (event) {
		found = find_setting(event, name, value, size);
		rd_kafka_event_destroy(event);
	}
	rd_kafka_queue_destroy(queue);
	rd_kafka_ConfigResource_destroy(resource);
	rd_kafka_AdminOptions_destroy(options);
	return found;
}
