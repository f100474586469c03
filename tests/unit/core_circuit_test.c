/* core_circuit_test.c: a pool whose workers fail one after the other stops running, blames nobody, and tries again with one
 * request. */
#include "core_world.h"

#define SAY "{\"command\":\"say\"}"
#define SOON "{\"command\":\"say\",\"timeout_ms\":3000}"

/* A pool of one whose circuit opens after so many failures, for ten seconds. */
static struct world *ready(uint32_t failures, bool rejects)
{
	struct world *w = world_new(
		(struct pool_config){
			.circuit_failures = failures,
			.circuit_pause_us = 10 * SECOND_US,
			.circuit_rejects = rejects,
			.resident_limit = 1 << 20,
		},
		(struct engine_config){0});

	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	return w;
}

/* The worker dies; what the group is to know is committed, and a new worker is READY. */
static void lose_worker(struct world *w)
{
	world_die(w, world_last(w, CALL_PING)->w);
	world_committed(w);
	world_pass(w, SECOND_US);
	world_workers_up(w);
}

/* Two sessions' first requests, each of which loses its worker. */
static void open_it(struct world *w)
{
	world_send(w, "a", SAY);
	world_send(w, "b", SAY);
	lose_worker(w);
	lose_worker(w);
	ck_assert_uint_eq(w->notes[NOTE_CIRCUIT], 1);
	ck_assert_int_eq(w->note_count[NOTE_CIRCUIT], 2);
}

static const char *running(struct world *w)
{
	const struct told_call *last = world_last(w, CALL_REQUEST);

	return last == NULL || last->answered || last->w.generation != world_last(w, CALL_PING)->w.generation ? "nobody"
													      : last->session;
}

START_TEST(while_it_is_open_nothing_runs_and_then_one_request_is_tried_and_its_answer_closes_it)
{
	struct world *w = ready(2, false);
	char why[128];

	open_it(w);
	ck_assert(!engine_ready_why(w->e, w->now, why, sizeof(why)));
	ck_assert_str_eq(why, "pool default: its circuit is open, next try in 9 s");
	world_send(w, "c", SAY);
	world_send(w, "d", SAY);
	world_pass(w, 8 * SECOND_US);
	ck_assert_str_eq(running(w), "nobody");
	world_pass(w, SECOND_US);
	ck_assert_str_eq(running(w), "c"); /* has lost no worker */
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 4);
	ck_assert_uint_eq(w->nrecords, 0);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert(engine_ready(w->e));
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 5); /* one that may have killed its worker runs alone */
	world_ok(w, world_last(w, CALL_REQUEST));
	world_ok(w, world_last(w, CALL_REQUEST));
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_uint_eq(w->nrecords, 4);
	world_free(w);
}
END_TEST

START_TEST(a_pool_that_its_circuit_makes_unavailable_says_so)
{
	struct world *w = world_new((struct pool_config){.size = 2, .circuit_failures = 1, .circuit_pause_us = 12 * SECOND_US},
		(struct engine_config){0});
	char why[128];

	world_workers_up(w);
	world_die(w, w->started[0]);
	ck_assert_str_eq(w->note_reason[NOTE_POOL_STATE], "its circuit is open, next try in 12 s");
	ck_assert(!engine_ready_why(w->e, w->now + SECOND_US / 2, why, sizeof(why)));
	ck_assert_str_eq(why, "pool default: its circuit is open, next try in 12 s");
	ck_assert(!engine_ready_why(w->e, w->now + 13 * SECOND_US, why, sizeof(why)));
	ck_assert_str_eq(why, "pool default: its circuit is open, next try in 0 s");
	world_free(w);
}
END_TEST

START_TEST(a_failure_of_the_one_that_is_tried_opens_it_for_twice_as_long_and_uses_no_attempt)
{
	struct world *w = ready(2, false);

	open_it(w);
	world_send(w, "c", SAY);
	world_send(w, "d", SAY);
	world_pass(w, 9 * SECOND_US);
	ck_assert_str_eq(running(w), "c");
	lose_worker(w);
	world_pass(w, 18 * SECOND_US);
	ck_assert_str_eq(running(w), "nobody");
	world_pass(w, SECOND_US);
	ck_assert_str_eq(running(w), "d");
	ck_assert_uint_eq(w->nrecords, 0);
	for (int i = 0; i < 4; i++) {
		world_ok(w, world_last(w, CALL_REQUEST));
		if (strcmp(running(w), "c") == 0)
			ck_assert_int_eq(world_last(w, CALL_REQUEST)->call.attempt, 1);
	}
	ck_assert_uint_eq(w->nrecords, 4);
	world_free(w);
}
END_TEST

static uint32_t kills_told(struct world *w)
{
	struct offsetmap map;

	ck_assert(offsetmap_decode(slice_of(w->commits[w->ncommits - 1].metadata), w->commits[w->ncommits - 1].base, &map));
	return map.nsuspects > 0 ? map.suspects[0].kills : 0;
}

START_TEST(the_death_that_opens_it_is_blamed_as_any_other_and_no_later_one)
{
	struct world *w = ready(1, false);

	world_send(w, "p", SAY);
	lose_worker(w);
	ck_assert_uint_eq(w->notes[NOTE_CIRCUIT], 1);
	ck_assert_uint_eq(kills_told(w), 1);
	world_pass(w, 9 * SECOND_US);
	ck_assert_str_eq(running(w), "p"); /* there is nobody else */
	ck_assert_int_eq(world_last(w, CALL_REQUEST)->call.attempt, 2);
	lose_worker(w);
	ck_assert_uint_eq(kills_told(w), 1);
	ck_assert_uint_eq(w->nrecords, 0);
	world_free(w);
}
END_TEST

/* p has opened it, and has failed when it was tried. The next is tried in 19 seconds. */
static struct world *held_by_poison(bool rejects)
{
	struct world *w = ready(1, rejects);

	world_send(w, "p", SAY);
	lose_worker(w);
	world_pass(w, 9 * SECOND_US);
	ck_assert_str_eq(running(w), "p");
	lose_worker(w);
	world_pass(w, 18 * SECOND_US);
	return w;
}

START_TEST(who_fails_when_it_is_tried_lets_others_come_first_for_a_while)
{
	struct world *w = held_by_poison(false);

	world_pass(w, 10 * SECOND_US);
	ck_assert_str_eq(running(w), "nobody"); /* the pause is over since 9 seconds */
	world_pass(w, 2 * SECOND_US);
	ck_assert_str_eq(running(w), "p");
	lose_worker(w);
	world_pass(w, 39 * SECOND_US);
	world_pass(w, 9 * SECOND_US);
	ck_assert_str_eq(running(w), "nobody");
	ck_assert_uint_eq(w->nrecords, 0);
	world_free(w);
}
END_TEST

static void check_poison(struct world *w, size_t from)
{
	ck_assert_uint_eq(w->nrecords, from + 2);
	for (size_t i = from; i < from + 2; i++)
		if (w->kinds[i] == RECORD_RESULT)
			ck_assert_str_eq(world_code(w, i), "POISON");
	ck_assert(w->kinds[from] != w->kinds[from + 1]);
}

START_TEST(a_poison_that_has_opened_it_ends_as_such_when_others_are_answered)
{
	struct world *w = held_by_poison(false);

	world_pass(w, 5 * SECOND_US);
	world_send(w, "c", SAY);
	ck_assert_str_eq(running(w), "c");
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_str_eq(running(w), "p");
	ck_assert_int_eq(world_last(w, CALL_REQUEST)->call.attempt, 2);
	lose_worker(w);
	check_poison(w, 1);
	world_free(w);
}
END_TEST

START_TEST(also_where_it_rejects_others_may_be_tried)
{
	struct world *w = held_by_poison(true);

	world_send(w, "c", SAY);
	ck_assert_str_eq(world_code(w, 0), "pool_unavailable");
	world_pass(w, 1000 * json_integer_value(json_object_get(json_object_get(w->results[0], "error"), "retry_after_ms")));
	world_send(w, "c", SAY);
	ck_assert_str_eq(running(w), "c");
	world_ok(w, world_last(w, CALL_REQUEST));
	lose_worker(w);
	check_poison(w, 2);
	world_free(w);
}
END_TEST

START_TEST(a_slot_kept_for_a_suspect_is_given_up_when_it_opens)
{
	struct world *w = world_new((struct pool_config){.size = 2, .circuit_failures = 2, .circuit_pause_us = 10 * SECOND_US},
		(struct engine_config){0});
	size_t first;

	w->concurrency = 2;
	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	world_send(w, "a", SAY);
	world_send(w, "b", SAY);
	world_send(w, "c", SAY);
	first = world_count(w, CALL_REQUEST);
	world_die(w, w->calls[2].w); /* two of them were there */
	world_pass(w, SECOND_US);    /* one that is to run alone waits for the other worker to be empty */
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), first);
	world_workers_up(w);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), first + 1);
	world_die(w, world_last(w, CALL_REQUEST)->w);
	ck_assert_uint_eq(w->notes[NOTE_CIRCUIT], 1);
	world_send(w, "d", SAY);
	world_pass(w, 11 * SECOND_US);
	ck_assert_str_eq(world_last(w, CALL_REQUEST)->session, "d");
	world_free(w);
}
END_TEST

/* ---- what is a failure ---- */

static void crash(struct world *w, struct slot_ref ref)
{
	engine_fault(w->e, ref, FAULT_EOF, SLICE(""), w->now);
}

static void break_protocol(struct world *w, struct slot_ref ref)
{
	engine_fault(w->e, ref, FAULT_FRAME, SLICE("HTTP/1.1"), w->now);
}

static void hold_too_much(struct world *w, struct slot_ref ref)
{
	engine_memory(w->e, ref, 1 << 30, w->now);
}

static void answer_no_ping(struct world *w, struct slot_ref ref)
{
	(void)ref;
	world_pass(w, 3611 * SECOND_US);
}

static void hang(struct world *w, struct slot_ref ref)
{
	(void)ref;
	world_send(w, "a", SAY);
	world_pass(w, 36 * SECOND_US);
}

static const struct {
	void (*end)(struct world *w, struct slot_ref ref);
	bool counts;
} ends[] = {{crash, true}, {break_protocol, true}, {hold_too_much, true}, {answer_no_ping, true}, {hang, false}};

START_TEST(workers_that_end_by_themselves_or_are_out_of_order_count_and_runs_that_hang_do_not)
{
	struct world *w = ready(2, false);
	struct exit_report x = {.signal = 9};

	for (unsigned i = 1; i <= 2; i++) {
		struct slot_ref ref = world_last(w, CALL_PING)->w;

		ends[_i].end(w, ref);
		ck_assert_uint_gt(w->nstops, 0);
		engine_gone(w->e, ref, &x, w->now);
		engine_check(w->e);
		ck_assert_uint_eq(w->notes[NOTE_CIRCUIT], ends[_i].counts && i == 2);
		world_pass(w, SECOND_US);
		world_workers_up(w);
	}
	world_free(w);
}
END_TEST

static void fail_to_start(struct world *w)
{
	struct exit_report x = {.exited = true, .code = 1};
	size_t n = w->nstarted;

	for (size_t i = 0; i < n; i++) {
		engine_fault(w->e, w->started[i], FAULT_EXEC, SLICE(""), w->now);
		engine_gone(w->e, w->started[i], &x, w->now);
	}
	w->nstarted = 0;
}

START_TEST(when_none_has_started_the_first_that_does_is_worth_a_try_also_a_spare_one)
{
	struct world *w = world_new((struct pool_config){.spare = 1, .circuit_failures = 2, .circuit_pause_us = 10 * SECOND_US},
		(struct engine_config){0});

	world_assign_at(w, 0, 0, "");
	world_send(w, "a", SAY);
	fail_to_start(w);
	ck_assert_uint_eq(w->notes[NOTE_CIRCUIT], 1);
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(w->nstarted, 2);
	w->started[0] = w->started[w->started[0].slot == 1 ? 0 : 1];
	w->nstarted = 1;
	ck_assert_uint_eq(w->started[0].slot, 1); /* the other one still starts */
	world_workers_up(w);
	ck_assert_str_eq(running(w), "a");
	world_free(w);
}
END_TEST

/* ---- the rest ---- */

START_TEST(a_configuration_without_it_closes_it)
{
	struct world *w = ready(2, false);

	open_it(w);
	world_pass(w, _i * 10 * SECOND_US); /* open, or one is tried */
	w->pool.circuit_failures = 0;
	engine_retune(w->e, &w->cfg, w->now);
	engine_check(w->e);
	ck_assert_uint_eq(w->notes[NOTE_CIRCUIT], 2 + (unsigned)_i);
	world_send(w, "c", SAY);
	for (int i = 0; i < 3; i++)
		world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_uint_eq(w->nrecords, 3);
	world_free(w);
}
END_TEST

START_TEST(time_goes_on_while_it_is_open)
{
	struct world *w = ready(2, false);

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
	struct world *w = ready(2, true);
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
	tcase_add_test(t, a_pool_that_its_circuit_makes_unavailable_says_so);
	tcase_add_test(t, a_failure_of_the_one_that_is_tried_opens_it_for_twice_as_long_and_uses_no_attempt);
	tcase_add_test(t, the_death_that_opens_it_is_blamed_as_any_other_and_no_later_one);
	tcase_add_test(t, who_fails_when_it_is_tried_lets_others_come_first_for_a_while);
	tcase_add_test(t, a_poison_that_has_opened_it_ends_as_such_when_others_are_answered);
	tcase_add_test(t, also_where_it_rejects_others_may_be_tried);
	tcase_add_test(t, a_slot_kept_for_a_suspect_is_given_up_when_it_opens);
	tcase_add_loop_test(t, workers_that_end_by_themselves_or_are_out_of_order_count_and_runs_that_hang_do_not, 0,
		sizeof(ends) / sizeof(ends[0]));
	tcase_add_test(t, when_none_has_started_the_first_that_does_is_worth_a_try_also_a_spare_one);
	tcase_add_loop_test(t, a_configuration_without_it_closes_it, 0, 2);
	tcase_add_test(t, time_goes_on_while_it_is_open);
	tcase_add_test(t, it_may_reject_what_comes_meanwhile);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
