/* worker_mock_test.c: scripted workers keep the same door as processes. */
#include "worker_stage.h"

#include <signal.h>

static void open_script(struct stage *s, const char *script)
{
	struct adapter_config c = {.kind = "mock", .script = script};

	stage_open(s, &c);
}

START_TEST(the_usual_worker_echoes)
{
	const struct stage_answer *a;
	struct stage s;
	uint64_t id;

	open_script(&s, NULL);
	stage_start(&s, 2);
	id = stage_say(&s, 2, (struct call){.kind = CALL_PING, .initialization = true});
	stage_wait(&s, stage_find(&s.seen[2], id));
	ck_assert_uint_eq(stage_find(&s.seen[2], id)->concurrency, 1);
	a = stage_ask(&s, 2, "execute", SLICE("{\"n\":0.10}"));
	ck_assert_int_eq(a->kind, ANSWER_OK);
	ck_assert_str_eq(a->payload, "{\"echo\":{\"n\":0.10},\"worker\":\"test/2.1\"}");
	ck_assert_uint_eq(adapter_live(s.adapter), 1);
	stage_say(&s, 2, (struct call){.kind = CALL_SHUTDOWN});
	stage_stop(&s, 2, STOP_CLOSE);
	stage_wait(&s, s.seen[2].gone);
	ck_assert_uint_eq(s.seen[2].nanswers, 3);
	ck_assert(s.seen[2].exit.exited);
	ck_assert_uint_eq(adapter_live(s.adapter), 0);
	stage_close(&s);
}
END_TEST

START_TEST(a_script_is_followed)
{
	struct stage s;
	uint64_t slow, lost;

	open_script(&s, "delay=2ms; jitter=3; concurrency=4; error_every=2; hang=stuck; garbage=mumble");
	ck_assert_msg(s.adapter != NULL, "%s", s.errstr);
	stage_start(&s, 0);
	ck_assert_int_eq(stage_ask(&s, 0, "a", SLICE("{}"))->kind, ANSWER_OK);
	ck_assert_int_eq(stage_ask(&s, 0, "a", SLICE("{}"))->kind, ANSWER_ERROR);
	ck_assert_int_eq(stage_ask(&s, 0, "mumble", SLICE("{}"))->kind, ANSWER_UNREADABLE);
	ck_assert_int_eq(stage_ask(&s, 0, "a", SLICE("{}"))->kind, ANSWER_ERROR);
	lost = stage_request(&s, 0, "stuck", SLICE("{}"));
	stage_ask(&s, 0, "a", SLICE("{}"));
	ck_assert_ptr_null(stage_find(&s.seen[0], lost));
	slow = stage_say(&s, 0, (struct call){.kind = CALL_CANCEL, .target = lost});
	stage_wait(&s, stage_find(&s.seen[0], slow));
	ck_assert_str_eq(stage_find(&s.seen[0], lost)->code, "CANCELLED");
	stage_close(&s);
}
END_TEST

START_TEST(parts_come_one_after_the_other_before_the_answer)
{
	struct stage s;
	uint64_t id;

	open_script(&s, "delay=1ms");
	stage_start(&s, 0);
	id = stage_request(&s, 0, "stream", SLICE("{\"parts\":3,\"ms\":2}"));
	stage_wait(&s, s.seen[0].nanswers == 4);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_uint_eq(s.seen[0].answers[i].id, id);
		ck_assert_int_eq(s.seen[0].answers[i].kind, i < 3 ? ANSWER_PARTIAL : ANSWER_OK);
	}
	ck_assert_str_eq(s.seen[0].answers[2].payload, "{\"part\":3}");
	stage_close(&s);
}
END_TEST

/* What is asked last is due last: by its answer all else has come that will. */
START_TEST(a_cancel_ends_what_it_names_and_its_parts)
{
	struct stage s;
	uint64_t slow, stream, beside, cancels[2];

	open_script(&s, NULL);
	stage_start(&s, 0);
	slow = stage_request(&s, 0, "sleep", SLICE("{\"ms\":5}"));
	stream = stage_request(&s, 0, "stream", SLICE("{\"parts\":3,\"ms\":5}"));
	beside = stage_request(&s, 0, "stream", SLICE("{\"parts\":1,\"ms\":15}"));
	cancels[0] = stage_say(&s, 0, (struct call){.kind = CALL_CANCEL, .target = slow});
	cancels[1] = stage_say(&s, 0, (struct call){.kind = CALL_CANCEL, .target = stream});
	stage_ask(&s, 0, "sleep", SLICE("{\"ms\":20}"));
	ck_assert_uint_eq(s.seen[0].nanswers, 4 + 2 + 1);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_str_eq(s.seen[0].answers[2 * i].code, "CANCELLED");
		ck_assert_uint_eq(s.seen[0].answers[2 * i].id, i ? stream : slow);
		ck_assert_uint_eq(s.seen[0].answers[2 * i + 1].id, cancels[i]);
	}
	ck_assert_int_eq(s.seen[0].answers[4].kind, ANSWER_PARTIAL);
	ck_assert_uint_eq(s.seen[0].answers[5].id, beside);
	stage_close(&s);
}
END_TEST

START_TEST(numbers_of_a_request_have_bounds)
{
	struct stage s;
	uint64_t far;

	open_script(&s, "delay=1ms");
	stage_start(&s, 0);
	/* 3 times that is 2 in 64 bits */
	far = stage_request(&s, 0, "stream", SLICE("{\"parts\":3,\"ms\":6148914691236517206}"));
	stage_ask(&s, 0, "sleep", SLICE("{\"ms\":20}"));
	ck_assert_ptr_null(stage_find(&s.seen[0], far));
	stage_request(&s, 0, "stream", SLICE("{\"parts\":1000000000000}"));
	stage_ask(&s, 0, "sleep", SLICE("{\"ms\":20}"));
	ck_assert_uint_eq(s.seen[0].nanswers, 1 + 10001 + 1);
	ck_assert_str_eq(s.seen[0].answers[10000].payload, "{\"part\":10000}");
	stage_close(&s);
}
END_TEST

START_TEST(a_scripted_crash_takes_what_is_in_flight)
{
	struct stage s;

	open_script(&s, "delay=10000;crash_every=3");
	stage_start(&s, 0);
	for (int i = 0; i < 5; i++)
		stage_request(&s, 0, "a", SLICE("{}"));
	stage_wait(&s, s.seen[0].gone);
	ck_assert_int_eq(s.seen[0].exit.signal, SIGSEGV);
	ck_assert_uint_eq(s.seen[0].nanswers, 0);
	ck_assert_int_eq(s.seen[0].nfaults, 1);
	ck_assert_int_eq(s.seen[0].faults[0].kind, FAULT_EOF);
	stage_request(&s, 0, "a", SLICE("{}")); /* to nobody */
	stage_stop(&s, 0, STOP_KILL);
	stage_close(&s);
}
END_TEST

START_TEST(a_scripted_start_fails)
{
	struct stage s;

	open_script(&s, "start_fail_every=2");
	stage_start(&s, 0);
	stage_start_only(&s, 1);
	stage_wait(&s, s.seen[1].gone);
	ck_assert_int_eq(s.seen[1].started, 0);
	ck_assert_int_eq(s.seen[1].faults[0].kind, FAULT_EXEC);
	ck_assert_int_eq(s.seen[1].exit.code, 127);
	stage_close(&s);
}
END_TEST

START_TEST(a_stubborn_worker_needs_to_be_killed)
{
	struct stage s;

	open_script(&s, "ignore_close=1;ignore_term=1");
	stage_start(&s, 0);
	stage_stop(&s, 0, STOP_CLOSE);
	stage_stop(&s, 0, STOP_TERM);
	ck_assert_int_eq(stage_ask(&s, 0, "a", SLICE("{}"))->kind, ANSWER_OK);
	stage_stop(&s, 0, STOP_KILL);
	stage_stop(&s, 0, STOP_KILL);
	stage_wait(&s, s.seen[0].gone);
	ck_assert_int_eq(s.seen[0].exit.signal, SIGKILL);
	stage_close(&s);
}
END_TEST

START_TEST(an_answer_over_the_limit_is_a_fault_of_frames)
{
	struct adapter_config c = {.kind = "mock", .max_frame_bytes = 64};
	struct stage s;

	stage_open(&s, &c);
	stage_start(&s, 0);
	stage_request(&s, 0, "a", SLICE("{\"text\":\"0123456789012345678901234567890123456789\"}"));
	stage_wait(&s, s.seen[0].nfaults);
	ck_assert_int_eq(s.seen[0].faults[0].kind, FAULT_FRAME);
	ck_assert_uint_eq(s.seen[0].nanswers, 0);
	stage_close(&s);
}
END_TEST

START_TEST(a_bad_script_is_refused)
{
	static const char *const scripts[] = {"dealy=5ms", "delay=fast", "delay", "crash_every=-1"};
	struct stage s;

	for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
		open_script(&s, scripts[i]);
		ck_assert_ptr_null(s.adapter);
		ck_assert_ptr_nonnull(strstr(s.errstr, scripts[i]));
		stage_close(&s);
	}
}
END_TEST

START_TEST(close_drops_what_is_to_come)
{
	struct stage s;

	open_script(&s, "delay=1");
	stage_start(&s, 0);
	stage_start_only(&s, 1);
	for (int i = 0; i < 10; i++)
		stage_request(&s, 0, "a", SLICE("{}"));
	stage_close(&s);
	ck_assert_uint_eq(s.seen[0].nanswers, 0);
	ck_assert_int_eq(s.seen[1].started, 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("mock");

	tcase_add_test(t, the_usual_worker_echoes);
	tcase_add_test(t, a_script_is_followed);
	tcase_add_test(t, parts_come_one_after_the_other_before_the_answer);
	tcase_add_test(t, a_cancel_ends_what_it_names_and_its_parts);
	tcase_add_test(t, numbers_of_a_request_have_bounds);
	tcase_add_test(t, a_scripted_crash_takes_what_is_in_flight);
	tcase_add_test(t, a_scripted_start_fails);
	tcase_add_test(t, a_stubborn_worker_needs_to_be_killed);
	tcase_add_test(t, an_answer_over_the_limit_is_a_fault_of_frames);
	tcase_add_test(t, a_bad_script_is_refused);
	tcase_add_test(t, close_drops_what_is_to_come);
	return stage_main("worker_mock", t);
}
