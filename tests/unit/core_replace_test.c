/* core_replace_test.c: which worker serves, which waits warm, which leaves; and values that change while the engine runs. */
#include "core_world.h"

static const struct engine_config usual = {0};
#define SAY "{\"command\":\"say\"}"

static struct world *ready(struct pool_config pool)
{
	struct world *w = world_new(pool, usual);

	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	return w;
}

static void answer_last(struct world *w)
{
	world_ok(w, world_last(w, CALL_REQUEST));
}

static void gone(struct world *w, struct slot_ref ref)
{
	struct exit_report x = {.signal = 9};

	engine_gone(w->e, ref, &x, w->now);
	engine_check(w->e);
}

START_TEST(a_warm_spare_runs_what_the_dead_worker_would_have_run_in_the_same_turn)
{
	struct world *w = ready((struct pool_config){.size = 1, .spare = 1});
	struct slot_ref first;

	world_send(w, "a", SAY);
	first = world_last(w, CALL_REQUEST)->w;
	answer_last(w);
	gone(w, first);
	world_send(w, "a", SAY);
	ck_assert_uint_ne(world_last(w, CALL_REQUEST)->w.slot, first.slot);
	ck_assert(world_last(w, CALL_REQUEST)->call.session_new);
	answer_last(w);
	ck_assert_str_eq(w->note_reason[NOTE_POOL_STATE], "1 of 1 workers are READY");
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(w->nstarted, 1); /* the next spare, in the dead one's slot */
	ck_assert_uint_eq(w->started[0].slot, first.slot);
	world_free(w);
}
END_TEST

START_TEST(a_rolled_worker_leaves_when_its_successor_is_warm_and_its_sessions_have_had_their_time)
{
	struct world *w = ready((struct pool_config){.size = 1, .recycle_grace_us = SECOND_US});
	struct slot_ref old, fresh;

	world_send(w, "a", SAY);
	old = world_last(w, CALL_REQUEST)->w;
	answer_last(w);
	w->nstarted = 0;
	engine_roll(w->e, 0, w->now);
	ck_assert_uint_eq(w->nstarted, 1);
	ck_assert_uint_eq(w->notes[NOTE_WORKER_LEAVING], 0);
	world_workers_up(w);
	ck_assert_uint_eq(w->notes[NOTE_WORKER_LEAVING], 1);
	ck_assert_int_eq(w->note_count[NOTE_WORKER_LEAVING], 1);
	world_send(w, "b", SAY);
	fresh = world_last(w, CALL_REQUEST)->w;
	ck_assert_uint_ne(fresh.slot, old.slot);
	world_send(w, "a", SAY); /* lives there still */
	ck_assert_uint_eq(world_last(w, CALL_REQUEST)->w.slot, old.slot);
	world_pass(w, 2 * SECOND_US);
	ck_assert_uint_eq(w->nstops, 0); /* never inside a run */
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 0);
	answer_last(w);
	ck_assert_str_eq(world_last(w, CALL_CLEANUP_SESSION)->reason, "recycle");
	world_ok(w, world_last(w, CALL_CLEANUP_SESSION));
	ck_assert_uint_eq(w->nstops, 1);
	ck_assert_uint_eq(w->stops[0].w.slot, old.slot);
	ck_assert_int_eq(w->stops[0].step, STOP_CLOSE);
	world_send(w, "a", SAY);
	ck_assert_uint_eq(world_last(w, CALL_REQUEST)->w.slot, fresh.slot);
	ck_assert(world_last(w, CALL_REQUEST)->call.session_new);
	gone(w, old);
	world_free(w);
}
END_TEST

START_TEST(only_the_worker_that_holds_too_much_is_killed)
{
	struct world *w = ready((struct pool_config){.size = 2, .memory_limit = 1 << 20});
	struct slot_ref first;

	world_send(w, "a", SAY);
	first = world_last(w, CALL_REQUEST)->w;
	engine_memory(w->e, first, 1 << 20, w->now);
	ck_assert_uint_eq(w->nstops, 0);
	engine_memory(w->e, first, (1 << 20) + 1, w->now);
	ck_assert_uint_eq(w->nstops, 1);
	ck_assert_uint_eq(w->stops[0].w.slot, first.slot);
	ck_assert_int_eq(w->stops[0].step, STOP_KILL);
	gone(w, first);
	world_pass(w, SECOND_US); /* its request runs again: the state began with it */
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 2);
	ck_assert_int_eq(world_last(w, CALL_REQUEST)->call.attempt, 2);
	world_free(w);
}
END_TEST

START_TEST(retuned_values_hold_for_what_comes_and_for_what_is_idle)
{
	struct world *w = ready((struct pool_config){.size = 1});

	world_send(w, "a", SAY);
	answer_last(w);
	w->pool.session_ttl_us = SECOND_US;
	w->pool.request_timeout_us = 100 * MS_US;
	w->pool.recycle_requests = 2;
	engine_retune(w->e, &w->cfg, w->now);
	engine_check(w->e);
	world_pass(w, 1100 * MS_US);
	ck_assert_str_eq(world_last(w, CALL_CLEANUP_SESSION)->reason, "ttl");
	world_ok(w, world_last(w, CALL_CLEANUP_SESSION));
	w->nstarted = 0;
	world_send(w, "b", SAY); /* the second run of this worker: it is worn */
	ck_assert_uint_eq(w->nstarted, 1);
	world_pass(w, 101 * MS_US);
	ck_assert_str_eq(world_text(w, 1, "status"), "TIMEOUT");
	world_free(w);
}
END_TEST

static void resize(struct world *w, uint32_t size, uint32_t spare)
{
	w->pool.size = size;
	w->pool.spare = spare;
	engine_retune(w->e, &w->cfg, w->now);
	engine_check(w->e);
}

static void check_workers(struct world *w, uint32_t serving, uint32_t spare, uint32_t leaving)
{
	struct snapshot s;
	uint32_t n[3] = {0};

	engine_snapshot(w->e, w->now, &s);
	for (size_t i = 0; i < s.pools[0].nworker_list; i++)
		for (int k = 0; k < 3; k++)
			n[k] += strcmp(s.pools[0].worker_list[i].role, ((const char *[]){"serving", "spare", "leaving"})[k]) == 0;
	snapshot_free(&s);
	ck_assert_uint_eq(n[0], serving);
	ck_assert_uint_eq(n[1], spare);
	ck_assert_uint_eq(n[2], leaving);
}

START_TEST(a_pool_that_grows_starts_what_is_missing_and_uses_it)
{
	struct world *w = ready((struct pool_config){.size = 1});

	w->concurrency = 1;
	world_send(w, "a", SAY);
	world_send(w, "b", SAY);
	w->nstarted = 0;
	resize(w, 3, 1);
	ck_assert_uint_eq(w->nstarted, 3);
	check_workers(w, 3, 1, 0);
	ck_assert_str_eq(w->note_reason[NOTE_POOL_STATE], "1 of 3 workers are READY");
	world_workers_up(w);
	for (int i = 0; i < 4; i++)
		world_send(w, ((const char *[]){"c", "d", "e", "f"})[i], SAY);
	ck_assert_str_eq(w->note_reason[NOTE_POOL_STATE], "3 of 3 workers are READY");
	ck_assert_uint_ge(world_count(w, CALL_REQUEST), 4); /* one of four places, and two of one */
	world_free(w);
}
END_TEST

START_TEST(a_pool_that_shrinks_lets_its_highest_workers_leave_after_what_runs_and_their_sessions)
{
	struct world *w = ready((struct pool_config){.size = 3, .recycle_grace_us = SECOND_US});
	struct told_call *run[3];

	for (int i = 0; i < 3; i++) {
		world_send(w, ((const char *[]){"a", "b", "c"})[i], SAY);
		run[i] = world_last(w, CALL_REQUEST);
		ck_assert_uint_eq(run[i]->w.slot, i);
	}
	resize(w, 1, 0);
	check_workers(w, 1, 0, 2);
	ck_assert_uint_eq(w->notes[NOTE_WORKER_LEAVING], 2);
	ck_assert_str_eq(w->note_reason[NOTE_WORKER_LEAVING], "the pool is smaller now");
	ck_assert_uint_eq(w->nstops, 0);
	world_send(w, "d", SAY);
	ck_assert_uint_eq(world_last(w, CALL_REQUEST)->w.slot, 0);
	answer_last(w);
	world_ok(w, run[1]);
	world_send(w, "b", SAY); /* it lives there still */
	ck_assert_uint_eq(world_last(w, CALL_REQUEST)->w.slot, 1);
	answer_last(w);
	world_pass(w, 1100 * MS_US);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 1); /* of b; c runs */
	world_ok(w, world_last(w, CALL_CLEANUP_SESSION));
	ck_assert_uint_eq(w->nstops, 1);
	ck_assert_uint_eq(w->stops[0].w.slot, 1);
	gone(w, w->stops[0].w);
	world_ok(w, run[2]);
	world_ok(w, world_last(w, CALL_CLEANUP_SESSION));
	gone(w, w->stops[1].w);
	world_ok(w, run[0]);
	w->nstarted = 0;
	world_pass(w, 60 * SECOND_US);
	check_workers(w, 1, 0, 0);
	ck_assert_uint_eq(w->nstarted, 0);
	world_send(w, "c", SAY);
	ck_assert_uint_eq(world_last(w, CALL_REQUEST)->w.slot, 0);
	ck_assert(world_last(w, CALL_REQUEST)->call.session_new);
	world_free(w);
}
END_TEST

START_TEST(what_is_not_up_is_given_up_first)
{
	struct world *w = ready((struct pool_config){.size = 2});

	world_send(w, "a", SAY);
	world_send(w, "b", SAY);
	world_die(w, w->calls[2].w); /* of the lower slot: a's */
	ck_assert_uint_eq(w->calls[2].w.slot, 0);
	resize(w, 1, 0);
	check_workers(w, 1, 0, 0);
	ck_assert_uint_eq(w->notes[NOTE_WORKER_LEAVING], 0);
	ck_assert_uint_eq(w->nstops, 1); /* the dead one's */
	w->nstarted = 0;
	world_pass(w, 10 * SECOND_US);
	ck_assert_uint_eq(w->nstarted, 0);
	ck_assert_uint_eq(world_last(w, CALL_REQUEST)->w.slot, 1);
	world_free(w);
}
END_TEST

START_TEST(spares_that_are_too_many_end_and_a_pool_may_grow_while_others_leave)
{
	struct world *w = ready((struct pool_config){.size = 2, .spare = 2, .recycle_grace_us = 60 * SECOND_US});

	world_send(w, "a", SAY);
	answer_last(w);
	world_send(w, "b", SAY);
	resize(w, 1, 0);
	check_workers(w, 1, 2, 1);
	ck_assert_uint_eq(w->nstops, 1); /* one after the other */
	gone(w, w->stops[0].w);
	ck_assert_uint_eq(w->nstops, 2);
	gone(w, w->stops[1].w);
	check_workers(w, 1, 0, 1);
	resize(w, 4, 0);
	check_workers(w, 4, 0, 1);
	world_workers_up(w);
	check_workers(w, 4, 0, 1);
	world_free(w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("replace");
	TCase *t = tcase_create("scenes");
	SRunner *runner;
	int failed;

	tcase_add_test(t, a_warm_spare_runs_what_the_dead_worker_would_have_run_in_the_same_turn);
	tcase_add_test(t, a_rolled_worker_leaves_when_its_successor_is_warm_and_its_sessions_have_had_their_time);
	tcase_add_test(t, only_the_worker_that_holds_too_much_is_killed);
	tcase_add_test(t, retuned_values_hold_for_what_comes_and_for_what_is_idle);
	tcase_add_test(t, a_pool_that_grows_starts_what_is_missing_and_uses_it);
	tcase_add_test(t, a_pool_that_shrinks_lets_its_highest_workers_leave_after_what_runs_and_their_sessions);
	tcase_add_test(t, what_is_not_up_is_given_up_first);
	tcase_add_test(t, spares_that_are_too_many_end_and_a_pool_may_grow_while_others_leave);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
