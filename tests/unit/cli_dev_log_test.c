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

static void say_state(const char *from, const char *to, const char *reason)
{
	const struct log_word words[] = {
		{.name = "worker", .text = SLICE("default/0.1")},
		{.name = "from", .text = slice_of(from)},
		{.name = "to", .text = slice_of(to)},
		{.name = "reason", .text = slice_of(reason), .quoted = true},
	};

	log_write(&(struct log_entry){.level = LOG_INFO, .event = "worker_state", .sentence = SLICE("words"), words, 4});
}

static void say_trouble(const char *event, const char *worker, int64_t count, const char *reason)
{
	const struct log_word words[] = {
		{.name = "worker", .text = slice_of(worker)},
		{.name = "count", .number = count},
		{.name = "reason", .text = slice_of(reason), .quoted = true},
	};

	log_write(&(struct log_entry){.level = LOG_WARN, .event = event, .sentence = SLICE("so it is"), words, 3});
}

static void say_written(const char *by, struct slice line)
{
	const struct log_word worker = {.name = "worker", .text = slice_of(by)};

	log_write(&(struct log_entry){LOG_INFO, "worker_stderr", line, &worker, 1, true, 0});
}

START_TEST(events_are_told_by_their_names_and_words)
{
	const struct log_word url = {.name = "url", .text = SLICE("http://127.0.0.1:9464/")};

	open_log();
	log_write(&(struct log_entry){LOG_INFO, "http", SLICE("whatever the sentence is"), &url, 1, false, 0});
	say_state("INITIALIZING", "READY", "it is up");
	say_state("DEGRADED", "READY", "it answers again");
	say_state("READY", "TERMINATING", "x to=READY");
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
	say_trouble("worker_exit", "default/0.1", 2, "recycled: exit 0");
	say_trouble("worker_exit", "default/0.1", 2, "crash: was it recycled?");
	say_trouble("worker_backoff", "default/0.2", 200, "exit 1");
	log_line(LOG_ERROR, "fenced", "another \"one\"");
	read_log();
	ck_assert_str_eq(events, "failed(200)over()");
	ck_assert_str_eq(printed, "  ! worker_exit: so it is worker=default/0.1 count=2 reason=\"crash: was it recycled?\"\n"
				  "  ! worker_backoff: so it is worker=default/0.2 count=200 reason=\"exit 1\"\n"
				  "  ! fenced: another \"one\"\n");
}
END_TEST

START_TEST(what_the_application_wrote_is_shown_and_does_nothing_to_the_terminal)
{
	static const char foreign[] = "no line of the log\n{\"event\": 1}\n";

	open_log();
	say_written("default/0.1", SLICE("caf\xc3\xa9 \"\\ \033[2J\ttab \xff"));
	say_written("default/0.1", SLICE("a\0b"));
	ck_assert_int_eq(write(STDERR_FILENO, foreign, strlen(foreign)), (ssize_t)strlen(foreign));
	read_log();
	ck_assert_str_eq(printed,
		"  | caf\xc3\xa9 \"\\ \\x1b[2J\\x09tab \xc3\xbf\n  | a\\x00b\nno line of the log\n{\"event\": 1}\n");
}
END_TEST

START_TEST(what_a_start_that_fails_again_says_is_not_shown_again)
{
	open_log();
	say_written("default/0.1", SLICE("of the one that serves worker=default/0.2"));
	say_written("default/0.2", SLICE("a traceback"));
	say_trouble("worker_exit", "default/0.2", 0, "exit 1");
	say_trouble("worker_backoff", "default/0.2", 200, "exit 1");
	log_line(LOG_ERROR, "workers_cannot_start", "words");
	say_trouble("worker_exit", "default/0.1", 1, "crash");
	log_line(LOG_ERROR, "fenced", "another");
	read_log_of("default/0.1");
	ck_assert_str_eq(events, "failed(200)over()");
	ck_assert_str_eq(printed, "  | of the one that serves worker=default/0.2\n"
				  "  ! worker_exit: so it is worker=default/0.1 count=1 reason=crash\n"
				  "  ! fenced: another\n");
}
END_TEST

START_TEST(where_none_serves_nothing_of_the_start_is_shown_again)
{
	open_log();
	say_trouble("worker_exit", "default/0.2", 0, "exit 1");
	log_line(LOG_ERROR, "workers_cannot_start", "words");
	log_line(LOG_ERROR, "fenced", "another");
	read_log_of("");
	ck_assert_str_eq(printed, "  ! fenced: another\n");
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
	tcase_add_test(tests, where_none_serves_nothing_of_the_start_is_shown_again);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
