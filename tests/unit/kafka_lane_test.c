/* The side thread: one job at a time, in order, results on the loop's thread, never from inside lane_post. And what there is
 * without threads and descriptors. */
#include "lane.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bridgepool/base/check.h"
#include "failing_uv.h"
#include "wake.h"

enum { JOBS = 200 };

struct step {
	struct lane_job job;
	int number;
	sem_t *gate; /* waited for in the side thread, or NULL */
};

static uv_loop_t loop;
static struct lane *lane;
static pthread_t loop_thread;
static int running, most_running, ran[JOBS], nran, done[JOBS], ndone;
static bool closed, posting;

static void run(struct lane_job *job)
{
	struct step *s = (struct step *)job;

	ck_assert(!pthread_equal(pthread_self(), loop_thread));
	running++;
	if (running > most_running)
		most_running = running;
	if (s->gate)
		sem_wait(s->gate);
	ran[nran++] = s->number;
	running--;
}

static void finish(struct lane_job *job)
{
	struct step *s = (struct step *)job;

	ck_assert(pthread_equal(pthread_self(), loop_thread));
	ck_assert(!posting);
	done[ndone++] = s->number;
	free(s);
}

static void post(int number, sem_t *gate, void (*after)(struct lane_job *))
{
	struct step *s = xcalloc(1, sizeof *s);

	s->job = (struct lane_job){run, after, NULL};
	s->number = number;
	s->gate = gate;
	posting = true;
	lane_post(lane, &s->job);
	posting = false;
}

static void on_closed(void *ctx)
{
	ck_assert_ptr_eq(ctx, &loop);
	closed = true;
}

static void setup(void)
{
	running = most_running = nran = ndone = 0;
	closed = false;
	loop_thread = pthread_self();
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	lane = lane_new(&loop);
	ck_assert_ptr_nonnull(lane);
}

static void finish_lane(void)
{
	lane_close(lane, on_closed, &loop);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert(closed);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static void turn_until(int n)
{
	while (ndone < n)
		uv_run(&loop, UV_RUN_ONCE);
}

START_TEST(jobs_run_one_at_a_time_in_order)
{
	for (int i = 0; i < JOBS; i++)
		post(i, NULL, finish);
	turn_until(JOBS);
	ck_assert_int_eq(most_running, 1);
	for (int i = 0; i < JOBS; i++) {
		ck_assert_int_eq(ran[i], i);
		ck_assert_int_eq(done[i], i);
	}
	finish_lane();
}
END_TEST

static void on_turn(uv_idle_t *idle)
{
	++*(int *)idle->data;
}

START_TEST(the_loop_turns_while_a_job_blocks)
{
	sem_t gate;
	uv_idle_t idle;
	int turns = 0;

	sem_init(&gate, 0, 0);
	uv_idle_init(&loop, &idle);
	idle.data = &turns;
	uv_idle_start(&idle, on_turn);
	post(1, &gate, finish);
	while (turns < 100)
		uv_run(&loop, UV_RUN_NOWAIT);
	ck_assert_int_eq(ndone, 0);
	sem_post(&gate);
	turn_until(1);
	uv_close((uv_handle_t *)&idle, NULL);
	finish_lane();
	sem_destroy(&gate);
}
END_TEST

static void post_another(struct lane_job *job)
{
	int next = ((struct step *)job)->number + 1;

	finish(job);
	if (next < 5)
		post(next, NULL, post_another);
}

START_TEST(a_result_may_post_the_next_job)
{
	post(0, NULL, post_another);
	turn_until(5);
	finish_lane();
}
END_TEST

static void close_after(struct lane_job *job)
{
	finish(job);
	lane_close(lane, on_closed, &loop);
}

START_TEST(the_last_result_may_close_the_lane)
{
	post(0, NULL, close_after);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert(closed);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

START_TEST(a_lane_without_jobs_closes)
{
	finish_lane();
}
END_TEST

/* As at a limit of processes, which the superuser does not meet: here no stack can be had for one. */
START_TEST(without_a_thread_there_is_no_lane)
{
	pthread_attr_t usual, huge;
	struct lane *none;

	finish_lane();
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	pthread_attr_init(&huge);
	ck_assert_int_eq(pthread_getattr_default_np(&usual), 0);
	ck_assert_int_eq(pthread_attr_setstacksize(&huge, (size_t)1 << 50), 0);
	ck_assert_int_eq(pthread_setattr_default_np(&huge), 0);
	none = lane_new(&loop);
	ck_assert_int_eq(pthread_setattr_default_np(&usual), 0);
	ck_assert_ptr_null(none);
	ck_assert_int_eq(uv_loop_close(&loop), 0); /* and nothing of it is left */
	pthread_attr_destroy(&huge);
	pthread_attr_destroy(&usual);
}
END_TEST

START_TEST(without_a_descriptor_there_is_no_wake)
{
	struct rlimit usual, none;
	struct wake *w;
	int lowest = dup(0), error;

	finish_lane();
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	close(lowest);
	lowest = dup(0);
	close(lowest);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &usual), 0);
	none = (struct rlimit){(rlim_t)lowest, usual.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	w = wake_new(&loop, NULL, NULL);
	error = errno;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &usual), 0);
	ck_assert_ptr_null(w);
	ck_assert_int_eq(error, EMFILE);
	poll_fails = 1;
	ck_assert_ptr_null(wake_new(&loop, NULL, NULL));
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_int_eq(dup(0), lowest); /* none is left open */
	close(lowest);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("kafka lane");
	TCase *t = tcase_create("all");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, jobs_run_one_at_a_time_in_order);
	tcase_add_test(t, the_loop_turns_while_a_job_blocks);
	tcase_add_test(t, a_result_may_post_the_next_job);
	tcase_add_test(t, the_last_result_may_close_the_lane);
	tcase_add_test(t, a_lane_without_jobs_closes);
	tcase_add_test(t, without_a_thread_there_is_no_lane);
	tcase_add_test(t, without_a_descriptor_there_is_no_wake);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
