/* cli_dev_log_test.c: the daemon's log, as the log itself writes it, read by `bridgepool dev`. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/base/log.h"
#include "dev_log.h"

static char events[4096], printed[65536];

static void on_event(void *ctx, enum dev_event event, const char *text)
{
	static const char *const names[] = {
		[DEV_JOINED] = "joined",
		[DEV_WORKER_READY] = "ready",
		[DEV_WORKER_FAILED] = "failed",
		[DEV_HTTP] = "http",
		[DEV_LOG_OVER] = "over",
	};
	size_t n = strlen(events);

	(void)ctx;
	snprintf(events + n, sizeof events - n, "%s(%s)", names[event], text);
}

/* Standard error is the log of a daemon, until read_log. */
static int saved[2], log_end;

static void open_log(void)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	saved[1] = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	log_end = ends[0];
	log_setup(LOG_INFO, LOG_JSON);
}

static void read_log_of(const char *only)
{
	const struct terminal plain = {0};
	struct dev_log l = {.terminal = &plain, .event = on_event, .only = only};
	FILE *out = tmpfile();
	uv_loop_t loop;
	size_t n;

	dup2(saved[1], STDERR_FILENO);
	close(saved[1]);
	*events = '\0';
	ck_assert_ptr_nonnull(out);
	fflush(stdout);
	saved[0] = dup(STDOUT_FILENO);
	dup2(fileno(out), STDOUT_FILENO);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	dev_log_read(&l, &loop, log_end);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	fflush(stdout);
	dup2(saved[0], STDOUT_FILENO);
	close(saved[0]);
	rewind(out);
	n = fread(printed, 1, sizeof printed - 1, out);
	printed[n] = '\0';
	fclose(out);
}

static void read_log(void)
{
	read_log_of(NULL);
}

START_TEST(events_are_told_by_their_names_and_words)
{
	open_log();
	log_line(LOG_INFO, "http", "whatever the sentence is url=http://127.0.0.1:9464/");
	log_line(LOG_INFO, "worker_state", "some words worker=default/0.1 from=INITIALIZING to=READY");
	log_line(LOG_INFO, "worker_state", "some words worker=default/0.1 from=DEGRADED to=READY");
	log_line(LOG_INFO, "worker_state", "some words worker=default/0.1 from=READY to=TERMINATING reason=\"x to=READY\"");
	log_line(LOG_INFO, "joined", "words");
	log_line(LOG_INFO, "reload", "to=READY is said, and nothing more");
	read_log();
	ck_assert_str_eq(events, "http(http://127.0.0.1:9464/)ready(default/0.1)joined()over()");
	ck_assert_str_eq(printed, "");
}
END_TEST

START_TEST(trouble_is_shown_but_not_what_was_to_come)
{
	open_log();
	log_line(LOG_WARN, "worker_exit", "a worker ended worker=default/0.1 count=2 reason=\"recycled\"");
	log_line(LOG_WARN, "worker_exit", "a worker ended worker=default/0.1 count=2 reason=\"crash: was it recycled?\"");
	log_line(LOG_WARN, "worker_backoff", "a worker did not start worker=default/0.2");
	log_line(LOG_ERROR, "fenced", "another \"one\"");
	read_log();
	ck_assert_str_eq(events, "failed()over()");
	ck_assert_str_eq(printed,
		"  ! worker_exit: a worker ended worker=default/0.1 count=2 reason=\"crash: was it recycled?\"\n"
		"  ! worker_backoff: a worker did not start worker=default/0.2\n"
		"  ! fenced: another \"one\"\n");
}
END_TEST

START_TEST(what_the_application_wrote_is_shown_and_does_nothing_to_the_terminal)
{
	static const char foreign[] = "no line of the log\n{\"event\": 1}\n";

	open_log();
	log_line(LOG_INFO, "worker_stderr", "worker=default/0.1 %s", "caf\xc3\xa9 \"\\ \033[2J\ttab \xff");
	ck_assert_int_eq(write(STDERR_FILENO, foreign, strlen(foreign)), (ssize_t)strlen(foreign));
	read_log();
	ck_assert_str_eq(printed, "  | caf\xc3\xa9 \"\\ \\x1b[2J\\x09tab \xc3\xbf\nno line of the log\n{\"event\": 1}\n");
}
END_TEST

START_TEST(what_a_start_that_fails_again_says_is_not_shown_again)
{
	open_log();
	log_line(LOG_INFO, "worker_stderr", "worker=default/0.1 of the one that serves worker=default/0.2");
	log_line(LOG_INFO, "worker_stderr", "worker=default/0.2 a traceback");
	log_line(LOG_WARN, "worker_exit", "a worker ended worker=default/0.2 count=0 reason=\"exit 1\"");
	log_line(LOG_WARN, "worker_backoff", "a worker did not start worker=default/0.2 count=200 reason=\"exit 1\"");
	log_line(LOG_ERROR, "workers_cannot_start", "words");
	log_line(LOG_WARN, "worker_exit", "a worker ended worker=default/0.1 count=1 reason=\"crash\"");
	log_line(LOG_ERROR, "fenced", "another");
	read_log_of("default/0.1");
	ck_assert_str_eq(events, "failed(200)over()");
	ck_assert_str_eq(printed, "  | of the one that serves worker=default/0.2\n"
				  "  ! worker_exit: a worker ended worker=default/0.1 count=1 reason=\"crash\"\n"
				  "  ! fenced: another\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli_dev_log");
	TCase *tests = tcase_create("dev_log");
	SRunner *runner;
	int failed;

	tcase_add_test(tests, events_are_told_by_their_names_and_words);
	tcase_add_test(tests, trouble_is_shown_but_not_what_was_to_come);
	tcase_add_test(tests, what_the_application_wrote_is_shown_and_does_nothing_to_the_terminal);
	tcase_add_test(tests, what_a_start_that_fails_again_says_is_not_shown_again);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
