/* base_log_test.c: the log when its reader stands still: lines are left out and counted, and nobody waits. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "bridgepool/base/clock.h"
#include "bridgepool/base/log.h"

enum { HEARD_MAX = 4 << 20, LIMIT_S = 20 };

static int saved, reader;
static char heard[HEARD_MAX];

/* ---- stderr is something else ---- */

/* What is there so far is added to `heard`. */
static void listen_on(size_t *n)
{
	int flags = fcntl(reader, F_GETFL);
	ssize_t got;

	fcntl(reader, F_SETFL, flags | O_NONBLOCK);
	while ((got = read(reader, heard + *n, HEARD_MAX - 1 - *n)) > 0)
		*n += (size_t)got;
	fcntl(reader, F_SETFL, flags);
	heard[*n] = '\0';
}

static void open_log(int read_end, int write_end)
{
	size_t n = 0;

	saved = dup(STDERR_FILENO);
	ck_assert_int_ge(dup2(write_end, STDERR_FILENO), 0);
	close(write_end);
	reader = read_end;
	log_setup(LOG_INFO, LOG_TEXT);
	log_line(LOG_INFO, "begin", "what another test has left");
	listen_on(&n);
	alarm(LIMIT_S); /* a write that waits is a failure, and would wait for ever */
}

static void close_log(void)
{
	alarm(0);
	log_setup(LOG_INFO, LOG_TEXT);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(reader);
}

static void open_pipe(void)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	open_log(ends[0], ends[1]);
}

static void open_socket(void)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	open_log(ends[0], ends[1]);
}

static void open_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), terminal;
	struct termios t;

	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
	ck_assert_int_ge(terminal, 0);
	ck_assert_int_eq(tcgetattr(terminal, &t), 0);
	t.c_oflag &= ~(tcflag_t)OPOST; /* no \r before a \n */
	ck_assert_int_eq(tcsetattr(terminal, TCSANOW, &t), 0);
	open_log(master, terminal);
}

/* Lines until some are left out; returns how many were said. */
static unsigned flood(void)
{
	enum { LINES = 4000 };
	static char filler[200];

	memset(filler, 'x', sizeof filler - 1);
	for (unsigned i = 0; i < LINES; i++)
		log_line(LOG_INFO, "flood", "number=%u %s.", i, filler);
	return LINES;
}

/* Each line that is heard is whole; those of the flood are in order, and what is missing between them is told where it is
 * missing. Returns how many are missing. */
static unsigned check_flood(unsigned said)
{
	unsigned next = 0, missing = 0, some, number;
	char *end, *line;

	for (line = heard; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		if (sscanf(line, "%*s info flood number=%u", &number) == 1) {
			ck_assert_uint_eq(number, next);
			ck_assert_msg(end[-1] == '.' && end - line > 200 && end - line < 300, "%s", line);
			next++;
		} else if (sscanf(line, "%*s warn log %u lines", &some) == 1) {
			ck_assert_ptr_nonnull(strstr(line, " lines were left out: nobody read the log"));
			missing += some;
			next += some;
		} else {
			ck_assert_ptr_nonnull(strstr(line, " later it is read again"));
		}
	}
	ck_assert_str_eq(line, "");
	ck_assert_uint_eq(next, said);
	return missing;
}

static void check_nobody_reads(void (*open)(void))
{
	unsigned said, missing;
	size_t n = 0;

	open();
	said = flood();
	listen_on(&n);
	log_line(LOG_INFO, "later", "it is read again");
	listen_on(&n);
	close_log();
	ck_assert_ptr_nonnull(strstr(heard, " later it is read again\n"));
	missing = check_flood(said);
	ck_assert_uint_gt(missing, 10);
	ck_assert_uint_lt(missing, said - 10);
}

START_TEST(a_pipe_that_nobody_reads_holds_nobody_up)
{
	check_nobody_reads(open_pipe);
}
END_TEST

START_TEST(a_socket_that_nobody_reads_holds_nobody_up)
{
	check_nobody_reads(open_socket);
}
END_TEST

START_TEST(a_terminal_that_nobody_reads_holds_nobody_up)
{
	check_nobody_reads(open_terminal);
}
END_TEST

START_TEST(a_pipe_that_cannot_be_opened_again_holds_nobody_up)
{
	struct rlimit before, none;

	getrlimit(RLIMIT_NOFILE, &before);
	none = (struct rlimit){3, before.rlim_max};
	open_pipe();
	setrlimit(RLIMIT_NOFILE, &none);
	flood();
	setrlimit(RLIMIT_NOFILE, &before);
	close_log();
}
END_TEST

START_TEST(whom_else_the_pipe_belongs_to_is_not_disturbed)
{
	open_pipe();
	flood();
	ck_assert_int_eq(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
	close_log();
}
END_TEST

/* ---- the length of a line ---- */

static void check_long(enum log_format format, char byte, const char *end)
{
	static char text[20000];
	size_t n = 0;

	memset(text, byte, sizeof text - 1);
	open_pipe();
	log_setup(LOG_INFO, format);
	log_line(LOG_INFO, "long", "%s", text);
	listen_on(&n);
	close_log();
	ck_assert_uint_le(n, 4096);
	ck_assert_uint_gt(n, 4096 - 32);
	ck_assert_str_eq(heard + n - strlen(end), end);
}

START_TEST(a_line_with_all_that_is_around_it_fits_into_a_pipe_at_once)
{
	check_long(LOG_TEXT, 'x', "xx...\n");
	check_long(LOG_TEXT, '\1', "\\x01...\n");
	check_long(LOG_JSON, 'x', "xx...\"}\n");
	check_long(LOG_JSON, '\1', "\\u0001...\"}\n");
}
END_TEST

/* ---- words ---- */

static const struct log_word words[] = {
	{.name = "worker", .text = SLICE("default/0.1")},
	{.name = "count", .number = -3},
	{.name = "reason", .text = SLICE("it said \"no\" \n\xff"), .quoted = true},
};

/* Without its time. */
static const char *said(enum log_format format, struct log_entry e)
{
	size_t n = 0;

	e.level = LOG_WARN;
	e.event = "event";
	open_pipe();
	log_setup(LOG_INFO, format);
	log_write(&e);
	listen_on(&n);
	close_log();
	ck_assert_uint_le(n, 4096);
	return strchr(heard, format == LOG_JSON ? ',' : ' ') + 1;
}

START_TEST(words_stand_behind_the_sentence_or_are_members)
{
	struct log_entry e = {.sentence = SLICE("a \"sentence\""), .words = words, .nwords = 3};

	ck_assert_str_eq(said(LOG_TEXT, e),
		"warn  event a \"sentence\" worker=default/0.1 count=-3 reason=\"it said \\\"no\\\" \\x0a\\xff\"\n");
	ck_assert_str_eq(said(LOG_JSON, e),
		"\"level\":\"warn\",\"event\":\"event\",\"message\":\"a \\\"sentence\\\"\",\"worker\":\"default/0.1\",\"count\":-3,"
		"\"reason\":\"it said \\\"no\\\" \\u000a\\u00ff\"}\n");
	e.left_out = 7;
	ck_assert_ptr_nonnull(strstr(said(LOG_TEXT, e), "\\xff\" (7 lines like this were left out)\n"));
	ck_assert_ptr_nonnull(strstr(said(LOG_JSON, e), "\\u00ff\",\"left_out\":7}\n"));
	e = (struct log_entry){.sentence = SLICE("what it\0wrote"), .words = words, .nwords = 1, .words_first = true};
	ck_assert_str_eq(said(LOG_TEXT, e), "warn  event worker=default/0.1 what it\\x00wrote\n");
	ck_assert_ptr_nonnull(strstr(said(LOG_JSON, e), "\"message\":\"what it\\u0000wrote\",\"worker\":\"default/0.1\"}\n"));
}
END_TEST

START_TEST(what_is_too_long_is_cut_and_the_line_keeps_its_form)
{
	static char text[20000];
	struct log_word both[] = {{.name = "reason", .text = {text, sizeof text}, .quoted = true}, {.name = "left", .number = 1}};
	struct log_entry e = {.sentence = {text, sizeof text}, .words = both, .nwords = 2};

	for (int byte = 1; byte < 'y'; byte += 'w') { /* six bytes each, and one */
		memset(text, byte, sizeof text);
		ck_assert_ptr_nonnull(strstr(said(LOG_JSON, e), "...\",\"reason\":\""));
		ck_assert_ptr_nonnull(strstr(heard, "...\",\"left\":1}\n"));
		ck_assert_uint_gt(strlen(heard), 4096 - 32);
		ck_assert_ptr_nonnull(strstr(said(LOG_TEXT, e), "...\n"));
	}
}
END_TEST

/* ---- a file that is full ---- */

START_TEST(a_file_that_is_full_is_told_when_there_is_room_again)
{
	char path[] = "/tmp/bridgepool-log-XXXXXX";
	struct rlimit before, small;
	size_t n = 0;
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	getrlimit(RLIMIT_FSIZE, &before);
	small = (struct rlimit){10000, before.rlim_max};
	open_log(open(path, O_RDONLY), fd);
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	flood();
	setrlimit(RLIMIT_FSIZE, &before);
	log_line(LOG_INFO, "later", "there is room");
	listen_on(&n);
	close_log();
	unlink(path);
	ck_assert_ptr_nonnull(strstr(heard, " flood number=20 "));
	ck_assert_ptr_nonnull(strstr(heard, " lines were left out: File too large\n"));
	ck_assert_ptr_nonnull(strstr(heard, " later there is room\n"));
}
END_TEST

/* ---- threads ---- */

enum { THREADS = 4, EACH = 2000 };

static void *say_much(void *arg)
{
	for (int i = 0; i < EACH; i++)
		log_line(LOG_INFO, "much", "thread=%d number=%d .", *(int *)arg, i);
	return NULL;
}

START_TEST(lines_of_several_threads_are_whole_and_none_is_forgotten)
{
	int names[THREADS], thread, number;
	unsigned came = 0, left_out = 0, some;
	pthread_t threads[THREADS];
	size_t n = 0;

	open_pipe();
	for (int i = 0; i < THREADS; i++) {
		names[i] = i;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, say_much, &names[i]), 0);
	}
	for (int i = 0; i < 50; i++) {
		usleep(200);
		listen_on(&n);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	listen_on(&n);
	log_line(LOG_INFO, "end", "that is all");
	listen_on(&n);
	close_log();
	for (char *line = heard, *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		if (sscanf(line, "%*s info much thread=%d number=%d .", &thread, &number) == 2)
			came++;
		else if (sscanf(line, "%*s warn log %u lines were left out", &some) == 1)
			left_out += some;
		else
			ck_assert_msg(strstr(line, " end that is all") != NULL, "%s", line);
	}
	ck_assert_uint_eq(came + left_out, THREADS * EACH);
}
END_TEST

/* ---- the end ---- */

static void *read_late(void *arg)
{
	usleep(100 * 1000);
	listen_on(arg);
	return NULL;
}

START_TEST(the_last_lines_wait_a_little_for_a_slow_reader)
{
	pthread_t thread;
	size_t n = 0;

	open_pipe();
	flood();
	log_patience(10 * SECOND_US);
	ck_assert_int_eq(pthread_create(&thread, NULL, read_late, &n), 0);
	log_line(LOG_INFO, "end", "the last words");
	pthread_join(thread, NULL);
	listen_on(&n);
	close_log();
	ck_assert_ptr_nonnull(strstr(heard, " lines were left out: nobody read the log\n"));
	ck_assert_ptr_nonnull(strstr(heard, " end the last words\n"));
	log_patience(0);
}
END_TEST

START_TEST(the_last_lines_do_not_wait_long)
{
	int64_t begun;

	open_pipe();
	flood();
	begun = clock_mono_us();
	log_patience(200 * MS_US);
	for (int i = 0; i < 10; i++)
		log_line(LOG_INFO, "end", "the last words");
	ck_assert_int_ge(clock_mono_us() - begun, 200 * MS_US);
	ck_assert_int_lt(clock_mono_us() - begun, 2 * SECOND_US);
	close_log();
	log_patience(0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("base_log");
	TCase *tests = tcase_create("log");
	SRunner *runner;
	int failed;

	tcase_add_test(tests, a_pipe_that_nobody_reads_holds_nobody_up);
	tcase_add_test(tests, a_socket_that_nobody_reads_holds_nobody_up);
	tcase_add_test(tests, a_terminal_that_nobody_reads_holds_nobody_up);
	tcase_add_test(tests, a_pipe_that_cannot_be_opened_again_holds_nobody_up);
	tcase_add_test(tests, whom_else_the_pipe_belongs_to_is_not_disturbed);
	tcase_add_test(tests, a_line_with_all_that_is_around_it_fits_into_a_pipe_at_once);
	tcase_add_test(tests, words_stand_behind_the_sentence_or_are_members);
	tcase_add_test(tests, what_is_too_long_is_cut_and_the_line_keeps_its_form);
	tcase_add_test(tests, a_file_that_is_full_is_told_when_there_is_room_again);
	tcase_add_test(tests, lines_of_several_threads_are_whole_and_none_is_forgotten);
	tcase_add_test(tests, the_last_lines_wait_a_little_for_a_slow_reader);
	tcase_add_test(tests, the_last_lines_do_not_wait_long);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
