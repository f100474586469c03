/* kafka_doubts_test.c: a topic that is gone for a moment: the same one is read on, another one of that name from its beginning. */
#include <librdkafka/rdkafka.h>

#include <librdkafka/rdkafka_mock.h>

#include "kafka_member.h"

enum { RECORDS = 20, FETCH = 1 };

static rd_kafka_t *rk;
static rd_kafka_mock_cluster_t *cluster;
static uv_loop_t loop;
static size_t awaited;

static void setup(void)
{
	char why[512];

	rk = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why, sizeof why);
	ck_assert_msg(rk != NULL, "%s", why);
	cluster = rd_kafka_mock_cluster_new(rk, 1);
	ck_assert_int_eq(rd_kafka_mock_topic_create(cluster, "in", 1, 1), 0);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
}

static void teardown(void)
{
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(rk);
}

static bool all_delivered(void *ctx)
{
	return ((struct member *)ctx)->delivered == RECORDS;
}

static void fill(void)
{
	const struct producer_config k = {.brokers = rd_kafka_mock_cluster_bootstraps(cluster), .linger_us = MS_US};
	struct member *p;
	uv_loop_t own;

	ck_assert_int_eq(uv_loop_init(&own), 0);
	p = member_producer(&own, &k);
	for (uint64_t i = 1; i <= RECORDS; i++)
		ck_assert(producer_send(p->producer, "in", &(struct record){.serial = i, .key = SLICE("k"), .value = SLICE("v")}));
	AWAIT(&own, all_delivered, p);
	member_close_producer(p);
	ck_assert_int_eq(uv_loop_close(&own), 0);
}

static struct member *join(void)
{
	static const char *const topics[] = {"in"}, *const quick[] = {"session.timeout.ms=6000", "fetch.wait.max.ms=5", "fetch.error.backoff.ms=10", NULL};
	const struct consumer_config k = {.brokers = rd_kafka_mock_cluster_bootstraps(cluster), .group = "g", .topics = topics, .ntopics = 1,
		.properties = quick};
	struct member *m = member_consumer(&loop, &k);

	consumer_subscribe(m->consumer);
	return m;
}

static bool got_awaited(void *ctx)
{
	return ((struct member *)ctx)->nmessages == awaited;
}

static bool committed(void *ctx)
{
	return ((struct member *)ctx)->committed == awaited;
}

static bool missed(void *ctx)
{
	return ((struct member *)ctx)->faults[KAFKA_TOPIC_MISSING] > 0;
}

static bool lost(void *ctx)
{
	return ((struct member *)ctx)->lost > 0;
}

/* From now on, for who asks, there is no such topic; and who reads it is made to ask. */
static void hide(struct member *m)
{
	rd_kafka_mock_topic_set_error(cluster, "in", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
	rd_kafka_mock_push_request_errors(cluster, FETCH, 1, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
	AWAIT(&loop, missed, m);
}

static void show(void)
{
	rd_kafka_mock_topic_set_error(cluster, "in", RD_KAFKA_RESP_ERR_NO_ERROR);
}

START_TEST(a_topic_that_comes_back_as_it_was_is_read_on)
{
	struct member *m;
	struct tp tp;

	fill();
	m = join();
	awaited = RECORDS;
	AWAIT(&loop, got_awaited, m);
	tp = m->parts[0].tp;
	member_commit(m, 1, tp, 5, "map");
	awaited = 1;
	AWAIT(&loop, committed, m);
	ck_assert_uint_eq(m->faulty_commits, 0);
	hide(m);
	member_commit(m, 2, tp, 6, "map"); /* not while it may be another one */
	awaited = 2;
	AWAIT(&loop, committed, m);
	ck_assert_uint_eq(m->faulty_commits, 1);
	ck_assert_int_eq(m->last_verdict, COMMIT_UNKNOWN);
	show();
	fill();
	awaited = 2 * RECORDS;
	AWAIT(&loop, got_awaited, m);
	ck_assert_uint_eq(m->revoked, 0);
	ck_assert_uint_eq(m->nparts, 1);
	member_commit(m, 3, tp, 7, "map");
	awaited = 3;
	AWAIT(&loop, committed, m);
	ck_assert_uint_eq(m->faulty_commits, 1);
	member_close_consumer(m);
}
END_TEST

START_TEST(a_topic_that_comes_back_without_what_was_committed_is_read_from_its_beginning)
{
	struct member *m;

	fill();
	m = join();
	awaited = RECORDS;
	AWAIT(&loop, got_awaited, m);
	hide(m);
	show();
	AWAIT(&loop, lost, m);
	awaited = 2 * RECORDS;
	AWAIT(&loop, got_awaited, m);
	ck_assert_uint_eq(m->nparts, 2);
	ck_assert_int_eq(m->parts[1].offset, 0);
	member_close_consumer(m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("kafka doubts");
	TCase *t = tcase_create("all");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 100);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_topic_that_comes_back_as_it_was_is_read_on);
	tcase_add_test(t, a_topic_that_comes_back_without_what_was_committed_is_read_from_its_beginning);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
