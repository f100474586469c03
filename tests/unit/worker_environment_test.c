/* worker_environment_test.c: the list of what a worker sees of the environment, and where programs are found. */
#include "environment.h"
#include "program.h"
#include "worker_stage.h"

static const char *const daemon_has[] = {"PATH=/bin", "HOME=/root", "LC_ALL=C", "LC_=odd", "PYTHONPATH=/x", "AWS_SECRET=1",
	"PATHS=2", "HTTP_PROXY=p", "http_proxy=q", "SSL_CERT_FILE=/c", "nonsense", "=empty", NULL};

static void init(struct environment *e, const char *const *pass, const char *const *set)
{
	environment_init(e, (char *const *)(uintptr_t)daemon_has, pass, set, "qa", 70000, 1500000);
}

START_TEST(only_what_is_allowed_is_passed_on)
{
	struct environment e;

	init(&e, NULL, NULL);
	ck_assert_str_eq(environment_get(&e, "PATH"), "/bin");
	ck_assert_str_eq(environment_get(&e, "LC_ALL"), "C");
	ck_assert_str_eq(environment_get(&e, "PYTHONPATH"), "/x");
	ck_assert_str_eq(environment_get(&e, "SSL_CERT_FILE"), "/c");
	ck_assert_str_eq(environment_get(&e, "BRIDGEPOOL_POOL"), "qa");
	ck_assert_ptr_null(environment_get(&e, "AWS_SECRET"));
	ck_assert_ptr_null(environment_get(&e, "PATHS"));
	ck_assert_ptr_null(environment_get(&e, "HTTP_PROXY"));
	ck_assert_str_eq(environment_get(&e, "BRIDGEPOOL_MAX_FRAME_BYTES"), "70000");
	ck_assert_str_eq(environment_get(&e, "BRIDGEPOOL_STOP_GRACE"), "1.500");
	ck_assert_uint_eq(e.n, 9); /* and HOME, and LC_ */
	ck_assert_ptr_null(e.items[9]);
	environment_free(&e);
}
END_TEST

START_TEST(patterns_pass_more_and_settings_win)
{
	const char *pass[] = {"*_PROXY", "AWS_SECRE?", NULL}, *set[] = {"HOME=/tmp", "NEW=a=b", "EMPTY=", "no_equals", NULL};
	struct environment e;

	init(&e, pass, set);
	ck_assert_str_eq(environment_get(&e, "HTTP_PROXY"), "p");
	ck_assert_ptr_null(environment_get(&e, "http_proxy"));
	ck_assert_str_eq(environment_get(&e, "AWS_SECRET"), "1");
	ck_assert_str_eq(environment_get(&e, "HOME"), "/tmp");
	ck_assert_str_eq(environment_get(&e, "NEW"), "a=b");
	ck_assert_str_eq(environment_get(&e, "EMPTY"), "");
	ck_assert_ptr_null(environment_get(&e, "no_equals"));
	environment_free(&e);
}
END_TEST

START_TEST(each_worker_is_told_who_it_is)
{
	const char *set[] = {"BRIDGEPOOL_POOL=other", "BRIDGEPOOL_WORKER_ID=other", "BRIDGEPOOL_MAX_FRAME_BYTES=1", NULL};
	struct environment e;
	char **list;

	init(&e, NULL, set);
	list = environment_list(&e, "qa/3.9", 9);
	ck_assert_str_eq(list[0], "BRIDGEPOOL_WORKER_ID=qa/3.9"); /* getenv finds the first */
	ck_assert_str_eq(list[1], "BRIDGEPOOL_GENERATION=9");
	ck_assert_str_eq(environment_get(&e, "BRIDGEPOOL_POOL"), "qa");
	/* what counts is what the daemon reads by */
	ck_assert_str_eq(environment_get(&e, "BRIDGEPOOL_MAX_FRAME_BYTES"), "70000");
	ck_assert_ptr_null(list[e.n + 2]);
	environment_list_free(list);
	environment_free(&e);
}
END_TEST

START_TEST(programs_are_found_as_execvp_finds_them)
{
	char why[512];

	ck_assert(program_check("sh", NULL, "/no/such:/bin", why, sizeof why));
	ck_assert(program_check("sh", NULL, NULL, why, sizeof why));
	ck_assert(program_check("sh", "/", "/no/such:bin", why, sizeof why));
	ck_assert(program_check("sh", "/bin", "/no/such:", why, sizeof why)); /* the empty one is the working directory */
	ck_assert(program_check("bin/sh", "/", NULL, why, sizeof why));
	ck_assert(!program_check("sh", NULL, "/no/such:/neither", why, sizeof why));
	ck_assert_ptr_nonnull(strstr(why, "/no/such:/neither"));
	ck_assert(!program_check("bin/sh", "/usr/lib", NULL, why, sizeof why));
	ck_assert_ptr_nonnull(strstr(why, "/usr/lib/bin/sh cannot be run: No such file or directory"));
	ck_assert(!program_check("sh", "/etc/passwd", NULL, why, sizeof why));
	ck_assert_ptr_nonnull(strstr(why, "/etc/passwd cannot be entered: Not a directory"));
}
END_TEST

START_TEST(the_guard_is_found_from_a_program_in_the_build)
{
	char path[4096], why[512];

	/* This test is in tests/ of the build, the guard in src/guard/. */
	ck_assert_msg(program_find_guard(NULL, path, sizeof path, why, sizeof why), "%s", why);
	ck_assert_int_eq(access(path, X_OK), 0);
	ck_assert(program_find_guard("", path, sizeof path, why, sizeof why));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("environment");

	tcase_add_test(t, only_what_is_allowed_is_passed_on);
	tcase_add_test(t, patterns_pass_more_and_settings_win);
	tcase_add_test(t, each_worker_is_told_who_it_is);
	tcase_add_test(t, programs_are_found_as_execvp_finds_them);
	tcase_add_test(t, the_guard_is_found_from_a_program_in_the_build);
	return stage_main("worker_environment", t);
}
