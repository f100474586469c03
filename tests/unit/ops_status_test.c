/* ops_status_test.c: one session and one request as /status shows them, whatever bytes their IDs have. */
#include "bridgepool/ops/status.h"
#include "core_world.h"

static char shown[4096];

static const char *kept(struct buf *out)
{
	ck_assert_uint_lt(out->len, sizeof shown);
	memcpy(shown, out->data, out->len);
	shown[out->len] = '\0';
	buf_free(out);
	return shown;
}

static const char *session(struct world *w, struct slice id, bool known)
{
	struct buf out;

	buf_init(&out, sizeof shown);
	ck_assert_int_eq(status_write_session(w->e, w->now, id, &out), known);
	return kept(&out);
}

static const char *request(struct world *w, struct slice id, bool known)
{
	struct buf out;

	buf_init(&out, sizeof shown);
	ck_assert_int_eq(status_write_request(w->e, w->now, id, &out), known);
	return kept(&out);
}

static struct world *open_world(void)
{
	struct world *w = world_new((struct pool_config){0}, (struct engine_config){0});

	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	return w;
}

START_TEST(an_id_with_a_nul_is_another_than_its_beginning)
{
	struct world *w = open_world();

	world_send(w, NULL, "{\"request_id\":\"r\\u0000s\",\"session_id\":\"a\\u0000b\",\"command\":\"x\"}");
	ck_assert_ptr_nonnull(strstr(session(w, SLICE("a\0b"), true), "\"session_id\": \"a\\u0000b\""));
	ck_assert_ptr_nonnull(strstr(shown, "\"first_request\": \"r\\u0000s\""));
	ck_assert_ptr_nonnull(strstr(session(w, SLICE("a"), false), "\"session_id\": \"a\""));
	world_pass(w, 5 * MS_US);
	ck_assert_ptr_nonnull(strstr(request(w, SLICE("r\0s"), true), "\"request_id\": \"r\\u0000s\""));
	ck_assert_ptr_nonnull(strstr(shown, "\"since_ms\": 5,"));
	ck_assert_ptr_nonnull(strstr(request(w, SLICE("r"), false), "not known to this instance"));
	world_free(w);
}
END_TEST

START_TEST(what_is_no_text_is_not_known)
{
	struct world *w = open_world();

	ck_assert_ptr_nonnull(strstr(session(w, SLICE("\xff"), false), "that is not UTF-8"));
	ck_assert_ptr_nonnull(strstr(request(w, SLICE("\xff"), false), "that is not UTF-8"));
	world_free(w);
}
END_TEST

START_TEST(an_argument_that_is_not_known_is_named_beside_those_that_are)
{
	static const char *const known[] = {"session", "request", NULL};
	struct buf out;

	buf_init(&out, sizeof shown);
	status_write_unknown_argument(SLICE("sesion"), known, &out);
	ck_assert_ptr_nonnull(strstr(kept(&out), "\"found\": \"sesion\""));
	ck_assert_ptr_nonnull(strstr(shown, "\"session\""));
	ck_assert_ptr_nonnull(strstr(shown, "\"request\""));
	buf_init(&out, sizeof shown);
	status_write_unknown_argument(SLICE("\xff"), known, &out);
	ck_assert_ptr_nonnull(strstr(kept(&out), "\"session\""));
	ck_assert_ptr_null(strstr(shown, "found"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ops_status");
	TCase *tests = tcase_create("status");
	SRunner *runner;
	int failed;

	tcase_add_test(tests, an_id_with_a_nul_is_another_than_its_beginning);
	tcase_add_test(tests, what_is_no_text_is_not_known);
	tcase_add_test(tests, an_argument_that_is_not_known_is_named_beside_those_that_are);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
