/* core_partials_test.c: what a worker says before its answer has bounds, in number and in bytes; the answer has not. */
#include "core_world.h"

static struct world *streaming(struct pool_config pool)
{
	struct world *w = world_new(pool, (struct engine_config){0});

	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	return w;
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
		json_array_foreach(json_object_get(w->results[i], "result"), k, value)
			used += (size_t)snprintf(out + used, sizeof(out) - used, "%s%" JSON_INTEGER_FORMAT, used ? " " : "", json_integer_value(value));
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
	ck_assert_str_eq(w->note_reason[NOTE_PARTIALS_DROPPED], "request r has reached partial_bytes_max after 2 parts of 4 bytes");
	check_end(w, t, 2);
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
	world_answer_as(w, t, (struct answer){.kind = ANSWER_ERROR, .code = SLICE("BUSY"), .message = SLICE("later"), .retriable = true, .retry_after_ms = TIME_NONE});
	from = w->nrecords;
	world_pass(w, SECOND_US);
	t = world_last(w, CALL_REQUEST);
	say(w, t, "3");
	ck_assert_str_eq(told(w, from), "3");
	check_end(w, t, 1);
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

int main(void)
{
	Suite *suite = suite_create("core_partials");
	TCase *t = tcase_create("partials");
	SRunner *runner;
	int failed;

	tcase_add_test(t, after_partial_max_the_rest_is_left_out_and_told_once);
	tcase_add_test(t, after_partial_bytes_max_too);
	tcase_add_test(t, the_next_run_and_the_next_request_begin_anew);
	tcase_add_test(t, new_bounds_hold_at_once);
	tcase_add_test(t, nothing_is_counted_for_who_did_not_ask_for_parts);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
