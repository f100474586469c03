/* core_engine_test.c: the engine's promises, one scene each. */
#include "core_world.h"

static const struct pool_config plain = {0};
static const struct engine_config usual = {0};
#define SAY "{\"command\":\"say\",\"args\":{\"n\":1.10}}"

static struct world *ready(struct pool_config pool)
{
	struct world *w = world_new(pool, usual);

	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	return w;
}

START_TEST(a_request_becomes_a_result_and_its_offset_is_done_only_when_acknowledged)
{
	struct world *w = ready(plain);

	world_send(w, "s1", SAY);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 1);
	ck_assert_str_eq(world_last(w, CALL_REQUEST)->session, "s1");
	ck_assert(world_last(w, CALL_REQUEST)->call.session_new);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_uint_eq(w->nrecords, 1);
	ck_assert_str_eq(world_text(w, 0, "status"), "OK");
	ck_assert_str_eq(world_text(w, 0, "request_id"), "requests-0-0");
	ck_assert(json_is_true(json_object_get(w->results[0], "session_new")));
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(w->ncommits, 0);
	world_ack(w);
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(w->ncommits, 1);
	ck_assert_int_eq(w->commits[0].base, 1);
	world_free(w);
}
END_TEST

START_TEST(a_session_runs_one_at_a_time_in_order_on_one_worker_and_others_run_beside_it)
{
	struct world *w = ready((struct pool_config){.size = 2});
	struct slot_ref home;

	world_send(w, "a", "{\"command\":\"one\"}");
	world_send(w, "a", "{\"command\":\"two\"}");
	world_send(w, "b", "{\"command\":\"three\"}");
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 2);
	ck_assert_str_eq(world_last(w, CALL_REQUEST)->command, "three");
	for (size_t i = 0; i < w->ncalls; i++) {
		if (strcmp(w->calls[i].command, "one") != 0)
			continue;
		home = w->calls[i].w;
		world_ok(w, &w->calls[i]);
	}
	ck_assert_str_eq(world_last(w, CALL_REQUEST)->command, "two");
	ck_assert(memcmp(&world_last(w, CALL_REQUEST)->w, &home, sizeof(home)) == 0);
	ck_assert(!world_last(w, CALL_REQUEST)->call.session_new);
	world_free(w);
}
END_TEST

START_TEST(out_of_order_ends_are_kept_in_the_commit_map_and_skipped_after_a_restart)
{
	struct world *w = ready(plain), *again;
	char map[OFFSETMAP_TEXT_MAX + 1];

	world_send(w, "a", SAY);
	world_send(w, "b", SAY);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_ack(w);
	world_pass(w, SECOND_US);
	ck_assert_int_eq(w->commits[w->ncommits - 1].base, 0);
	strcpy(map, w->commits[w->ncommits - 1].metadata);
	world_free(w);

	again = world_new(plain, usual);
	world_workers_up(again);
	world_assign_at(again, 0, 0, map);
	world_send(again, "a", SAY);
	world_send(again, "b", SAY);
	ck_assert_uint_eq(world_count(again, CALL_REQUEST), 1);
	ck_assert_str_eq(world_last(again, CALL_REQUEST)->session, "a");
	world_free(again);
}
END_TEST

START_TEST(a_worker_that_dies_alone_with_a_first_request_lets_it_run_again_elsewhere_and_a_second_kill_is_poison)
{
	struct world *w = ready(plain);

	world_send(w, "a", SAY);
	world_die(w, world_last(w, CALL_REQUEST)->w);
	ck_assert_uint_eq(w->nrecords, 0);
	ck_assert(w->commits[w->ncommits - 1].metadata[0] != '\0'); /* the suspect is told to the group before it runs again */
	world_committed(w);
	world_pass(w, SECOND_US);
	world_workers_up(w);
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 2);
	ck_assert_int_eq(world_last(w, CALL_REQUEST)->call.attempt, 2);
	ck_assert_uint_eq(world_last(w, CALL_REQUEST)->w.generation, 2);
	ck_assert(world_last(w, CALL_REQUEST)->call.session_new);
	world_die(w, world_last(w, CALL_REQUEST)->w);
	ck_assert_uint_eq(w->nrecords, 2);
	for (size_t i = 0; i < 2; i++) {
		if (w->kinds[i] == RECORD_RESULT) {
			ck_assert_str_eq(world_text(w, i, "status"), "WORKER_LOST");
			ck_assert_str_eq(world_code(w, i), "POISON");
		}
	}
	ck_assert(w->kinds[0] != w->kinds[1]);
	world_pass(w, SECOND_US);
	engine_delivered(w->e, w->records[0].serial, DELIVERY_OK, w->now);
	ck_assert_uint_eq(w->notes[NOTE_REQUEST_POISON], 1);
	world_free(w);
}
END_TEST

START_TEST(a_request_of_a_session_with_state_is_not_run_again_when_its_worker_dies)
{
	struct world *w = ready(plain);

	world_send(w, "a", SAY);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_send(w, "a", SAY);
	world_die(w, world_last(w, CALL_REQUEST)->w);
	ck_assert_uint_eq(w->nrecords, 2);
	ck_assert_str_eq(world_text(w, 1, "status"), "WORKER_LOST");
	ck_assert_int_eq(w->note_count[NOTE_WORKER_EXIT], 1);
	ck_assert_uint_eq(w->notes[NOTE_SESSIONS_LOST], 1);
	ck_assert_int_eq(w->note_count[NOTE_SESSIONS_LOST], 1);
	world_free(w);
}
END_TEST

START_TEST(a_request_that_names_a_dead_epoch_ends_session_lost_and_a_new_one_begins_anew)
{
	struct world *w = ready(plain);
	char json[256];

	world_send(w, "a", SAY);
	world_ok(w, world_last(w, CALL_REQUEST));
	snprintf(json, sizeof(json), "{\"command\":\"say\",\"session_epoch\":\"%s\"}", world_text(w, 0, "session_epoch"));
	world_send(w, "a", json);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 2);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_die(w, world_last(w, CALL_REQUEST)->w);
	world_pass(w, SECOND_US);
	world_workers_up(w);
	world_send(w, "a", json);
	ck_assert_str_eq(world_text(w, 2, "status"), "SESSION_LOST");
	world_send(w, "a", SAY);
	ck_assert(world_last(w, CALL_REQUEST)->call.session_new);
	world_free(w);
}
END_TEST

START_TEST(queued_requests_of_a_lost_session_fail_if_the_pool_says_so)
{
	struct world *w = ready((struct pool_config){.on_session_loss = SESSION_LOSS_FAIL});

	world_send(w, "a", SAY);
	world_ok(w, world_last(w, CALL_REQUEST));
	for (int i = 0; i < 3; i++)
		world_send(w, "a", SAY);
	world_die(w, world_last(w, CALL_REQUEST)->w);
	ck_assert_uint_eq(w->nrecords, 4);
	ck_assert_str_eq(world_text(w, 1, "status"), "WORKER_LOST");
	ck_assert_str_eq(world_text(w, 2, "status"), "SESSION_LOST");
	ck_assert_str_eq(world_text(w, 3, "status"), "SESSION_LOST");
	world_free(w);
}
END_TEST

START_TEST(a_run_over_its_time_is_told_at_once_and_keeps_its_place_until_its_answer)
{
	struct world *w;
	struct told_call *run;

	w = world_new(plain, usual);
	w->capabilities = CAPABILITY_CANCEL;
	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	world_send(w, "a", "{\"command\":\"say\",\"timeout_ms\":500}");
	world_send(w, "a", SAY);
	run = world_last(w, CALL_REQUEST);
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(w->nrecords, 1);
	ck_assert_str_eq(world_text(w, 0, "status"), "TIMEOUT");
	ck_assert_uint_eq(world_last(w, CALL_CANCEL)->call.target, run->call.id);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 1);
	world_ok(w, run);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 2);
	ck_assert_uint_eq(w->nrecords, 1);
	world_free(w);
}
END_TEST

START_TEST(a_worker_that_does_not_answer_after_kill_grace_is_replaced)
{
	struct world *w = ready(plain);

	world_send(w, "a", "{\"command\":\"say\",\"timeout_ms\":500}");
	world_pass(w, 500 * MS_US + 5 * SECOND_US - 1);
	ck_assert_uint_eq(w->nstops, 0);
	world_pass(w, 1);
	ck_assert_uint_eq(w->nstops, 1);
	ck_assert_int_eq(w->stops[0].step, STOP_TERM);
	world_pass(w, 3 * SECOND_US);
	ck_assert_int_eq(w->stops[1].step, STOP_KILL);
	world_free(w);
}
END_TEST

START_TEST(what_waits_beyond_its_time_expires_without_running)
{
	struct world *w = ready(plain);

	world_send(w, "a", SAY);
	world_send(w, "a", "{\"command\":\"say\",\"timeout_ms\":300}");
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(w->nrecords, 1);
	ck_assert_str_eq(world_text(w, 0, "status"), "EXPIRED");
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 1);
	world_free(w);
}
END_TEST

START_TEST(a_retriable_error_is_run_again_and_then_becomes_a_dead_letter)
{
	struct world *w = ready(plain);

	world_send(w, "a", SAY);
	for (int attempt = 1; attempt <= 3; attempt++) {
		ck_assert_int_eq(world_last(w, CALL_REQUEST)->call.attempt, attempt);
		world_answer_as(w, world_last(w, CALL_REQUEST),
			(struct answer){
				.kind = ANSWER_ERROR,
				.code = SLICE("busy"),
				.message = SLICE("later"),
				.retriable = true,
				.retry_after_ms = 500,
			});
		world_pass(w, 499 * MS_US);
		ck_assert_uint_eq(world_count(w, CALL_REQUEST), (unsigned)attempt);
		world_pass(w, SECOND_US);
	}
	ck_assert_uint_eq(w->nrecords, 2);
	world_free(w);
}
END_TEST

START_TEST(both_records_of_a_dead_request_must_be_acknowledged)
{
	struct world *w = ready(plain);

	world_send(w, "a", "no json");
	ck_assert_uint_eq(w->nrecords, 2);
	engine_delivered(w->e, w->records[0].serial, DELIVERY_OK, w->now);
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(w->ncommits, 0);
	engine_delivered(w->e, w->records[1].serial, DELIVERY_OK, w->now);
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(w->ncommits, 1);
	ck_assert_int_eq(w->commits[0].base, 1);
	world_free(w);
}
END_TEST

START_TEST(refusals_have_their_words)
{
	static const struct {
		const char *json, *code;
	} cases[] = {
		{"{\"command\":\"ping\"}", "RESERVED_COMMAND"},
		{"{\"command\":\"shutdown\"}", "RESERVED_COMMAND"},
		{"{\"command\":\"say\",\"pool\":\"other\"}", "POOL_NOT_ALLOWED"},
		{"{\"command\":\"open_session\"}", "RESERVED_COMMAND"},
		{"{\"command\":\"cancel\"}", "INVALID_ARGS"},
		{"{\"command\":\"cancel\",\"args\":{\"request_id\":7}}", "INVALID_ARGS"},
		{"{\"command\":7}", "INVALID_FIELD"},
		{"{\"command\":\"say\",\"args\":[]}", "INVALID_ARGS"},
		{"{\"args\":{}}", "INVALID_COMMAND"},
	};
	struct world *w = ready(plain);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		world_send(w, "a", cases[i].json);
		ck_assert_uint_eq(w->nrecords, i + 1);
		ck_assert_str_eq(world_text(w, i, "status"), "REJECTED");
		ck_assert_str_eq(world_code(w, i), cases[i].code);
	}
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 0);
	world_free(w);
}
END_TEST

START_TEST(a_cancel_overtakes_the_line_and_ends_what_waits_and_what_runs)
{
	struct world *w = ready(plain);
	struct told_call *run;

	w->capabilities = CAPABILITY_CANCEL;
	world_send(w, "a", "{\"command\":\"say\",\"request_id\":\"r1\"}");
	run = world_last(w, CALL_REQUEST);
	world_send(w, "a", "{\"command\":\"say\",\"request_id\":\"r2\"}");
	world_send(w, "a", "{\"command\":\"cancel\",\"args\":{\"request_id\":\"r2\"}}");
	ck_assert_uint_eq(w->nrecords, 2);
	ck_assert_str_eq(world_text(w, 0, "request_id"), "r2");
	ck_assert_str_eq(world_text(w, 0, "status"), "CANCELLED");
	ck_assert_str_eq(world_code(w, 0), "CANCELLED");
	ck_assert_str_eq(world_text(w, 1, "status"), "OK");
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(w->results[1], "result"), "was")), "queued");
	world_send(w, "b", "{\"command\":\"cancel\",\"args\":{\"request_id\":\"r1\"}}"); /* not its key */
	ck_assert_str_eq(world_code(w, 2), "request_not_found");
	world_send(w, "a", "{\"command\":\"cancel\",\"args\":{\"request_id\":\"r1\"}}");
	ck_assert_str_eq(world_text(w, 3, "status"), "CANCELLED");
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(w->results[4], "result"), "was")), "running");
	world_send(w, "a", SAY);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 1); /* the place is held until the cancelled run answers */
	world_ok(w, run);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 2);
	ck_assert_uint_eq(w->nrecords, 5);
	world_free(w);
}
END_TEST

static const char *was(struct world *w, size_t record)
{
	return json_string_value(json_object_get(json_object_get(w->results[record], "result"), "was"));
}

START_TEST(a_cancel_ends_what_waits_for_its_next_run)
{
	struct world *w = ready(plain);

	world_send(w, "a", "{\"command\":\"say\",\"request_id\":\"r1\"}");
	world_answer_as(w, world_last(w, CALL_REQUEST),
		(struct answer){
			.kind = ANSWER_ERROR,
			.code = SLICE("BUSY"),
			.message = SLICE("later"),
			.retriable = true,
			.retry_after_ms = 5000,
		});
	world_send(w, "a", "{\"command\":\"say\",\"request_id\":\"r2\"}");
	world_send(w, "a", "{\"command\":\"cancel\",\"args\":{\"request_id\":\"r1\"}}");
	ck_assert_str_eq(world_text(w, 0, "status"), "CANCELLED");
	ck_assert_int_eq(json_integer_value(json_object_get(w->results[0], "attempts")), 1);
	ck_assert_str_eq(was(w, 1), "waiting");
	ck_assert_str_eq(world_last(w, CALL_REQUEST)->request, "r2"); /* its line goes on at once */
	world_ok(w, world_last(w, CALL_REQUEST));
	world_pass(w, 10 * SECOND_US);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 2);
	ck_assert_uint_eq(w->nrecords, 3);
	world_free(w);
}
END_TEST

/* The hook is not told: what it has begun is the session's, and the next request finds it open. */
START_TEST(a_cancel_while_its_session_is_opened_ends_it_and_not_the_session)
{
	struct world *w = world_new(plain, usual);

	w->capabilities = CAPABILITY_SESSIONS | CAPABILITY_CANCEL;
	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	world_send(w, "a", "{\"command\":\"say\",\"request_id\":\"r1\"}");
	world_send(w, "a", "{\"command\":\"say\",\"request_id\":\"r2\"}");
	world_send(w, "a", "{\"command\":\"cancel\",\"args\":{\"request_id\":\"r1\"}}");
	ck_assert_str_eq(world_text(w, 0, "status"), "CANCELLED");
	ck_assert_str_eq(was(w, 1), "running");
	ck_assert_ptr_null(world_last(w, CALL_CANCEL));
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 0);
	world_ok(w, world_last(w, CALL_OPEN_SESSION));
	ck_assert_uint_eq(world_count(w, CALL_OPEN_SESSION), 1);
	ck_assert_str_eq(world_last(w, CALL_REQUEST)->request, "r2");
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_str_eq(world_text(w, 2, "status"), "OK");
	ck_assert(json_is_true(json_object_get(w->results[2], "session_new")));
	ck_assert_uint_eq(w->nstops, 0);
	world_free(w);
}
END_TEST

START_TEST(what_waits_may_be_bounded_for_each_session_and_for_the_pool)
{
	struct world *w = ready((struct pool_config){.max_queued = 3, .max_queued_per_session = 2});

	world_send(w, "a", SAY); /* runs */
	world_send(w, "a", SAY);
	world_send(w, "a", SAY);
	ck_assert_uint_eq(w->nrecords, 1);
	ck_assert_str_eq(world_text(w, 0, "status"), "REJECTED");
	ck_assert_str_eq(world_code(w, 0), "SESSION_QUEUE_FULL");
	world_send(w, "b", SAY); /* the worker takes four at once */
	world_send(w, "b", SAY);
	world_send(w, "c", SAY);
	world_send(w, "c", SAY);
	world_send(w, "d", SAY);
	ck_assert_uint_eq(w->nrecords, 2);
	ck_assert_str_eq(world_code(w, 1), "POOL_QUEUE_FULL");
	world_send(w, "a", "{\"command\":\"end_session\"}"); /* makes room, and is never refused */
	ck_assert_uint_eq(w->nrecords, 2);
	world_free(w);
}
END_TEST

START_TEST(a_slow_request_is_told_with_where_its_time_went)
{
	struct world *w = world_new(plain, (struct engine_config){.slow_us = 5 * SECOND_US});

	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	world_send(w, "a", "{\"command\":\"say\",\"request_id\":\"quick\"}");
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_uint_eq(w->notes[NOTE_REQUEST_SLOW], 0);
	world_send(w, "a", "{\"command\":\"say\",\"request_id\":\"first\"}");
	world_send(w, "a", "{\"command\":\"say\",\"request_id\":\"second\"}");
	world_pass(w, 4 * SECOND_US);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_uint_eq(w->notes[NOTE_REQUEST_SLOW], 0);
	world_pass(w, 3 * SECOND_US);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_uint_eq(w->notes[NOTE_REQUEST_SLOW], 1);
	ck_assert_int_eq(w->note_count[NOTE_REQUEST_SLOW], 7000);
	ck_assert_str_eq(w->note_reason[NOTE_REQUEST_SLOW],
		"request second of session a, command say, worker default/0.1: OK after 1 attempts; "
		"ms in broker 0, behind its session 4000, for a worker 0, between attempts 0, running 3000");
	world_send(w, NULL, "{\"command\":\"say\",\"request_id\":\"third\"}");
	world_pass(w, 6 * SECOND_US);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_ptr_eq(strstr(w->note_reason[NOTE_REQUEST_SLOW], "request third, command say, worker default/0.1: OK"),
		w->note_reason[NOTE_REQUEST_SLOW]);
	world_free(w);
}
END_TEST

START_TEST(of_a_partition_that_was_given_back_no_slow_request_is_told)
{
	struct world *w = world_new(plain, (struct engine_config){.slow_us = SECOND_US});

	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	world_send(w, "a", SAY);
	engine_revoked(w->e, &w->tp[0], 1, false, w->now);
	world_pass(w, 10 * SECOND_US);
	ck_assert_uint_eq(w->releases, 1);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_uint_eq(w->notes[NOTE_REQUEST_SLOW], 0);
	world_free(w);
}
END_TEST

static void receive(struct world *w, struct slice key, struct slice value, struct slice headers)
{
	struct message m = {
		.source = {w->tp[0], w->next_offset[0]++},
		.timestamp_ms = 1700000000000,
		.key = key,
		.value = value,
		.headers = headers,
	};

	engine_receive(w->e, &m, w->now);
	engine_check(w->e);
}

START_TEST(what_results_would_repeat_is_bounded)
{
	static char text[100000];
	struct world *w = ready(plain);
	struct buf json;

	memset(text, 'x', sizeof(text));
	buf_init(&json, SIZE_MAX);
	receive(w, (struct slice){text, sizeof(text)}, SLICE(SAY), (struct slice){"", 0});
	buf_printf(&json, "{\"command\":\"say\",\"request_id\":\"%.*s\"}", (int)sizeof(text), text);
	receive(w, SLICE("a"), buf_slice(&json), (struct slice){"", 0});
	buf_reset(&json);
	buf_printf(&json, "{\"command\":\"say\",\"request_id\":\"r3\",\"attributes\":{\"a\":\"%.*s\"}}", (int)sizeof(text), text);
	receive(w, SLICE("a"), buf_slice(&json), (struct slice){"", 0});
	ck_assert_uint_eq(w->nrecords, 6); /* a result and a dead letter each */
	for (size_t i = 0; i < 6; i++) {
		if (w->kinds[i] == RECORD_DEAD_LETTER)
			continue;
		ck_assert_str_eq(world_code(w, i), "TOO_LARGE");
		ck_assert_uint_lt(w->records[i].key.len + w->records[i].value.len + w->records[i].headers.len, 4096);
		ck_assert_uint_gt(strlen(world_text(w, i, "request_id")), 0);
	}
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 0);
	buf_free(&json);
	world_free(w);
}
END_TEST

START_TEST(a_dead_letter_that_is_too_large_loses_its_body_then_its_headers_and_a_long_key)
{
	static char text[2000];
	struct world *w = ready(plain);
	struct buf headers;
	struct slice found;

	memset(text, 'k', sizeof(text));
	buf_init(&headers, SIZE_MAX);
	pairs_add(&headers, SLICE("y"), SLICE("1"));
	receive(w, (struct slice){text, sizeof(text)}, SLICE("no json"), buf_slice(&headers));
	ck_assert_int_eq(w->kinds[1], RECORD_DEAD_LETTER);
	ck_assert(slice_equal(w->records[1].value, SLICE("no json")));
	engine_delivered(w->e, w->records[1].serial, DELIVERY_TOO_LARGE, w->now);
	ck_assert_uint_eq(w->nrecords, 3);
	ck_assert(w->records[2].value.data == NULL && w->records[2].key.len == sizeof(text));
	ck_assert(pairs_find(w->records[2].headers, "y", &found) &&
		  pairs_find(w->records[2].headers, "bridgepool.truncated", &found));
	engine_delivered(w->e, w->records[2].serial, DELIVERY_TOO_LARGE, w->now);
	ck_assert_uint_eq(w->nrecords, 4);
	ck_assert(w->records[3].key.data == NULL && !pairs_find(w->records[3].headers, "y", &found));
	ck_assert(pairs_find(w->records[3].headers, "bridgepool.error.code", &found) && slice_is(found, "INVALID_ENCODING"));
	engine_delivered(w->e, w->records[0].serial, DELIVERY_OK, w->now);
	engine_delivered(w->e, w->records[3].serial, DELIVERY_OK, w->now);
	world_pass(w, SECOND_US);
	ck_assert_int_eq(w->commits[0].base, 1);
	buf_free(&headers);
	world_free(w);
}
END_TEST

START_TEST(end_session_cleans_up_in_line_and_a_second_one_is_told_there_is_none)
{
	struct world *w = ready(plain);

	world_send(w, "a", SAY);
	world_send(w, "a", "{\"command\":\"end_session\"}");
	world_send(w, "a", SAY);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 0);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 1);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 1);
	world_ok(w, world_last(w, CALL_CLEANUP_SESSION));
	ck_assert_str_eq(world_text(w, 1, "status"), "OK");
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 2);
	ck_assert(world_last(w, CALL_REQUEST)->call.session_new);
	world_send(w, "b", "{\"command\":\"end_session\"}");
	ck_assert_str_eq(world_code(w, 2), "session_not_found");
	world_free(w);
}
END_TEST

START_TEST(idle_sessions_end_after_their_time_to_live)
{
	struct world *w = ready((struct pool_config){.session_ttl_us = 10 * SECOND_US});

	world_send(w, "a", SAY);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_pass(w, 9 * SECOND_US);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 0);
	world_pass(w, 2 * SECOND_US);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 1);
	ck_assert_str_eq(world_last(w, CALL_CLEANUP_SESSION)->reason, "ttl");
	world_free(w);
}
END_TEST

START_TEST(a_revoke_waits_for_what_runs_commits_and_releases_once)
{
	struct world *w = ready(plain);

	world_send(w, "a", SAY);
	world_send(w, "a", SAY);
	engine_revoked(w->e, &w->tp[0], 1, false, w->now);
	engine_check(w->e);
	ck_assert_uint_eq(w->releases, 0);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 1);
	world_ack(w);
	ck_assert_uint_eq(w->ncommits, 1);
	ck_assert_int_eq(w->commits[0].base, 1);
	ck_assert_uint_eq(w->releases, 0);
	engine_committed(w->e, w->commits[0].id, NULL, 0, w->now);
	ck_assert_uint_eq(w->releases, 1);
	world_free(w);
}
END_TEST

START_TEST(a_partition_that_comes_back_untouched_keeps_its_sessions_and_adopts_what_runs)
{
	struct world *w = ready(plain);
	struct told_call *run;

	world_send(w, "a", SAY);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_ack(w);
	world_send(w, "a", SAY);
	run = world_last(w, CALL_REQUEST);
	world_send(w, "a", SAY);
	engine_revoked(w->e, &w->tp[0], 1, false, w->now);
	world_pass(w, 3 * SECOND_US);
	engine_committed(w->e, w->commits[w->ncommits - 1].id, NULL, 0, w->now);
	ck_assert_uint_eq(w->releases, 1);
	world_assign_at(w, 0, 1, w->commits[w->ncommits - 1].metadata);
	world_send(w, "a", SAY);
	world_send(w, "a", SAY);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 2);
	world_ok(w, run);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 3);
	ck_assert(!world_last(w, CALL_REQUEST)->call.session_new);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_ack(w);
	world_pass(w, SECOND_US);
	ck_assert_int_eq(w->commits[w->ncommits - 1].base, 3);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 0);
	world_free(w);
}
END_TEST

START_TEST(a_partition_that_went_elsewhere_ends_its_sessions_and_drops_what_runs)
{
	struct world *w = ready(plain);

	world_send(w, "a", SAY);
	engine_revoked(w->e, &w->tp[0], 1, true, w->now);
	ck_assert_uint_eq(w->releases, 1);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_uint_eq(w->nrecords, 0);
	ck_assert_uint_eq(w->ncommits, 0);
	world_pass(w, MS_US);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 1);
	ck_assert_str_eq(world_last(w, CALL_CLEANUP_SESSION)->reason, "partition");
	ck_assert_int_eq(w->note_count[NOTE_SESSIONS_LOST], 1);
	world_free(w);
}
END_TEST

START_TEST(late_and_foreign_answers_change_nothing_or_replace_the_worker)
{
	struct world *w = ready(plain);
	struct told_call *run;
	struct answer never = {.kind = ANSWER_OK, .id = 999, .has_id = true, .payload = SLICE("{}"), .retry_after_ms = TIME_NONE};

	world_send(w, "a", SAY);
	run = world_last(w, CALL_REQUEST);
	world_ok(w, run);
	world_ok(w, run);
	ck_assert_uint_eq(w->nrecords, 1);
	ck_assert_uint_eq(w->nstops, 0);
	engine_answer(w->e, run->w, &never, w->now);
	ck_assert_uint_eq(w->nstops, 1);
	ck_assert_uint_eq(w->notes[NOTE_WORKER_PROTOCOL], 1);
	world_free(w);
}
END_TEST

START_TEST(a_full_window_holds_its_partition_until_it_moves)
{
	struct world *w = world_new(plain, (struct engine_config){.window_cap = 16});

	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	for (int i = 0; i < 20; i++)
		world_send(w, "a", SAY);
	ck_assert(w->held[0]);
	for (int i = 0; i < 20; i++) {
		world_ok(w, world_last(w, CALL_REQUEST));
		world_ack(w);
	}
	ck_assert(!w->held[0]);
	ck_assert_uint_eq(w->nrecords, 20);
	world_pass(w, SECOND_US);
	ck_assert_int_eq(w->commits[w->ncommits - 1].base, 20);
	world_free(w);
}
END_TEST

START_TEST(a_full_producer_keeps_records_in_order_and_memory_closes_the_door)
{
	struct world *w = world_new(plain, (struct engine_config){.memory_limit = 4096});

	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	w->full = true;
	ck_assert(engine_takes(w->e));
	for (int i = 0; i < 8; i++) {
		world_send(w, "a", SAY);
		world_ok(w, world_last(w, CALL_REQUEST));
	}
	ck_assert(!engine_takes(w->e));
	w->full = false;
	world_pass(w, 100 * MS_US);
	ck_assert_uint_eq(w->nrecords, 8);
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(w->results[i], "source"), "offset")), i);
	world_ack(w);
	ck_assert(engine_takes(w->e));
	world_free(w);
}
END_TEST

START_TEST(a_drain_finishes_what_runs_puts_the_rest_back_and_ends_the_workers)
{
	struct world *w = ready(plain);
	struct exit_report x = {.exited = true};

	world_send(w, "a", SAY);
	world_send(w, "a", SAY);
	engine_drain(w->e, w->now + 30 * SECOND_US, w->now);
	ck_assert(!engine_takes(w->e));
	ck_assert(!engine_drained(w->e));
	world_ok(w, world_last(w, CALL_REQUEST));
	world_ack(w);
	ck_assert_uint_eq(w->ncommits, 1);
	ck_assert_int_eq(w->commits[0].base, 1);
	engine_committed(w->e, w->commits[0].id, NULL, 0, w->now);
	ck_assert(engine_drained(w->e));
	ck_assert_uint_eq(world_count(w, CALL_SHUTDOWN), 1);
	ck_assert_int_eq(w->stops[0].step, STOP_CLOSE);
	engine_gone(w->e, world_last(w, CALL_SHUTDOWN)->w, &x, w->now);
	ck_assert(engine_idle(w->e));
	world_free(w);
}
END_TEST

START_TEST(session_hooks_open_before_the_first_request_and_their_error_is_its_answer)
{
	struct world *w = world_new(plain, usual);

	w->capabilities = CAPABILITY_SESSIONS;
	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	world_send(w, "a", SAY);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 0);
	world_ok(w, world_last(w, CALL_OPEN_SESSION));
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 1);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_send(w, "b", SAY);
	world_answer_as(w, world_last(w, CALL_OPEN_SESSION),
		(struct answer){
			.kind = ANSWER_ERROR,
			.code = SLICE("NO"),
			.message = SLICE("not today"),
			.retry_after_ms = TIME_NONE,
		});
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 1);
	ck_assert_str_eq(world_code(w, 1), "NO");
	world_free(w);
}
END_TEST

START_TEST(anonymous_requests_need_no_session_and_share_the_places)
{
	struct world *w = ready(plain);

	for (int i = 0; i < 6; i++)
		world_send(w, NULL, SAY);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 4);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 5);
	ck_assert(json_is_null(json_object_get(w->results[0], "session_id")));
	world_free(w);
}
END_TEST

START_TEST(several_in_flight_blame_nobody_and_run_again_alone)
{
	struct world *w = ready(plain);
	struct slot_ref ref;

	world_send(w, "a", SAY);
	world_send(w, "b", SAY);
	ref = world_last(w, CALL_REQUEST)->w;
	world_die(w, ref);
	world_pass(w, SECOND_US);
	world_workers_up(w);
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 3);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 4);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_uint_eq(w->nrecords, 2);
	world_free(w);
}
END_TEST

static struct world *many_sessions(int n)
{
	struct world *w = world_new((struct pool_config){.session_ttl_us = 10 * SECOND_US}, usual);
	char id[16];

	w->concurrency = 1000;
	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	for (int i = 0; i < n; i++) {
		snprintf(id, sizeof(id), "s%d", i);
		world_send(w, id, SAY);
		world_ok(w, world_last(w, CALL_REQUEST));
	}
	return w;
}

START_TEST(many_sessions_whose_time_is_over_at_once_are_ended_a_few_at_a_time)
{
	struct world *w = many_sessions(150);

	w->now += 10 * SECOND_US;
	engine_tick(w->e, w->now);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 64);
	ck_assert_int_eq(engine_next(w->e), w->now + MS_US);
	world_pass(w, MS_US);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 128);
	world_pass(w, MS_US);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 150);
	world_free(w);
}
END_TEST

START_TEST(many_sessions_of_a_partition_that_went_away_are_ended_a_few_at_a_time_and_told_once)
{
	struct world *w = many_sessions(150);

	engine_revoked(w->e, &w->tp[0], 1, true, w->now);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 0);
	world_pass(w, 0);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 64);
	ck_assert_uint_eq(w->notes[NOTE_SESSIONS_LOST], 0);
	world_pass(w, 2 * MS_US);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 150);
	ck_assert_uint_eq(w->notes[NOTE_SESSIONS_LOST], 1);
	ck_assert_int_eq(w->note_count[NOTE_SESSIONS_LOST], 150);
	world_free(w);
}
END_TEST

static int64_t timing(struct world *w, size_t record, const char *name)
{
	return json_integer_value(json_object_get(json_object_get(w->results[record], "timings"), name));
}

START_TEST(the_timings_of_a_result_tell_where_all_its_time_went)
{
	struct world *w = ready(plain);

	w->concurrency = 1;
	world_send(w, "a", SAY);
	world_send(w, "a", SAY);
	world_pass(w, 3 * MS_US);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_pass(w, 5 * MS_US);
	world_answer_as(w, world_last(w, CALL_REQUEST),
		(struct answer){
			.kind = ANSWER_ERROR,
			.code = SLICE("busy"),
			.message = SLICE("later"),
			.retriable = true,
			.retry_after_ms = 500,
		});
	world_pass(w, 500 * MS_US);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 3);
	world_pass(w, 7 * MS_US);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_int_eq(timing(w, 1, "session_wait_us"), 3 * MS_US);
	ck_assert_int_eq(timing(w, 1, "worker_wait_us"), 0);
	ck_assert_int_eq(timing(w, 1, "retry_wait_us"), 500 * MS_US);
	ck_assert_int_eq(timing(w, 1, "run_us"), 12 * MS_US);
	world_free(w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("engine");
	TCase *t = tcase_create("scenes");
	SRunner *runner;
	int failed;

	tcase_add_test(t, a_request_becomes_a_result_and_its_offset_is_done_only_when_acknowledged);
	tcase_add_test(t, a_session_runs_one_at_a_time_in_order_on_one_worker_and_others_run_beside_it);
	tcase_add_test(t, out_of_order_ends_are_kept_in_the_commit_map_and_skipped_after_a_restart);
	tcase_add_test(t, a_worker_that_dies_alone_with_a_first_request_lets_it_run_again_elsewhere_and_a_second_kill_is_poison);
	tcase_add_test(t, a_request_of_a_session_with_state_is_not_run_again_when_its_worker_dies);
	tcase_add_test(t, a_request_that_names_a_dead_epoch_ends_session_lost_and_a_new_one_begins_anew);
	tcase_add_test(t, queued_requests_of_a_lost_session_fail_if_the_pool_says_so);
	tcase_add_test(t, a_run_over_its_time_is_told_at_once_and_keeps_its_place_until_its_answer);
	tcase_add_test(t, a_worker_that_does_not_answer_after_kill_grace_is_replaced);
	tcase_add_test(t, what_waits_beyond_its_time_expires_without_running);
	tcase_add_test(t, a_retriable_error_is_run_again_and_then_becomes_a_dead_letter);
	tcase_add_test(t, both_records_of_a_dead_request_must_be_acknowledged);
	tcase_add_test(t, refusals_have_their_words);
	tcase_add_test(t, what_waits_may_be_bounded_for_each_session_and_for_the_pool);
	tcase_add_test(t, a_slow_request_is_told_with_where_its_time_went);
	tcase_add_test(t, a_cancel_overtakes_the_line_and_ends_what_waits_and_what_runs);
	tcase_add_test(t, a_cancel_ends_what_waits_for_its_next_run);
	tcase_add_test(t, a_cancel_while_its_session_is_opened_ends_it_and_not_the_session);
	tcase_add_test(t, of_a_partition_that_was_given_back_no_slow_request_is_told);
	tcase_add_test(t, what_results_would_repeat_is_bounded);
	tcase_add_test(t, a_dead_letter_that_is_too_large_loses_its_body_then_its_headers_and_a_long_key);
	tcase_add_test(t, end_session_cleans_up_in_line_and_a_second_one_is_told_there_is_none);
	tcase_add_test(t, idle_sessions_end_after_their_time_to_live);
	tcase_add_test(t, a_revoke_waits_for_what_runs_commits_and_releases_once);
	tcase_add_test(t, a_partition_that_comes_back_untouched_keeps_its_sessions_and_adopts_what_runs);
	tcase_add_test(t, a_partition_that_went_elsewhere_ends_its_sessions_and_drops_what_runs);
	tcase_add_test(t, late_and_foreign_answers_change_nothing_or_replace_the_worker);
	tcase_add_test(t, a_full_window_holds_its_partition_until_it_moves);
	tcase_add_test(t, a_full_producer_keeps_records_in_order_and_memory_closes_the_door);
	tcase_add_test(t, a_drain_finishes_what_runs_puts_the_rest_back_and_ends_the_workers);
	tcase_add_test(t, session_hooks_open_before_the_first_request_and_their_error_is_its_answer);
	tcase_add_test(t, anonymous_requests_need_no_session_and_share_the_places);
	tcase_add_test(t, several_in_flight_blame_nobody_and_run_again_alone);
	tcase_add_test(t, the_timings_of_a_result_tell_where_all_its_time_went);
	tcase_add_test(t, many_sessions_whose_time_is_over_at_once_are_ended_a_few_at_a_time);
	tcase_add_test(t, many_sessions_of_a_partition_that_went_away_are_ended_a_few_at_a_time_and_told_once);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
