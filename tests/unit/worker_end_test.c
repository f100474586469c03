/* worker_end_test.c: how workers end: the steps of a stop, crashes, lies on stdout, failed starts. Each end has one last word. */
#include "worker_stage.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void wait_gone(struct stage *s)
{
	stage_wait(s, s->seen[0].gone);
	ck_assert_uint_eq(adapter_live(s->adapter), 0);
	ck_assert_int_eq(kill(s->seen[0].pid, 0), -1);
}

static void ask_fault(struct stage *s, const char *fault)
{
	char args[128];
	int len = snprintf(args, sizeof args, "{\"mock\":{\"fault\":\"%s\"}}", fault);

	stage_request(s, 0, "echo", (struct slice){args, (size_t)len});
	stage_flush(s);
}

/* ---- the steps of a stop ---- */

START_TEST(close_ends_a_good_worker)
{
	struct stage s;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	stage_request(&s, 0, "echo", SLICE("{}"));
	stage_stop(&s, 0, STOP_CLOSE);             /* what was said before is still written */
	stage_request(&s, 0, "echo", SLICE("{}")); /* what is said after is not */
	stage_flush(&s);
	wait_gone(&s);
	ck_assert_uint_eq(s.seen[0].nanswers, 1);
	ck_assert(s.seen[0].exit.exited);
	ck_assert_int_eq(s.seen[0].exit.code, 0);
	stage_close(&s);
}
END_TEST

START_TEST(term_ends_what_close_does_not)
{
	const char *options[] = {"--ignore", "shutdown", "--ignore", "close", NULL};
	struct stage s;

	stage_open_mock(&s, options);
	stage_start(&s, 0);
	stage_say(&s, 0, (struct call){.kind = CALL_SHUTDOWN});
	stage_ask(&s, 0, "echo", SLICE("{}"));
	stage_stop(&s, 0, STOP_CLOSE);
	ck_assert_int_eq(kill(s.seen[0].pid, 0), 0);
	stage_stop(&s, 0, STOP_TERM);
	wait_gone(&s);
	ck_assert_uint_eq(s.seen[0].nanswers, 1);
	ck_assert(!s.seen[0].exit.exited);
	ck_assert_int_eq(s.seen[0].exit.signal, SIGTERM);
	stage_close(&s);
}
END_TEST

START_TEST(kill_ends_what_term_does_not)
{
	const char *options[] = {"--ignore", "close", "--ignore", "term", NULL};
	struct stage s;

	stage_open_mock(&s, options);
	stage_start(&s, 0);
	stage_ask(&s, 0, "echo", SLICE("{}")); /* now it ignores the signal */
	stage_stop(&s, 0, STOP_TERM);
	/* The guard takes orders one after the other, so an answer after the order to TERM does not prove that it was ignored;
	 * this does. */
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(stage_ask(&s, 0, "sleep", SLICE("{\"ms\":5}"))->kind, ANSWER_OK);
	stage_stop(&s, 0, STOP_CLOSE);
	stage_stop(&s, 0, STOP_KILL);
	wait_gone(&s);
	ck_assert_int_eq(s.seen[0].exit.signal, SIGKILL);
	ck_assert(!s.seen[0].exit.by_limit);
	stage_close(&s);
}
END_TEST

START_TEST(kill_reaches_a_stopped_worker_and_a_stopped_guard)
{
	struct stage s;
	int guard;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	guard = stage_parent(s.seen[0].pid);
	ck_assert_int_eq(kill(s.seen[0].pid, SIGSTOP), 0);
	ck_assert_int_eq(kill(guard, SIGSTOP), 0);
	stage_stop(&s, 0, STOP_KILL);
	wait_gone(&s);
	ck_assert_int_eq(s.seen[0].exit.signal, SIGKILL);
	stage_close(&s);
}
END_TEST

/* ---- ends of its own ---- */

START_TEST(a_crash_is_told_with_its_signal)
{
	struct stage s;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	stage_request(&s, 0, "crash", SLICE("{}"));
	stage_flush(&s);
	wait_gone(&s);
	ck_assert(!s.seen[0].exit.exited);
	ck_assert_int_eq(s.seen[0].exit.signal, SIGSEGV);
	ck_assert(!s.seen[0].exit.by_limit);
	stage_close(&s);
}
END_TEST

START_TEST(what_was_written_before_an_exit_arrives_before_the_last_word)
{
	const char *options[] = {"--exit", "101", NULL};
	struct stage s;

	stage_open_mock(&s, options);
	stage_start(&s, 0);
	for (int i = 0; i < 101; i++)
		stage_request(&s, 0, "echo", SLICE("{}"));
	stage_flush(&s);
	wait_gone(&s);
	ck_assert_uint_eq(s.seen[0].nanswers, 100);
	ck_assert(s.seen[0].exit.exited);
	ck_assert_int_eq(s.seen[0].exit.code, 3);
	stage_close(&s);
}
END_TEST

START_TEST(the_end_of_stdout_is_told_while_the_worker_lives)
{
	struct stage s;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	ask_fault(&s, "close-stdout");
	stage_wait(&s, s.seen[0].nfaults);
	ck_assert_int_eq(s.seen[0].faults[0].kind, FAULT_EOF);
	ck_assert_int_eq(kill(s.seen[0].pid, 0), 0);
	ck_assert_int_eq(s.seen[0].gone, 0);
	stage_stop(&s, 0, STOP_KILL);
	wait_gone(&s);
	stage_close(&s);
}
END_TEST

START_TEST(half_a_frame_is_no_answer)
{
	struct stage s;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	ask_fault(&s, "half");
	wait_gone(&s);
	ck_assert_uint_eq(s.seen[0].nanswers, 0);
	ck_assert_int_eq(s.seen[0].exit.code, 3);
	stage_close(&s);
}
END_TEST

START_TEST(a_worker_that_closes_its_stdin_is_a_fault_of_write)
{
	const char *command[] = {"/bin/sh", "-c", "exec 0<&-; echo closed >&2; exec sleep 600", NULL};
	struct adapter_config c = {.kind = "process", .command = command};
	struct stage s;

	stage_open(&s, &c);
	ck_assert_msg(s.adapter != NULL, "%s", s.errstr);
	stage_start(&s, 0);
	stage_wait(&s, s.seen[0].lines == 1);
	stage_request(&s, 0, "echo", SLICE("{}"));
	stage_flush(&s);
	stage_wait(&s, s.seen[0].nfaults);
	ck_assert_int_eq(s.seen[0].faults[0].kind, FAULT_WRITE);
	stage_stop(&s, 0, STOP_KILL);
	wait_gone(&s);
	ck_assert_str_eq(s.seen[0].last, "closed");
	stage_close(&s);
}
END_TEST

START_TEST(the_last_line_of_stderr_is_in_the_last_word)
{
	const char *command[] = {"/bin/sh", "-c",
		"echo first >&2; printf 'ModuleNotFoundError: no app\\n  \\n\\n' >&2; printf 'no end' >&2; exit 7", NULL};
	struct adapter_config c = {.kind = "process", .command = command};
	struct stage s;

	stage_open(&s, &c);
	stage_start_only(&s, 0);
	wait_gone(&s);
	ck_assert_int_eq(s.seen[0].exit.code, 7);
	ck_assert_str_eq(s.seen[0].text, "first\nModuleNotFoundError: no app\n  \n\nno end\n");
	ck_assert_str_eq(s.seen[0].last, "no end");
	stage_close(&s);
}
END_TEST

START_TEST(the_last_word_tells_how_old_the_last_line_is)
{
	const char *command[] = {"/bin/sh", "-c", "echo old >&2; sleep 0.2; exit 7", NULL};
	struct adapter_config c = {.kind = "process", .command = command};
	struct stage s;

	stage_open(&s, &c);
	stage_start_only(&s, 0);
	wait_gone(&s);
	ck_assert_str_eq(s.seen[0].last, "old");
	ck_assert_int_ge(s.seen[0].exit.last_age_ms, 100);
	stage_close(&s);
}
END_TEST

/* ---- lies on stdout ---- */

static void check_frame_fault(struct stage *s, const char *detail)
{
	stage_wait(s, s->seen[0].nfaults);
	ck_assert_int_eq(s->seen[0].faults[0].kind, FAULT_FRAME);
	ck_assert_msg(strstr(s->seen[0].faults[0].detail, detail) != NULL, "\"%s\" is not in: %s", detail,
		s->seen[0].faults[0].detail);
	/* Nothing more of that stream is read. */
	stage_request(s, 0, "echo", SLICE("{}"));
	stage_flush(s);
	stage_stop(s, 0, STOP_CLOSE);
	wait_gone(s);
	ck_assert_uint_eq(s->seen[0].nanswers, 0);
	ck_assert_int_eq(s->seen[0].nfaults, 1);
}

START_TEST(a_print_to_stdout_is_named)
{
	struct stage s;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	ask_fault(&s, "print");
	check_frame_fault(&s, "\"Hello from a print to stdout");
	ck_assert_ptr_nonnull(strstr(s.seen[0].faults[0].detail, "something printed to stdout?"));
	stage_close(&s);
}
END_TEST

START_TEST(an_oversized_frame_is_not_waited_for)
{
	struct stage s;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	ask_fault(&s, "oversized");
	check_frame_fault(&s,
		"a frame of 4294967280 bytes was announced, max_frame_bytes is 4194304; its first bytes were \"\\xff\\xff\\xff\\xf0{");
	stage_close(&s);
}
END_TEST

START_TEST(a_whole_frame_that_is_no_answer_is_unreadable)
{
	static const char *const cases[] = {"bad-json", "bad-utf8"};
	struct stage s;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	for (size_t i = 0; i < 2; i++) {
		ask_fault(&s, cases[i]);
		stage_wait(&s, s.seen[0].nanswers == i + 1);
		ck_assert_int_eq(s.seen[0].answers[i].kind, ANSWER_UNREADABLE);
		ck_assert(s.seen[0].answers[i].has_id);
	}
	ck_assert_int_eq(s.seen[0].nfaults, 0);
	ask_fault(&s, "garbage");
	stage_wait(&s, s.seen[0].nfaults == 1);
	ck_assert_int_eq(s.seen[0].faults[0].kind, FAULT_FRAME);
	ck_assert_str_eq(s.seen[0].faults[0].detail,
		"a frame of 18 bytes is no answer: no id can be read; its first bytes were \"\\x01\\x02 this is no JSON\"");
	stage_close(&s);
}
END_TEST

START_TEST(a_second_answer_and_one_to_nothing_are_passed_on)
{
	struct stage s;

	stage_open_mock(&s, NULL);
	stage_start(&s, 0);
	ask_fault(&s, "twice");
	stage_wait(&s, s.seen[0].nanswers == 2);
	ck_assert_uint_eq(s.seen[0].answers[0].id, s.seen[0].answers[1].id);
	ask_fault(&s, "unknown-id");
	stage_wait(&s, s.seen[0].nanswers == 3);
	ck_assert_uint_eq(s.seen[0].answers[2].id, 1000002);
	stage_close(&s);
}
END_TEST

/* ---- starts that fail ---- */

static char script_dir[] = "/tmp/bridgepool-worker-test-XXXXXX";

static const char *write_script(const char *name, const char *text, mode_t mode)
{
	static char path[256];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", script_dir, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(chmod(path, mode), 0);
	return path;
}

static void check_refused(const char *program, const char *guard, const char *directory, const char *detail)
{
	const char *command[] = {program, NULL};
	struct adapter_config c = {.kind = "process", .command = command, .guard_path = guard, .directory = directory};
	struct stage s;

	stage_open(&s, &c);
	ck_assert_ptr_null(s.adapter);
	ck_assert_msg(strstr(s.errstr, detail) != NULL, "\"%s\" is not in: %s", detail, s.errstr);
	stage_close(&s);
}

START_TEST(what_cannot_run_is_refused_before_the_first_start)
{
	check_refused("no-such-program-here", NULL, NULL, "\"no-such-program-here\" was not found in PATH");
	check_refused("mkdri", NULL, NULL, "; did you mean mkdir? correct pools[].command");
	check_refused("/no/such/program", NULL, NULL, "the command /no/such/program cannot be run: No such file");
	check_refused("/tmp", NULL, NULL, "is not a file");
	check_refused("", NULL, NULL, "the command is empty");
	check_refused(write_script("plain", "#!/bin/sh\n", 0644), NULL, NULL, "is not executable: chmod +x");
	check_refused(write_script("orphan", "#!/no/such/python9 -u\n", 0755), NULL, NULL,
		"needs the interpreter /no/such/python9");
	check_refused("/bin/sh", "/no/such/guard", NULL, "/no/such/guard is not there");
	check_refused("/bin/sh", NULL, "/no/such/place", "the working directory /no/such/place cannot be entered");
}
END_TEST

START_TEST(an_unknown_kind_is_refused)
{
	struct adapter_config c = {.kind = "thread"};
	struct stage s;

	stage_open(&s, &c);
	ck_assert_ptr_null(s.adapter);
	ck_assert_ptr_nonnull(strstr(s.errstr, "\"process\" or \"mock\""));
	stage_close(&s);
}
END_TEST

/* What was there when the adapter was made, and is not any more. */
static void check_start_fault(struct stage *s, enum worker_fault kind, const char *detail)
{
	stage_start_only(s, 0);
	stage_wait(s, s->seen[0].gone);
	ck_assert_int_eq(s->seen[0].started, 0);
	ck_assert_int_eq(s->seen[0].nfaults, 1);
	ck_assert_int_eq(s->seen[0].faults[0].kind, kind);
	ck_assert_msg(strstr(s->seen[0].faults[0].detail, detail) != NULL, "\"%s\" is not in: %s", detail,
		s->seen[0].faults[0].detail);
	ck_assert_uint_eq(adapter_live(s->adapter), 0);
}

static void check_start_fails(struct stage *s, const char *detail)
{
	check_start_fault(s, FAULT_EXEC, detail);
	ck_assert(s->seen[0].exit.exited);
	ck_assert_int_eq(s->seen[0].exit.code, 127);
	stage_close(s);
}

static void open_script(struct stage *s, const char *path, const char *guard, int64_t open_files)
{
	const char *command[] = {path, NULL};
	struct adapter_config c = {.kind = "process", .command = command, .guard_path = guard, .open_files = open_files};

	stage_open(s, &c);
	ck_assert_msg(s->adapter != NULL, "%s", s->errstr);
}

START_TEST(a_command_that_vanished_is_named)
{
	const char *path = write_script("vanishing", "#!/bin/sh\n", 0755);
	struct stage s;

	open_script(&s, path, NULL, 0);
	ck_assert_int_eq(unlink(path), 0);
	check_start_fails(&s, "vanishing cannot be run: No such file or directory");
}
END_TEST

START_TEST(an_interpreter_that_vanished_is_named)
{
	const char *path = write_script("changing", "#!/bin/sh\n", 0755);
	struct stage s;

	open_script(&s, path, NULL, 0);
	write_script("changing", "#!/no/such/python9\n", 0755);
	check_start_fails(&s, "needs the interpreter /no/such/python9");
}
END_TEST

START_TEST(a_guard_that_vanished_is_named)
{
	char guard[256];
	struct stage s;

	snprintf(guard, sizeof guard, "%s", write_script("guard", "#!/bin/sh\n", 0755));
	open_script(&s, "/bin/sh", guard, 0);
	ck_assert_int_eq(unlink(guard), 0);
	check_start_fails(&s, guard); /* valgrind has no posix_spawn that tells of a failed exec, so no more than the name */
}
END_TEST

START_TEST(a_guard_that_does_not_guard_is_a_failed_start)
{
	char guard[256];
	struct stage s;

	snprintf(guard, sizeof guard, "%s", write_script("false-guard", "#!/bin/sh\nexit 0\n", 0755));
	open_script(&s, "/bin/sh", guard, 0);
	check_start_fails(&s, "/false-guard ended with exit code 0 before it had started the command");
}
END_TEST

/* As an operator's or the kernel's kill would, which may hit a guard that has hardly begun: no word against the command. */
START_TEST(a_guard_that_is_killed_before_it_starts_the_command_is_one_failed_start)
{
	char guard[256];
	struct stage s;

	snprintf(guard, sizeof guard, "%s", write_script("killed-guard", "#!/bin/sh\nkill -9 $$\n", 0755));
	open_script(&s, "/bin/sh", guard, 0);
	check_start_fault(&s, FAULT_START, "/killed-guard ended with signal 9 before it had started the command");
	ck_assert(!s.seen[0].exit.exited);
	ck_assert_int_eq(s.seen[0].exit.signal, SIGKILL);
	stage_close(&s);
}
END_TEST

START_TEST(a_limit_that_cannot_be_set_is_named)
{
	struct stage s;

	open_script(&s, "/bin/sh", NULL, INT64_C(1) << 40);
	check_start_fails(&s, "pools[].open_files cannot be set");
}
END_TEST

START_TEST(limits_hold)
{
	const char *command[] = {"/bin/sh", "-c",
		"ulimit -n >&2; ulimit -c >&2; ulimit -v >&2; grep NoNewPrivs /proc/self/status >&2; ls /proc/self/fd | wc -l >&2",
		NULL};
	struct adapter_config c = {
		.kind = "process",
		.command = command,
		.open_files = 77,
		.core_bytes = 0,
		.address_space = INT64_C(3) << 30,
	};
	int leaked = fcntl(0, F_DUPFD, 20); /* not close-on-exec */
	struct stage s;

	ck_assert_int_ge(leaked, 20);
	stage_open(&s, &c);
	stage_start_only(&s, 0);
	wait_gone(&s);
	/* ls has 0, 1, 2 and the directory. */
	ck_assert_str_eq(s.seen[0].text, "77\n0\n3145728\nNoNewPrivs:\t1\n4\n");
	stage_close(&s);
	close(leaked);
}
END_TEST

/* The daemon ignores SIGPIPE and may block what it likes; a program must not start its life like that. */
START_TEST(a_worker_starts_with_the_usual_signals)
{
	const char *command[] = {"/bin/grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL};
	const char *shell[] = {"/bin/sh", "-c", "exec 1>&2; exec \"$0\" \"$@\"", command[0], command[1], command[2], command[3],
		NULL};
	struct adapter_config c = {.kind = "process", .command = shell};
	unsigned long long blocked, ignored;
	sigset_t some, usual;
	struct stage s;

	stage_open(&s, &c);
	sigemptyset(&some);
	sigaddset(&some, SIGUSR1);
	sigprocmask(SIG_BLOCK, &some, &usual);
	stage_start_only(&s, 0);
	sigprocmask(SIG_SETMASK, &usual, NULL);
	wait_gone(&s);
	ck_assert_int_eq(sscanf(s.seen[0].text, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
	ck_assert_uint_eq(blocked, 0);
	ck_assert_uint_eq(ignored & ~(3ULL << 31), 0); /* 32 and 33 are the C library's own */
	stage_close(&s);
}
END_TEST

START_TEST(starts_without_descriptors_fail_one_by_one)
{
	struct rlimit usual, few;
	struct stage s;
	int next;

	stage_open_mock(&s, NULL);
	next = dup(0); /* the lowest free number; seven more do not suffice for five pipes */
	ck_assert_int_ge(next, 0);
	close(next);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &usual), 0);
	few = (struct rlimit){(rlim_t)next + 7, usual.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	stage_start_only(&s, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &usual), 0);
	ck_assert_int_eq(dup(0), next); /* none is left open */
	close(next);
	stage_wait(&s, s.seen[0].gone);
	ck_assert_int_eq(s.seen[0].faults[0].kind, FAULT_START);
	ck_assert_ptr_nonnull(
		strstr(s.seen[0].faults[0].detail, "Too many open files; raise the limit of open files (ulimit -n"));
	stage_close(&s);
}
END_TEST

START_TEST(close_right_after_a_failed_start_says_nothing)
{
	const char *path = write_script("vanishing", "#!/bin/sh\n", 0755);
	struct stage s;

	open_script(&s, path, NULL, 0);
	ck_assert_int_eq(unlink(path), 0);
	stage_start_only(&s, 0);
	stage_close(&s);
	ck_assert_int_eq(s.seen[0].nfaults, 0);
	ck_assert_int_eq(s.seen[0].gone, 0);
}
END_TEST

static void make_dir(void)
{
	strcpy(script_dir + strlen(script_dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(script_dir));
}

static void remove_dir(void)
{
	static const char *const names[] = {"plain", "orphan", "vanishing", "changing", "guard", "false-guard"};
	char path[256];

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(path, sizeof path, "%s/%s", script_dir, names[i]);
		unlink(path);
	}
	rmdir(script_dir);
}

int main(void)
{
	TCase *t = tcase_create("end");

	tcase_add_checked_fixture(t, make_dir, remove_dir);
	tcase_add_test(t, close_ends_a_good_worker);
	tcase_add_test(t, term_ends_what_close_does_not);
	tcase_add_test(t, kill_ends_what_term_does_not);
	tcase_add_test(t, kill_reaches_a_stopped_worker_and_a_stopped_guard);
	tcase_add_test(t, a_crash_is_told_with_its_signal);
	tcase_add_test(t, what_was_written_before_an_exit_arrives_before_the_last_word);
	tcase_add_test(t, the_end_of_stdout_is_told_while_the_worker_lives);
	tcase_add_test(t, half_a_frame_is_no_answer);
	tcase_add_test(t, a_worker_that_closes_its_stdin_is_a_fault_of_write);
	tcase_add_test(t, the_last_line_of_stderr_is_in_the_last_word);
	tcase_add_test(t, the_last_word_tells_how_old_the_last_line_is);
	tcase_add_test(t, a_print_to_stdout_is_named);
	tcase_add_test(t, an_oversized_frame_is_not_waited_for);
	tcase_add_test(t, a_whole_frame_that_is_no_answer_is_unreadable);
	tcase_add_test(t, a_second_answer_and_one_to_nothing_are_passed_on);
	tcase_add_test(t, what_cannot_run_is_refused_before_the_first_start);
	tcase_add_test(t, an_unknown_kind_is_refused);
	tcase_add_test(t, a_command_that_vanished_is_named);
	tcase_add_test(t, an_interpreter_that_vanished_is_named);
	tcase_add_test(t, a_guard_that_vanished_is_named);
	tcase_add_test(t, a_guard_that_does_not_guard_is_a_failed_start);
	tcase_add_test(t, a_guard_that_is_killed_before_it_starts_the_command_is_one_failed_start);
	tcase_add_test(t, a_limit_that_cannot_be_set_is_named);
	tcase_add_test(t, limits_hold);
	tcase_add_test(t, a_worker_starts_with_the_usual_signals);
	tcase_add_test(t, starts_without_descriptors_fail_one_by_one);
	tcase_add_test(t, close_right_after_a_failed_start_says_nothing);
	return stage_main("worker_end", t);
}
