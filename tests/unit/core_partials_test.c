/* core_partials_test.c: what a worker says before its answer: when it goes, its bounds in number, bytes and memory. The answer
 * has none. */
#include "core_world.h"

static struct world *streaming_in(struct pool_config pool, struct engine_config more)
{
	struct world *w = world_new(pool, more);

	w->capabilities = CAPABILITY_CANCEL;
	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	return w;
}

static struct world *streaming(struct pool_config pool)
{
	return streaming_in(pool, (struct engine_config){0});
}

static struct told_call *ask(struct world *w, const char *id)
{
	char json[128];

	snprintf(json, sizeof(json), "{\"request_id\":\"%s\",\"command\":\"x\",\"stream\":true}", id);
	world_send(w, "s", json);
	return world_last(w, CALL_REQUEST);
}

static void say(struct world *w, struct told_call *t, const char *json)
{
	world_answer_as(w, t, (struct answer){.kind = ANSWER_PARTIAL, .payload = slice_of(json), .retry_after_ms = TIME_NONE});
}

/* "1 2 3": the values of all parts, in order; each part is to have the number of its place. */
static const char *told(struct world *w, size_t from)
{
	static char out[256];
	size_t n = 0, used = 0;
	json_t *value;
	size_t k;

	*out = '\0';
	for (size_t i = from; i < w->nrecords; i++) {
		if (json_is_true(json_object_get(w->results[i], "final")))
			continue;
		ck_assert_int_eq(json_integer_value(json_object_get(w->results[i], "part")), (json_int_t)n++);
		json_array_foreach (json_object_get(w->results[i], "result"), k, value)
			used += (size_t)snprintf(out + used, sizeof(out) - used, "%s%" JSON_INTEGER_FORMAT, used ? " " : "",
				json_integer_value(value));
	}
	return out;
}

static void check_end(struct world *w, struct told_call *t, int part)
{
	json_t *last;

	world_ok(w, t);
	last = w->results[w->nrecords - 1];
	ck_assert(json_is_true(json_object_get(last, "final")));
	ck_assert_str_eq(json_string_value(json_object_get(last, "status")), "OK");
	ck_assert_int_eq(json_integer_value(json_object_get(last, "part")), part);
	world_ack(w);
}

static int number(struct world *w, size_t record, const char *field)
{
	return (int)json_integer_value(json_object_get(w->results[record], field));
}

/* A JSON string of so many bytes. */
static const char *text_of(size_t n)
{
	static char out[1 << 17];

	memset(out, 'x', n);
	out[0] = out[n - 1] = '"';
	out[n] = '\0';
	return out;
}

static size_t parts_from(struct world *w, size_t from)
{
	size_t n = 0;

	for (size_t i = from; i < w->nrecords; i++)
		n += !json_is_true(json_object_get(w->results[i], "final"));
	return n;
}

static uint64_t memory_of(struct world *w)
{
	struct snapshot s;
	uint64_t used;

	engine_snapshot(w->e, w->now, &s);
	used = s.memory_used;
	snapshot_free(&s);
	return used;
}

static struct pool_snapshot counted(struct world *w)
{
	struct pool_snapshot p;
	struct snapshot s;

	engine_snapshot(w->e, w->now, &s);
	p = s.pools[0];
	snapshot_free(&s);
	return p;
}

START_TEST(after_partial_max_the_rest_is_left_out_and_told_once)
{
	struct world *w = streaming((struct pool_config){.partial_max = 2});
	struct told_call *t = ask(w, "r");

	say(w, t, "1");
	say(w, t, "2");
	say(w, t, "3");
	say(w, t, "4");
	ck_assert_str_eq(told(w, 0), "1 2");
	ck_assert_uint_eq(w->notes[NOTE_PARTIALS_DROPPED], 1);
	ck_assert_str_eq(w->note_reason[NOTE_PARTIALS_DROPPED], "request r has reached partial_max after 2 parts of 2 bytes");
	ck_assert_uint_eq(counted(w).parts, 2);
	ck_assert_uint_eq(counted(w).partials_dropped, 2);
	check_end(w, t, 2);
	world_free(w);
}
END_TEST

/* What would still fit after something too large is left out too: no holes. */
START_TEST(after_partial_bytes_max_too)
{
	struct world *w = streaming((struct pool_config){.partial_bytes_max = 5});
	struct told_call *t = ask(w, "r");

	say(w, t, "11");
	say(w, t, "22");
	say(w, t, "33");
	say(w, t, "4");
	ck_assert_str_eq(told(w, 0), "11 22");
	ck_assert_str_eq(w->note_reason[NOTE_PARTIALS_DROPPED],
		"request r has reached partial_bytes_max after 2 parts of 4 bytes");
	check_end(w, t, 2);
	world_free(w);
}
END_TEST

START_TEST(of_a_partition_that_was_given_back_it_is_not_told)
{
	struct world *w = streaming((struct pool_config){.partial_max = 1});
	struct told_call *t = ask(w, "r");

	engine_revoked(w->e, &w->tp[0], 1, false, w->now);
	world_pass(w, 10 * SECOND_US);
	ck_assert_uint_eq(w->releases, 1);
	say(w, t, "1");
	say(w, t, "2");
	ck_assert_uint_eq(counted(w).partials_dropped, 1);
	ck_assert_uint_eq(w->notes[NOTE_PARTIALS_DROPPED], 0);
	world_free(w);
}
END_TEST

START_TEST(the_next_run_and_the_next_request_begin_anew)
{
	struct world *w = streaming((struct pool_config){.partial_max = 1, .partial_bytes_max = 1});
	struct told_call *t = ask(w, "r");
	size_t from;

	say(w, t, "1");
	say(w, t, "2");
	world_answer_as(w, t,
		(struct answer){
			.kind = ANSWER_ERROR,
			.code = SLICE("BUSY"),
			.message = SLICE("later"),
			.retriable = true,
			.retry_after_ms = TIME_NONE,
		});
	from = w->nrecords;
	world_pass(w, SECOND_US);
	t = world_last(w, CALL_REQUEST);
	say(w, t, "3");
	ck_assert_str_eq(told(w, from), "3");
	ck_assert_int_eq(number(w, 0, "attempts"), 1);
	ck_assert_int_eq(number(w, from, "attempts"), 2);
	check_end(w, t, 1);
	ck_assert_int_eq(number(w, w->nrecords - 1, "attempts"), 2);
	from = w->nrecords;
	t = ask(w, "next");
	say(w, t, "4");
	say(w, t, "5");
	ck_assert_str_eq(told(w, from), "4");
	check_end(w, t, 1);
	ck_assert_uint_eq(w->notes[NOTE_PARTIALS_DROPPED], 2);
	ck_assert_uint_eq(counted(w).partials_dropped, 2);
	world_free(w);
}
END_TEST

START_TEST(new_bounds_hold_at_once)
{
	struct world *w = streaming((struct pool_config){.partial_max = 5});
	struct told_call *t = ask(w, "r");

	say(w, t, "1");
	w->pool.partial_max = 1;
	engine_retune(w->e, &w->cfg, w->now);
	say(w, t, "2");
	ck_assert_str_eq(told(w, 0), "1");
	check_end(w, t, 1);
	world_free(w);
}
END_TEST

START_TEST(nothing_is_counted_for_who_did_not_ask_for_parts)
{
	struct world *w = streaming((struct pool_config){.partial_max = 1});
	struct told_call *t;

	world_send(w, "s", "{\"request_id\":\"r\",\"command\":\"x\"}");
	t = world_last(w, CALL_REQUEST);
	say(w, t, "1");
	say(w, t, "2");
	ck_assert_uint_eq(w->nrecords, 0);
	ck_assert_uint_eq(counted(w).partials_dropped, 0);
	check_end(w, t, 0);
	world_free(w);
}
END_TEST

START_TEST(the_first_goes_at_once_and_what_follows_goes_together_after_the_interval)
{
	struct world *w = streaming((struct pool_config){.partial_interval_us = 100 * MS_US});
	struct told_call *t = ask(w, "r");

	say(w, t, "1");
	ck_assert_uint_eq(parts_from(w, 0), 1);
	world_pass(w, 40 * MS_US);
	say(w, t, "2");
	say(w, t, "3");
	world_pass(w, 59 * MS_US);
	ck_assert_uint_eq(parts_from(w, 0), 1);
	world_pass(w, MS_US);
	ck_assert_uint_eq(parts_from(w, 0), 2);
	world_pass(w, SECOND_US); /* nothing is said, nothing goes */
	ck_assert_uint_eq(parts_from(w, 0), 2);
	say(w, t, "4");
	ck_assert_uint_eq(parts_from(w, 0), 3);
	say(w, t, "5"); /* the end takes along what waits */
	check_end(w, t, 4);
	ck_assert_str_eq(told(w, 0), "1 2 3 4 5");
	world_free(w);
}
END_TEST

/* What is said waits, is gathered, and charged; a run that says more than fits into a part is told no more of. */
START_TEST(parts_wait_while_none_is_acknowledged)
{
	struct world *w = streaming_in((struct pool_config){.partial_interval_us = 100 * MS_US},
		(struct engine_config){.memory_limit = 100000});
	struct told_call *t = ask(w, "r");
	uint64_t before;

	for (int i = 0; i < 20; i++) { /* nobody acknowledges */
		say(w, t, text_of(1000));
		world_pass(w, SECOND_US);
	}
	ck_assert_uint_ge(parts_from(w, 0), 2);
	ck_assert_uint_le(parts_from(w, 0), 12); /* an eighth of the memory, and no timer goes round that */
	before = memory_of(w);
	ck_assert_uint_ge(before, 20000); /* what is gathered is there too */
	for (int i = 0; i < 100; i++)
		say(w, t, text_of(1000));
	ck_assert_uint_le(memory_of(w), 100000 + (1 << 16));
	ck_assert_uint_eq(w->notes[NOTE_PARTIALS_DROPPED], 1);
	ck_assert_ptr_nonnull(strstr(w->note_reason[NOTE_PARTIALS_DROPPED], "request r has reached limits.memory after"));
	ck_assert(w->held[0] == (memory_of(w) - 12500 > 100000)); /* one partition has all of it */
	world_ack(w);
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(parts_from(w, w->nrecords - 1), 1); /* they flow again */
	check_end(w, t, (int)parts_from(w, 0));
	ck_assert_uint_eq(memory_of(w), 0);
	world_free(w);
}
END_TEST

START_TEST(what_does_not_fit_beside_what_is_gathered_goes_after_it)
{
	struct world *w = streaming((struct pool_config){.partial_interval_us = SECOND_US});
	struct told_call *t = ask(w, "r");

	say(w, t, "1");
	say(w, t, text_of(40000));
	say(w, t, text_of(30000)); /* limits.result is 64 KiB */
	say(w, t, "2");
	ck_assert_uint_eq(parts_from(w, 0), 2);
	ck_assert_uint_eq(w->notes[NOTE_PARTIALS_DROPPED], 0);
	check_end(w, t, 3);
	ck_assert_uint_eq(json_array_size(json_object_get(w->results[2], "result")), 2);
	world_free(w);
}
END_TEST

START_TEST(what_fits_into_no_part_ends_the_stream)
{
	struct world *w = streaming((struct pool_config){.partial_interval_us = SECOND_US});
	struct told_call *t = ask(w, "r");

	say(w, t, "1");
	say(w, t, "2");
	say(w, t, text_of((1 << 16) + 1));
	say(w, t, "3"); /* no hole */
	ck_assert_str_eq(w->note_reason[NOTE_PARTIALS_DROPPED], "request r has reached limits.result after 2 parts of 2 bytes");
	ck_assert_uint_eq(counted(w).partials_dropped, 2);
	check_end(w, t, 2);
	ck_assert_str_eq(told(w, 0), "1 2");
	world_free(w);
}
END_TEST

START_TEST(parts_that_the_topic_does_not_take_are_counted)
{
	struct world *w = streaming((struct pool_config){.partial_interval_us = SECOND_US});
	struct told_call *t = ask(w, "r");

	say(w, t, "1");
	say(w, t, "2");
	say(w, t, "3");
	world_pass(w, SECOND_US);
	w->acked[0] = w->acked[1] = true;
	engine_delivered(w->e, w->records[0].serial, DELIVERY_OK, w->now);
	engine_delivered(w->e, w->records[1].serial, DELIVERY_TOO_LARGE, w->now); /* 2 and 3 */
	ck_assert_uint_eq(counted(w).partials_dropped, 2);
	check_end(w, t, 2);
	world_free(w);
}
END_TEST

/* No attempt is used up for another's fault: the stream begins anew with part 0. */
START_TEST(a_run_that_we_have_killed_tells_its_parts_anew)
{
	struct world *w = streaming((struct pool_config){0});
	struct exit_report killed = {.signal = 9};
	struct told_call *t, *hung;
	size_t from;

	world_send(w, "other", "{\"request_id\":\"hangs\",\"command\":\"x\",\"timeout_ms\":1000}");
	hung = world_last(w, CALL_REQUEST);
	t = ask(w, "r");
	say(w, t, "1");
	say(w, t, "2");
	ck_assert_str_eq(told(w, 0), "1 2");
	world_pass(w, 7 * SECOND_US); /* and kill_grace */
	ck_assert_uint_ge(w->nstops, 1);
	engine_gone(w->e, hung->w, &killed, w->now);
	world_pass(w, SECOND_US);
	world_workers_up(w);
	world_pass(w, SECOND_US);
	from = w->nrecords;
	t = world_last(w, CALL_REQUEST);
	ck_assert_str_eq(t->request, "r");
	say(w, t, "3");
	ck_assert_str_eq(told(w, from), "3");
	ck_assert_int_eq(number(w, from, "part"), 0);
	ck_assert_int_eq(number(w, from, "attempts"), 1);
	check_end(w, t, 1);
	world_free(w);
}
END_TEST

START_TEST(what_was_used_up_is_told_however_it_ends)
{
	struct world *w = streaming((struct pool_config){0});
	struct told_call *t = ask(w, "r");
	const struct slice usage = SLICE("{\"tokens\":7}");
	json_t *told_usage;

	world_answer_as(w, t,
		(struct answer){
			.kind = ANSWER_OK,
			.payload = slice_of(text_of((1 << 16) + 1)),
			.usage = usage,
			.retry_after_ms = TIME_NONE,
		});
	ck_assert_str_eq(world_code(w, 0), "RESULT_TOO_LARGE");
	world_send(w, "s", "{\"request_id\":\"late\",\"command\":\"x\",\"timeout_ms\":1000}");
	t = world_last(w, CALL_REQUEST);
	w->now += SECOND_US; /* the worker is heard before our own timer */
	world_answer_as(w, t,
		(struct answer){
			.kind = ANSWER_ERROR,
			.code = SLICE("TIMEOUT"),
			.message = SLICE("over"),
			.usage = usage,
			.retry_after_ms = TIME_NONE,
		});
	ck_assert_str_eq(world_text(w, 1, "status"), "TIMEOUT");
	for (size_t i = 0; i < 2; i++) {
		told_usage = json_object_get(w->results[i], "usage");
		ck_assert_msg(json_number_value(json_object_get(told_usage, "tokens")) == 7.0, "record %zu", i);
	}
	world_ack(w);
	world_free(w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_partials");
	TCase *t = tcase_create("partials");
	SRunner *runner;
	int failed;

	tcase_add_test(t, after_partial_max_the_rest_is_left_out_and_told_once);
	tcase_add_test(t, after_partial_bytes_max_too);
	tcase_add_test(t, of_a_partition_that_was_given_back_it_is_not_told);
	tcase_add_test(t, the_next_run_and_the_next_request_begin_anew);
	tcase_add_test(t, new_bounds_hold_at_once);
	tcase_add_test(t, nothing_is_counted_for_who_did_not_ask_for_parts);
	tcase_add_test(t, the_first_goes_at_once_and_what_follows_goes_together_after_the_interval);
	tcase_add_test(t, parts_wait_while_none_is_acknowledged);
	tcase_add_test(t, what_does_not_fit_beside_what_is_gathered_goes_after_it);
	tcase_add_test(t, what_fits_into_no_part_ends_the_stream);
	tcase_add_test(t, parts_that_the_topic_does_not_take_are_counted);
	tcase_add_test(t, a_run_that_we_have_killed_tells_its_parts_anew);
	tcase_add_test(t, what_was_used_up_is_told_however_it_ends);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
