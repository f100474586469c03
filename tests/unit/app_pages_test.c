/* app_pages_test.c: when an instance says that it is ready. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "pages.h"

static void expect_of(const struct pages *p, const char *pool, const char *said)
{
	struct buf text;

	buf_init(&text, 256);
	ck_assert_int_eq(pages_readiness(p, pool, &text), strcmp(said, "ok\n") == 0);
	ck_assert_msg(slice_is(buf_slice(&text), said), "%.*s", (int)text.len, (const char *)text.data);
	buf_free(&text);
}

static void expect(enum health_state state, bool joined, const char *pool, const char *said)
{
	const struct pages p = {.state = state, .state_why = "b:9092: refused", .joined = joined, .out_why = ""};

	expect_of(&p, pool, said);
}

START_TEST(ready_is_who_takes_requests)
{
	expect(HEALTH_READY, true, NULL, "ok\n");
	expect(HEALTH_READY, true, "pool slow: 1 of 2 workers are READY", "pool slow: 1 of 2 workers are READY\n");
	expect(HEALTH_READY, false, NULL, "the group was not joined yet\n");
	expect(HEALTH_STARTING, false, "pool slow: 0 of 2 workers are READY", "the instance is STARTING\n");
	expect(HEALTH_UNAVAILABLE, true, NULL, "the instance is UNAVAILABLE: no broker answers: b:9092: refused\n");
	expect(HEALTH_DRAINING, true, NULL, "the instance is DRAINING\n");
	expect_of(&(struct pages){.state = HEALTH_READY, .out_why = "not authorized"}, NULL,
		"the instance is not in the group: not authorized\n");
	expect(HEALTH_STOPPED, true, NULL, "the instance is STOPPED\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("app_pages");
	TCase *tests = tcase_create("pages");
	SRunner *runner;
	int failed;

	tcase_add_test(tests, ready_is_who_takes_requests);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
