/* worker_channel_test.c: a worker whose pipes cannot be watched is one failed start, and nothing of it stays. */
#include <errno.h>
#include <sys/wait.h>

#include "failing_uv.h"
#include "worker_stage.h"

static int lowest_free(void)
{
	int fd = dup(0);

	ck_assert_int_ge(fd, 0);
	close(fd);
	return fd;
}

/* The guard is reaped, which nobody can be who is still our child. */
static void check_nothing_is_left(int lowest)
{
	ck_assert_int_eq(lowest_free(), lowest);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}

START_TEST(a_pipe_that_cannot_be_watched_is_a_failed_start)
{
	struct stage s;
	int lowest;

	stage_open_mock(&s, NULL);
	lowest = lowest_free();
	poll_fails = _i;
	stage_start_only(&s, 0);
	stage_wait(&s, s.seen[0].gone);
	ck_assert_int_eq(s.seen[0].started, 0);
	ck_assert_int_eq(s.seen[0].nfaults, 1);
	ck_assert_int_eq(s.seen[0].faults[0].kind, FAULT_START);
	ck_assert_ptr_nonnull(strstr(s.seen[0].faults[0].detail, "a worker's pipes cannot be watched: "));
	check_nothing_is_left(lowest);
	stage_start(&s, 1); /* the next one may work */
	stage_close(&s);
}
END_TEST

START_TEST(so_it_is_while_its_adapter_is_closed)
{
	struct stage s;

	stage_open_mock(&s, NULL);
	poll_fails = _i;
	stage_start_only(&s, 0);
	stage_close(&s);
	ck_assert_int_eq(s.seen[0].nfaults, 0);
	ck_assert_int_eq(s.seen[0].gone, 0);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("channel");

	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, a_pipe_that_cannot_be_watched_is_a_failed_start, 1, 5); /* each of four */
	tcase_add_loop_test(tests, so_it_is_while_its_adapter_is_closed, 1, 5);
	return stage_main("worker_channel", tests);
}
