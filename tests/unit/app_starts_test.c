/* app_starts_test.c: can a pool's workers start at all? */
#include <check.h>
#include <stdlib.h>

#include "starts.h"

static void say_ready(struct starts *s, uint16_t pool)
{
	starts_note(s, &(struct note){.kind = NOTE_WORKER_STATE, .worker = {pool, 0, 1}, .to = HEALTH_READY});
}

static void say_exit(struct starts *s, uint16_t pool, const char *why)
{
	starts_note(s, &(struct note){
			       .kind = NOTE_WORKER_EXIT,
			       .worker = {pool, 0, 1},
			       .to = HEALTH_TERMINATED,
			       .reason = slice_of(why),
		       });
}

START_TEST(three_failed_starts_are_hopeless)
{
	struct starts *s = starts_new(2);
	uint16_t pool;
	const char *why;

	say_exit(s, 1, "exit 1: first");
	say_exit(s, 1, "exit 1: second");
	ck_assert(!starts_hopeless(s, &pool, &why));
	say_exit(s, 1, "exit 1: ModuleNotFoundError: No module named 'app'");
	ck_assert(starts_hopeless(s, &pool, &why));
	ck_assert_int_eq(pool, 1);
	ck_assert_str_eq(why, "exit 1: ModuleNotFoundError: No module named 'app'");
	starts_free(s);
}
END_TEST

START_TEST(one_good_start_gives_hope)
{
	struct starts *s = starts_new(1);
	uint16_t pool;
	const char *why;

	say_ready(s, 0);
	for (int i = 0; i < 5; i++)
		say_exit(s, 0, "signal 11");
	ck_assert(!starts_hopeless(s, &pool, &why));
	starts_free(s);
}
END_TEST

/* A pool that gets smaller while it starts stops workers that are not READY yet. */
START_TEST(what_was_ordered_to_end_has_not_failed)
{
	struct starts *s = starts_new(1);
	uint16_t pool;
	const char *why;

	for (int i = 0; i < 5; i++)
		starts_note(s, &(struct note){
				       .kind = NOTE_WORKER_EXIT,
				       .worker = {0, 0, 1},
				       .from = HEALTH_INITIALIZING,
				       .to = HEALTH_TERMINATED,
				       .ordered = true,
				       .reason = SLICE("stopped to be replaced: signal 15"),
			       });
	ck_assert(!starts_hopeless(s, &pool, &why));
	starts_free(s);
}
END_TEST

START_TEST(a_command_that_cannot_be_executed_is_hopeless_at_once)
{
	struct starts *s = starts_new(1);
	uint16_t pool;
	const char *why;

	starts_exec_failed(s, 0, slice_of("python9: No such file or directory"));
	say_exit(s, 0, "exit 127");
	ck_assert(starts_hopeless(s, &pool, &why));
	ck_assert_str_eq(why, "python9: No such file or directory");
	starts_free(s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("app_starts");
	TCase *tests = tcase_create("starts");
	SRunner *runner;
	int failed;

	tcase_add_test(tests, three_failed_starts_are_hopeless);
	tcase_add_test(tests, one_good_start_gives_hope);
	tcase_add_test(tests, what_was_ordered_to_end_has_not_failed);
	tcase_add_test(tests, a_command_that_cannot_be_executed_is_hopeless_at_once);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
