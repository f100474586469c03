/* core_circuit_test.c: a pool whose workers fail one after the other stops running, blames nobody, and tries again with one request. */
#include "core_world.h"

#define SAY "{\"command\":\"say\"}"
#define SOON "{\"command\":\"say\",\"timeout_ms\":3000}"

/* A pool of one whose circuit opens after two failures, for ten seconds. */
static struct world *ready(bool rejects)
{
	struct world *w = world_new((struct pool_config){.circuit_failures = 2, .circuit_pause_us = 10 * SECOND_US, .circuit_rejects = rejects},
		(struct engine_config){0});

	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	return w;
}

/* Two sessions' first requests, each of which loses its worker. */
static void open_it(struct world *w)
{
	world_send(w, "a", SAY);
	world_send(w, "b", SAY);
	world_die(w, world_last(w, CALL_REQUEST)->w);
	world_pass(w, SECOND_US);
	world_workers_up(w);
	world_die(w, world_last(w, CALL_REQUEST)->w);
	world_pass(w, SECOND_US);
	world_workers_up(w);
	ck_assert_uint_eq(w->notes[NOTE_CIRCUIT], 1);
	ck_assert_int_eq(w->note_count[NOTE_CIRCUIT], 2);
}

START_TEST(while_it_is_open_nothing_runs_and_then_one_request_is_tried_and_its_answer_closes_it)
{
	struct world *w = ready(false);
	const char *why;
	size_t calls;

	open_it(w);
	ck_assert(!engine_ready(w->e, &why));
	calls = world_count(w, CALL_REQUEST);
	world_send(w, "c", SAY);
	world_pass(w, 5 * SECOND_US);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), calls);
	world_pass(w, 5 * SECOND_US);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), calls + 1);
	ck_assert_uint_eq(w->nrecords, 0);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert(engine_ready(w->e, &why));
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), calls + 2); /* one that may have killed its worker runs alone */
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), calls + 3);
	world_free(w);
}
END_TEST

START_TEST(a_failure_of_the_one_that_is_tried_opens_it_for_twice_as_long_and_uses_no_attempt)
{
	struct world *w = ready(false);
	size_t calls;
	int attempt;

	open_it(w);
	world_pass(w, 10 * SECOND_US);
	calls = world_count(w, CALL_REQUEST);
	attempt = world_last(w, CALL_REQUEST)->call.attempt;
	world_die(w, world_last(w, CALL_REQUEST)->w);
	world_pass(w, 15 * SECOND_US);
	world_workers_up(w);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), calls);
	world_pass(w, 6 * SECOND_US);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), calls + 1);
	ck_assert_int_le(world_last(w, CALL_REQUEST)->call.attempt, attempt);
	ck_assert_uint_eq(w->nrecords, 0);
	world_free(w);
}
END_TEST

START_TEST(time_goes_on_while_it_is_open)
{
	struct world *w = ready(false);

	open_it(w);
	engine_clock(w->e, 1700000000000, w->now);
	world_send(w, "d", SOON);
	world_pass(w, 4 * SECOND_US);
	ck_assert_uint_eq(w->nrecords, 1);
	ck_assert_str_eq(world_text(w, 0, "status"), "EXPIRED");
	ck_assert_str_eq(world_code(w, 0), "pool_unavailable");
	world_free(w);
}
END_TEST

START_TEST(it_may_reject_what_comes_meanwhile)
{
	struct world *w = ready(true);
	json_t *error;

	open_it(w);
	world_send(w, "d", SAY);
	ck_assert_uint_eq(w->nrecords, 1);
	ck_assert_str_eq(world_text(w, 0, "status"), "REJECTED");
	ck_assert_str_eq(world_code(w, 0), "pool_unavailable");
	error = json_object_get(w->results[0], "error");
	ck_assert(json_is_true(json_object_get(error, "retriable")));
	ck_assert_int_gt(json_integer_value(json_object_get(error, "retry_after_ms")), 1000);
	world_free(w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("circuit");
	TCase *t = tcase_create("scenes");
	SRunner *runner;
	int failed;

	tcase_add_test(t, while_it_is_open_nothing_runs_and_then_one_request_is_tried_and_its_answer_closes_it);
	tcase_add_test(t, a_failure_of_the_one_that_is_tried_opens_it_for_twice_as_long_and_uses_no_attempt);
	tcase_add_test(t, time_goes_on_while_it_is_open);
	tcase_add_test(t, it_may_reject_what_comes_meanwhile);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
