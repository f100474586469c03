/* worker_machine_test.c: the memory that there is, as a tree of files tells it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/worker/machine.h"

static char root[64];

static void put(const char *path, const char *content)
{
	char full[512], line[640];
	FILE *f;

	snprintf(full, sizeof full, "%s%s", root, path);
	snprintf(line, sizeof line, "mkdir -p $(dirname %s)", full);
	ck_assert_int_eq(system(line), 0);
	f = fopen(full, "w");
	ck_assert_ptr_nonnull(f);
	fputs(content, f);
	ck_assert_int_eq(fclose(f), 0);
}

static void setup(void)
{
	strcpy(root, "/tmp/bridgepool-machine-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	put("/proc/meminfo", "Whatever: 5 kB\nMemTotal:        8388608 kB\nMemFree: 1 kB\n");
}

static void teardown(void)
{
	char line[128];

	snprintf(line, sizeof line, "rm -r %s", root);
	ck_assert_int_eq(system(line), 0);
}

static void check_memory(int64_t bytes, const char *who)
{
	struct machine_memory m = machine_memory(root);

	ck_assert_int_eq(m.bytes, bytes);
	ck_assert_str_eq(m.who, who);
	ck_assert_int_eq(m.group, strcmp(who, "the control group") == 0);
}

START_TEST(without_control_groups_it_is_the_machines)
{
	check_memory(INT64_C(8) << 30, "the machine");
}
END_TEST

START_TEST(the_narrowest_group_above_us_counts)
{
	put("/proc/self/cgroup", "1:name=systemd:/\n0::/a.slice/b.service\n");
	put("/sys/fs/cgroup/a.slice/b.service/memory.max", "max\n");
	check_memory(INT64_C(8) << 30, "the machine");
	put("/sys/fs/cgroup/a.slice/memory.max", "1073741824\n");
	check_memory(1 << 30, "the control group");
	put("/sys/fs/cgroup/a.slice/b.service/memory.max", "536870912\n");
	check_memory(512 << 20, "the control group");
	put("/sys/fs/cgroup/other/memory.max", "1\n");
	check_memory(512 << 20, "the control group");
}
END_TEST

START_TEST(in_a_container_the_top_of_the_mount_counts)
{
	put("/proc/self/cgroup", "0::/kubepods/pod7\n");
	put("/sys/fs/cgroup/memory.max", "268435456\n");
	check_memory(256 << 20, "the control group");
}
END_TEST

START_TEST(version_1)
{
	put("/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/\n");
	put("/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "9223372036854771712\n");
	check_memory(INT64_C(8) << 30, "the machine");
	put("/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "134217728\n");
	check_memory(128 << 20, "the control group");
}
END_TEST

START_TEST(this_machine_has_some)
{
	struct machine_memory m = machine_memory("");

	ck_assert_int_gt(m.bytes, 1 << 20);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("worker_machine");
	TCase *t = tcase_create("machine");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, without_control_groups_it_is_the_machines);
	tcase_add_test(t, the_narrowest_group_above_us_counts);
	tcase_add_test(t, in_a_container_the_top_of_the_mount_counts);
	tcase_add_test(t, version_1);
	tcase_add_test(t, this_machine_has_some);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
