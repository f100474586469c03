/* app_aside_test.c: the loop turns while a call blocks. */
#include <check.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "aside.h"

enum { TURNS = 5 };

static bool threads_fail;

/* In place of the library's, to which it passes on. */
int uv_thread_create(uv_thread_t *thread, uv_thread_cb entry, void *arg)
{
	int (*real)(uv_thread_t *, uv_thread_cb, void *);
	void *found = dlsym(RTLD_NEXT, "uv_thread_create");

	memcpy(&real, &found, sizeof real);
	return threads_fail ? UV_EAGAIN : real(thread, entry, arg);
}

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
	ck_assert(aside_run(&loop, await_turns, &seen));
	ck_assert_int_eq(seen, TURNS);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	uv_sem_destroy(&turned);
}
END_TEST

START_TEST(without_a_thread_nothing_is_done)
{
	uv_loop_t loop;
	int seen = 0;

	ck_assert_int_eq(uv_loop_init(&loop), 0);
	threads_fail = true;
	ck_assert(!aside_run(&loop, await_turns, &seen));
	threads_fail = false;
	ck_assert_int_eq(seen, 0);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
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
	tcase_add_test(tests, without_a_thread_nothing_is_done);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
