/* kafka_doubts_test.c: a topic that is gone for a moment: the same one is read on, another one of that name from its
 * beginning. And a partition that cannot be read for a while. */
#include <unistd.h>

#include "kafka_cluster.h"

enum { RECORDS = 20, FETCH = 1, OFFSET_FETCH = 9 };

static size_t awaited;
static const char *topic;

static void setup(void)
{
	cluster_open(1);
	topic = "in";
	ck_assert_int_eq(rd_kafka_mock_topic_create(cluster, topic, 1, 1), 0);
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
		ck_assert(
			producer_send(p->producer, topic, &(struct record){.serial = i, .key = SLICE("k"), .value = SLICE("v")}));
	AWAIT(&own, all_delivered, p);
	member_close_producer(p);
	ck_assert_int_eq(uv_loop_close(&own), 0);
}

/* The subscription is looked at every half second: who was out of the group because of it is soon in again. */
static struct member *join(void)
{
	const char *const topics[] = {topic};
	static const char *const quick[] = {"session.timeout.ms=4000", "heartbeat.interval.ms=500", "fetch.wait.max.ms=5",
		"fetch.error.backoff.ms=10", "topic.metadata.refresh.interval.ms=500", NULL};
	const struct consumer_config k = {
		.brokers = rd_kafka_mock_cluster_bootstraps(cluster),
		.group = "g",
		.topics = topics,
		.ntopics = 1,
		.properties = quick,
	};
	struct member *m = member_consumer(&loop, &k);

	consumer_subscribe(m->consumer);
	return m;
}

static bool got_awaited(void *ctx)
{
	return ((struct member *)ctx)->nmessages == awaited;
}

/* It has read the first records of the topic. */
static struct member *reading(void)
{
	struct member *m;

	fill();
	m = join();
	awaited = RECORDS;
	AWAIT(&loop, got_awaited, m);
	return m;
}

static bool read_awaited(void *ctx)
{
	struct member *m = ctx;

	return m->parts[m->nparts - 1].next == (int64_t)awaited;
}

static bool committed(void *ctx)
{
	return ((struct member *)ctx)->committed == awaited;
}

static bool missed(void *ctx)
{
	return ((struct member *)ctx)->faults[KAFKA_TOPIC_MISSING] > 0;
}

static bool revoked(void *ctx)
{
	return ((struct member *)ctx)->revoked > 0;
}

static void commit(struct member *m, uint64_t id, struct tp tp, int64_t base)
{
	member_commit(m, id, tp, base, "map");
	awaited = id;
	AWAIT(&loop, committed, m);
}

/* From now on, for who asks, there is no such topic; and who reads it is made to ask. */
static void hide(void)
{
	rd_kafka_mock_topic_set_error(cluster, topic, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
	rd_kafka_mock_push_request_errors(cluster, FETCH, 1, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
}

static void show(void)
{
	rd_kafka_mock_topic_set_error(cluster, topic, RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* Which of the two is told first, that the partition has no topic or that the subscription misses it, with which the partition
 * goes, is for the library to say. */
START_TEST(a_topic_that_comes_back_as_it_was_is_read_on)
{
	struct member *m = reading();
	struct tp tp;

	tp = m->parts[0].tp;
	commit(m, 1, tp, 5);
	ck_assert_uint_eq(m->faulty_commits, 0);
	hide();
	AWAIT(&loop, missed, m);
	commit(m, 2, tp, 6); /* not while it may be another one */
	ck_assert_uint_eq(m->faulty_commits, 1);
	ck_assert_int_eq(m->last_verdict, COMMIT_UNKNOWN);
	show();
	fill();
	awaited = 2 * RECORDS;
	AWAIT(&loop, read_awaited, m);
	ck_assert_uint_eq(m->lost, 0);
	if (m->nparts == 1)
		ck_assert_uint_eq(m->nmessages, 2 * RECORDS);
	else
		ck_assert_int_eq(m->parts[1].offset, 5);
	commit(m, 3, m->parts[m->nparts - 1].tp, 7);
	ck_assert_uint_eq(m->faulty_commits, 1);
	member_close_consumer(m);
}
END_TEST

START_TEST(a_topic_that_comes_back_without_what_was_committed_is_read_from_its_beginning)
{
	struct member *m = reading();

	hide();
	AWAIT(&loop, missed, m);
	show();
	AWAIT(&loop, revoked, m);
	awaited = 2 * RECORDS;
	AWAIT(&loop, got_awaited, m);
	ck_assert_uint_eq(m->nparts, 2);
	ck_assert_int_eq(m->parts[1].offset, 0);
	member_close_consumer(m);
}
END_TEST

/* All records of one key are in one partition. */
START_TEST(a_partition_that_never_had_a_record_is_no_sign_of_another_topic)
{
	struct member *m;

	topic = "pair";
	ck_assert_int_eq(rd_kafka_mock_topic_create(cluster, topic, 2, 1), 0);
	m = reading();
	commit(m, 1, m->messages[0].tp, RECORDS);
	ck_assert_uint_eq(m->faulty_commits, 0);
	hide();
	AWAIT(&loop, missed, m);
	show();
	fill();
	awaited = 2 * RECORDS;
	AWAIT(&loop, got_awaited, m);
	ck_assert_uint_eq(m->lost, 0);
	member_close_consumer(m);
}
END_TEST

/* What its partitions are told waits behind records that nobody takes; the subscription is told, and the revoke comes behind
 * that. The last commit would be found in the topic that is made anew, which would be taken for the one we know. */
START_TEST(a_full_house_does_not_commit_what_it_had_of_a_topic_that_is_gone)
{
	struct member *m = reading();

	m->credit = 0;
	m->keeps_revoked = true;
	hide();
	AWAIT(&loop, revoked, m);
	commit(m, 1, m->parts[0].tp, RECORDS);
	ck_assert_uint_eq(m->faulty_commits, 1);
	consumer_release(m->consumer);
	commit(m, 2, m->parts[0].tp, RECORDS); /* nor after its end */
	ck_assert_uint_eq(m->faulty_commits, 2);
	m->keeps_revoked = false;
	m->credit = SIZE_MAX;
	show();
	awaited = 2 * RECORDS;
	AWAIT(&loop, got_awaited, m);
	ck_assert_int_eq(m->parts[m->nparts - 1].offset, 0);
	member_close_consumer(m);
}
END_TEST

/* librdkafka before 2.6 forgets such a partition with what stands in its queue, which keeps the client alive. */
START_TEST(a_partition_that_is_given_back_while_its_topic_is_gone_does_not_hold_up_the_end)
{
	struct member *m = reading();

	hide();
	AWAIT(&loop, revoked, m);
	member_close_consumer(m);
}
END_TEST

/* Who was silent for a while is committed when its last commit was found; if it cannot be asked for, that is said. */
START_TEST(a_partition_that_was_silent_is_committed_when_it_is_known_to_be_the_same)
{
	struct member *m = reading();

	commit(m, 1, m->parts[0].tp, 5);
	ck_assert_uint_eq(m->faulty_commits, 0);
	usleep(400 * 1000);
	rd_kafka_mock_push_request_errors(cluster, OFFSET_FETCH, 1, RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
	commit(m, 2, m->parts[0].tp, 6);
	ck_assert_uint_eq(m->faulty_commits, 1);
	ck_assert_int_eq(m->last_verdict, COMMIT_UNKNOWN);
	commit(m, 3, m->parts[0].tp, 6);
	ck_assert_uint_eq(m->faulty_commits, 1);
	ck_assert_uint_eq(m->lost, 0);
	usleep(400 * 1000);
	member_commit(m, 4, m->parts[0].tp, 7, "map"); /* the end does not wait for the answer */
	member_close_consumer(m);
}
END_TEST

START_TEST(a_partition_that_cannot_be_read_is_told_once_and_read_on_when_it_can)
{
	static const rd_kafka_resp_err_t errors[] = {
		RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE,
		RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE,
		RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
		RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE,
	};
	struct member *m = reading();

	rd_kafka_mock_push_request_errors_array(cluster, FETCH, sizeof errors / sizeof *errors, errors);
	fill();
	awaited = 2 * RECORDS;
	AWAIT(&loop, got_awaited, m);
	ck_assert_uint_eq(m->faults[KAFKA_UNREADABLE], 1);
	ck_assert_msg(strstr(m->last_why[KAFKA_UNREADABLE], "in[0] at offset 20: ") != NULL, "%s", m->last_why[KAFKA_UNREADABLE]);
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
	tcase_add_checked_fixture(t, setup, cluster_close);
	tcase_add_test(t, a_topic_that_comes_back_as_it_was_is_read_on);
	tcase_add_test(t, a_topic_that_comes_back_without_what_was_committed_is_read_from_its_beginning);
	tcase_add_test(t, a_partition_that_never_had_a_record_is_no_sign_of_another_topic);
	tcase_add_test(t, a_full_house_does_not_commit_what_it_had_of_a_topic_that_is_gone);
	tcase_add_test(t, a_partition_that_is_given_back_while_its_topic_is_gone_does_not_hold_up_the_end);
	tcase_add_test(t, a_partition_that_was_silent_is_committed_when_it_is_known_to_be_the_same);
	tcase_add_test(t, a_partition_that_cannot_be_read_is_told_once_and_read_on_when_it_can);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
