/* core_replace_test.c: which worker serves, which waits warm, which leaves; and values that change while the engine runs. */
#include <malloc.h>

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
	ck_assert_str_eq(w->note_reason[NOTE_WORKER_LEAVING], "all workers are replaced; its sessions are ended in 1 s");
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
	ck_assert_uint_eq(w->notes[NOTE_POOL_ROLLED], 0);
	gone(w, old);
	ck_assert_uint_eq(w->notes[NOTE_POOL_ROLLED], 1);
	gone(w, fresh); /* nothing of the roll is left to be told */
	ck_assert_uint_eq(w->notes[NOTE_POOL_ROLLED], 1);
	world_free(w);
}
END_TEST

START_TEST(only_the_worker_that_holds_too_much_is_killed)
{
	struct world *w = ready((struct pool_config){.size = 2, .resident_limit = 1 << 20});
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
	world_committed(w);
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

/* Bytes from malloc; without glibc's it stays 0. */
static size_t held(void)
{
	return mallinfo2().uordblks;
}

START_TEST(a_thousand_retunes_hold_no_more_memory_than_one)
{
	static const char *const commands[] = {"a-command-that-is-long-enough-to-be-seen-*", "another-one-of-the-same-length-*"};
	struct world *w = ready((struct pool_config){.size = 1});
	const char *name = engine_pool_name(w->e, 0);
	size_t before;

	w->source.commands = w->cfg.copy_headers = commands;
	w->source.ncommands = w->cfg.ncopy_headers = 2;
	engine_retune(w->e, &w->cfg, w->now);
	before = held();
	for (int i = 0; i < 1000; i++)
		engine_retune(w->e, &w->cfg, w->now);
	ck_assert_uint_le(held(), before + 4096);
	ck_assert_ptr_eq(engine_pool_name(w->e, 0), name);
	engine_check(w->e);
	world_free(w);
}
END_TEST

START_TEST(a_worker_that_holds_more_than_recycle_memory_is_replaced)
{
	struct world *w = ready((struct pool_config){.size = 1, .recycle_memory = 1 << 20, .recycle_grace_us = SECOND_US});
	struct slot_ref old = w->calls[0].w;

	world_pass(w, 3600 * SECOND_US - 1);
	w->nstarted = 0;
	engine_memory(w->e, old, 1 << 20, w->now);
	ck_assert_uint_eq(w->nstarted, 0);
	engine_memory(w->e, old, (1 << 20) + 1, w->now);
	ck_assert_uint_eq(w->nstarted, 1);
	world_workers_up(w);
	ck_assert_str_eq(w->note_reason[NOTE_WORKER_LEAVING], "it holds too much memory");
	ck_assert_uint_eq(w->nstops, 1);
	ck_assert_uint_eq(w->stops[0].w.slot, old.slot);
	ck_assert_int_eq(w->stops[0].step, STOP_CLOSE);
	ck_assert_uint_eq(w->notes[NOTE_WORKER_LARGE], 0);
	world_free(w);
}
END_TEST

/* Who is asked to end does, who is started comes up, at once. */
static void obey(struct world *w)
{
	for (size_t done = 0; done < w->nstops || w->nstarted > 0;) {
		world_workers_up(w);
		if (done < w->nstops)
			gone(w, w->stops[done++].w);
	}
	w->nstops = 0;
}

/* Ticks until n workers leave, or that time; when each did. */
static void watch_leaving(struct world *w, unsigned n, int64_t until, int64_t *at)
{
	for (unsigned seen = 0; seen < n && w->now < until;) {
		w->now = engine_next(w->e);
		engine_tick(w->e, w->now);
		obey(w);
		while (seen < n && seen < w->notes[NOTE_WORKER_LEAVING])
			at[seen++] = w->now;
	}
}

START_TEST(workers_are_replaced_by_their_age_but_those_of_one_start_not_in_one_moment)
{
	enum { WORKERS = 8 };
	struct world *w = ready((struct pool_config){.size = WORKERS, .spare = 1, .recycle_age_us = 100 * SECOND_US});
	int64_t at[WORKERS], born = w->now;

	obey(w);
	watch_leaving(w, WORKERS, born + 101 * SECOND_US, at);
	ck_assert_uint_ge(w->notes[NOTE_WORKER_LEAVING], WORKERS);
	for (int i = 0; i < WORKERS; i++) {
		ck_assert_int_ge(at[i], born + 80 * SECOND_US);
		ck_assert_int_le(at[i], born + 100 * SECOND_US);
		ck_assert(i == 0 || at[i] > at[i - 1]);
	}
	ck_assert_int_gt(at[WORKERS - 1] - at[0], 5 * SECOND_US);
	ck_assert_str_eq(w->note_reason[NOTE_WORKER_LEAVING], "it is older than recycle_age");
	world_free(w);
}
END_TEST

/* Workers of one start take requests in turn; each is worn after its own number of them. */
START_TEST(workers_are_replaced_after_so_many_runs_but_not_all_after_the_same)
{
	enum { WORKERS = 8, RUNS = 50 };
	struct world *w = ready((struct pool_config){.size = WORKERS, .spare = 1, .recycle_requests = RUNS});
	unsigned runs[64] = {0}, most = 0, least = RUNS;

	obey(w);
	for (int i = 0; i < WORKERS * RUNS && w->notes[NOTE_WORKER_LEAVING] < WORKERS; i++) {
		unsigned before = w->notes[NOTE_WORKER_LEAVING], *n;

		world_send(w, NULL, SAY);
		n = &runs[world_last(w, CALL_REQUEST)->w.slot];
		++*n;
		answer_last(w);
		obey(w);
		if (w->notes[NOTE_WORKER_LEAVING] == before)
			continue;
		least = *n < least ? *n : least;
		most = *n > most ? *n : most;
		*n = 0;
	}
	ck_assert_uint_ge(w->notes[NOTE_WORKER_LEAVING], WORKERS);
	ck_assert_uint_ge(least, RUNS * 4 / 5);
	ck_assert_uint_le(most, RUNS);
	ck_assert_uint_gt(most, least);
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

static const uint64_t MIB = 1 << 20;

START_TEST(where_fresh_workers_are_too_large_they_are_replaced_ever_less_often)
{
	struct world *w = ready((struct pool_config){.size = 2, .recycle_memory = 1 << 20});
	struct slot_ref one = w->calls[0].w, two = w->calls[1].w;

	world_pass(w, SECOND_US);
	w->nstarted = 0;
	engine_memory(w->e, one, 2 * MIB, w->now);
	engine_memory(w->e, two, 2 * MIB, w->now);
	ck_assert_uint_eq(w->nstarted, 1);
	ck_assert_uint_eq(w->notes[NOTE_WORKER_LARGE], 1);
	ck_assert_int_eq(w->note_count[NOTE_WORKER_LARGE], 10000);
	ck_assert_str_eq(w->note_reason[NOTE_WORKER_LARGE], "it holds 2 MiB 1 s after it was READY, and recycle_memory is 1 MiB");
	world_workers_up(w);
	ck_assert_uint_eq(w->nstops, 1);
	gone(w, one);
	world_pass(w, 8 * SECOND_US);
	engine_memory(w->e, two, 2 * MIB, w->now);
	ck_assert_uint_eq(w->nstarted, 0);
	world_pass(w, SECOND_US); /* now it has lived for ten seconds */
	engine_memory(w->e, two, 2 * MIB, w->now);
	ck_assert_uint_eq(w->nstarted, 1);
	world_workers_up(w);
	gone(w, two);
	world_pass(w, 19 * SECOND_US);
	engine_memory(w->e, world_last(w, CALL_PING)->w, 2 * MIB, w->now);
	ck_assert_uint_eq(w->nstarted, 0);
	world_pass(w, 11 * SECOND_US); /* long after it might have been replaced: this one has grown */
	engine_memory(w->e, world_last(w, CALL_PING)->w, 2 * MIB, w->now);
	ck_assert_uint_eq(w->nstarted, 1);
	ck_assert_uint_eq(w->notes[NOTE_WORKER_LARGE], 1);
	world_free(w);
}
END_TEST

START_TEST(who_holds_too_much_is_replaced_before_those_that_are_rolled)
{
	struct world *w = ready((struct pool_config){.size = 3, .recycle_memory = 1 << 20});

	world_pass(w, 60 * SECOND_US);
	engine_roll(w->e, 0, w->now);
	engine_memory(w->e, w->calls[2].w, 2 * MIB, w->now);
	ck_assert_uint_eq(w->notes[NOTE_WORKER_LEAVING], 0);
	world_workers_up(w);
	ck_assert_uint_eq(w->notes[NOTE_WORKER_LEAVING], 1);
	ck_assert_str_eq(w->note_reason[NOTE_WORKER_LEAVING], "it holds too much memory");
	ck_assert_uint_eq(w->stops[0].w.slot, w->calls[2].w.slot);
	world_free(w);
}
END_TEST

static void sink(struct world *w, uint64_t limit)
{
	w->pool.resident_limit = limit;
	engine_retune(w->e, &w->cfg, w->now);
	engine_check(w->e);
}

START_TEST(who_holds_more_than_a_limit_that_has_sunk_is_replaced_and_not_killed)
{
	struct world *w = ready(
		(struct pool_config){.size = 1, .resident_limit = 1000 << 20, .recycle_grace_us = 10 * SECOND_US});
	struct slot_ref old, fresh;

	world_send(w, "a", SAY);
	old = world_last(w, CALL_REQUEST)->w;
	engine_memory(w->e, old, 600 * MIB, w->now);
	w->nstarted = 0;
	sink(w, 500 * MIB);
	engine_memory(w->e, old, 600 * MIB, w->now);
	engine_memory(w->e, old, 675 * MIB, w->now);
	ck_assert_uint_eq(w->nstops, 0);
	ck_assert_uint_eq(w->nstarted, 1);
	fresh = w->started[0];
	world_workers_up(w);
	ck_assert_str_eq(w->note_reason[NOTE_WORKER_LEAVING], "it holds too much memory");
	engine_memory(w->e, fresh, 501 * MIB, w->now);
	ck_assert_uint_eq(w->nstops, 1);
	ck_assert_uint_eq(w->stops[0].w.slot, fresh.slot);
	ck_assert_int_eq(w->stops[0].step, STOP_KILL);
	gone(w, fresh);
	world_pass(w, 19 * SECOND_US); /* its sessions have had their time, and the time to be cleaned up */
	w->nstops = 0;
	engine_memory(w->e, old, 600 * MIB, w->now);
	ck_assert_uint_eq(w->nstops, 0);
	world_pass(w, 2 * SECOND_US);
	engine_memory(w->e, old, 600 * MIB, w->now);
	ck_assert_uint_eq(w->nstops, 1);
	ck_assert_uint_eq(w->stops[0].w.slot, old.slot);
	ck_assert_int_eq(w->stops[0].step, STOP_KILL);
	world_free(w);
}
END_TEST

START_TEST(it_may_not_grow_though_and_once_below_the_limit_it_keeps_to_it)
{
	struct world *w = ready((struct pool_config){.size = 2, .resident_limit = 1000 << 20});

	sink(w, 500 * MIB);
	engine_memory(w->e, w->calls[0].w, 600 * MIB, w->now);
	engine_memory(w->e, w->calls[1].w, 600 * MIB, w->now);
	engine_memory(w->e, w->calls[1].w, 500 * MIB, w->now);
	ck_assert_uint_eq(w->nstops, 0);
	engine_memory(w->e, w->calls[0].w, 676 * MIB, w->now);
	ck_assert_uint_eq(w->nstops, 1);
	engine_memory(w->e, w->calls[1].w, 501 * MIB, w->now);
	ck_assert_uint_eq(w->nstops, 2);
	world_free(w);
}
END_TEST

START_TEST(a_spare_worker_waits_for_who_dies_all_the_time_that_others_are_replaced)
{
	struct world *w = ready((struct pool_config){.size = 2, .spare = 1, .recycle_grace_us = 60 * SECOND_US});

	world_send(w, "a", SAY);
	ck_assert_uint_eq(world_last(w, CALL_REQUEST)->w.slot, 0);
	answer_last(w);
	w->nstarted = 0;
	engine_roll(w->e, 0, w->now);
	ck_assert_uint_eq(w->notes[NOTE_WORKER_LEAVING], 0); /* a spare worker is there, but the only one */
	ck_assert_uint_eq(w->nstops, 0);
	check_workers(w, 2, 2, 0);
	ck_assert_uint_eq(w->nstarted, 1);
	world_workers_up(w);
	check_workers(w, 2, 1, 1);
	gone(w, w->calls[1].w);
	check_workers(w, 2, 1, 1);
	ck_assert_str_eq(w->note_reason[NOTE_POOL_STATE], "2 of 2 workers are READY");
	world_pass(w, SECOND_US);
	world_workers_up(w);
	check_workers(w, 2, 1, 1); /* one more than are wanted, and no other leaves meanwhile */
	world_pass(w, 60 * SECOND_US);
	world_ok(w, world_last(w, CALL_CLEANUP_SESSION));
	gone(w, w->stops[0].w);
	w->nstops = 0;
	obey(w); /* the former spare that took a dead one's place is worn too */
	check_workers(w, 2, 1, 0);
	ck_assert_uint_eq(w->notes[NOTE_WORKER_LEAVING], 2);
	world_free(w);
}
END_TEST

static size_t living(struct world *w)
{
	struct snapshot s;
	size_t n = 0;

	engine_snapshot(w->e, w->now, &s);
	for (size_t i = 0; i < s.pools[0].nworker_list; i++)
		n += s.pools[0].worker_list[i].state != HEALTH_TERMINATED;
	snapshot_free(&s);
	return n;
}

START_TEST(as_many_leave_at_a_time_as_there_are_spare_workers_and_one_more_than_are_wanted_lives)
{
	enum { SIZE = 8, SPARE = 4 };
	struct world *w = ready((struct pool_config){.size = SIZE, .spare = SPARE, .recycle_grace_us = 300 * SECOND_US});
	char session[2] = "a";

	obey(w);
	for (int i = 0; i < SIZE; i++, session[0]++) {
		world_send(w, session, SAY);
		answer_last(w);
	}
	engine_roll(w->e, 0, w->now);
	for (int i = 0; i < 100; i++) {
		obey(w);
		ck_assert_uint_le(living(w), SIZE + SPARE + 1);
		world_pass(w, SECOND_US);
	}
	check_workers(w, SIZE, 1, SPARE);
	ck_assert_uint_eq(w->notes[NOTE_POOL_ROLLED], 0);
	for (int i = 0; i < 600; i++) { /* twice their grace, and what was begun before */
		for (size_t k = 0; k < w->ncalls; k++)
			if (w->calls[k].call.kind == CALL_CLEANUP_SESSION && !w->calls[k].answered)
				world_ok(w, &w->calls[k]);
		obey(w);
		ck_assert_uint_le(living(w), SIZE + SPARE + 1);
		world_pass(w, SECOND_US);
	}
	check_workers(w, SIZE, SPARE, 0);
	ck_assert_uint_eq(w->notes[NOTE_WORKER_LEAVING], SIZE);
	ck_assert_uint_eq(w->notes[NOTE_POOL_ROLLED], 1);
	world_free(w);
}
END_TEST

START_TEST(who_is_kept_for_a_suspect_keeps_its_successor_too)
{
	struct world *w = ready((struct pool_config){.size = 2, .recycle_memory = 1 << 20, .recycle_grace_us = SECOND_US});
	struct told_call *kept;

	world_pass(w, 60 * SECOND_US);
	w->concurrency = 2;
	for (int i = 0; i < 3; i++)
		world_send(w, ((const char *[]){"a", "b", "c"})[i], SAY); /* a and c on one, b on the other */
	kept = &w->calls[w->ncalls - 2];
	ck_assert_uint_ne(world_last(w, CALL_REQUEST)->w.slot, kept->w.slot);
	world_die(w, world_last(w, CALL_REQUEST)->w);
	world_pass(w, 100 * MS_US);
	w->nstops = 0;
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 3); /* the first suspect waits for b to end */
	engine_memory(w->e, kept->w, 2 * MIB, w->now);
	world_workers_up(w); /* in the dead one's slot, and the successor */
	ck_assert_uint_eq(w->nstops, 0);
	check_workers(w, 2, 1, 0);
	world_ok(w, kept);
	check_workers(w, 2, 0, 1);
	world_free(w);
}
END_TEST

static enum health_state state_of(struct world *w)
{
	enum health_state state;
	struct snapshot s;

	engine_snapshot(w->e, w->now, &s);
	state = s.pools[0].state;
	snapshot_free(&s);
	ck_assert_int_eq(engine_ready(w->e), state == HEALTH_READY || state == HEALTH_DEGRADED);
	return state;
}

/* The next of those that were started is READY. */
static struct slot_ref one_up(struct world *w)
{
	struct slot_ref ref = w->started[0];

	memmove(w->started, w->started + 1, --w->nstarted * sizeof(w->started[0]));
	engine_started(w->e, ref, 1, w->now);
	world_answer_as(w, world_last(w, CALL_PING),
		(struct answer){.kind = ANSWER_OK, .concurrency = 4, .retry_after_ms = TIME_NONE});
	return ref;
}

START_TEST(a_pool_starts_until_all_are_ready_where_nothing_else_is_said)
{
	struct world *w = world_new((struct pool_config){.size = 3}, usual);
	struct slot_ref one;

	ck_assert_int_eq(state_of(w), HEALTH_STARTING);
	one = one_up(w);
	one_up(w);
	ck_assert_int_eq(state_of(w), HEALTH_STARTING);
	ck_assert_uint_eq(w->notes[NOTE_POOL_STATE], 0);
	one_up(w);
	ck_assert_int_eq(state_of(w), HEALTH_READY);
	world_die(w, one); /* later one is enough */
	ck_assert_int_eq(state_of(w), HEALTH_DEGRADED);
	ck_assert_str_eq(w->note_reason[NOTE_POOL_STATE], "2 of 3 workers are READY");
	world_free(w);
}
END_TEST

START_TEST(a_pool_is_able_with_min_ready_and_not_below_it)
{
	struct world *w = world_new((struct pool_config){.size = 3, .min_ready = 2}, usual);
	struct slot_ref one = one_up(w), two;

	ck_assert_int_eq(state_of(w), HEALTH_STARTING);
	two = one_up(w);
	ck_assert_int_eq(state_of(w), HEALTH_DEGRADED);
	one_up(w);
	ck_assert_int_eq(state_of(w), HEALTH_READY);
	world_die(w, one);
	ck_assert_int_eq(state_of(w), HEALTH_DEGRADED);
	world_die(w, two);
	ck_assert_int_eq(state_of(w), HEALTH_UNAVAILABLE);
	world_pass(w, SECOND_US);
	one_up(w);
	ck_assert_int_eq(state_of(w), HEALTH_DEGRADED);
	world_free(w);
}
END_TEST

START_TEST(after_a_start_that_failed_one_is_enough)
{
	struct world *w = world_new((struct pool_config){.size = 3}, usual);

	gone(w, w->started[0]);
	ck_assert_int_eq(state_of(w), HEALTH_UNAVAILABLE);
	w->nstarted--;
	memmove(w->started, w->started + 1, w->nstarted * sizeof(w->started[0]));
	one_up(w);
	ck_assert_int_eq(state_of(w), HEALTH_DEGRADED);
	world_free(w);
}
END_TEST

START_TEST(more_than_are_wanted_are_ready)
{
	struct world *w = ready((struct pool_config){.size = 3});

	for (int i = 0; i < 4; i++)
		world_send(w, ((const char *[]){"a", "b", "c", "d"})[i], SAY); /* a and d on one */
	world_die(w, world_last(w, CALL_REQUEST)->w);
	world_pass(w, 200 * MS_US); /* both others are kept for suspects, and the dead one is being started */
	resize(w, 1, 0);
	check_workers(w, 2, 0, 1);
	ck_assert_int_eq(state_of(w), HEALTH_READY);
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
	tcase_add_test(t, a_worker_that_holds_more_than_recycle_memory_is_replaced);
	tcase_add_test(t, workers_are_replaced_by_their_age_but_those_of_one_start_not_in_one_moment);
	tcase_add_test(t, workers_are_replaced_after_so_many_runs_but_not_all_after_the_same);
	tcase_add_test(t, only_the_worker_that_holds_too_much_is_killed);
	tcase_add_test(t, retuned_values_hold_for_what_comes_and_for_what_is_idle);
	tcase_add_test(t, a_thousand_retunes_hold_no_more_memory_than_one);
	tcase_add_test(t, a_pool_that_grows_starts_what_is_missing_and_uses_it);
	tcase_add_test(t, a_pool_that_shrinks_lets_its_highest_workers_leave_after_what_runs_and_their_sessions);
	tcase_add_test(t, what_is_not_up_is_given_up_first);
	tcase_add_test(t, spares_that_are_too_many_end_and_a_pool_may_grow_while_others_leave);
	tcase_add_test(t, where_fresh_workers_are_too_large_they_are_replaced_ever_less_often);
	tcase_add_test(t, who_holds_too_much_is_replaced_before_those_that_are_rolled);
	tcase_add_test(t, who_holds_more_than_a_limit_that_has_sunk_is_replaced_and_not_killed);
	tcase_add_test(t, it_may_not_grow_though_and_once_below_the_limit_it_keeps_to_it);
	tcase_add_test(t, a_spare_worker_waits_for_who_dies_all_the_time_that_others_are_replaced);
	tcase_add_test(t, who_is_kept_for_a_suspect_keeps_its_successor_too);
	tcase_add_test(t, a_pool_starts_until_all_are_ready_where_nothing_else_is_said);
	tcase_add_test(t, a_pool_is_able_with_min_ready_and_not_below_it);
	tcase_add_test(t, after_a_start_that_failed_one_is_enough);
	tcase_add_test(t, more_than_are_wanted_are_ready);
	tcase_add_test(t, as_many_leave_at_a_time_as_there_are_spare_workers_and_one_more_than_are_wanted_lives);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
