/* core_sessions_test.c: how sessions begin and end, and who waits for that, one scene each. */
#include "core_world.h"

#define SAY "{\"command\":\"say\"}"
#define END "{\"command\":\"end_session\"}"

static const struct engine_config usual = {0};

/* Workers that want to hear of sessions, or not; one partition. */
static struct world *begin(struct pool_config pool, uint32_t capabilities)
{
	struct world *w = world_new(pool, usual);

	w->capabilities = capabilities;
	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	return w;
}

static void run(struct world *w, const char *session)
{
	size_t opened = world_count(w, CALL_OPEN_SESSION);

	world_send(w, session, SAY);
	if (world_count(w, CALL_OPEN_SESSION) > opened)
		world_ok(w, world_last(w, CALL_OPEN_SESSION));
	world_ok(w, world_last(w, CALL_REQUEST));
	world_ack(w);
}

static uint64_t ended(struct world *w, const char *reason)
{
	struct snapshot s;
	uint64_t n = UINT64_MAX;

	engine_snapshot(w->e, w->now, &s);
	for (size_t i = 0; i < s.pools[0].nended; i++)
		if (strcmp(s.pools[0].ended[i].name, reason) == 0)
			n = s.pools[0].ended[i].n;
	snapshot_free(&s);
	return n;
}

static void commit_all(struct world *w)
{
	for (size_t i = 0; i < w->ncommits; i++)
		engine_committed(w->e, w->commits[i].id, NULL, 0, w->now);
}

static bool retriable(struct world *w, size_t record)
{
	return json_is_true(json_object_get(json_object_get(w->results[record], "error"), "retriable"));
}

/* ---- the end of an instance ---- */

START_TEST(a_drain_ends_sessions_before_the_workers_are_stopped)
{
	struct world *w = begin((struct pool_config){0}, CAPABILITY_SESSIONS);

	run(w, "idle");
	world_send(w, "busy", SAY);
	world_ok(w, world_last(w, CALL_OPEN_SESSION));
	engine_drain(w->e, w->now + 30 * SECOND_US, w->now);
	world_pass(w, MS_US);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 1);
	ck_assert_str_eq(world_last(w, CALL_CLEANUP_SESSION)->session, "idle");
	ck_assert_str_eq(world_last(w, CALL_CLEANUP_SESSION)->reason, "shutdown");
	world_ok(w, world_last(w, CALL_CLEANUP_SESSION));
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_str_eq(world_last(w, CALL_CLEANUP_SESSION)->session, "busy");
	world_ack(w);
	commit_all(w);
	ck_assert(!engine_drained(w->e));
	ck_assert_uint_eq(w->nstops, 0);
	world_ok(w, world_last(w, CALL_CLEANUP_SESSION));
	commit_all(w);
	ck_assert(engine_drained(w->e));
	ck_assert_uint_eq(w->nstops, 1);
	ck_assert_uint_eq(ended(w, "shutdown"), 2);
	world_free(w);
}
END_TEST

START_TEST(a_drain_waits_for_sessions_no_longer_than_their_hooks_may_take)
{
	struct world *w = begin((struct pool_config){.session_hook_timeout_us = 4 * SECOND_US}, CAPABILITY_SESSIONS);

	run(w, "a");
	engine_drain(w->e, w->now + 30 * SECOND_US, w->now);
	world_pass(w, 4 * SECOND_US - MS_US);
	commit_all(w);
	ck_assert(!engine_drained(w->e));
	world_pass(w, 2 * MS_US);
	commit_all(w);
	ck_assert(engine_drained(w->e));
	world_free(w);
}
END_TEST

START_TEST(what_comes_after_the_hooks_does_not_wait_for_their_time)
{
	struct world *w = begin((struct pool_config){.session_hook_timeout_us = 3600 * SECOND_US, .on_revoke = REVOKE_ENDS},
		CAPABILITY_SESSIONS);

	run(w, "a");
	engine_revoked(w->e, &w->tp[0], 1, false, w->now);
	world_pass(w, MS_US);
	world_ok(w, world_last(w, CALL_CLEANUP_SESSION));
	world_pass(w, 7 * SECOND_US + 2 * MS_US); /* drain.revoke and the patience with a commit that nobody answers */
	ck_assert_uint_eq(w->releases, 1);
	world_free(w);
	w = begin((struct pool_config){.session_hook_timeout_us = 3600 * SECOND_US}, CAPABILITY_SESSIONS);
	run(w, "a");
	engine_drain(w->e, w->now + SECOND_US, w->now);
	world_pass(w, MS_US);
	world_ok(w, world_last(w, CALL_CLEANUP_SESSION));
	world_pass(w, 11 * SECOND_US);
	ck_assert(engine_drained(w->e));
	world_free(w);
}
END_TEST

START_TEST(workers_that_do_not_ask_for_it_hear_of_a_shutdown_only)
{
	struct world *w = begin((struct pool_config){0}, 0);

	run(w, "a");
	engine_drain(w->e, w->now + 30 * SECOND_US, w->now);
	commit_all(w);
	ck_assert(engine_drained(w->e));
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 0);
	ck_assert_uint_eq(world_count(w, CALL_SHUTDOWN), 1);
	world_free(w);
}
END_TEST

/* ---- partitions that are given back ---- */

START_TEST(where_a_revoke_ends_sessions_they_are_cleaned_up_before_the_release)
{
	struct world *w = begin((struct pool_config){.on_revoke = REVOKE_ENDS}, 0);

	run(w, "a");
	world_send(w, "b", SAY);
	engine_revoked(w->e, &w->tp[0], 1, false, w->now);
	world_pass(w, MS_US);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 1);
	ck_assert_str_eq(world_last(w, CALL_CLEANUP_SESSION)->reason, "partition");
	world_ok(w, world_last(w, CALL_REQUEST));
	world_ack(w);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 2);
	world_ok(w, world_last(w, CALL_CLEANUP_SESSION));
	world_pass(w, 3 * SECOND_US); /* beyond drain.revoke: the hook of one is still out */
	commit_all(w);
	ck_assert_uint_eq(w->releases, 0);
	for (size_t i = 0; i < w->ncalls; i++)
		if (w->calls[i].call.kind == CALL_CLEANUP_SESSION && !w->calls[i].answered)
			world_ok(w, &w->calls[i]);
	commit_all(w);
	ck_assert_uint_eq(w->releases, 1);
	ck_assert_uint_eq(ended(w, "partition"), 2);
	/* It comes back: nothing of them is left. */
	world_assign_at(w, 0, 2, w->commits[w->ncommits - 1].metadata);
	world_send(w, "a", SAY);
	ck_assert(world_last(w, CALL_REQUEST)->call.session_new);
	world_free(w);
}
END_TEST

START_TEST(a_revoke_that_ends_sessions_is_answered_when_their_hooks_take_too_long)
{
	struct world *w = begin((struct pool_config){.on_revoke = REVOKE_ENDS, .session_hook_timeout_us = 4 * SECOND_US}, 0);

	run(w, "a");
	commit_all(w);
	engine_revoked(w->e, &w->tp[0], 1, false, w->now);
	world_pass(w, 4 * SECOND_US - MS_US);
	commit_all(w);
	ck_assert_uint_eq(w->releases, 0);
	world_pass(w, 2 * MS_US);
	commit_all(w);
	ck_assert_uint_eq(w->releases, 1);
	world_free(w);
}
END_TEST

START_TEST(many_sessions_that_a_revoke_ends_are_ended_a_few_at_a_time)
{
	struct world *w = begin((struct pool_config){.on_revoke = REVOKE_ENDS}, 0);
	char name[16];

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		run(w, name);
	}
	commit_all(w);
	engine_revoked(w->e, &w->tp[0], 1, false, w->now);
	engine_tick(w->e, w->now);
	for (int turn = 0; turn < 300 && w->releases == 0; turn++) {
		for (size_t i = 0; i < w->ncalls; i++)
			if (w->calls[i].call.kind == CALL_CLEANUP_SESSION && !w->calls[i].answered)
				world_ok(w, &w->calls[i]);
		if (turn == 0)
			ck_assert_uint_le(ended(w, "partition"), 64);
		world_pass(w, MS_US);
		commit_all(w);
	}
	ck_assert_uint_eq(w->releases, 1);
	ck_assert_uint_eq(ended(w, "partition"), 300);
	world_free(w);
}
END_TEST

START_TEST(a_revoke_waits_for_a_session_that_is_being_ended)
{
	struct world *w = begin((struct pool_config){.session_ttl_us = 10 * SECOND_US}, 0);

	run(w, "a");
	world_pass(w, 11 * SECOND_US);
	commit_all(w);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 1);
	engine_revoked(w->e, &w->tp[0], 1, false, w->now);
	world_pass(w, SECOND_US);
	commit_all(w);
	ck_assert_uint_eq(w->releases, 0);
	world_ok(w, world_last(w, CALL_CLEANUP_SESSION));
	commit_all(w);
	ck_assert_uint_eq(w->releases, 1);
	world_free(w);
}
END_TEST

/* ---- how many there may be ---- */

START_TEST(a_session_that_is_being_ended_takes_no_room)
{
	struct world *w = begin((struct pool_config){.max_sessions = 1}, 0);

	run(w, "a");
	world_send(w, "b", SAY);
	ck_assert_str_eq(world_last(w, CALL_CLEANUP_SESSION)->session, "a");
	ck_assert_str_eq(world_last(w, CALL_REQUEST)->session, "b");
	ck_assert_uint_eq(w->nrecords, 1);
	world_send(w, "c", SAY); /* b is in use, a as good as gone */
	ck_assert_str_eq(world_code(w, 1), "SESSION_LIMIT");
	ck_assert(retriable(w, 1));
	world_free(w);
}
END_TEST

START_TEST(a_session_that_its_client_ends_takes_no_room_also_when_its_end_is_not_waited_for)
{
	struct world *w = begin((struct pool_config){.max_sessions = 1, .session_hook_timeout_us = 2 * SECOND_US}, 0);

	run(w, "a");
	world_send(w, "a", END);
	world_pass(w, 2 * SECOND_US);
	ck_assert_str_eq(world_text(w, 1, "status"), "TIMEOUT");
	world_send(w, "b", SAY);
	ck_assert_uint_eq(w->nrecords, 2);
	world_ok(w, world_last(w, CALL_CLEANUP_SESSION));
	ck_assert_uint_eq(ended(w, "end_session"), 1);
	ck_assert_str_eq(world_last(w, CALL_REQUEST)->session, "b");
	world_send(w, "c", SAY); /* b is in use */
	ck_assert_str_eq(world_code(w, 2), "SESSION_LIMIT");
	world_free(w);
}
END_TEST

/* It waits for its next run, its worker is at its end and its grace too: in that order. */
START_TEST(a_session_that_was_to_be_ended_when_its_worker_died_takes_room_again)
{
	struct world *w = begin((struct pool_config){.size = 2, .max_sessions = 1, .recycle_grace_us = SECOND_US}, 0);
	struct exit_report x = {.signal = 9};
	struct answer later = {.kind = ANSWER_ERROR, .retriable = true, .code = SLICE("BUSY"), .message = SLICE("later")};
	struct slot_ref old;

	later.retry_after_ms = 3600 * 1000;
	world_send(w, "a", SAY);
	old = world_last(w, CALL_REQUEST)->w;
	world_answer_as(w, world_last(w, CALL_REQUEST), later);
	engine_roll(w->e, 0, w->now);
	world_workers_up(w); /* its successor is warm: it leaves */
	world_pass(w, SECOND_US / 2);
	engine_fault(w->e, old, FAULT_EOF, SLICE(""), w->now);
	world_pass(w, SECOND_US);
	engine_check(w->e);
	engine_gone(w->e, old, &x, w->now);
	engine_check(w->e);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 0);
	world_send(w, "b", SAY); /* a waits, and is in use */
	ck_assert_uint_eq(w->nrecords, 1);
	ck_assert_str_eq(world_code(w, 0), "SESSION_LIMIT");
	world_free(w);
}
END_TEST

START_TEST(a_session_whose_worker_died_makes_room_before_one_that_lives)
{
	struct world *w = begin((struct pool_config){.max_sessions = 2, .size = 2}, 0);

	world_send(w, "lives", SAY);
	world_send(w, "dies", SAY); /* on the other worker */
	world_ok(w, &w->calls[w->ncalls - 2]);
	world_ok(w, &w->calls[w->ncalls - 1]);
	world_die(w, w->calls[w->ncalls - 1].w);
	world_send(w, "new", SAY);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 0);
	world_send(w, "lives", SAY);
	ck_assert(!world_last(w, CALL_REQUEST)->call.session_new);
	world_free(w);
}
END_TEST

START_TEST(fewer_sessions_are_allowed_and_the_longest_idle_end)
{
	struct world *w = begin((struct pool_config){.max_sessions = 10}, 0);

	run(w, "a");
	run(w, "b");
	run(w, "c");
	w->pool.max_sessions = 1;
	engine_retune(w->e, &w->cfg, w->now);
	world_pass(w, 2 * MS_US);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 2);
	ck_assert_str_eq(world_last(w, CALL_CLEANUP_SESSION)->session, "b");
	ck_assert_str_eq(world_last(w, CALL_CLEANUP_SESSION)->reason, "max_sessions");
	world_free(w);
}
END_TEST

START_TEST(who_names_a_state_of_a_session_not_known_here_takes_nobodys_room)
{
	struct world *w = begin((struct pool_config){.max_sessions = 1}, 0);

	run(w, "a");
	world_send(w, "moved", "{\"command\":\"say\",\"session_epoch\":\"0123456789abcdef\"}");
	ck_assert_str_eq(world_text(w, 1, "status"), "SESSION_LOST");
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 0);
	world_send(w, "a", SAY);
	ck_assert(!world_last(w, CALL_REQUEST)->call.session_new);
	world_send(w, "moved", "{\"command\":\"say\",\"session_epoch\":\"0123456789abcdef\"}"); /* also when all are in use */
	ck_assert_str_eq(world_text(w, 2, "status"), "SESSION_LOST");
	world_free(w);
}
END_TEST

START_TEST(a_state_is_named_by_its_session)
{
	struct world *w = begin((struct pool_config){0}, 0);

	world_send(w, NULL, "{\"command\":\"say\",\"session_epoch\":\"0123456789abcdef\"}");
	ck_assert_str_eq(world_text(w, 0, "status"), "SESSION_LOST");
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 0);
	world_free(w);
}
END_TEST

START_TEST(what_is_too_much_now_may_be_sent_again)
{
	struct world *w = begin((struct pool_config){.max_queued = 1, .max_queued_per_session = 1}, 0);

	w->concurrency = 1;
	for (int i = 0; i < 4; i++)
		world_send(w, NULL, SAY);
	world_send(w, "a", SAY);
	world_send(w, NULL, SAY);
	ck_assert_str_eq(world_code(w, 0), "POOL_QUEUE_FULL");
	ck_assert(retriable(w, 0));
	world_free(w);
	w = begin((struct pool_config){.max_queued_per_session = 1}, 0);
	world_send(w, "a", SAY);
	world_send(w, "a", SAY);
	ck_assert_str_eq(world_code(w, 0), "SESSION_QUEUE_FULL");
	ck_assert(retriable(w, 0));
	world_free(w);
}
END_TEST

START_TEST(what_needs_no_worker_waits_for_none)
{
	struct world *w = world_new((struct pool_config){.circuit_failures = 1, .circuit_pause_us = SECOND_US}, usual);

	w->concurrency = 1;
	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	run(w, "b");
	world_send(w, "a", "{\"command\":\"say\",\"idempotent\":true}"); /* takes the only place */
	world_send(w, "c", END);
	ck_assert_str_eq(world_code(w, 1), "session_not_found");
	world_send(w, "b", "{\"command\":\"say\",\"session_epoch\":\"0123456789abcdef\"}");
	ck_assert_uint_eq(w->nrecords, 2);            /* b lives there, and its line is long */
	world_die(w, world_last(w, CALL_REQUEST)->w); /* opens the circuit */
	ck_assert_uint_eq(w->nrecords, 3);
	ck_assert_str_eq(world_text(w, 2, "status"), "SESSION_LOST");
	world_send(w, "d", END);
	ck_assert_str_eq(world_code(w, 3), "session_not_found");
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 2);
	world_free(w);
}
END_TEST

/* ---- what is told ---- */

START_TEST(each_session_is_told_to_those_who_want_it)
{
	struct world *w = world_new((struct pool_config){0}, (struct engine_config){.tell_sessions = true});
	char text[80];

	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	run(w, "a");
	ck_assert_uint_eq(w->notes[NOTE_SESSION], 1);
	snprintf(text, sizeof(text), "begins: session a, epoch %s", world_text(w, 0, "session_epoch"));
	ck_assert_str_eq(w->note_reason[NOTE_SESSION], text);
	run(w, "a");
	ck_assert_uint_eq(w->notes[NOTE_SESSION], 1);
	world_send(w, "a", END);
	world_ok(w, world_last(w, CALL_CLEANUP_SESSION));
	ck_assert_uint_eq(w->notes[NOTE_SESSION], 2);
	snprintf(text, sizeof(text), "ended by end_session: session a, epoch %s", world_text(w, 0, "session_epoch"));
	ck_assert_str_eq(w->note_reason[NOTE_SESSION], text);
	world_free(w);
	w = begin((struct pool_config){0}, 0);
	run(w, "a");
	ck_assert_uint_eq(w->notes[NOTE_SESSION], 0);
	world_free(w);
}
END_TEST

/* ---- the beginning of a state is told ---- */

static const struct answer busy = {
	.kind = ANSWER_ERROR,
	.retriable = true,
	.code = SLICE("BUSY"),
	.message = SLICE("later"),
	.retry_after_ms = 60000,
};

static void revoke(struct world *w)
{
	engine_revoked(w->e, &w->tp[0], 1, false, w->now);
}

/* It is given back, and comes back as it was committed last. */
static void comes_back(struct world *w)
{
	world_pass(w, 3 * SECOND_US);
	world_committed(w);
	ck_assert_uint_eq(w->releases, 1);
	world_assign_at(w, 0, 0, w->ncommits > 0 ? w->commits[w->ncommits - 1].metadata : "");
}

static bool tells_new(struct world *w, size_t record)
{
	return json_is_true(json_object_get(w->results[record], "session_new"));
}

/* The state has begun, and whoever began it has not been heard of. */
static void is_told_after_all(struct world *w)
{
	ck_assert_uint_eq(w->nrecords, 0);
	world_send(w, "a", SAY);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 2);
	ck_assert(!world_last(w, CALL_REQUEST)->call.session_new); /* the worker has been told */
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert(tells_new(w, 0));
	world_send(w, "a", SAY);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert(!tells_new(w, 1));
	ck_assert_str_eq(world_text(w, 0, "session_epoch"), world_text(w, 1, "session_epoch"));
	world_free(w);
}

START_TEST(a_state_whose_first_request_waited_and_was_put_back_is_told_by_the_next_run)
{
	struct world *w = begin((struct pool_config){0}, 0);

	world_send(w, "a", SAY);
	world_answer_as(w, world_last(w, CALL_REQUEST), busy);
	revoke(w);
	comes_back(w);
	is_told_after_all(w);
}
END_TEST

START_TEST(a_state_whose_first_request_failed_while_its_partition_went_is_told_by_the_next_run)
{
	struct world *w = begin((struct pool_config){0}, 0);

	world_send(w, "a", SAY);
	revoke(w);
	world_answer_as(w, world_last(w, CALL_REQUEST), busy);
	comes_back(w);
	is_told_after_all(w);
}
END_TEST

START_TEST(who_has_not_run_in_a_state_does_not_tell_that_it_is_new)
{
	struct world *w = begin((struct pool_config){0}, 0);

	world_send(w, "a", SAY);
	world_answer_as(w, world_last(w, CALL_REQUEST), busy);
	revoke(w);
	comes_back(w);
	world_send(w, "a", "{\"command\":\"say\",\"session_epoch\":\"of another state\"}");
	ck_assert_str_eq(world_text(w, 0, "status"), "SESSION_LOST");
	ck_assert(!tells_new(w, 0));
	world_send(w, "a", SAY);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert(tells_new(w, 1));
	world_free(w);
}
END_TEST

/* Its first run was in a state that is lost; the second has got no further than the hook. */
START_TEST(who_began_a_state_that_is_lost_tells_nothing_of_the_next_one)
{
	struct world *w = begin((struct pool_config){.size = 2, .session_hook_timeout_us = 2 * SECOND_US}, CAPABILITY_SESSIONS);
	struct answer at_once = busy;

	at_once.retry_after_ms = TIME_NONE;
	world_send(w, "a", SAY);
	world_ok(w, world_last(w, CALL_OPEN_SESSION));
	world_answer_as(w, world_last(w, CALL_REQUEST), at_once);
	world_die(w, world_last(w, CALL_REQUEST)->w);
	world_pass(w, 100 * MS_US);
	ck_assert_uint_eq(world_count(w, CALL_OPEN_SESSION), 2);
	world_pass(w, 2 * SECOND_US);
	ck_assert_str_eq(world_text(w, 0, "status"), "TIMEOUT");
	ck_assert(!tells_new(w, 0));
	world_ok(w, world_last(w, CALL_OPEN_SESSION));
	world_send(w, "a", SAY);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert(tells_new(w, 1));
	world_free(w);
}
END_TEST

/* ---- hooks ---- */

START_TEST(a_session_that_does_not_open_is_counted_as_such)
{
	struct world *w = begin((struct pool_config){0}, CAPABILITY_SESSIONS);

	world_send(w, "a", SAY);
	world_answer_as(w, world_last(w, CALL_OPEN_SESSION),
		(struct answer){.kind = ANSWER_ERROR, .code = SLICE("NO"), .message = SLICE("no"), .retry_after_ms = TIME_NONE});
	ck_assert_uint_eq(ended(w, "open_failed"), 1);
	run(w, "a");
	world_send(w, "a", END);
	world_ok(w, world_last(w, CALL_CLEANUP_SESSION));
	ck_assert_uint_eq(ended(w, "end_session"), 1);
	ck_assert_uint_eq(ended(w, "open_failed"), 1);
	world_free(w);
}
END_TEST

START_TEST(a_session_that_opens_too_late_times_its_request_out_and_goes_on_with_the_next)
{
	struct world *w = begin((struct pool_config){.session_hook_timeout_us = 2 * SECOND_US}, CAPABILITY_SESSIONS);

	world_send(w, "a", SAY);
	world_send(w, "a", SAY);
	world_pass(w, 2 * SECOND_US - MS_US);
	ck_assert_uint_eq(w->nrecords, 0);
	world_pass(w, 2 * MS_US);
	ck_assert_uint_eq(w->nrecords, 1);
	ck_assert_str_eq(world_text(w, 0, "status"), "TIMEOUT");
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 0); /* the place is taken until the answer */
	world_ok(w, world_last(w, CALL_OPEN_SESSION));
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 1);
	ck_assert(world_last(w, CALL_REQUEST)->call.session_new);
	ck_assert_uint_eq(world_count(w, CALL_OPEN_SESSION), 1);
	world_free(w);
}
END_TEST

START_TEST(a_worker_that_does_not_clean_up_in_time_is_replaced_after_kill_grace)
{
	struct world *w = begin((struct pool_config){.session_ttl_us = SECOND_US, .session_hook_timeout_us = 2 * SECOND_US}, 0);

	run(w, "a");
	world_pass(w, SECOND_US + MS_US);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 1);
	world_pass(w, (2 + 5) * SECOND_US - 2 * MS_US);
	ck_assert_uint_eq(w->nstops, 0);
	world_pass(w, 10 * MS_US);
	ck_assert_uint_eq(w->nstops, 1);
	ck_assert_int_eq(w->stops[0].step, STOP_TERM);
	world_free(w);
}
END_TEST

/* The request has ended after one second; the hook may take eight, and is given kill_grace, five more. */
static void has_all_its_time(struct world *w, enum call_kind hook, const char *status)
{
	world_pass(w, SECOND_US);
	ck_assert_str_eq(world_text(w, w->nrecords - 1, "status"), status);
	world_pass(w, (8 + 5 - 1) * SECOND_US - 2 * MS_US);
	ck_assert(!world_last(w, hook)->answered);
	ck_assert_uint_eq(w->nstops, 0);
	world_pass(w, 4 * MS_US);
	ck_assert_uint_eq(w->nstops, 1);
	ck_assert_int_eq(w->stops[0].step, STOP_TERM);
	world_free(w);
}

static const struct pool_config slow_hooks = {.session_hook_timeout_us = 8 * SECOND_US};

START_TEST(a_session_that_opens_slowly_has_its_time_also_when_its_request_has_none_left)
{
	struct world *w = begin(slow_hooks, CAPABILITY_SESSIONS);

	world_send(w, "a", "{\"command\":\"say\",\"timeout_ms\":1000}");
	has_all_its_time(w, CALL_OPEN_SESSION, "TIMEOUT");
}
END_TEST

START_TEST(a_session_that_opens_slowly_has_its_time_also_when_its_request_is_cancelled)
{
	struct world *w = begin(slow_hooks, CAPABILITY_SESSIONS);

	world_send(w, "a", "{\"command\":\"say\",\"request_id\":\"r1\"}");
	world_send(w, "a", "{\"command\":\"cancel\",\"args\":{\"request_id\":\"r1\"}}");
	ck_assert_str_eq(world_text(w, 0, "status"), "CANCELLED");
	has_all_its_time(w, CALL_OPEN_SESSION, "OK");
}
END_TEST

START_TEST(a_session_that_ends_slowly_has_its_time_also_when_its_client_does_not_wait)
{
	struct world *w = begin(slow_hooks, CAPABILITY_SESSIONS);

	run(w, "a");
	world_send(w, "a", "{\"command\":\"end_session\",\"timeout_ms\":1000}");
	has_all_its_time(w, CALL_CLEANUP_SESSION, "TIMEOUT");
}
END_TEST

/* ---- pools without state ---- */

START_TEST(a_session_without_state_runs_in_order_on_any_worker)
{
	struct world *w = world_new((struct pool_config){.state = POOL_STATE_NONE, .size = 2}, usual);
	struct told_call *first, *blocker, *second;

	w->concurrency = 1;
	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	world_send(w, "a", SAY);
	first = world_last(w, CALL_REQUEST);
	ck_assert(first->call.session_epoch.data == NULL && !first->call.session_new);
	world_ok(w, first);
	ck_assert(json_is_null(json_object_get(w->results[0], "session_epoch")));
	for (int i = 0; i < 2; i++) { /* until its former worker is taken */
		world_send(w, "b", SAY);
		blocker = world_last(w, CALL_REQUEST);
		if (blocker->w.slot == first->w.slot)
			break;
		world_send(w, "c", SAY);
		ck_assert_uint_eq(world_last(w, CALL_REQUEST)->w.slot, first->w.slot);
		world_ok(w, blocker);
		break;
	}
	world_send(w, "a", SAY);
	world_send(w, "a", SAY);
	second = world_last(w, CALL_REQUEST);
	ck_assert_str_eq(second->session, "a");
	ck_assert_uint_ne(second->w.slot, first->w.slot);
	ck_assert_int_eq(second->call.source_offset + 1, w->next_offset[0] - 1); /* the second of three: in order */
	world_send(w, "a", END);
	world_ok(w, second);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_str_eq(world_code(w, w->nrecords - 1), "session_not_found"); /* there is nothing to end */
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 0);
	world_free(w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sessions");
	TCase *t = tcase_create("scenes");
	SRunner *runner;
	int failed;

	tcase_add_test(t, a_drain_ends_sessions_before_the_workers_are_stopped);
	tcase_add_test(t, a_drain_waits_for_sessions_no_longer_than_their_hooks_may_take);
	tcase_add_test(t, what_comes_after_the_hooks_does_not_wait_for_their_time);
	tcase_add_test(t, workers_that_do_not_ask_for_it_hear_of_a_shutdown_only);
	tcase_add_test(t, where_a_revoke_ends_sessions_they_are_cleaned_up_before_the_release);
	tcase_add_test(t, a_revoke_that_ends_sessions_is_answered_when_their_hooks_take_too_long);
	tcase_add_test(t, many_sessions_that_a_revoke_ends_are_ended_a_few_at_a_time);
	tcase_add_test(t, a_revoke_waits_for_a_session_that_is_being_ended);
	tcase_add_test(t, a_session_that_is_being_ended_takes_no_room);
	tcase_add_test(t, a_session_that_its_client_ends_takes_no_room_also_when_its_end_is_not_waited_for);
	tcase_add_test(t, a_session_that_was_to_be_ended_when_its_worker_died_takes_room_again);
	tcase_add_test(t, a_session_whose_worker_died_makes_room_before_one_that_lives);
	tcase_add_test(t, fewer_sessions_are_allowed_and_the_longest_idle_end);
	tcase_add_test(t, who_names_a_state_of_a_session_not_known_here_takes_nobodys_room);
	tcase_add_test(t, a_state_is_named_by_its_session);
	tcase_add_test(t, what_is_too_much_now_may_be_sent_again);
	tcase_add_test(t, what_needs_no_worker_waits_for_none);
	tcase_add_test(t, each_session_is_told_to_those_who_want_it);
	tcase_add_test(t, a_state_whose_first_request_waited_and_was_put_back_is_told_by_the_next_run);
	tcase_add_test(t, a_state_whose_first_request_failed_while_its_partition_went_is_told_by_the_next_run);
	tcase_add_test(t, who_has_not_run_in_a_state_does_not_tell_that_it_is_new);
	tcase_add_test(t, who_began_a_state_that_is_lost_tells_nothing_of_the_next_one);
	tcase_add_test(t, a_session_that_does_not_open_is_counted_as_such);
	tcase_add_test(t, a_session_that_opens_too_late_times_its_request_out_and_goes_on_with_the_next);
	tcase_add_test(t, a_worker_that_does_not_clean_up_in_time_is_replaced_after_kill_grace);
	tcase_add_test(t, a_session_that_opens_slowly_has_its_time_also_when_its_request_has_none_left);
	tcase_add_test(t, a_session_that_opens_slowly_has_its_time_also_when_its_request_is_cancelled);
	tcase_add_test(t, a_session_that_ends_slowly_has_its_time_also_when_its_client_does_not_wait);
	tcase_add_test(t, a_session_without_state_runs_in_order_on_any_worker);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
