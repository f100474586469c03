/* The Kafka room against Apache Kafka: what the embedded broker cannot judge. Starts one broker, and ends it. */
#include <librdkafka/rdkafka.h>
#include <unistd.h>

#include "bridgepool/kafka/admin.h"
#include "bridgepool/kafka/client.h"
#include "kafka_member.h"

enum { PARTITIONS = 4, PATH_LEN = 512 };

static char cluster[PATH_LEN], brokers[256];
static uv_loop_t *loop;
static unsigned names; /* a topic and a group of its own for each test */
static char topic[64], group[64];

/* ---- the cluster ---- */

static void script(const char *arguments)
{
	char line[3 * PATH_LEN];

	snprintf(line, sizeof line, "'%s/tests/kafka/kafka' %s", getenv("SOURCE_DIR"), arguments);
	ck_assert_msg(system(line) == 0, "%s failed", line);
}

static void broker_do(const char *action)
{
	char arguments[2 * PATH_LEN];

	snprintf(arguments, sizeof arguments, "%s '%s' 1", action, cluster);
	script(arguments);
}

static bool cluster_start(void)
{
	char line[4 * PATH_LEN];
	FILE *f;
	bool good;

	snprintf(cluster, sizeof cluster, "%s/kafka-room.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!getenv("SOURCE_DIR") || !mkdtemp(cluster))
		return false;
	snprintf(line, sizeof line,
		"'%s/tests/kafka/kafka' start 1 '%s' authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer"
		" allow.everyone.if.no.acl.found=true",
		getenv("SOURCE_DIR"), cluster);
	f = popen(line, "r");
	good = f && fgets(brokers, sizeof brokers, f);
	if (f && pclose(f) != 0)
		good = false;
	brokers[strcspn(brokers, "\n")] = '\0';
	return good;
}

static void cluster_stop(void)
{
	char line[4 * PATH_LEN];

	snprintf(line, sizeof line, "'%s/tests/kafka/kafka' stop '%s' && rm -rf '%s'", getenv("SOURCE_DIR"), cluster, cluster);
	if (system(line) != 0)
		fprintf(stderr, "%s failed\n", line);
}

static struct admin *admin_open(void)
{
	char why[512];
	struct admin *a = admin_new(brokers, NULL, why, sizeof why);

	ck_assert_msg(a != NULL, "%s", why);
	ck_assert_msg(admin_reach(a, 20000, why, sizeof why), "%s", why);
	return a;
}

static void create_with(const char *name, int partitions, const char *const *config)
{
	const struct topic_spec spec = {name, partitions, -1, config};
	struct admin *a = admin_open();
	bool created;
	char why[512];

	ck_assert_msg(admin_create(a, &spec, 20000, &created, why, sizeof why), "%s", why);
	ck_assert(created);
	admin_free(a);
}

static void create(const char *name, int partitions)
{
	create_with(name, partitions, NULL);
}

static void setup(void)
{
	loop = xmalloc(sizeof *loop);
	ck_assert_int_eq(uv_loop_init(loop), 0);
	snprintf(topic, sizeof topic, "in-%u", ++names);
	snprintf(group, sizeof group, "group-%u", names);
	create(topic, PARTITIONS);
}

static void teardown(void)
{
	ck_assert_int_eq(uv_loop_close(loop), 0);
	free(loop);
}

/* ---- members ---- */

static const char *const quick[] = {"session.timeout.ms=6000", "heartbeat.interval.ms=500", "max.poll.interval.ms=8000", NULL};

/* For members that must live through what takes long on a busy machine. */
static const char *const patient[] = {"session.timeout.ms=120000", "heartbeat.interval.ms=500", "max.poll.interval.ms=120000",
	NULL};

static struct member *new_member(const char *instance, const char *const *properties)
{
	const char *topics[] = {topic};
	const struct consumer_config k = {
		.brokers = brokers,
		.group = group,
		.instance_id = instance,
		.topics = topics,
		.ntopics = 1,
		.properties = properties,
	};

	return member_consumer(loop, &k);
}

static struct member *join_with(const char *instance, const char *const *properties)
{
	struct member *m = new_member(instance, properties);

	consumer_subscribe(m->consumer);
	return m;
}

static struct member *join(const char *instance)
{
	return join_with(instance, quick);
}

static size_t live_parts(const struct member *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->nparts; i++)
		n += m->parts[i].has_offset && !m->parts[i].revoked;
	return n;
}

static bool has_all(void *ctx)
{
	return live_parts(ctx) == PARTITIONS;
}

static bool has_half(void *ctx)
{
	return live_parts(ctx) == PARTITIONS / 2;
}

static bool was_assigned(void *ctx)
{
	return ((struct member *)ctx)->nparts > 0;
}

static bool was_revoked(void *ctx)
{
	return ((struct member *)ctx)->revoked > 0;
}

static size_t awaited;

static bool got_awaited(void *ctx)
{
	return ((struct member *)ctx)->nmessages >= awaited;
}

static bool delivered_awaited(void *ctx)
{
	return ((struct member *)ctx)->delivered >= awaited;
}

static bool committed_awaited(void *ctx)
{
	return ((struct member *)ctx)->committed >= awaited;
}

static struct member *open_producer(uv_loop_t *on, const char *const *properties)
{
	const struct producer_config k = {.brokers = brokers, .properties = properties, .linger_us = 1000};

	return member_producer(on, &k);
}

static bool nothing_pending(void *ctx)
{
	return producer_pending(((struct member *)ctx)->producer) == 0;
}

static void fill(unsigned records)
{
	uv_loop_t own; /* members on the other loop stand still meanwhile */
	struct member *p;
	struct {
		char key[16], value[16];
	} *texts = xcalloc(records, sizeof *texts); /* they stay until the reports */

	ck_assert_int_eq(uv_loop_init(&own), 0);
	p = open_producer(&own, NULL);
	for (unsigned i = 0; i < records; i++) {
		snprintf(texts[i].key, sizeof texts[i].key, "k%u", (i + 1) % 100);
		snprintf(texts[i].value, sizeof texts[i].value, "%u", i + 1);
		member_send(p, topic, i + 1, texts[i].key, texts[i].value);
	}
	AWAIT(&own, nothing_pending, p);
	member_close_producer(p);
	free(texts);
	ck_assert_int_eq(uv_loop_close(&own), 0);
}

static void on_pause(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

static bool is_true(void *ctx)
{
	return *(bool *)ctx;
}

/* Lets the loop turn for a while: what must not come has its chance. */
static void turn_for(uint64_t ms)
{
	bool over = false;
	uv_timer_t timer;

	uv_timer_init(loop, &timer);
	timer.data = &over;
	uv_timer_start(&timer, on_pause, ms, 0);
	AWAIT(loop, is_true, &over);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(loop, UV_RUN_NOWAIT);
}

/* ---- offsets ---- */

START_TEST(commits_with_maps_come_back)
{
	struct member *m, *again;
	char map[4097];
	uint64_t id = 0;

	fill(2000);
	m = join(NULL);
	awaited = 2000;
	AWAIT(loop, got_awaited, m);
	memset(map, 'M', sizeof map - 1);
	map[sizeof map - 1] = '\0';
	for (int round = 1; round <= 20; round++)
		for (size_t i = 0; i < m->nparts; i++)
			member_commit(m, ++id, m->parts[i].tp, round, i % 2 ? map : "small");
	awaited = id;
	AWAIT(loop, committed_awaited, m);
	ck_assert_uint_eq(m->faulty_commits, 0);
	member_close_consumer(m);

	again = join(NULL);
	AWAIT(loop, has_all, again);
	for (size_t i = 0; i < again->nparts; i++) {
		ck_assert_int_eq(again->parts[i].offset, 20);
		ck_assert(strcmp(again->parts[i].metadata, map) == 0 || strcmp(again->parts[i].metadata, "small") == 0);
	}
	awaited = 2000 - 20 * PARTITIONS;
	AWAIT(loop, got_awaited, again);
	turn_for(300);
	ck_assert_uint_eq(again->nmessages, awaited);
	member_close_consumer(again);
}
END_TEST

START_TEST(a_map_over_the_limit_is_told)
{
	struct member *m = join(NULL);
	char map[4098];

	AWAIT(loop, has_all, m);
	memset(map, 'M', sizeof map - 1);
	map[sizeof map - 1] = '\0';
	member_commit(m, 1, m->parts[0].tp, 0, map);
	awaited = 1;
	AWAIT(loop, committed_awaited, m);
	ck_assert_uint_eq(m->faulty_commits, 1);
	ck_assert_int_eq(m->last_verdict, COMMIT_TOO_LARGE);
	member_close_consumer(m);
}
END_TEST

START_TEST(offsets_read_late_and_in_parts_cost_nothing)
{
	struct member *m = new_member(NULL, quick);
	struct tp tp[PARTITIONS];

	fill(5000);
	m->slow_offsets = true;
	m->credit = 200;
	consumer_subscribe(m->consumer);
	AWAIT(loop, was_assigned, m);
	turn_for(9000); /* over the session's time and the poll interval */
	ck_assert_uint_eq(m->nmessages, 0);
	ck_assert_uint_eq(m->assigned, 1);
	for (size_t i = 0; i < m->nparts; i++)
		tp[i] = m->parts[i].tp;
	consumer_read_offsets(m->consumer, tp, 1);
	awaited = 200;
	AWAIT(loop, got_awaited, m);
	consumer_read_offsets(m->consumer, tp + 1, m->nparts - 1); /* the first one is in the middle of its records */
	m->credit = SIZE_MAX;
	consumer_kick(m->consumer);
	awaited = 5000;
	AWAIT(loop, got_awaited, m);
	fill(500);
	awaited = 5500;
	AWAIT(loop, got_awaited, m);
	turn_for(300);
	ck_assert_uint_eq(m->nmessages, 5500);
	ck_assert_uint_eq(m->revoked, 0);
	member_close_consumer(m);
}
END_TEST

/* ---- what retention and administrators do ---- */

static rd_kafka_t *raw_open(void)
{
	char why[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *rk;

	ck_assert_int_eq(rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof why), RD_KAFKA_CONF_OK);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
	ck_assert(rk != NULL);
	return rk;
}

/* Waits for the answer of an admin request; frees all. */
static void raw_await(rd_kafka_t *rk, rd_kafka_queue_t *queue)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 20000);

	ck_assert(event != NULL);
	ck_assert_msg(rd_kafka_event_error(event) == 0, "%s", rd_kafka_event_error_string(event));
	rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
	rd_kafka_destroy(rk);
}

static void delete_records_below(int64_t offset)
{
	rd_kafka_t *rk = raw_open();
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
	rd_kafka_DeleteRecords_t *request;

	for (int i = 0; i < PARTITIONS; i++)
		rd_kafka_topic_partition_list_add(list, topic, i)->offset = offset;
	request = rd_kafka_DeleteRecords_new(list);
	rd_kafka_DeleteRecords(rk, &request, 1, NULL, queue);
	rd_kafka_DeleteRecords_destroy(request);
	rd_kafka_topic_partition_list_destroy(list);
	raw_await(rk, queue);
}

static void delete_topic(void)
{
	rd_kafka_t *rk = raw_open();
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_DeleteTopic_t *request = rd_kafka_DeleteTopic_new(topic);

	rd_kafka_DeleteTopics(rk, &request, 1, NULL, queue);
	rd_kafka_DeleteTopic_destroy(request);
	raw_await(rk, queue);
}

static void deny_topic(const char *name)
{
	rd_kafka_t *rk = raw_open();
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	char why[256];
	rd_kafka_AclBinding_t *acl = rd_kafka_AclBinding_new(RD_KAFKA_RESOURCE_TOPIC, name, RD_KAFKA_RESOURCE_PATTERN_LITERAL,
		"User:ANONYMOUS", "*", RD_KAFKA_ACL_OPERATION_ALL, RD_KAFKA_ACL_PERMISSION_TYPE_DENY, why, sizeof why);

	ck_assert_msg(acl != NULL, "%s", why);
	rd_kafka_CreateAcls(rk, &acl, 1, NULL, queue);
	rd_kafka_AclBinding_destroy(acl);
	raw_await(rk, queue);
}

START_TEST(a_committed_offset_that_retention_removed_starts_at_what_is_left)
{
	struct member *m, *again;

	fill(2000);
	m = join(NULL);
	AWAIT(loop, has_all, m);
	for (size_t i = 0; i < m->nparts; i++)
		member_commit(m, i, m->parts[i].tp, 5, "map");
	awaited = PARTITIONS;
	AWAIT(loop, committed_awaited, m);
	member_close_consumer(m);
	delete_records_below(10);
	again = join(NULL);
	awaited = 2000 - 10 * PARTITIONS;
	AWAIT(loop, got_awaited, again);
	for (size_t i = 0; i < again->nparts; i++) {
		ck_assert_int_eq(again->parts[i].offset, 10);
		ck_assert_str_eq(again->parts[i].metadata, ""); /* it was made for another base */
	}
	member_close_consumer(again);
}
END_TEST

enum { REMOVED_UNDER = 5000, REMOVED_BELOW = 1000 };

/* A reader that fetches no more than it must, so that the rest can vanish before it is fetched. */
static struct member *join_short_sighted(void)
{
	static const char *const small[] = {"queued.min.messages=1", "queued.max.messages.kbytes=1",
		"fetch.message.max.bytes=200", NULL};
	const char *topics[] = {topic};
	const struct consumer_config k = {
		.brokers = brokers,
		.group = group,
		.topics = topics,
		.ntopics = 1,
		.properties = quick,
		.more_properties = small,
	};
	struct member *m = member_consumer(loop, &k);

	m->credit = 0;
	consumer_subscribe(m->consumer);
	return m;
}

static bool at_end(void *ctx)
{
	struct member *m = ctx;
	int64_t sum = 0;

	for (size_t i = 0; i < m->nparts; i++)
		sum += m->parts[i].next;
	return sum == REMOVED_UNDER;
}

START_TEST(records_removed_under_a_reader_are_skipped_and_the_rest_is_read)
{
	struct member *m;

	fill(REMOVED_UNDER);
	m = join_short_sighted();
	AWAIT(loop, has_all, m);
	turn_for(500);
	delete_records_below(REMOVED_BELOW);
	m->credit = SIZE_MAX;
	consumer_kick(m->consumer);
	AWAIT(loop, at_end, m);
	ck_assert_uint_lt(m->nmessages, REMOVED_UNDER);
	ck_assert_uint_ge(m->nmessages, REMOVED_UNDER - REMOVED_BELOW * PARTITIONS);
	ck_assert_uint_eq(m->revoked, 0); /* the same assignment goes on */
	member_close_consumer(m);
}
END_TEST

START_TEST(a_topic_made_anew_is_read_from_its_start)
{
	struct member *m;

	fill(1000);
	m = join(NULL);
	awaited = 1000;
	AWAIT(loop, got_awaited, m);
	delete_topic();
	create(topic, PARTITIONS);
	fill(200);
	awaited = 1200;
	AWAIT(loop, got_awaited, m);
	turn_for(300);
	ck_assert_uint_eq(m->nmessages, 1200);
	ck_assert_uint_gt(m->nparts, PARTITIONS); /* with new epochs */
	member_close_consumer(m);
}
END_TEST

/* ---- the group ---- */

START_TEST(partitions_move_after_the_drain_of_their_owner)
{
	struct member *a, *b;
	size_t owned;

	fill(400);
	a = join(NULL);
	awaited = 400;
	AWAIT(loop, got_awaited, a);
	a->keeps_revoked = true;
	b = join(NULL);
	AWAIT(loop, was_revoked, a);
	ck_assert_uint_eq(a->lost, 0);
	for (size_t i = 0; i < PARTITIONS; i++) /* the drain: the owner still commits */
		member_commit(a, i, a->parts[i].tp, a->parts[i].next, "after the drain");
	awaited = PARTITIONS;
	AWAIT(loop, committed_awaited, a);
	ck_assert_uint_eq(a->faulty_commits, 0);
	ck_assert_uint_eq(live_parts(b), 0);
	a->inside = true;
	consumer_release(a->consumer);
	a->inside = false;
	AWAIT(loop, has_half, a);
	AWAIT(loop, has_half, b);
	for (size_t i = 0; i < b->nparts; i++)
		ck_assert_str_eq(b->parts[i].metadata, "after the drain");
	fill(100);
	owned = a->nmessages;
	turn_for(1500);
	ck_assert_uint_eq(a->nmessages - owned + b->nmessages, 100);
	ck_assert_uint_gt(b->nmessages, 0);
	a->keeps_revoked = false;
	member_close_consumer(b);
	AWAIT(loop, has_all, a);
	member_close_consumer(a);
}
END_TEST

START_TEST(a_static_member_comes_back_without_disturbing_anyone)
{
	struct member *a, *b, *again;
	unsigned before;
	int64_t left_at;

	fill(100);
	a = join("one");
	AWAIT(loop, has_all, a);
	b = join("two");
	AWAIT(loop, has_half, b);
	AWAIT(loop, has_half, a);
	before = b->revoked;
	left_at = clock_mono_us();
	member_close_consumer(a);
	again = join("one");
	AWAIT(loop, has_half, again);
	ck_assert_int_lt(clock_mono_us() - left_at, 5 * SECOND_US); /* before its session is over */
	turn_for(1000);
	ck_assert_uint_eq(b->revoked, before);
	member_close_consumer(again);
	member_close_consumer(b);
}
END_TEST

static bool is_fenced(void *ctx)
{
	return ((struct member *)ctx)->faults[KAFKA_FENCED] > 0;
}

START_TEST(a_second_process_of_the_same_name_fences_the_first)
{
	struct member *a, *b;

	a = join("same");
	AWAIT(loop, has_all, a);
	b = join("same");
	AWAIT(loop, is_fenced, a);
	AWAIT(loop, has_all, b);
	ck_assert_uint_eq(b->faults[KAFKA_FENCED], 0);
	member_close_consumer(a);
	member_close_consumer(b);
}
END_TEST

START_TEST(a_commit_of_a_former_owner_is_stale)
{
	struct member *a, *b;
	struct tp tp;

	a = join("owner");
	AWAIT(loop, has_all, a);
	tp = a->parts[0].tp;
	b = join("owner");
	AWAIT(loop, has_all, b);
	member_commit(a, 1, tp, 0, "late");
	awaited = 1;
	AWAIT(loop, committed_awaited, a);
	ck_assert_uint_eq(a->faulty_commits, 1);
	ck_assert_int_eq(a->last_verdict, COMMIT_STALE);
	member_close_consumer(a);
	member_close_consumer(b);
}
END_TEST

START_TEST(a_full_house_keeps_its_membership)
{
	struct member *m;

	fill(1000);
	m = join(NULL);
	m->credit = 100;
	awaited = 100;
	AWAIT(loop, got_awaited, m);
	turn_for(12000); /* max.poll.interval.ms is 8000, the session 6000 */
	ck_assert_uint_eq(m->nmessages, 100);
	ck_assert_uint_eq(m->revoked, 0);
	m->credit = SIZE_MAX;
	consumer_kick(m->consumer);
	awaited = 1000;
	AWAIT(loop, got_awaited, m);
	member_close_consumer(m);
}
END_TEST

static size_t count_of(const struct member *m, int32_t partition)
{
	size_t n = 0;

	for (size_t i = 0; i < m->nmessages; i++)
		n += m->messages[i].tp.partition == partition;
	return n;
}

START_TEST(a_held_partition_stands_and_goes_on_where_it_stood)
{
	struct member *m = join(NULL);
	struct tp held;
	size_t before;

	AWAIT(loop, has_all, m);
	held = m->parts[1].tp;
	consumer_hold(m->consumer, held, true);
	fill(2000);
	turn_for(2000);
	before = m->nmessages;
	ck_assert_uint_gt(before, 1000);
	ck_assert_uint_eq(count_of(m, held.partition), 0);
	consumer_hold(m->consumer, held, false);
	awaited = 2000;
	AWAIT(loop, got_awaited, m);
	ck_assert_uint_eq(count_of(m, held.partition), 2000 - before);
	member_close_consumer(m);
}
END_TEST

/* Only what moves is revoked; the rest flows on. */
START_TEST(a_cooperative_group_moves_only_what_must_move)
{
	static const char *const cooperative[] = {"partition.assignment.strategy=cooperative-sticky", NULL};
	const char *topics[] = {topic};
	const struct consumer_config k = {
		.brokers = brokers,
		.group = group,
		.topics = topics,
		.ntopics = 1,
		.properties = quick,
		.more_properties = cooperative,
	};
	struct member *a = member_consumer(loop, &k), *b;
	size_t before;

	fill(1000);
	consumer_subscribe(a->consumer);
	awaited = 1000;
	AWAIT(loop, got_awaited, a);
	for (size_t i = 0; i < a->nparts; i++)
		member_commit(a, i, a->parts[i].tp, a->parts[i].next, "");
	awaited = PARTITIONS;
	AWAIT(loop, committed_awaited, a);
	b = member_consumer(loop, &k);
	consumer_subscribe(b->consumer);
	AWAIT(loop, has_half, b);
	ck_assert_uint_eq(live_parts(a), PARTITIONS / 2);
	ck_assert_uint_eq(a->nparts, PARTITIONS); /* what it kept has its epoch still */
	before = a->nmessages;
	fill(1000);
	turn_for(2000);
	ck_assert_uint_eq(a->nmessages - before + b->nmessages, 1000);
	ck_assert_uint_gt(b->nmessages, 0);
	member_close_consumer(b);
	AWAIT(loop, has_all, a);
	member_close_consumer(a);
}
END_TEST

/* ---- faults ---- */

static bool says_missing(void *ctx)
{
	return ((struct member *)ctx)->faults[KAFKA_TOPIC_MISSING] > 0;
}

static bool says_forbidden(void *ctx)
{
	return ((struct member *)ctx)->faults[KAFKA_FORBIDDEN] > 0;
}

START_TEST(a_missing_topic_is_named_and_read_when_it_comes)
{
	static const char *const soon[] = {"topic.metadata.refresh.interval.ms=500", "topic.metadata.propagation.max.ms=1000",
		NULL};
	const char *topics[] = {"not-there"};
	const struct consumer_config k = {
		.brokers = brokers,
		.group = group,
		.topics = topics,
		.ntopics = 1,
		.properties = quick,
		.more_properties = soon,
	};
	struct member *m = member_consumer(loop, &k);

	consumer_subscribe(m->consumer);
	AWAIT(loop, says_missing, m);
	ck_assert(strstr(m->last_why[KAFKA_TOPIC_MISSING], "not-there") != NULL);
	create("not-there", PARTITIONS);
	AWAIT(loop, has_all, m);
	member_close_consumer(m);
}
END_TEST

START_TEST(records_for_a_missing_topic_are_refused)
{
	static const char *const soon[] = {"topic.metadata.propagation.max.ms=1000",
		"topic.metadata.refresh.fast.interval.ms=100", NULL};
	struct member *p = open_producer(loop, soon);

	member_send(p, "nowhere", 1, "k", "v");
	awaited = 1;
	AWAIT(loop, delivered_awaited, p);
	ck_assert_uint_eq(p->deliveries[DELIVERY_REFUSED], 1);
	ck_assert_uint_gt(p->faults[KAFKA_TOPIC_MISSING], 0);
	ck_assert(strstr(p->last_why[KAFKA_TOPIC_MISSING], "nowhere") != NULL);
	member_send(p, "nowhere", 2, "k", "v"); /* this time librdkafka knows at once */
	awaited = 2;
	AWAIT(loop, delivered_awaited, p);
	ck_assert_uint_eq(p->deliveries[DELIVERY_REFUSED], 2);
	member_close_producer(p);
}
END_TEST

START_TEST(a_forbidden_topic_is_named)
{
	struct member *m, *p;
	struct topic_info info;
	struct admin *a;

	m = join(NULL);
	AWAIT(loop, has_all, m);
	deny_topic(topic);
	AWAIT(loop, says_forbidden, m);
	ck_assert(strstr(m->last_why[KAFKA_FORBIDDEN], topic) != NULL);
	p = open_producer(loop, NULL);
	member_send(p, topic, 1, "k", "v");
	awaited = 1;
	AWAIT(loop, delivered_awaited, p);
	ck_assert_uint_eq(p->deliveries[DELIVERY_REFUSED], 1);
	ck_assert_uint_gt(p->faults[KAFKA_FORBIDDEN], 0);
	a = admin_open();
	admin_topic(a, topic, 5000, &info);
	ck_assert_int_eq(info.state, TOPIC_FORBIDDEN);
	admin_free(a);
	member_close_consumer(m);
	member_close_producer(p);
}
END_TEST

START_TEST(a_record_over_the_topics_limit_is_too_large)
{
	static const char *const config[] = {"max.message.bytes=20000", NULL};
	struct member *p = open_producer(loop, NULL);
	char *value = xmalloc(50001);

	create_with("narrow", 1, config);
	memset(value, 'x', 50000);
	value[50000] = '\0';
	member_send(p, "narrow", 1, "k", value);
	awaited = 1;
	AWAIT(loop, delivered_awaited, p);
	ck_assert_uint_eq(p->deliveries[DELIVERY_TOO_LARGE], 1);
	free(value);
	member_close_producer(p);
}
END_TEST

static bool is_away(void *ctx)
{
	return ((struct member *)ctx)->faults[KAFKA_UNREACHABLE] > 0;
}

static bool is_back(void *ctx)
{
	return ((struct member *)ctx)->faults[KAFKA_REACHABLE] > 0;
}

START_TEST(a_broker_that_dies_and_comes_back_costs_no_record)
{
	static const char values[300][8];
	struct member *p = open_producer(loop, NULL), *m;

	m = join_with("stays", patient);
	AWAIT(loop, has_all, m);
	for (uint64_t i = 1; i <= 100; i++)
		member_send(p, topic, i, "k", values[i]);
	broker_do("kill");
	for (uint64_t i = 101; i <= 200; i++)
		member_send(p, topic, i, "k", values[i]);
	AWAIT(loop, is_away, p);
	AWAIT(loop, is_away, m);
	ck_assert(*m->last_why[KAFKA_UNREACHABLE] != '\0');
	broker_do("restart");
	AWAIT(loop, is_back, p);
	AWAIT(loop, is_back, m);
	for (uint64_t i = 201; i < 300; i++)
		member_send(p, topic, i, "k", values[i]);
	awaited = 299;
	AWAIT(loop, delivered_awaited, p);
	ck_assert_uint_eq(p->deliveries[DELIVERY_OK], 299);
	AWAIT(loop, got_awaited, m);
	turn_for(1000);
	ck_assert_uint_eq(m->nmessages, 299); /* and none twice */
	ck_assert_uint_eq(p->faults[KAFKA_UNREACHABLE], 1);
	member_close_consumer(m);
	member_close_producer(p);
}
END_TEST

START_TEST(both_close_while_the_broker_is_away)
{
	struct member *p = open_producer(loop, NULL), *m = join(NULL);
	int64_t begun;

	AWAIT(loop, has_all, m);
	broker_do("kill");
	member_send(p, topic, 1, "k", "v");
	AWAIT(loop, is_away, m);
	begun = clock_mono_us();
	member_close_consumer(m);
	member_close_producer(p);
	ck_assert_int_lt(clock_mono_us() - begun, 10 * SECOND_US);
	broker_do("restart");
}
END_TEST

/* ---- blocking calls ---- */

START_TEST(topics_are_created_found_and_described)
{
	static const char *const config[] = {"retention.ms=3600000", "cleanup.policy=delete", NULL};
	const struct topic_spec spec = {"made", 3, -1, config},
				wrong = {"wrong", 1, -1, (const char *const[]){"no.such.setting=1", NULL}};
	struct admin *a = admin_open();
	struct topic_info info;
	char why[512] = "", value[64];
	bool created;

	ck_assert(admin_topic(a, "made", 5000, &info));
	ck_assert_int_eq(info.state, TOPIC_MISSING);
	ck_assert_msg(admin_create(a, &spec, 20000, &created, why, sizeof why), "%s", why);
	ck_assert(created);
	ck_assert(admin_create(a, &spec, 20000, &created, why, sizeof why));
	ck_assert(!created);
	ck_assert(admin_topic(a, "made", 5000, &info));
	ck_assert_int_eq(info.state, TOPIC_OK);
	ck_assert_int_eq(info.partitions, 3);
	ck_assert(admin_setting(a, "made", "retention.ms", 5000, value, sizeof value));
	ck_assert_str_eq(value, "3600000");
	ck_assert(!admin_setting(a, "made", "no.such.setting", 5000, value, sizeof value));
	ck_assert(!admin_create(a, &wrong, 20000, &created, why, sizeof why));
	ck_assert(strstr(why, "wrong") && strstr(why, "no.such.setting"));
	admin_free(a);
}
END_TEST

START_TEST(the_client_follows_from_the_end_and_from_the_beginning)
{
	const struct client_config k = {.brokers = brokers};
	struct client *tail, *all, *none;
	struct client_record r;
	char why[512];
	size_t n = 0;

	fill(100);
	tail = client_new(&k, why, sizeof why);
	ck_assert_msg(client_follow(tail, topic, false, 10000, why, sizeof why), "%s", why);
	ck_assert(client_at_end(tail));
	fill(50);
	while (n < 50 && client_read(tail, 10000, &r, why, sizeof why))
		n++;
	ck_assert_uint_eq(n, 50);
	ck_assert(!client_read(tail, 300, &r, why, sizeof why));
	all = client_new(&k, why, sizeof why);
	ck_assert(client_follow(all, topic, true, 10000, why, sizeof why));
	for (n = 0; !client_at_end(all);)
		n += client_read(all, 1000, &r, why, sizeof why);
	ck_assert_uint_eq(n, 150);
	none = client_new(&k, why, sizeof why);
	ck_assert(!client_follow(none, "no-such-topic", true, 10000, why, sizeof why));
	ck_assert(strstr(why, "no-such-topic") != NULL && strstr(why, "`bridgepool topics`") != NULL);
	ck_assert(client_send(none, "nowhere", SLICE("k"), SLICE("v"), (struct slice){NULL, 0}, why, sizeof why));
	ck_assert(!client_flush(none, 20000, why, sizeof why));
	/* and not: timed out */
	ck_assert_msg(strstr(why, "nowhere") != NULL && strstr(why, "`bridgepool topics`") != NULL, "%s", why);
	client_free(none);
	client_free(all);
	client_free(tail);
}
END_TEST

/* A case for each, so that CK_RUN_CASE=<name> runs one alone. */
static void add_test(Suite *s, const TTest *test)
{
	TCase *t = tcase_create(test->name);

	tcase_set_timeout(t, 300);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test);
	suite_add_tcase(s, t);
}

int main(void)
{
	const TTest *const tests[] = {
		commits_with_maps_come_back,
		a_map_over_the_limit_is_told,
		offsets_read_late_and_in_parts_cost_nothing,
		a_committed_offset_that_retention_removed_starts_at_what_is_left,
		records_removed_under_a_reader_are_skipped_and_the_rest_is_read,
		a_topic_made_anew_is_read_from_its_start,
		partitions_move_after_the_drain_of_their_owner,
		a_static_member_comes_back_without_disturbing_anyone,
		a_second_process_of_the_same_name_fences_the_first,
		a_commit_of_a_former_owner_is_stale,
		a_full_house_keeps_its_membership,
		a_cooperative_group_moves_only_what_must_move,
		a_held_partition_stands_and_goes_on_where_it_stood,
		a_missing_topic_is_named_and_read_when_it_comes,
		records_for_a_missing_topic_are_refused,
		a_forbidden_topic_is_named,
		a_record_over_the_topics_limit_is_too_large,
		a_broker_that_dies_and_comes_back_costs_no_record,
		both_close_while_the_broker_is_away,
		topics_are_created_found_and_described,
		the_client_follows_from_the_end_and_from_the_beginning,
	};
	Suite *s = suite_create("kafka room");
	SRunner *runner = srunner_create(s);
	int failed = 1;

	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
		if (tests[i] != a_cooperative_group_moves_only_what_must_move || rd_kafka_version() >= 0x020a0000)
			add_test(s, tests[i]); /* older ones lose assignments, and are refused */
	if (cluster_start()) {
		srunner_run_all(runner, CK_ENV);
		failed = srunner_ntests_failed(runner);
	} else {
		fprintf(stderr, "the broker did not start; SOURCE_DIR names the repository\n");
	}
	cluster_stop();
	srunner_free(runner);
	return failed != 0;
}
