/* worker_adapter_test.c: calls and answers over the pipes of real processes. */
#include "worker_stage.h"

START_TEST(a_call_is_answered)
{
	struct stage s;
	const struct stage_answer *a;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	ck_assert_int_gt(s.seen[0].pid, 1);
	ck_assert_int_eq(kill(s.seen[0].pid, 0), 0);
	ck_assert_uint_eq(adapter_live(s.adapter), 1);
	a = stage_ask(&s, 0, "echo", SLICE("{\"n\":0.10,\"big\":18446744073709551616}"));
	ck_assert_int_eq(a->kind, ANSWER_OK);
	ck_assert_str_eq(a->payload, "{\"n\":0.10,\"big\":18446744073709551616}");
	stage_close(&s);
}
END_TEST

START_TEST(the_first_ping_brings_what_the_worker_can)
{
	const char *options[] = {"--concurrency", "16", "--version", "7.1", NULL};
	const struct stage_answer *a;
	struct stage s;
	uint64_t id;

	stage_open_mock(&s, options);
	stage_start(&s, 0);
	id = stage_say(&s, 0, (struct call){.kind = CALL_PING, .initialization = true});
	stage_flush(&s);
	stage_wait(&s, stage_find(&s.seen[0], id));
	a = stage_find(&s.seen[0], id);
	ck_assert_int_eq(a->kind, ANSWER_OK);
	ck_assert_uint_eq(a->concurrency, 16);
	ck_assert_uint_eq(a->capabilities, CAPABILITY_PARTIAL | CAPABILITY_CANCEL | CAPABILITY_PING_BUSY | CAPABILITY_SESSIONS);
	ck_assert_ptr_nonnull(strstr(a->payload, "\"version\":\"7.1\""));
	stage_close(&s);
}
END_TEST

START_TEST(a_plain_bridge_says_nothing_of_itself)
{
	const char *options[] = {"--dspex", NULL};
	const struct stage_answer *a;
	struct stage s;
	uint64_t id;

	stage_open_mock(&s, options);
	stage_start(&s, 0);
	id = stage_say(&s, 0, (struct call){.kind = CALL_PING, .initialization = true});
	stage_flush(&s);
	stage_wait(&s, stage_find(&s.seen[0], id));
	a = stage_find(&s.seen[0], id);
	ck_assert_int_eq(a->kind, ANSWER_OK);
	ck_assert_uint_eq(a->concurrency, 0);
	ck_assert_uint_eq(a->capabilities, 0);
	ck_assert_ptr_nonnull(strstr(a->payload, "\"dspy_available\":false"));
	stage_say(&s, 0, (struct call){.kind = CALL_SHUTDOWN});
	stage_stop(&s, 0, STOP_CLOSE);
	stage_flush(&s);
	stage_wait(&s, s.seen[0].gone);
	ck_assert(s.seen[0].exit.exited);
	ck_assert_int_eq(s.seen[0].exit.code, 0);
	stage_close(&s);
}
END_TEST

START_TEST(a_thousand_calls_in_flight_are_each_answered_once)
{
	enum { CALLS = 1000, WORKERS = 4 };
	struct stage s;
	char args[64];

	stage_open_mock(&s, NULL);
	for (uint16_t i = 0; i < WORKERS; i++)
		stage_start(&s, i);
	for (int i = 0; i < CALLS; i++) {
		int len = snprintf(args, sizeof args, "{\"n\":%d}", i + 1);
		stage_request(&s, (uint16_t)(i % WORKERS), "echo", (struct slice){args, (size_t)len});
	}
	stage_flush(&s);
	stage_wait(&s, s.seen[0].nanswers + s.seen[1].nanswers + s.seen[2].nanswers + s.seen[3].nanswers == CALLS);
	for (int i = 0; i < CALLS; i++) {
		const struct stage_answer *a = stage_find(&s.seen[i % WORKERS], (uint64_t)i + 1);
		ck_assert_ptr_nonnull(a);
		snprintf(args, sizeof args, "{\"n\":%d}", i + 1);
		ck_assert_str_eq(a->payload, args);
	}
	stage_close(&s);
}
END_TEST

/* A JSON object of about n bytes; the caller frees. */
static struct slice large_args(size_t n)
{
	char *text = xmalloc(n + 64);
	size_t len = (size_t)sprintf(text, "{\"x\":\"");

	for (size_t i = 0; i < n; i++)
		text[len++] = (char)('a' + i % 26);
	len += (size_t)sprintf(text + len, "\"}");
	return (struct slice){text, len};
}

START_TEST(large_frames_pass_both_ways_in_parts)
{
	struct slice args = large_args(1 << 20);
	struct stage s;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	for (int i = 0; i < 8; i++)
		stage_request(&s, 0, "echo", args);
	stage_flush(&s);
	stage_wait(&s, s.seen[0].nanswers == 8);
	for (size_t i = 0; i < 8; i++) {
		ck_assert_uint_eq(s.seen[0].answers[i].id, i + 1);
		ck_assert_uint_eq(s.seen[0].answers[i].payload_len, args.len);
		ck_assert_int_eq(memcmp(s.seen[0].answers[i].payload, args.data, args.len), 0);
	}
	stage_close(&s);
	free((void *)(uintptr_t)args.data);
}
END_TEST

START_TEST(a_worker_that_does_not_read_holds_up_nobody)
{
	struct slice args = large_args(1 << 20);
	struct stage s;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	stage_start(&s, 1);
	stage_ask(&s, 0, "echo", SLICE("{\"mock\":{\"fault\":\"deaf\"}}"));
	for (int i = 0; i < 4; i++)
		stage_request(&s, 0, "echo", args);
	ck_assert_int_eq(stage_ask(&s, 1, "echo", SLICE("{}"))->kind, ANSWER_OK);
	ck_assert_int_eq(s.seen[0].nfaults, 0);
	stage_stop(&s, 0, STOP_KILL);
	stage_wait(&s, s.seen[0].gone);
	ck_assert_int_eq(s.seen[0].exit.signal, SIGKILL);
	ck_assert(!s.seen[0].exit.by_limit);
	stage_close(&s);
	free((void *)(uintptr_t)args.data);
}
END_TEST

START_TEST(a_flood_on_stderr_starves_nobody)
{
	struct stage s;
	int64_t lines;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	stage_start(&s, 1);
	for (int i = 0; i < 50; i++)
		stage_request(&s, 0, "echo", SLICE("{\"mock\":{\"fault\":\"noise\"}}"));
	stage_flush(&s);
	stage_wait(&s, s.seen[0].lines > 0);
	stage_ask(&s, 1, "echo", SLICE("{}"));
	lines = s.seen[0].lines;
	ck_assert_msg(lines < 50000, "the other worker was answered only after the whole flood");
	stage_wait(&s, s.seen[0].nanswers == 50 && s.seen[0].lines == 50000);
	ck_assert_str_eq(s.seen[0].line, "noise 1000 of 1000 for call 50");
	stage_close(&s);
}
END_TEST

START_TEST(sessions_count_in_their_worker)
{
	struct call c = {.kind = CALL_REQUEST, .command = SLICE("count"), .session_id = SLICE("s1"), .session_epoch = SLICE("e")};
	char expected[64];
	struct stage s;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	for (int i = 0; i < 3; i++)
		stage_say(&s, 0, c);
	stage_flush(&s);
	stage_wait(&s, s.seen[0].nanswers == 3);
	snprintf(expected, sizeof expected, "{\"count\":3,\"worker\":%d}", s.seen[0].pid);
	ck_assert_str_eq(s.seen[0].answers[2].payload, expected);
	stage_say(&s, 0, (struct call){.kind = CALL_CLEANUP_SESSION, .session_id = SLICE("s1"), .reason = SLICE("ttl")});
	stage_say(&s, 0, c);
	stage_flush(&s);
	stage_wait(&s, s.seen[0].nanswers == 5);
	snprintf(expected, sizeof expected, "{\"count\":1,\"worker\":%d}", s.seen[0].pid);
	ck_assert_str_eq(s.seen[0].answers[4].payload, expected);
	stage_close(&s);
}
END_TEST

START_TEST(a_cancel_ends_what_it_names)
{
	struct stage s;
	uint64_t slow;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	slow = stage_request(&s, 0, "sleep", SLICE("{\"ms\":600000}"));
	stage_say(&s, 0, (struct call){.kind = CALL_CANCEL, .target = slow, .reason = SLICE("timeout")});
	stage_flush(&s);
	stage_wait(&s, s.seen[0].nanswers == 2);
	ck_assert_uint_eq(s.seen[0].answers[0].id, slow);
	ck_assert_int_eq(s.seen[0].answers[0].kind, ANSWER_ERROR);
	ck_assert_str_eq(s.seen[0].answers[0].code, "CANCELLED");
	ck_assert_str_eq(s.seen[0].answers[1].payload, "{\"cancelled\":true}");
	stage_close(&s);
}
END_TEST

START_TEST(parts_come_before_the_answer)
{
	struct stage s;
	uint64_t id;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	id = stage_request(&s, 0, "stream", SLICE("{\"parts\":2}"));
	stage_flush(&s);
	stage_wait(&s, s.seen[0].nanswers == 3);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(s.seen[0].answers[i].id, id);
		ck_assert_int_eq(s.seen[0].answers[i].kind, i < 2 ? ANSWER_PARTIAL : ANSWER_OK);
	}
	stage_close(&s);
}
END_TEST

START_TEST(the_worker_sees_only_what_it_may)
{
	const char *command[] = {"/bin/sh", "-c", "env >&2; pwd >&2", NULL};
	const char *environment[] = {"GREETING=hello = there", "PYTHONHASHSEED=7", NULL}, *pass[] = {"LETTER_?", NULL};
	struct adapter_config c = {
		.kind = "process",
		.command = command,
		.environment = environment,
		.pass = pass,
		.directory = "/",
		.max_frame_bytes = 70001,
	};
	struct stage s;

	setenv("SECRET_TOKEN", "must not be seen", 1);
	setenv("LETTER_A", "passed", 1);
	setenv("PYTHONHASHSEED", "1", 1);
	stage_open(&s, &c);
	ck_assert_msg(s.adapter != NULL, "%s", s.errstr);
	stage_start_only(&s, 3);
	stage_wait(&s, s.seen[3].gone);
	ck_assert_str_eq(s.seen[3].line, "/");
	ck_assert_ptr_nonnull(strstr(s.seen[3].text, "GREETING=hello = there\n"));
	ck_assert_ptr_nonnull(strstr(s.seen[3].text, "LETTER_A=passed\n"));
	ck_assert_ptr_nonnull(strstr(s.seen[3].text, "PYTHONHASHSEED=7\n"));
	ck_assert_ptr_nonnull(strstr(s.seen[3].text, "BRIDGEPOOL_POOL=test\n"));
	ck_assert_ptr_nonnull(strstr(s.seen[3].text, "BRIDGEPOOL_WORKER_ID=test/3.1\n"));
	ck_assert_ptr_nonnull(strstr(s.seen[3].text, "BRIDGEPOOL_GENERATION=1\n"));
	ck_assert_ptr_nonnull(strstr(s.seen[3].text, "BRIDGEPOOL_MAX_FRAME_BYTES=70001\n"));
	ck_assert_ptr_nonnull(strstr(s.seen[3].text, "PATH="));
	ck_assert_ptr_null(strstr(s.seen[3].text, "SECRET_TOKEN"));
	stage_close(&s);
}
END_TEST

START_TEST(a_closed_adapter_takes_no_orders)
{
	struct stage s;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	stage_request(&s, 0, "sleep", SLICE("{\"ms\":600000}"));
	adapter_close(s.adapter);
	s.inside = true;
	adapter_start(s.adapter, stage_slot(1));
	adapter_call(s.adapter, stage_slot(0), &(struct call){.id = 9, .kind = CALL_PING});
	adapter_stop(s.adapter, stage_slot(0), STOP_TERM);
	adapter_flush(s.adapter);
	s.adapter = NULL;
	stage_close(&s);
	ck_assert_int_eq(kill(s.seen[0].pid, 0), -1); /* nothing is left, not even a zombie */
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("adapter");

	tcase_add_test(t, a_call_is_answered);
	tcase_add_test(t, the_first_ping_brings_what_the_worker_can);
	tcase_add_test(t, a_plain_bridge_says_nothing_of_itself);
	tcase_add_test(t, a_thousand_calls_in_flight_are_each_answered_once);
	tcase_add_test(t, large_frames_pass_both_ways_in_parts);
	tcase_add_test(t, a_worker_that_does_not_read_holds_up_nobody);
	tcase_add_test(t, a_flood_on_stderr_starves_nobody);
	tcase_add_test(t, sessions_count_in_their_worker);
	tcase_add_test(t, a_cancel_ends_what_it_names);
	tcase_add_test(t, parts_come_before_the_answer);
	tcase_add_test(t, the_worker_sees_only_what_it_may);
	tcase_add_test(t, a_closed_adapter_takes_no_orders);
	return stage_main("worker_adapter", t);
}
