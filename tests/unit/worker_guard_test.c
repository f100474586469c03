/* worker_guard_test.c: whatever happens to worker and daemon, nothing is left alive. What lives is known by a token in its
 * environment. */
#include "worker_stage.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { FOUND_MAX = 512 };

static char token[64];

static bool has_token(int pid)
{
	static char text[1 << 16];
	char path[64];
	size_t n;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/environ", pid);
	f = fopen(path, "r");
	if (!f)
		return false;
	n = fread(text, 1, sizeof text, f);
	fclose(f);
	return memmem(text, n, token, strlen(token)) != NULL;
}

static int find_living(int pids[FOUND_MAX])
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int n = 0;

	ck_assert_ptr_nonnull(proc);
	while ((entry = readdir(proc))) {
		int pid = atoi(entry->d_name);
		if (pid > 0 && has_token(pid)) {
			ck_assert_int_lt(n, FOUND_MAX);
			pids[n++] = pid;
		}
	}
	closedir(proc);
	return n;
}

static int count_living(void)
{
	int pids[FOUND_MAX];

	return find_living(pids);
}

static void open_with_token(struct stage *s, const char *const *command)
{
	const char *environment[] = {token, NULL};
	struct adapter_config c = {.kind = "process", .command = command, .environment = environment};

	stage_open(s, &c);
	ck_assert_msg(s->adapter != NULL, "%s", s->errstr);
}

static void open_mock_with_token(struct stage *s)
{
	const char *command[] = {stage_path(STAGE_MOCK), NULL};

	open_with_token(s, command);
}

/* Workers that end by nothing but a SIGKILL. */
static void open_stubborn_with_token(struct stage *s)
{
	const char *command[] = {stage_path(STAGE_MOCK), "--ignore", "shutdown", "--ignore", "close", "--ignore", "term", NULL};

	open_with_token(s, command);
}

static int open_pid(int pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static bool is_alive(int pid)
{
	char path[64], text[256], state = 'X';
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

/* Until the process has ended, whoever has to reap it. pidfd: taken while it lived; -1 under valgrind, which knows none. */
static void await_end(int pidfd, int pid)
{
	struct pollfd end = {pidfd, POLLIN, 0};
	uint64_t until = uv_hrtime() + (uint64_t)STAGE_PATIENCE_MS * 1000000;

	/* poll is interrupted by the signal of a child's end, too. */
	while (poll(&end, 1, pidfd < 0 ? 10 : STAGE_PATIENCE_MS) != 1 && is_alive(pid))
		ck_assert_msg(uv_hrtime() < until, "process %d lives on", pid);
	if (pidfd >= 0)
		close(pidfd);
}

/* Until each process with the token has ended; one that is never killed fails the test. */
static void await_end_of_all(void)
{
	int pids[FOUND_MAX], n;

	while ((n = find_living(pids)) > 0) {
		await_end(open_pid(pids[0]), pids[0]);
	}
}

static void escape(struct stage *s, uint16_t slot)
{
	stage_ask(s, slot, "echo", SLICE("{\"mock\":{\"fault\":\"escape\"}}"));
}

START_TEST(escaped_grandchildren_die_with_a_crashed_worker)
{
	struct stage s;

	open_mock_with_token(&s);
	stage_start(&s, 0);
	for (int i = 0; i < 3; i++)
		escape(&s, 0);
	ck_assert_int_eq(count_living(), 5); /* guard, worker, three that escaped */
	stage_request(&s, 0, "crash", SLICE("{}"));
	stage_flush(&s);
	stage_wait(&s, s.seen[0].gone); /* although they held its stdout */
	ck_assert_int_eq(count_living(), 0);
	ck_assert_int_eq(s.seen[0].exit.signal, SIGSEGV);
	stage_close(&s);
}
END_TEST

START_TEST(escaped_grandchildren_die_with_a_worker_that_ends_well)
{
	struct stage s;

	open_mock_with_token(&s);
	stage_start(&s, 0);
	escape(&s, 0);
	stage_stop(&s, 0, STOP_CLOSE);
	stage_wait(&s, s.seen[0].gone);
	ck_assert_int_eq(count_living(), 0);
	ck_assert(s.seen[0].exit.exited);
	ck_assert_int_eq(s.seen[0].exit.code, 0);
	stage_close(&s);
}
END_TEST

START_TEST(kill_ends_all_below_one_worker_and_no_other)
{
	struct stage s;

	open_mock_with_token(&s);
	stage_start(&s, 0);
	stage_start(&s, 1);
	escape(&s, 0);
	escape(&s, 1);
	ck_assert_int_eq(count_living(), 6);
	stage_stop(&s, 0, STOP_KILL);
	stage_wait(&s, s.seen[0].gone);
	ck_assert_int_eq(count_living(), 3);
	ck_assert_int_eq(stage_ask(&s, 1, "echo", SLICE("{}"))->kind, ANSWER_OK);
	stage_close(&s);
	ck_assert_int_eq(count_living(), 0);
}
END_TEST

START_TEST(a_forest_of_sessions_dies)
{
	/* A shell that starts three of its kind, each in a session of its own, and so on: $0 is this text, $1 how deep it still
	 * goes. */
	static const char
		body[] = "if [ $1 -gt 0 ]; then for i in 1 2 3; do setsid -f /bin/sh -c \"$0\" \"$0\" $(($1 - 1)); done; fi\n"
			 "echo grown >&2; exec sleep 600";
	static const char *const command[] = {"/bin/sh", "-c", body, body, "4", NULL};
	struct stage s;

	open_with_token(&s, command);
	stage_start(&s, 0);
	stage_wait(&s, s.seen[0].lines >= 20);
	ck_assert_int_gt(count_living(), 10);
	stage_stop(&s, 0, STOP_KILL); /* while they still grow */
	stage_wait(&s, s.seen[0].gone);
	ck_assert_int_eq(count_living(), 0);
	stage_close(&s);
}
END_TEST

/* The first shell ends only after those it started, so each of the three must have been told. */
START_TEST(term_reaches_the_whole_process_group)
{
	static const char *const command[] = {"/bin/sh", "-c",
		"child='trap \"echo child >&2; exit 0\" TERM; echo ready >&2; sleep 600 & wait'\n"
		"sh -c \"$child\" & sh -c \"$child\" & trap 'wait; echo told >&2; exit 5' TERM; echo ready >&2; wait",
		NULL};
	struct stage s;

	open_with_token(&s, command);
	stage_start(&s, 0);
	stage_wait(&s, s.seen[0].lines == 3);
	stage_stop(&s, 0, STOP_TERM);
	stage_wait(&s, s.seen[0].gone);
	ck_assert_str_eq(s.seen[0].text, "ready\nready\nready\nchild\nchild\ntold\n");
	ck_assert_int_eq(s.seen[0].exit.code, 5);
	ck_assert_int_eq(count_living(), 0);
	stage_close(&s);
}
END_TEST

/* A daemon of its own process: says by the pipe that its workers and their escaped children live. */
static _Noreturn void be_daemon(int ready)
{
	struct stage s;

	open_stubborn_with_token(&s);
	for (uint16_t i = 0; i < 3; i++) {
		stage_start(&s, i);
		escape(&s, i);
	}
	stage_request(&s, 0, "hang", SLICE("{}"));
	stage_flush(&s);
	if (write(ready, "r", 1) != 1)
		_exit(1);
	for (;;)
		uv_run(&s.loop, UV_RUN_DEFAULT);
}

static void stop_guards(pid_t daemon)
{
	int pids[FOUND_MAX], n = find_living(pids), stopped = 0;

	for (int i = 0; i < n; i++)
		if (stage_parent(pids[i]) == daemon)
			stopped += kill(pids[i], SIGSTOP) == 0;
	ck_assert_int_eq(stopped, 3);
}

static void check_daemon_dies(int signal, bool guards_are_stopped)
{
	int ready[2], status;
	pid_t daemon;
	char byte;

	ck_assert_int_eq(pipe2(ready, O_CLOEXEC), 0);
	daemon = fork();
	ck_assert_int_ge(daemon, 0);
	if (daemon == 0)
		be_daemon(ready[1]);
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	ck_assert_int_eq(count_living(), 9);
	if (guards_are_stopped)
		stop_guards(daemon);
	ck_assert_int_eq(kill(daemon, signal), 0);
	ck_assert_int_eq(waitpid(daemon, &status, 0), daemon);
	ck_assert(WIFSIGNALED(status));
	await_end_of_all();
}

START_TEST(a_killed_daemon_leaves_nothing_alive)
{
	check_daemon_dies(SIGKILL, false);
}
END_TEST

START_TEST(a_crashed_daemon_leaves_nothing_alive)
{
	check_daemon_dies(SIGABRT, false);
}
END_TEST

START_TEST(a_killed_daemon_leaves_nothing_alive_whose_guard_is_stopped)
{
	check_daemon_dies(SIGKILL, true);
}
END_TEST

START_TEST(a_daemon_killed_in_the_middle_of_a_start_leaves_nothing_alive)
{
	for (int i = 0; i < 20; i++) {
		int status;
		pid_t daemon = fork();

		ck_assert_int_ge(daemon, 0);
		if (daemon == 0) {
			struct stage s;
			open_stubborn_with_token(&s);
			for (uint16_t slot = 0; slot < STAGE_WORKERS; slot++)
				stage_start_only(&s, slot);
			kill(getpid(), SIGKILL);
		}
		ck_assert_int_eq(waitpid(daemon, &status, 0), daemon);
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	await_end_of_all();
}
END_TEST

START_TEST(a_killed_guard_takes_its_worker_along_without_the_daemon)
{
	struct stage s;
	int worker;

	open_stubborn_with_token(&s);
	stage_start(&s, 0);
	stage_ask(&s, 0, "echo", SLICE("{}"));
	worker = open_pid(s.seen[0].pid);
	ck_assert_int_eq(kill(stage_parent(s.seen[0].pid), SIGKILL), 0);
	await_end(worker, s.seen[0].pid); /* the loop does not run meanwhile */
	stage_wait(&s, s.seen[0].gone);
	ck_assert_int_eq(s.seen[0].exit.signal, SIGKILL);
	stage_close(&s);
}
END_TEST

START_TEST(a_term_to_the_guard_is_for_its_worker)
{
	struct stage s;

	open_mock_with_token(&s);
	stage_start(&s, 0);
	escape(&s, 0);
	ck_assert_int_eq(kill(stage_parent(s.seen[0].pid), SIGTERM), 0);
	stage_wait(&s, s.seen[0].gone);
	ck_assert_int_eq(s.seen[0].exit.signal, SIGTERM);
	ck_assert_int_eq(count_living(), 0);
	stage_close(&s);
}
END_TEST

START_TEST(the_guard_by_hand_says_what_it_is)
{
	char *const argv[] = {(char *)(uintptr_t)stage_path(STAGE_GUARD), NULL};
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(2);
		close(3);
		close(4);
		execv(argv[0], argv);
		_exit(1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 64);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("guard");

	snprintf(token, sizeof token, "BRIDGEPOOL_TEST_TOKEN=%d.%lld", getpid(), (long long)uv_hrtime());
	tcase_add_test(t, escaped_grandchildren_die_with_a_crashed_worker);
	tcase_add_test(t, escaped_grandchildren_die_with_a_worker_that_ends_well);
	tcase_add_test(t, kill_ends_all_below_one_worker_and_no_other);
	tcase_add_test(t, a_forest_of_sessions_dies);
	tcase_add_test(t, term_reaches_the_whole_process_group);
	tcase_add_test(t, a_killed_daemon_leaves_nothing_alive);
	tcase_add_test(t, a_crashed_daemon_leaves_nothing_alive);
	tcase_add_test(t, a_killed_daemon_leaves_nothing_alive_whose_guard_is_stopped);
	tcase_add_test(t, a_daemon_killed_in_the_middle_of_a_start_leaves_nothing_alive);
	tcase_add_test(t, a_killed_guard_takes_its_worker_along_without_the_daemon);
	tcase_add_test(t, a_term_to_the_guard_is_for_its_worker);
	tcase_add_test(t, the_guard_by_hand_says_what_it_is);
	return stage_main("worker_guard", t);
}
