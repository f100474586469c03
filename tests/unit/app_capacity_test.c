/* app_capacity_test.c: limits of all workers together against the memory that there is. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/app/preflight.h"

static char said[1024];

static void keep(void *ctx, enum verdict verdict, const char *what, const char *mend)
{
	(void)ctx;
	ck_assert_int_eq(verdict, VERDICT_WARN);
	ck_assert_ptr_nonnull(mend);
	ck_assert_str_eq(said, "");
	snprintf(said, sizeof said, "%s", what);
}

static const char *look(const char *set)
{
	const char *sets[] = {"pools[0].command=[\"w\"]", "pools[0].size=1000", set};
	const struct preflight_report report = {NULL, keep};
	struct settings s;
	struct buf errors;

	*said = '\0';
	buf_init(&errors, 4096);
	ck_assert_msg(settings_load(NULL, sets, 3, &s, &errors), "%.*s", (int)errors.len, (const char *)errors.data);
	preflight_memory(&s, &report);
	settings_free(&s);
	buf_free(&errors);
	return said;
}

START_TEST(more_than_there_is_is_told)
{
	ck_assert_ptr_nonnull(strstr(look("pools[0].memory=\"1TiB\""), "may use 1000 TiB ((pools[].size + spare) x resident_limit, or memory), beside limits.memory of 256 MiB"));
}
END_TEST

START_TEST(requests_alone_may_be_too_much)
{
	ck_assert_ptr_eq(strstr(look("limits.memory=\"1TiB\""), "limits.memory of 1.0 TiB is more than "), said);
}
END_TEST

START_TEST(what_fits_and_what_has_no_limit_is_not)
{
	ck_assert_str_eq(look("pools[0].memory=0"), "");
	ck_assert_str_eq(look("pools[0].memory=1000"), "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("app_capacity");
	TCase *t = tcase_create("capacity");
	SRunner *runner;
	int failed;

	tcase_add_test(t, more_than_there_is_is_told);
	tcase_add_test(t, requests_alone_may_be_too_much);
	tcase_add_test(t, what_fits_and_what_has_no_limit_is_not);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
