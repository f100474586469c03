/* app_capacity_test.c: limits of all workers together against the memory that there is, and the share of each where none is
 * set. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/app/preflight.h"
#include "shares.h"
#include "wiring.h"

static const int64_t GIB = INT64_C(1) << 30, MIB = INT64_C(1) << 20;
static char said[1024];
static enum verdict verdict_said;

static void keep(void *ctx, enum verdict verdict, const char *what, const char *mend)
{
	(void)ctx;
	ck_assert_int_eq(mend != NULL, verdict != VERDICT_OK);
	ck_assert_str_eq(said, "");
	snprintf(said, sizeof said, "%s", what);
	verdict_said = verdict;
}

/* sets: up to the first NULL. */
static void load(struct settings *s, const char *const *sets)
{
	struct buf errors;
	size_t n = 0;

	while (sets[n])
		n++;
	buf_init(&errors, 4096);
	ck_assert_msg(settings_load(NULL, sets, n, s, &errors), "%.*s", (int)errors.len, (const char *)errors.data);
	buf_free(&errors);
}

static const char *look(struct machine_memory m, const char *size, const char *set)
{
	const char *sets[] = {"pools[0].command=[\"w\"]", size, set, NULL};
	const struct preflight_report report = {.found = keep};
	struct settings s;

	*said = '\0';
	load(&s, sets);
	preflight_memory(&s, &m, &report);
	settings_free(&s);
	return said;
}

static struct machine_memory machine(int64_t bytes)
{
	return (struct machine_memory){bytes, "the machine", false};
}

static struct machine_memory group(int64_t bytes)
{
	return (struct machine_memory){bytes, "the control group", true};
}

START_TEST(more_than_there_is_is_told)
{
	ck_assert_str_eq(look(machine(8 * GIB), "pools[0].size=1000", "pools[0].memory=\"1TiB\""),
		"all workers together may use 1001 TiB ((pools[].size + spare + 1) x resident_limit, or memory), beside limits.memory of 256 MiB; the machine has 8.0 GiB");
	ck_assert_int_eq(verdict_said, VERDICT_WARN);
	look(group(1 * GIB), "pools[0].spare=1", "pools[0].resident_limit=\"200MiB\"");
	ck_assert_int_eq(verdict_said, VERDICT_WARN);
	ck_assert_str_eq(look(group(2 * GIB), "pools[0].spare=1", "pools[0].resident_limit=\"200MiB\""), "");
}
END_TEST

START_TEST(requests_alone_may_be_too_much)
{
	ck_assert_str_eq(look(machine(8 * GIB), "pools[0].size=4", "limits.memory=\"1TiB\""),
		"limits.memory of 1.0 TiB is more than the machine has, which is 8.0 GiB");
	ck_assert_int_eq(verdict_said, VERDICT_WARN);
}
END_TEST

START_TEST(without_any_limit_that_is_said)
{
	ck_assert_str_eq(look(machine(8 * GIB), "pools[0].size=1000", "pools[0].memory=0"),
		"workers have no memory limit: neither pools[].resident_limit is set nor has a control group a limit; the machine has 8.0 GiB");
	ck_assert_int_eq(verdict_said, VERDICT_OK);
	ck_assert_str_eq(look(machine(8 * GIB), "pools[0].size=4", "pools[0].memory=1000"), "");
	ck_assert_str_eq(look(machine(8 * GIB), "pools[0].size=4", "pools[0].adapter=\"mock\""), "");
}
END_TEST

START_TEST(the_share_of_each_is_told)
{
	ck_assert_str_eq(look(group(1 * GIB), "pools[0].spare=1", "pools[0].size=2"),
		"a worker that holds more than 176 MiB is killed, above 141 MiB it is replaced: equal shares of 1.0 GiB that the control group has, beside "
		"limits.memory of 256 MiB, for 4 workers, the spare ones and one that replaces another in each pool among them");
	ck_assert_int_eq(verdict_said, VERDICT_OK);
}
END_TEST

START_TEST(a_share_too_small_is_none)
{
	ck_assert_str_eq(look(group(512 * MIB), "pools[0].size=3", "pools[0].spare=0"),
		"the control group has 512 MiB: beside limits.memory of 256 MiB that is less than 64 MiB for each of 4 workers, which have no limit now");
	ck_assert_int_eq(verdict_said, VERDICT_WARN);
}
END_TEST

/* Two pools: the first of two workers, with more settings; the second of three and a spare one, without a limit. */
static struct wiring wire(struct settings *s, struct machine_memory m, const char *more)
{
	static struct identity id;
	char path[] = "/tmp/bridgepool-capacity-XXXXXX";
	int fd = mkstemp(path);
	struct buf errors;
	struct wiring w;

	ck_assert_int_ge(fd, 0);
	dprintf(fd,
		"pools = ( { name = \"a\"; command = [ \"w\" ]; size = 2; %s }, { name = \"b\"; command = [ \"w\" ]; size = 3; spare = 1; } );\n",
		more);
	close(fd);
	buf_init(&errors, 4096);
	ck_assert_msg(settings_load(path, NULL, 0, s, &errors), "%.*s", (int)errors.len, (const char *)errors.data);
	buf_free(&errors);
	unlink(path);
	wiring_init(&w, s, &id, &m);
	return w;
}

static void check_limits(struct machine_memory m, const char *more, int64_t recycle_a, int64_t limit_a, int64_t recycle_b,
	int64_t limit_b)
{
	struct settings s;
	struct wiring w = wire(&s, m, more);

	ck_assert_int_eq((int64_t)w.pools[0].recycle_memory, recycle_a);
	ck_assert_int_eq((int64_t)w.pools[0].resident_limit, limit_a);
	ck_assert_int_eq((int64_t)w.pools[1].recycle_memory, recycle_b);
	ck_assert_int_eq((int64_t)w.pools[1].resident_limit, limit_b);
	wiring_free(&w);
	settings_free(&s);
}

START_TEST(shares_become_the_limits_of_the_engine)
{
	const int64_t own = 256 * MIB + 64 * MIB, enough = own + 8 * 1000 * MIB;

	check_limits(machine(enough), "", 0, 0, 0, 0);
	check_limits(group(enough), "", 800 * MIB, 1000 * MIB, 800 * MIB, 1000 * MIB);
	/* Too little for all: none, instead of workers that are killed as they start. */
	check_limits(group(own + 8 * 64 * MIB - 1), "", 0, 0, 0, 0);
	check_limits(group(own + 8 * 65 * MIB), "", 52 * MIB, 65 * MIB, 52 * MIB, 65 * MIB);
}
END_TEST

START_TEST(what_was_said_of_a_pool_holds_and_is_not_shared)
{
	const struct machine_memory m = group(256 * MIB + 64 * MIB + 8 * 1000 * MIB);

	check_limits(m, "resident_limit = \"500MiB\";", 0, 500 * MIB, 1040 * MIB, 1300 * MIB);
	check_limits(m, "memory = \"500MiB\";", 0, 0, 1040 * MIB, 1300 * MIB);
	check_limits(m, "recycle_memory = \"100MiB\";", 100 * MIB, 1000 * MIB, 800 * MIB, 1000 * MIB);
	check_limits(m, "recycle_memory = \"2000MiB\";", 2000 * MIB, 0, 800 * MIB, 1000 * MIB);
	check_limits(m, "adapter = \"mock\";", 0, 0, 1280 * MIB, 1600 * MIB);
	check_limits(m, "resident_limit = \"1TiB\";", 0, INT64_C(1) << 40, 0, 0);
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
	tcase_add_test(t, without_any_limit_that_is_said);
	tcase_add_test(t, the_share_of_each_is_told);
	tcase_add_test(t, a_share_too_small_is_none);
	tcase_add_test(t, shares_become_the_limits_of_the_engine);
	tcase_add_test(t, what_was_said_of_a_pool_holds_and_is_not_shared);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
