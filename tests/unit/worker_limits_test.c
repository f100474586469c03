/* worker_limits_test.c: what a worker may use and who it is, as the kernel tells it of the running process. */
#include "worker_stage.h"

#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "bridgepool/worker/account.h"

enum { NOBODY = 65534, UNREACHABLE = 77 };

static char text[16384];

/* All of /proc/PID/name, in `text`. */
static const char *proc(int pid, const char *name)
{
	char path[64];
	size_t n;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	f = fopen(path, "r");
	ck_assert_msg(f != NULL, "%s", path);
	n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

static void check_line(int pid, const char *name, const char *line)
{
	ck_assert_msg(strstr(proc(pid, name), line) != NULL, "no \"%s\" in /proc/%d/%s:\n%s", line, pid, name, text);
}

/* Soft and hard limit of a line of /proc/PID/limits. */
static void check_limit(int pid, const char *what, long long soft, long long hard)
{
	const char *line = strstr(proc(pid, "limits"), what);
	long long is_soft, is_hard;

	ck_assert_ptr_nonnull(line);
	ck_assert_int_eq(sscanf(line + strlen(what), "%lld %lld", &is_soft, &is_hard), 2);
	ck_assert_int_eq(is_soft, soft);
	ck_assert_int_eq(is_hard, hard);
}

static int oom_score(int pid)
{
	return atoi(proc(pid, "oom_score_adj"));
}

static struct adapter_config mock_config(void)
{
	static const char *command[2];
	static char path[4096];

	snprintf(path, sizeof path, "%s", stage_path(STAGE_MOCK));
	command[0] = path;
	return (struct adapter_config){.kind = "process", .command = command};
}

static int start(struct stage *s, const struct adapter_config *c)
{
	stage_open(s, c);
	ck_assert_msg(s->adapter != NULL, "%s", s->errstr);
	stage_start(s, 0);
	ck_assert_int_eq(stage_ask(s, 0, "echo", SLICE("{}"))->kind, ANSWER_OK);
	return s->seen[0].pid;
}

static void check_start_fails(const struct adapter_config *c, const char *why)
{
	struct stage s;

	stage_open(&s, c);
	ck_assert_msg(s.adapter != NULL, "%s", s.errstr);
	stage_start_only(&s, 0);
	stage_wait(&s, s.seen[0].gone);
	ck_assert_int_eq(s.seen[0].started, 0);
	ck_assert_int_eq(s.seen[0].faults[0].kind, FAULT_EXEC);
	ck_assert_msg(strstr(s.seen[0].faults[0].detail, why) != NULL, "%s", s.seen[0].faults[0].detail);
	stage_close(&s);
}

static bool is_root(void)
{
	if (geteuid() == 0)
		return true;
	fprintf(stderr, "not root: what only root may do is not tested\n");
	return false;
}

/* So that what is added to it is seen; before a change of user, after which its file is root's. */
static void raise_own_score(void)
{
	FILE *f = fopen("/proc/self/oom_score_adj", "w");

	if (f)
		fputs("100", f);
	if (f)
		fclose(f);
}

/* Runs `body` in a process of its own, as nobody if we are root; it ends with 0 when all is well. */
static void in_child(void (*body)(void), bool as_nobody)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		raise_own_score();
		if (as_nobody && geteuid() == 0 && (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY)))
			_exit(1);
		if (access(stage_path(STAGE_MOCK), X_OK))
			_exit(UNREACHABLE);
		body();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	if (WEXITSTATUS(status) == UNREACHABLE)
		fprintf(stderr, "user %d cannot reach the build: not tested\n", NOBODY);
	else
		ck_assert_int_eq(WEXITSTATUS(status), 0);
}

/* ---- limits ---- */

/* Not the mock worker: built with sanitizers it needs all the address space that there is. */
static void check_all_limits(void)
{
	static const char *const command[] = {"/bin/sleep", "600", NULL};
	struct adapter_config c = {.kind = "process", .command = command};
	char cwd[64] = "";
	struct stage s;
	int pid;

	c.open_files = 77;
	c.core_bytes = 1 << 20;
	c.cpu_seconds = 1000;
	c.address_space = INT64_C(3) << 30;
	c.oom_score = 300;
	c.directory = "/usr";
	stage_open(&s, &c);
	ck_assert_msg(s.adapter != NULL, "%s", s.errstr);
	stage_start(&s, 0);
	pid = s.seen[0].pid;
	check_limit(pid, "Max open files", 77, 77);
	check_limit(pid, "Max core file size", 1 << 20, 1 << 20);
	check_limit(pid, "Max cpu time", 1000, 1005);
	check_limit(pid, "Max address space", INT64_C(3) << 30, INT64_C(3) << 30);
	check_line(pid, "status", "NoNewPrivs:\t1\n");
	ck_assert_int_eq(oom_score(pid), oom_score(getpid()) + 300);
	ck_assert_int_eq(oom_score(stage_parent(pid)), oom_score(getpid()));
	snprintf(text, sizeof text, "/proc/%d/cwd", pid);
	ck_assert_int_gt(readlink(text, cwd, sizeof cwd - 1), 0);
	ck_assert_str_eq(cwd, "/usr");
	stage_close(&s);
}

START_TEST(limits_are_those_of_the_running_worker)
{
	check_all_limits();
}
END_TEST

START_TEST(limits_need_no_root)
{
	in_child(check_all_limits, true);
}
END_TEST

/* The guard has what the daemon has. */
static void check_same_line(int pid, const char *what)
{
	char line[128];

	snprintf(line, sizeof line, "%.100s", strstr(proc(stage_parent(pid), "limits"), what));
	line[strcspn(line, "\n")] = '\0';
	check_line(pid, "limits", line);
}

START_TEST(without_limits_a_worker_has_the_daemons)
{
	struct adapter_config c = mock_config();
	struct stage s;
	int pid;

	pid = start(&s, &c);
	check_same_line(pid, "Max open files");
	check_same_line(pid, "Max cpu time");
	check_same_line(pid, "Max address space");
	check_limit(pid, "Max core file size", 0, 0);
	ck_assert_int_eq(oom_score(pid), oom_score(getpid()));
	check_line(pid, "status", "NoNewPrivs:\t1\n");
	stage_close(&s);
}
END_TEST

START_TEST(privileges_may_be_gained_where_it_is_allowed)
{
	struct adapter_config c = mock_config();
	struct stage s;

	c.may_gain_privileges = true;
	check_line(start(&s, &c), "status", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) ? "NoNewPrivs:\t1\n" : "NoNewPrivs:\t0\n");
	stage_close(&s);
}
END_TEST

START_TEST(the_score_ends_at_its_top)
{
	struct adapter_config c = mock_config();
	struct stage s;

	c.oom_score = 5000;
	ck_assert_int_eq(oom_score(start(&s, &c)), 1000);
	stage_close(&s);
}
END_TEST

START_TEST(processor_time_ends)
{
	static const char *const command[] = {"/bin/sh", "-c", "while :; do :; done", NULL};
	const struct adapter_config c = {.kind = "process", .command = command, .cpu_seconds = 1};
	struct stage s;

	stage_open(&s, &c);
	stage_start(&s, 0);
	stage_wait(&s, s.seen[0].gone);
	ck_assert_int_eq(s.seen[0].exit.signal, SIGXCPU);
	stage_close(&s);
}
END_TEST

static void lower_processor_time(void)
{
	const struct rlimit l = {1000, 1000};
	struct adapter_config c = mock_config();

	ck_assert_int_eq(setrlimit(RLIMIT_CPU, &l), 0);
	c.cpu_seconds = 5000;
	check_start_fails(&c, "pools[].cpu cannot be set: more than the daemon itself may have");
}

START_TEST(processor_time_above_the_daemons_is_named)
{
	in_child(lower_processor_time, true);
}
END_TEST

/* ---- user and group ---- */

START_TEST(a_worker_is_the_user_that_is_named)
{
	struct adapter_config c = mock_config();
	struct account nobody;
	char ids[128], why[256], home[300];
	struct stage s;
	int pid;

	if (!is_root())
		return;
	ck_assert_int_eq(account_find("nobody", "", &nobody, why, sizeof why), ACCOUNT_GOOD);
	ck_assert(nobody.changes);
	c.user = "nobody";
	c.oom_score = 10;
	pid = start(&s, &c);
	snprintf(ids, sizeof ids, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n", nobody.uid, nobody.uid, nobody.uid, nobody.uid,
		nobody.gid, nobody.gid, nobody.gid, nobody.gid);
	check_line(pid, "status", ids);
	check_line(pid, "status", "Groups:\t \n");
	check_line(pid, "status", "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n");
	check_line(pid, "status", "CapAmb:\t0000000000000000\n");
	ck_assert_int_eq(oom_score(pid), oom_score(getpid()) + 10);
	check_line(stage_parent(pid), "status", "Uid:\t0\t0\t0\t0\n");
	snprintf(home, sizeof home, "HOME=%s", nobody.home);
	proc(pid, "environ");
	ck_assert_ptr_nonnull(memmem(text, sizeof text, home, strlen(home) + 1));
	ck_assert_ptr_nonnull(memmem(text, sizeof text, "USER=nobody", 12));
	stage_close(&s);
	ck_assert_int_ne(kill(pid, 0), 0);
}
END_TEST

static void have_groups(void)
{
	static const gid_t groups[] = {4, 24};
	struct adapter_config c = mock_config();
	struct stage s;
	int pid;

	ck_assert_int_eq(setgroups(2, groups), 0);
	pid = start(&s, &c);
	check_line(pid, "status", "Groups:\t4 24 \n");
	stage_close(&s);
	c.user = "nobody";
	pid = start(&s, &c);
	check_line(pid, "status", "Groups:\t \n");
	stage_close(&s);
}

START_TEST(supplementary_groups_are_left_behind)
{
	if (is_root())
		in_child(have_groups, false);
}
END_TEST

START_TEST(a_group_alone_and_numbers)
{
	struct adapter_config c = mock_config();
	struct stage s;
	int pid;

	if (!is_root())
		return;
	c.group = "12345";
	pid = start(&s, &c);
	check_line(pid, "status", "Uid:\t0\t0\t0\t0\nGid:\t12345\t12345\t12345\t12345\n");
	stage_close(&s);
	c.user = "54321";
	pid = start(&s, &c);
	check_line(pid, "status", "Uid:\t54321\t54321\t54321\t54321\nGid:\t12345\t12345\t12345\t12345\n");
	stage_close(&s);
}
END_TEST

static bool is_alive(int pid)
{
	char path[64], state = 'X';
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (fgets(text, sizeof text, f))
		sscanf(strrchr(text, ')'), ") %c", &state);
	fclose(f);
	return state != 'X' && state != 'Z';
}

START_TEST(a_worker_of_another_user_dies_with_its_guard)
{
	struct adapter_config c = mock_config();
	struct stage s;

	if (!is_root())
		return;
	c.user = "nobody";
	start(&s, &c);
	ck_assert_int_eq(kill(stage_parent(s.seen[0].pid), SIGKILL), 0);
	for (int ms = 0; is_alive(s.seen[0].pid); ms++) { /* the loop does not run meanwhile: nobody else kills it */
		ck_assert_int_lt(ms, STAGE_PATIENCE_MS);
		usleep(1000);
	}
	stage_wait(&s, s.seen[0].gone);
	stage_close(&s);
}
END_TEST

static void check_account(const char *user, const char *group, enum account_fault fault, const char *words)
{
	struct account a;
	char why[256] = "";

	ck_assert_int_eq(account_find(user, group, &a, why, sizeof why), fault);
	ck_assert_msg(strstr(why, words) != NULL, "%s", why);
}

START_TEST(names_that_nobody_has_are_told)
{
	check_account("no-such-user", "", ACCOUNT_USER, "there is no user \"no-such-user\"");
	check_account("", "no-such-group", ACCOUNT_GROUP, "there is no group \"no-such-group\"");
	check_account("54321", "", ACCOUNT_USER, "set `group` too");
	check_account("54321x", "", ACCOUNT_USER, "there is no user \"54321x\"");
	check_account("99999999999", "1", ACCOUNT_USER, "there is no user");
	check_account("", "", ACCOUNT_GOOD, "");
	check_account(NULL, NULL, ACCOUNT_GOOD, "");
}
END_TEST

static void be_refused(void)
{
	struct adapter_config c = mock_config();
	char own[16];
	struct stage s;

	check_account("root", "", ACCOUNT_USER, "only root may run workers as another user");
	check_account("", "1", ACCOUNT_GROUP, "only root may run workers as another user");
	snprintf(own, sizeof own, "%u", geteuid());
	check_account(own, "", ACCOUNT_GOOD, "");
	c.user = "root";
	stage_open(&s, &c);
	ck_assert_ptr_null(s.adapter);
	ck_assert_msg(strstr(s.errstr, "only root") != NULL, "%s", s.errstr);
	stage_close(&s);
}

START_TEST(only_root_may_name_another_user)
{
	in_child(be_refused, true);
}
END_TEST

/* Root in name only, as in many containers. */
static void lack(int capability, const char *why)
{
	struct adapter_config c = mock_config();

	ck_assert_int_eq(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), 0);
	c.user = "nobody";
	check_start_fails(&c, why);
}

static void lack_groups(void)
{
	lack(CAP_SETGID, "supplementary groups cannot be dropped for pools[].user: Operation not permitted");
}

static void lack_users(void)
{
	lack(CAP_SETUID, "pools[].user cannot be set: Operation not permitted");
}

static void lack_entry(void)
{
	struct adapter_config c = mock_config();
	char directory[] = "/tmp/bridgepool-limits-XXXXXX";

	ck_assert_ptr_nonnull(mkdtemp(directory)); /* for root alone */
	c.user = "nobody";
	c.directory = directory;
	check_start_fails(&c, "pools[].directory cannot be entered: Permission denied (as user ");
	rmdir(directory);
}

START_TEST(what_cannot_be_changed_is_named)
{
	if (!is_root())
		return;
	in_child(lack_groups, false);
	in_child(lack_users, false);
	in_child(lack_entry, false);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("limits");

	tcase_add_test(t, limits_are_those_of_the_running_worker);
	tcase_add_test(t, limits_need_no_root);
	tcase_add_test(t, without_limits_a_worker_has_the_daemons);
	tcase_add_test(t, privileges_may_be_gained_where_it_is_allowed);
	tcase_add_test(t, the_score_ends_at_its_top);
	tcase_add_test(t, processor_time_ends);
	tcase_add_test(t, processor_time_above_the_daemons_is_named);
	tcase_add_test(t, a_worker_is_the_user_that_is_named);
	tcase_add_test(t, supplementary_groups_are_left_behind);
	tcase_add_test(t, a_group_alone_and_numbers);
	tcase_add_test(t, a_worker_of_another_user_dies_with_its_guard);
	tcase_add_test(t, names_that_nobody_has_are_told);
	tcase_add_test(t, only_root_may_name_another_user);
	tcase_add_test(t, what_cannot_be_changed_is_named);
	return stage_main("worker_limits", t);
}
