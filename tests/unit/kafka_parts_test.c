/* Partitions and their epochs: what is late finds nothing. And where a partition starts, and what error codes mean. */
#include "parts.h"

#include <check.h>

#include "faults.h"
#include "positions.h"

static const char *const topics[] = {"a", "b"};

START_TEST(each_assignment_has_a_new_epoch)
{
	struct parts *p = parts_new(topics, 2);
	struct part *one = parts_open(p, "a", 5), *two = parts_open(p, "b", 0), *again;
	struct tp old = one->tp;

	ck_assert_uint_eq(old.topic, 0);
	ck_assert_int_eq(old.partition, 5);
	ck_assert_uint_gt(old.epoch, 0);
	ck_assert_uint_gt(two->tp.epoch, old.epoch);
	ck_assert_ptr_eq(parts_find(p, old), one);
	part_move(one, PART_LIVE);
	part_move(one, PART_CLOSING);
	ck_assert_ptr_eq(parts_find(p, old), one); /* it may still commit */
	part_move(one, PART_NONE);
	ck_assert_ptr_null(parts_find(p, old));
	again = parts_open(p, "a", 5);
	ck_assert_ptr_eq(again, one);
	ck_assert_uint_gt(again->tp.epoch, two->tp.epoch);
	ck_assert_ptr_null(parts_find(p, old));
	ck_assert_ptr_eq(parts_find(p, again->tp), again);
	parts_free(p);
}
END_TEST

START_TEST(only_our_topics_and_only_once)
{
	struct parts *p = parts_new(topics, 2);

	ck_assert_ptr_null(parts_open(p, "c", 0));
	ck_assert_ptr_null(parts_open(p, "a", -1));
	ck_assert_ptr_nonnull(parts_open(p, "a", 0));
	ck_assert_ptr_null(parts_open(p, "a", 0));
	ck_assert_ptr_null(parts_at(p, "a", 1));
	ck_assert_ptr_null(parts_at(p, "c", 0));
	ck_assert_ptr_null(parts_find(p, (struct tp){7, 0, 1}));
	ck_assert_ptr_null(parts_find(p, (struct tp){0, -3, 1}));
	ck_assert_str_eq(parts_topic(p, 1), "b");
	parts_free(p);
}
END_TEST

START_TEST(the_walk_sees_each_partition_once_in_order)
{
	static const struct {
		const char *topic;
		int32_t partition;
	} wanted[] = {{"a", 1}, {"a", 3}, {"b", 0}, {"b", 9}};
	struct parts *p = parts_new(topics, 2);
	struct part *at = NULL;

	parts_open(p, "b", 9);
	parts_open(p, "a", 3);
	parts_open(p, "b", 0);
	parts_open(p, "a", 1);
	part_move(parts_open(p, "a", 2), PART_CLOSING);
	part_move(parts_at(p, "a", 2), PART_NONE);
	for (size_t i = 0; i < 4; i++) {
		at = parts_next(p, at);
		ck_assert_ptr_eq(at, parts_at(p, wanted[i].topic, wanted[i].partition));
	}
	ck_assert_ptr_null(parts_next(p, at));
	parts_free(p);
}
END_TEST

static int64_t start(int64_t committed, int64_t low, int64_t high, bool wrong)
{
	const struct position p = {.committed = committed, .low = low, .high = high};
	const char *why;
	int64_t at = position_start(&p, &why);

	ck_assert_int_eq(why != NULL, wrong);
	return at;
}

START_TEST(a_partition_starts_at_its_commit_or_at_what_is_left)
{
	ck_assert_int_eq(start(-1001, 40, 90, false), 40); /* nothing committed */
	ck_assert_int_eq(start(40, 40, 90, false), 40);
	ck_assert_int_eq(start(60, 40, 90, false), 60);
	ck_assert_int_eq(start(90, 40, 90, false), 90);
	ck_assert_int_eq(start(0, 0, 0, false), 0);
	ck_assert_int_eq(start(39, 40, 90, true), 40);
	ck_assert_int_eq(start(91, 40, 90, true), 40);
}
END_TEST

START_TEST(error_codes_mean_something)
{
	ck_assert_int_eq(faults_delivery(RD_KAFKA_RESP_ERR_NO_ERROR), DELIVERY_OK);
	ck_assert_int_eq(faults_delivery(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE), DELIVERY_TOO_LARGE);
	ck_assert_int_eq(faults_delivery(RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION), DELIVERY_REFUSED);
	ck_assert_int_eq(faults_delivery(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED), DELIVERY_REFUSED);
	ck_assert_int_eq(faults_delivery(RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE), DELIVERY_REFUSED);
	ck_assert_int_eq(faults_delivery(RD_KAFKA_RESP_ERR__INVALID_ARG), DELIVERY_REFUSED);
	ck_assert_int_eq(faults_delivery(RD_KAFKA_RESP_ERR_INVALID_RECORD), DELIVERY_INVALID);
	ck_assert_int_eq(faults_delivery(RD_KAFKA_RESP_ERR__PURGE_QUEUE), DELIVERY_AGAIN);
	ck_assert_int_eq(faults_delivery(RD_KAFKA_RESP_ERR__TRANSPORT), DELIVERY_AGAIN);
	ck_assert_int_eq(faults_commit(RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION), COMMIT_STALE);
	ck_assert_int_eq(faults_commit(RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID), COMMIT_STALE);
	ck_assert_int_eq(faults_commit(RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE), COMMIT_TOO_LARGE);
	ck_assert_int_eq(faults_commit(RD_KAFKA_RESP_ERR_NOT_COORDINATOR), COMMIT_UNKNOWN);
	ck_assert_int_eq(faults_commit(RD_KAFKA_RESP_ERR__TRANSPORT), COMMIT_UNKNOWN);
	ck_assert_int_eq(faults_class(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN), ERROR_CONNECTION);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("kafka parts");
	TCase *t = tcase_create("all");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_test(t, each_assignment_has_a_new_epoch);
	tcase_add_test(t, only_our_topics_and_only_once);
	tcase_add_test(t, the_walk_sees_each_partition_once_in_order);
	tcase_add_test(t, a_partition_starts_at_its_commit_or_at_what_is_left);
	tcase_add_test(t, error_codes_mean_something);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
