/* worker_mockworker_test.c: mock-worker does what its options say, when they say it. */
#include "worker_stage.h"

static void open_one(struct stage *s, const char *a, const char *b, const char *c, const char *d)
{
	const char *options[] = {a, b, c, d, NULL};

	stage_open_mock(s, options);
	stage_start(s, 0);
}

/* Says n requests, then one that comes after them all. */
static void say_echoes(struct stage *s, int n)
{
	for (int i = 0; i < n; i++)
		stage_request(s, 0, "echo", SLICE("{}"));
	stage_flush(s);
}

START_TEST(each_nth_request_is_hit)
{
	struct stage s;
	uint64_t ping;

	open_one(&s, "--hang", "10", NULL, NULL);
	say_echoes(&s, 100);
	ping = stage_say(&s, 0, (struct call){.kind = CALL_PING});
	stage_flush(&s);
	stage_wait(&s, stage_find(&s.seen[0], ping));
	ck_assert_uint_eq(s.seen[0].nanswers, 91);
	for (uint64_t id = 1; id <= 100; id++)
		ck_assert_int_eq(stage_find(&s.seen[0], id) == NULL, id % 10 == 0);
	stage_close(&s);
}
END_TEST

START_TEST(a_part_of_the_requests_is_hit_and_the_same_with_the_same_seed)
{
	uint64_t missing[2][1000];
	size_t n[2] = {0, 0};

	for (int run = 0; run < 2; run++) {
		struct stage s;
		uint64_t ping;

		open_one(&s, "--hang", "10%", "--seed", "42");
		say_echoes(&s, 1000);
		ping = stage_say(&s, 0, (struct call){.kind = CALL_PING});
		stage_flush(&s);
		stage_wait(&s, stage_find(&s.seen[0], ping));
		for (uint64_t id = 1; id <= 1000; id++) {
			if (!stage_find(&s.seen[0], id))
				missing[run][n[run]++] = id;
		}
		stage_close(&s);
	}
	ck_assert_uint_ge(n[0], 50);
	ck_assert_uint_le(n[0], 150);
	ck_assert_uint_eq(n[0], n[1]);
	ck_assert_int_eq(memcmp(missing[0], missing[1], n[0] * sizeof missing[0][0]), 0);
}
END_TEST

START_TEST(a_command_is_hit)
{
	struct stage s;

	open_one(&s, "--bad-json", "count", "--twice", "ping");
	ck_assert_int_eq(stage_ask(&s, 0, "echo", SLICE("{}"))->kind, ANSWER_OK);
	ck_assert_int_eq(stage_ask(&s, 0, "count", SLICE("{}"))->kind, ANSWER_UNREADABLE);
	stage_say(&s, 0, (struct call){.kind = CALL_PING});
	stage_flush(&s);
	stage_wait(&s, s.seen[0].nanswers == 4);
	ck_assert_uint_eq(s.seen[0].answers[2].id, s.seen[0].answers[3].id);
	stage_close(&s);
}
END_TEST

START_TEST(a_late_answer_comes_after_a_later_request)
{
	struct stage s;

	open_one(&s, "--late", "1", "--late-by", "30");
	stage_request(&s, 0, "echo", SLICE("{}"));
	stage_say(&s, 0, (struct call){.kind = CALL_PING});
	stage_flush(&s);
	stage_wait(&s, s.seen[0].nanswers == 2);
	ck_assert_uint_eq(s.seen[0].answers[0].id, 2);
	ck_assert_uint_eq(s.seen[0].answers[1].id, 1);
	stage_close(&s);
}
END_TEST

START_TEST(a_delay_is_kept_and_delays_overlap)
{
	struct stage s;
	uint64_t began = uv_hrtime(), took;

	open_one(&s, "--delay", "50", "--jitter", "5");
	say_echoes(&s, 100);
	stage_wait(&s, s.seen[0].nanswers == 100);
	took = (uv_hrtime() - began) / 1000000;
	ck_assert_uint_ge(took, 50);
	ck_assert_uint_lt(took, 100 * 50);
	stage_close(&s);
}
END_TEST

START_TEST(parts_are_spaced_and_a_cancel_ends_them)
{
	struct stage s;
	uint64_t id, cancel;
	size_t parts = 0;

	open_one(&s, NULL, NULL, NULL, NULL);
	stage_ask(&s, 0, "stream", SLICE("{\"parts\":0}"));
	id = stage_request(&s, 0, "stream", SLICE("{\"parts\":1000,\"ms\":10}"));
	stage_flush(&s);
	stage_wait(&s, s.seen[0].nanswers >= 3);
	cancel = stage_say(&s, 0, (struct call){.kind = CALL_CANCEL, .target = id});
	stage_flush(&s);
	stage_wait(&s, stage_find(&s.seen[0], cancel));
	ck_assert_str_eq(stage_find(&s.seen[0], cancel)->payload, "{\"cancelled\":true}");
	for (size_t i = 1; i < s.seen[0].nanswers && s.seen[0].answers[i].kind == ANSWER_PARTIAL; i++)
		parts++;
	ck_assert_uint_lt(parts, 1000);
	ck_assert_uint_eq(s.seen[0].nanswers, 1 + parts + 2); /* CANCELLED, and the cancel's own */
	ck_assert_str_eq(s.seen[0].answers[1 + parts].code, "CANCELLED");
	stage_close(&s);
}
END_TEST

START_TEST(numbers_of_a_request_have_bounds)
{
	struct stage s;
	uint64_t far;

	open_one(&s, NULL, NULL, NULL, NULL);
	/* 3 times that is 2 in 64 bits */
	far = stage_request(&s, 0, "stream", SLICE("{\"parts\":3,\"ms\":6148914691236517206}"));
	stage_ask(&s, 0, "sleep", SLICE("{\"ms\":20}"));
	ck_assert_ptr_null(stage_find(&s.seen[0], far));
	stage_request(&s, 0, "stream", SLICE("{\"parts\":1000000000000,\"ms\":-1}"));
	stage_ask(&s, 0, "echo", SLICE("{}"));
	ck_assert_uint_eq(s.seen[0].nanswers, 1 + 10001 + 1);
	ck_assert_str_eq(s.seen[0].answers[10001].payload, "{\"parts\":10000}");
	stage_close(&s);
}
END_TEST

START_TEST(fail_answers_with_the_error_it_was_given)
{
	const struct stage_answer *a;
	struct stage s;

	open_one(&s, NULL, NULL, NULL, NULL);
	a = stage_ask(&s, 0, "fail", SLICE("{\"code\":\"rate_limited\",\"message\":\"later\",\"retriable\":true}"));
	ck_assert_int_eq(a->kind, ANSWER_ERROR);
	ck_assert_str_eq(a->code, "rate_limited");
	ck_assert_str_eq(stage_ask(&s, 0, "no_such", SLICE("{}"))->code, "UNKNOWN_COMMAND");
	ck_assert_str_eq(stage_ask(&s, 0, "count", SLICE("{}"))->code, "INVALID_ARGUMENTS");
	ck_assert_str_eq(stage_ask(&s, 0, "echo", SLICE("{\"mock\":{\"fault\":\"no_such\"}}"))->code, "INVALID_ARGUMENTS");
	stage_close(&s);
}
END_TEST

START_TEST(a_leak_grows_the_process)
{
	char path[64];
	long before = 0, after = 0;
	struct stage s;
	FILE *f;

	open_one(&s, "--leak", "1", NULL, NULL);
	snprintf(path, sizeof path, "/proc/%d/statm", s.seen[0].pid);
	f = fopen(path, "r");
	ck_assert_int_eq(fscanf(f, "%*d %ld", &before), 1);
	fclose(f);
	say_echoes(&s, 64);
	stage_wait(&s, s.seen[0].nanswers == 64);
	f = fopen(path, "r");
	ck_assert_int_eq(fscanf(f, "%*d %ld", &after), 1);
	fclose(f);
	ck_assert_int_ge((after - before) * sysconf(_SC_PAGESIZE), 60 << 20);
	stage_close(&s);
}
END_TEST

START_TEST(wrong_options_are_named)
{
	static const char *const wrong[][2] = {{"--hang", "0"}, {"--hang", "101%"}, {"--delay", "soon"}, {"--ignore", "kill"},
		{"--nonsense", "1"}};

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		const char *options[] = {wrong[i][0], wrong[i][1], NULL};
		struct stage s;

		stage_open_mock(&s, options);
		stage_start_only(&s, 0);
		stage_wait(&s, s.seen[0].gone);
		ck_assert_int_eq(s.seen[0].exit.code, 64);
		ck_assert_ptr_nonnull(strstr(s.seen[0].last, wrong[i][0]));
		stage_close(&s);
	}
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("mockworker");

	tcase_add_test(t, each_nth_request_is_hit);
	tcase_add_test(t, a_part_of_the_requests_is_hit_and_the_same_with_the_same_seed);
	tcase_add_test(t, a_command_is_hit);
	tcase_add_test(t, a_late_answer_comes_after_a_later_request);
	tcase_add_test(t, a_delay_is_kept_and_delays_overlap);
	tcase_add_test(t, parts_are_spaced_and_a_cancel_ends_them);
	tcase_add_test(t, numbers_of_a_request_have_bounds);
	tcase_add_test(t, fail_answers_with_the_error_it_was_given);
	tcase_add_test(t, a_leak_grows_the_process);
	tcase_add_test(t, wrong_options_are_named);
	return stage_main("worker_mockworker", t);
}
