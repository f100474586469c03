/* core_retry_test.c: what becomes of a request whose run failed, case by case, and how long it waits. */
#include <check.h>
#include <stdlib.h>

#include "bridgepool/base/clock.h"
#include "retry.h"

static const struct {
	const char *what;
	struct retry_case failed;
	enum retry_verdict verdict;
} cases[] = {
	{"a program's error is the end", {.failure = FAILURE_ERROR, .attempts = 1, .max_attempts = 3, .may_repeat = true},
		RETRY_FINAL},
	{"a retriable one runs again", {.failure = FAILURE_RETRIABLE, .attempts = 1, .max_attempts = 3}, RETRY_AGAIN},
	{"until attempts are used up", {.failure = FAILURE_RETRIABLE, .attempts = 3, .max_attempts = 3}, RETRY_DEAD},
	{"a lost run is not repeated on a state", {.failure = FAILURE_LOST_SHARED, .attempts = 1, .max_attempts = 3},
		RETRY_FINAL},
	{"a lost run that may be repeated runs again",
		{.failure = FAILURE_LOST_SHARED, .attempts = 1, .max_attempts = 3, .may_repeat = true}, RETRY_AGAIN},
	{"until attempts are used up, too",
		{.failure = FAILURE_LOST_SHARED, .attempts = 3, .max_attempts = 3, .may_repeat = true}, RETRY_DEAD},
	{"one worker killed alone is no poison yet",
		{.failure = FAILURE_LOST_ALONE, .attempts = 1, .max_attempts = 3, .kills = 1, .may_repeat = true}, RETRY_AGAIN},
	{"two are", {.failure = FAILURE_LOST_ALONE, .attempts = 2, .max_attempts = 9, .kills = 2, .may_repeat = true},
		RETRY_DEAD},
	{"also where a run may not be repeated", {.failure = FAILURE_LOST_ALONE, .attempts = 2, .max_attempts = 9, .kills = 2},
		RETRY_DEAD},
	{"a run that we ended ourselves costs no attempt",
		{.failure = FAILURE_KILLED, .attempts = 3, .max_attempts = 3, .may_repeat = true}, RETRY_AGAIN},
	{"but is not repeated on a state", {.failure = FAILURE_KILLED, .attempts = 1, .max_attempts = 3}, RETRY_FINAL},
};

START_TEST(each_failure_has_its_end)
{
	struct random random;
	int64_t delay;

	random_seed(&random, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(retry_decide(&cases[i].failed, &random, &delay) == cases[i].verdict, "%s", cases[i].what);
}
END_TEST

START_TEST(waits_double_are_capped_and_jittered_down_to_a_half)
{
	static const struct {
		uint32_t step;
		int64_t most;
	} waits[] = {{1, 100}, {2, 200}, {3, 250}, {4, 250}, {UINT32_MAX, 250}};
	struct random random;

	random_seed(&random, 1);
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		int64_t least = INT64_MAX, most = 0;

		for (int n = 0; n < 2000; n++) {
			int64_t wait = retry_backoff(100, 250, waits[i].step, &random);

			least = wait < least ? wait : least;
			most = wait > most ? wait : most;
		}
		ck_assert_int_eq(most, waits[i].most);
		ck_assert_int_eq(least, waits[i].most - waits[i].most / 2);
	}
}
END_TEST

START_TEST(no_worker_makes_a_request_wait_for_ever)
{
	static const int64_t said[] = {24 * 3600 * 1000 + 1, INT64_MAX / 1000, INT64_MAX};
	struct random random;
	int64_t delay;

	random_seed(&random, 1);
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		struct retry_case busy = {
			.failure = FAILURE_RETRIABLE,
			.attempts = 1,
			.max_attempts = 3,
			.retry_after_ms = said[i],
		};

		ck_assert_int_eq(retry_decide(&busy, &random, &delay), RETRY_AGAIN);
		ck_assert_int_eq(delay, 24 * 3600 * SECOND_US);
	}
}
END_TEST

START_TEST(a_worker_that_names_a_time_is_asked_no_earlier)
{
	struct retry_case busy = {
		.failure = FAILURE_RETRIABLE,
		.attempts = 1,
		.max_attempts = 3,
		.backoff_us = 100 * MS_US,
		.retry_after_ms = 5000,
	};
	struct random random;
	int64_t delay;

	random_seed(&random, 1);
	ck_assert_int_eq(retry_decide(&busy, &random, &delay), RETRY_AGAIN);
	ck_assert_int_eq(delay, 5 * SECOND_US);
	busy.retry_after_ms = 1;
	ck_assert_int_eq(retry_decide(&busy, &random, &delay), RETRY_AGAIN);
	ck_assert_int_ge(delay, 50 * MS_US);
	ck_assert_int_le(delay, 100 * MS_US);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("retry");
	TCase *t = tcase_create("retry");
	SRunner *runner;
	int failed;

	tcase_add_test(t, each_failure_has_its_end);
	tcase_add_test(t, waits_double_are_capped_and_jittered_down_to_a_half);
	tcase_add_test(t, a_worker_that_names_a_time_is_asked_no_earlier);
	tcase_add_test(t, no_worker_makes_a_request_wait_for_ever);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
