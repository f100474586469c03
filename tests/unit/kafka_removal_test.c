/* kafka_removal_test.c: what is removed from an assignment in a cooperative group. librdkafka before 2.10 is not taken into one
 * by us, but its client judges removals without one. */
#include <check.h>

#include "inside.h"

static rd_kafka_t *rk;

static void setup(void)
{
	char why[512];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	ck_assert_int_eq(rd_kafka_conf_set(conf, "group.id", "g", why, sizeof why), RD_KAFKA_CONF_OK);
	ck_assert_int_eq(rd_kafka_conf_set(conf, "bootstrap.servers", "127.0.0.1:1", why, sizeof why), RD_KAFKA_CONF_OK);
	ck_assert_int_eq(rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why), RD_KAFKA_CONF_OK);
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
	ck_assert_msg(rk != NULL, "%s", why);
}

static void teardown(void)
{
	rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

/* Partitions first .. last of a topic. */
static rd_kafka_topic_partition_list_t *list_of(int first, int last)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(0);

	for (int i = first; i <= last; i++)
		rd_kafka_topic_partition_list_add(list, "in", i)->offset = 0;
	return list;
}

static void assign(int first, int last)
{
	rd_kafka_topic_partition_list_t *list = list_of(first, last);

	ck_assert_ptr_null(rd_kafka_incremental_assign(rk, list));
	rd_kafka_topic_partition_list_destroy(list);
}

static bool is_refused(const rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_error_t *error = rd_kafka_incremental_unassign(rk, list);

	if (error)
		rd_kafka_error_destroy(error);
	return error != NULL;
}

static int assigned(void)
{
	rd_kafka_topic_partition_list_t *list;
	int n;

	ck_assert_int_eq(rd_kafka_assignment(rk, &list), RD_KAFKA_RESP_ERR_NO_ERROR);
	n = list->cnt;
	rd_kafka_topic_partition_list_destroy(list);
	return n;
}

START_TEST(only_what_was_added_is_removed_because_the_library_refuses_the_rest_with_it)
{
	rd_kafka_topic_partition_list_t *asked = list_of(1, 3), *removable;

	assign(0, 1);
	ck_assert(is_refused(asked));
	removable = rebalance_removable(rk, asked);
	ck_assert_int_eq(removable->cnt, 1);
	ck_assert_str_eq(removable->elems[0].topic, "in");
	ck_assert_int_eq(removable->elems[0].partition, 1);
	ck_assert(!is_refused(removable));
	ck_assert_int_eq(assigned(), 1);
	rd_kafka_topic_partition_list_destroy(removable);
	rd_kafka_topic_partition_list_destroy(asked);
}
END_TEST

START_TEST(a_removal_of_nothing_that_was_added_is_empty_and_taken)
{
	rd_kafka_topic_partition_list_t *asked = list_of(1, 3), *removable = rebalance_removable(rk, asked);

	ck_assert_int_eq(removable->cnt, 0);
	ck_assert(!is_refused(removable));
	rd_kafka_topic_partition_list_destroy(removable);
	rd_kafka_topic_partition_list_destroy(asked);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("kafka removal");
	TCase *t = tcase_create("all");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, only_what_was_added_is_removed_because_the_library_refuses_the_rest_with_it);
	tcase_add_test(t, a_removal_of_nothing_that_was_added_is_empty_and_taken);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
