/* app_aside_test.c: the loop turns while a call blocks. */
#include <check.h>
#include <stdlib.h>

#include "aside.h"

enum { TURNS = 5 };

static uv_sem_t turned;

static void on_turn(uv_timer_t *timer)
{
	(void)timer;
	uv_sem_post(&turned);
}

/* Ends only when the loop has gone on meanwhile. */
static void await_turns(void *ctx)
{
	for (int i = 0; i < TURNS; i++)
		uv_sem_wait(&turned);
	*(int *)ctx = TURNS;
}

START_TEST(the_loop_turns_while_a_call_blocks)
{
	uv_timer_t timer;
	uv_loop_t loop;
	int seen = 0;

	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(uv_sem_init(&turned, 0), 0);
	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, on_turn, 1, 1);
	uv_unref((uv_handle_t *)&timer); /* as most that wait for somebody are */
	aside_run(&loop, await_turns, &seen);
	ck_assert_int_eq(seen, TURNS);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	uv_sem_destroy(&turned);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("app_aside");
	TCase *tests = tcase_create("aside");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tests, 20);
	tcase_add_test(tests, the_loop_turns_while_a_call_blocks);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
