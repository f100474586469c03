/* app_commands_test.c: the program from outside: its words, its exit codes, and requests through an embedded broker. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OUT_MAX = 1 << 20, WAIT_MS = 30000 };

static char program[512], directory[64], *out;

/* ---- processes ---- */

/* What was printed goes to stderr: it can be longer than check's messages may be. */
#define fail_with(...) (fprintf(stderr, "%s\n", out), ck_abort_msg(__VA_ARGS__))

/* Runs `$bridgepool ARGUMENTS` in a shell, keeps what it prints on both outputs in `out`. Returns its exit code. */
static int run(const char *arguments)
{
	char line[2048];
	FILE *pipe;
	size_t n;
	int status;

	snprintf(line, sizeof line, "cd %s && timeout 100 %s %s 2>&1 </dev/null", directory, program, arguments);
	pipe = popen(line, "r");
	ck_assert_ptr_nonnull(pipe);
	n = fread(out, 1, OUT_MAX - 1, pipe);
	out[n] = '\0';
	status = pclose(pipe);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void expect(const char *arguments, int code, const char *text)
{
	int got = run(arguments);

	if (got != code || !strstr(out, text))
		fail_with("bridgepool %s: exit code %d, not %d, or no \"%s\"", arguments, got, code, text);
}

/* What runs; a test that fails leaves some, and the fixture ends them. */
static pid_t running[4];

static void note_running(pid_t old, pid_t new)
{
	for (size_t i = 0; i < sizeof running / sizeof *running; i++)
		if (running[i] == old) {
			running[i] = new;
			return;
		}
}

static void end_running(void)
{
	for (size_t i = 0; i < sizeof running / sizeof *running; i++)
		if (running[i]) {
			kill(running[i], SIGKILL);
			waitpid(running[i], NULL, 0);
			running[i] = 0;
		}
}

/* A program that stays: argv ends with NULL; both outputs go to a file in the directory. */
static pid_t start(const char *file, const char *const *argv)
{
	pid_t pid;
	int fd;

	ck_assert_int_eq(chdir(directory), 0);
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	ck_assert_int_ge(fd, 0);
	pid = fork();
	if (pid == 0) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		execv(program, (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(fd);
	ck_assert_int_gt(pid, 0);
	note_running(0, pid);
	return pid;
}

static void read_file(const char *file)
{
	FILE *in = fopen(file, "r");
	size_t n = in ? fread(out, 1, OUT_MAX - 1, in) : 0;

	out[n] = '\0';
	if (in)
		fclose(in);
}

/* Until the file holds the text; it is what the process says about itself. */
static void await_text(pid_t pid, const char *file, const char *text)
{
	for (int ms = 0; ms < WAIT_MS; ms += 20) {
		read_file(file);
		if (strstr(out, text))
			return;
		if (waitpid(pid, NULL, WNOHANG) == pid) {
			note_running(pid, 0);
			fail_with("it ended before it said \"%s\"", text);
		}
		usleep(20 * 1000);
	}
	fail_with("it did not say \"%s\" in time", text);
}

static int stop(pid_t pid)
{
	int status;

	kill(pid, SIGTERM);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	note_running(pid, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- the embedded broker, and daemons on it ---- */

#define OUR_TOPICS "bridgepool.requests,bridgepool.results,bridgepool.health,bridgepool.dead-letters"

static char brokers[64];

static pid_t start_broker(void)
{
	const char *argv[] = {program, "broker", "--topics", OUR_TOPICS ",other,unserved", NULL};
	pid_t pid = start("broker.out", argv);

	await_text(pid, "broker.out", "\n");
	snprintf(brokers, sizeof brokers, "%.*s", (int)strcspn(out, "\n"), out);
	return pid;
}

static void write_config(const char *file, const char *topic, const char *command)
{
	char path[128];
	FILE *config;

	snprintf(path, sizeof path, "%s/%s", directory, file);
	config = fopen(path, "w");
	ck_assert_ptr_nonnull(config);
	fprintf(config,
		"kafka = { brokers = \"%s\"; group = \"%s\"; start_timeout = \"20s\"; consumer_properties = [ \"fetch.wait.max.ms=5\" ]; };\n"
		"sources = ( { topic = \"%s\"; } );\n"
		"pools = ( { name = \"default\"; command = [ %s ]; size = 2; } );\n"
		"limits = { request = \"1KiB\"; };\n",
		brokers, topic, topic, command);
	ck_assert_int_eq(fclose(config), 0);
}

static pid_t start_daemon(const char *config, const char *topic, const char *log)
{
	const char *argv[] = {program, "run", "-c", config, NULL};
	char command[600];

	snprintf(command, sizeof command, "\"%s\", \"mock-worker\"", program);
	write_config(config, topic, command);
	return start(log, argv);
}

/* ---- words ---- */

START_TEST(every_command_tells_about_itself)
{
	expect("--help", 0, "kafka.brokers");
	expect("version", 0, "librdkafka");
	expect("run --help", 0, "pools[].command");
	expect("submit --help", 0, "--session");
	ck_assert_ptr_nonnull(strstr(out, "the pool that the topic's source must have"));
	expect("tail --help", 0, "--until-end");
	expect("topics --help", 0, "--partitions");
	expect("check --help", 0, "--config");
	expect("watch --help", 0, "--once");
	expect("reload --help", 0, "--pid");
	expect("broker --help", 0, "--topics");
	expect("demo --help", 0, "--keep");
	ck_assert_ptr_nonnull(strstr(out, "Takes a few seconds."));
	expect("mock-worker --help", 0, "--crash");
	expect("help submit", 0, "--session");
	expect("man", 0, ".SH EXIT STATUS");
	ck_assert_ptr_nonnull(strstr(out, "kafka.brokers"));
}
END_TEST

START_TEST(a_daemon_that_waits_for_a_broker_does_not_reload)
{
	char line[64];
	pid_t daemon;

	strcpy(brokers, "127.0.0.1:1");
	daemon = start_daemon("waiting.cfg", "waiting", "waiting.log");
	await_text(daemon, "waiting.log", "no broker answers, waiting for one");
	expect("reload -c waiting.cfg", 78, "refused: the daemon still waits for a broker");
	snprintf(line, sizeof line, "reload --pid %d", (int)daemon);
	expect(line, 78, "refused: the daemon still waits for a broker");
	ck_assert_int_eq(stop(daemon), 0);
	expect("reload -c waiting.cfg", 1, "no daemon runs with waiting.cfg");
}
END_TEST

START_TEST(a_log_at_its_limit_is_not_the_end_of_the_daemon)
{
	const struct rlimit none = {1, 1};
	pid_t daemon;

	strcpy(brokers, "127.0.0.1:1");
	daemon = start_daemon("waiting.cfg", "waiting", "waiting.log");
	await_text(daemon, "waiting.log", "no broker answers, waiting for one");
	ck_assert_int_eq(prlimit(daemon, RLIMIT_FSIZE, &none, NULL), 0);
	expect("reload -c waiting.cfg", 78, "refused: the daemon still waits for a broker"); /* which the log is told, too */
	ck_assert_int_eq(stop(daemon), 0);
}
END_TEST

static void expect_no_reload(pid_t pid)
{
	char line[64], text[128];

	snprintf(line, sizeof line, "reload --pid %d", (int)pid);
	snprintf(text, sizeof text, "process %d is not seen to be a `bridgepool run`; it got no signal", (int)pid);
	expect(line, 1, text);
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
}

/* A file with a process's number can be older than the process. */
START_TEST(a_process_that_is_no_daemon_gets_no_signal)
{
	pid_t other = fork(), broker;

	if (other == 0) {
		execv("/bin/sleep", (char *const[]){(char[]){"sleep"}, (char[]){"600"}, NULL});
		_exit(127);
	}
	note_running(0, other);
	expect_no_reload(other);
	kill(other, SIGKILL);
	ck_assert_int_eq(waitpid(other, NULL, 0), other);
	note_running(other, 0);
	expect("reload --pid 2147483647", 1, "process 2147483647 cannot be signalled: No such process");
	broker = start_broker(); /* ours, and no daemon */
	expect_no_reload(broker);
	ck_assert_int_eq(stop(broker), 0);
}
END_TEST

START_TEST(wrong_usage_is_exit_code_64)
{
	expect("", 64, "Usage:");
	expect("walk", 64, "there is no command \"walk\"");
	ck_assert_ptr_nonnull(strstr(out, "Usage:"));
	expect("chek", 64, "there is no command \"chek\"; did you mean check?");
	ck_assert_ptr_null(strstr(out, "Usage:"));
	expect("rnu", 64, "there is no command \"rnu\"; did you mean run?");
	expect("run --walk", 64, "walk");
	expect("run now", 64, "now");
	expect("watch --since soon", 64, "\"soon\" is no time");
	expect("reload --pid one", 64, "\"one\" is no process");
	expect("reload -c /nonexistent.cfg", 1, "no daemon runs with /nonexistent.cfg");
	expect("submit", 64, "either a command or --file");
	expect("submit -b x --args '[1]' echo", 64, "no JSON object");
	expect("submit -b x --timeout soon echo", 64, "soon");
	expect("submit -b x --timeout 0 echo", 64, "--timeout: \"0\"");
	expect("submit -b x --file /nonexistent/requests", 64, "/nonexistent/requests");
	expect("submit -b x --session \"$(printf '\\377')\" echo", 64, "--session: the text is not UTF-8");
	expect("submit -b x echo a=\"$(printf '\\377')\"", 64, "argument 4 is not UTF-8");
	expect("tail", 64, "name one topic");
	expect("topics --partitions 0", 64, "--partitions: \"0\" is no number from 1 to 10000");
	expect("topics --replication few", 64, "--replication: \"few\" is no number");
}
END_TEST

START_TEST(output_that_nobody_gets_is_a_failure)
{
	expect("version >/dev/full", 1, "");
	expect("broker >/dev/full", 70, "");
}
END_TEST

START_TEST(wrong_configuration_is_exit_code_78_and_told_all_at_once)
{
	FILE *file;
	char path[128];

	snprintf(path, sizeof path, "%s/wrong.cfg", directory);
	file = fopen(path, "w");
	fprintf(file, "kafka = { brokers = 7; };\npools = ( { name = \"default\"; size = 0; } );\nwalk = 1;\n");
	fclose(file);
	expect("run -c wrong.cfg", 78, "wrong.cfg:1");
	ck_assert_ptr_nonnull(strstr(out, "pools"));
	ck_assert_ptr_nonnull(strstr(out, "walk"));
	expect("run -c nonexistent.cfg", 78, "nonexistent.cfg");
	expect("check -c wrong.cfg", 78, "wrong.cfg:1");
}
END_TEST

START_TEST(no_broker_is_exit_code_69)
{
	char both[700];

	expect("submit -b 127.0.0.1:1 --timeout 1s echo", 69, "bridgepool submit: no broker of 127.0.0.1:1 answers: ");
	ck_assert_ptr_nonnull(strstr(out, "Connection refused (after"));
	ck_assert_ptr_null(strstr(out, "waiting"));
	expect("submit -b 127.0.0.1:1 --timeout 3s echo", 69,
		"bridgepool submit: waiting for a broker at 127.0.0.1:1 ...\nbridgepool submit: no broker of 127.0.0.1:1 answers: ");
	snprintf(both, sizeof both, "tail -b 127.0.0.1:1 results 2>&1 & %s watch -b 127.0.0.1:1 --once 2>&1; wait $!", program);
	expect(both, 69, "bridgepool tail: no broker of 127.0.0.1:1 answers: ");
	ck_assert_ptr_nonnull(strstr(out, "bridgepool watch: no broker of 127.0.0.1:1 answers: "));
}
END_TEST

START_TEST(topics_can_be_printed_for_an_administrator)
{
	expect("topics --print --partitions 6 --replication 3 -b host:9092", 0, "--partitions 6 --replication-factor 3");
	ck_assert_ptr_nonnull(strstr(out, "--topic bridgepool.dead-letters"));
	ck_assert_ptr_nonnull(strstr(out, "--operation Read --group bridgepool"));
}
END_TEST

/* ---- requests to one daemon ---- */

static pid_t broker, worked, idle;

/* One that the commands find by themselves, and one with nothing to do; they join their groups at the same time. */
static void serve(void)
{
	broker = start_broker();
	worked = start_daemon("bridgepool.cfg", "bridgepool.requests", "worked.out");
	idle = start_daemon("idle.cfg", "other", "idle.out");
	await_text(worked, "worked.out", " joined ");
	await_text(idle, "idle.out", " joined ");
}

START_TEST(requests_go_round_in_either_encoding)
{
	expect("submit --session s1 echo n=0.10 name=x", 0, "\"status\":\"OK\"");
	ck_assert_ptr_nonnull(strstr(out, "\"n\":0.10")); /* digits are kept */
	ck_assert_ptr_nonnull(strstr(out, "\"session_new\":true"));
	expect("submit --session s1 --encoding avro echo", 0, "\"session_new\":false");
	expect("submit fail", 1, "\"status\":\"ERROR\"");
	expect("submit ping", 1, "\"status\":\"REJECTED\"");
	expect("submit --session s1 --epoch nobody echo", 1, "\"status\":\"SESSION_LOST\"");
	expect("tail results --until-end", 0, "\"status\":\"SESSION_LOST\"");
	expect("tail health --until-end", 0, "\"kind\":\"WORKER_STATE\"");
	expect("tail requests --until-end -n 1 --meta", 0, "\"partition\":");
	expect("check", 0, "answered its first ping");
	expect("check --no-workers --set pools[0].resident_limit=\"1000TiB\"", 0, "all workers together may use ");
	expect("check --no-workers --set 'schemas.extra=[\"/nonexistent\"]'", 78, "FAIL  schemas: ");
	ck_assert_ptr_nonnull(strstr(out, "/nonexistent: No such file or directory"));
}
END_TEST

START_TEST(what_is_too_large_is_a_dead_letter_that_tail_shows)
{
	char arguments[2048], pad[1200];

	memset(pad, 'x', sizeof pad - 1);
	pad[sizeof pad - 1] = '\0';
	snprintf(arguments, sizeof arguments, "submit --session big echo pad=%s", pad);
	expect(arguments, 1, "\"code\":\"TOO_LARGE\"");
	expect("tail dead-letters --until-end", 0, "\"bridgepool.error.code\":\"TOO_LARGE\"");
	ck_assert_ptr_nonnull(strstr(out, "\"key\":\"big\""));
	ck_assert_ptr_nonnull(strstr(out, pad));
}
END_TEST

START_TEST(a_file_of_requests_is_answered_line_by_line)
{
	char path[128];
	FILE *file;
	int answers = 0;

	snprintf(path, sizeof path, "%s/requests", directory);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	for (int i = 0; i < 100; i++)
		fprintf(file, "{\"request_id\":\"line-%d\",\"session_id\":\"s%d\",\"command\":\"echo\",\"args\":{\"i\":%d}}\n\n",
			i, i % 7, i);
	fclose(file);
	expect("submit --file requests --timeout 20s", 0, "\"request_id\":\"line-99\"");
	for (const char *at = out; (at = strstr(at, "\"status\":\"OK\"")); at++)
		answers++;
	ck_assert_int_eq(answers, 100);
}
END_TEST

/* What the program said of the request with that id, a line, has the text. */
static void expect_member(const char *id, const char *text)
{
	char wanted[64];
	const char *line, *found;

	snprintf(wanted, sizeof wanted, "\"request_id\":\"%s\"", id);
	line = strstr(out, wanted);
	found = line ? strstr(line, text) : NULL;
	if (!found || found > line + strcspn(line, "\n"))
		fail_with("%s has no %s", id, text);
}

static void write_text(const char *file, const char *text)
{
	FILE *to = fopen(file, "w");

	ck_assert_ptr_nonnull(to);
	fputs(text, to);
	ck_assert_int_eq(fclose(to), 0);
}

/* Whoever serves the topic later sees that nobody waits any more. */
START_TEST(a_request_does_not_outlive_its_client)
{
	expect("submit --topic unserved --timeout 1ms --request-id soon echo", 75,
		"1 of 1 results did not come within --timeout; sent to unserved, awaited on bridgepool.results; see `bridgepool watch --once`");
	ck_assert_ptr_nonnull(strstr(out, "any other is over now"));
	write_text("own", "{\"request_id\":\"none\",\"command\":\"echo\"}\n"
			  "{\"request_id\":\"time\",\"command\":\"echo\",\"timeout_ms\":77}\n"
			  "{\"request_id\":\"end\",\"command\":\"echo\",\"deadline\":88}\n");
	expect("submit --topic unserved --timeout 20ms -f own", 75, "3 of 3 results");
	expect("tail unserved --until-end", 0, "\"request_id\":\"soon\"");
	expect_member("soon", "\"timeout_ms\":1,");
	expect_member("none", "\"timeout_ms\":20,");
	expect_member("time", "\"timeout_ms\":77,");
	expect_member("end", "\"timeout_ms\":null,");
}
END_TEST

/* Its time is submit's own: the daemon's word that it is over comes a little later. */
START_TEST(a_request_over_its_time_is_told_as_such)
{
	expect("submit --timeout 10ms sleep ms=1000", 1, "\"status\":");
	ck_assert(strstr(out, "\"TIMEOUT\"") || strstr(out, "\"EXPIRED\"")); /* while it ran, or before */
}
END_TEST

START_TEST(a_signal_drains_and_ends_well)
{
	ck_assert_int_eq(stop(idle), 0);
	read_file("idle.out");
	ck_assert_ptr_nonnull(strstr(out, "to=STOPPED reason=\"drained\""));
}
END_TEST

/* The last of these: it ends what serves the others. */
START_TEST(a_second_signal_stops_at_once)
{
	/* A run that lasts: the drain has to wait for it. */
	write_text("long", "{\"command\":\"sleep\",\"args\":{\"ms\":30000},\"timeout_ms\":60000}\n");
	expect("submit --timeout 1s -f long", 75, "did not come within --timeout");
	kill(worked, SIGTERM);
	await_text(worked, "worked.out", "to=DRAINING");
	ck_assert_int_eq(stop(worked), 70);
	read_file("worked.out");
	ck_assert_ptr_nonnull(strstr(out, "stopped_at_once"));
	ck_assert_int_eq(stop(broker), 0);
}
END_TEST

/* ---- processes of their own ---- */

START_TEST(workers_that_cannot_start_are_exit_code_78_before_the_group_is_joined)
{
	broker = start_broker();
	write_config("bridgepool.cfg", "bridgepool.requests", "\"/bin/sh\", \"-c\", \"echo this is why >&2; exit 3\"");
	expect("run", 78, "cannot start");
	ck_assert_ptr_nonnull(strstr(out, "this is why"));
	ck_assert_ptr_null(strstr(out, " joined "));
	expect("check", 78, "it ended with exit code 3; its last line: this is why\n      -> run pools[].command by hand");
	ck_assert_ptr_nonnull(strstr(out, "workers get only PATH, HOME and the like, and what pools[].pass_environment names"));
	expect("check --set 'pools[0].command=[\"true\"]'", 78, "it ended with exit code 0\n      -> it is no worker");
	ck_assert_ptr_nonnull(strstr(out, "python3 -m bridgepool.worker app:app"));
	expect("check --set 'pools[0].command=[\"echo\", \"hi\"]'", 78, "it ended with exit code 0\n      -> it is no worker");
	expect("check --set 'pools[0].command=[\"python3\", \"-IS\", \"-m\", \"bridgepool.worker\"]'", 78,
		"-> that Python lacks the package: python3 -m pip install ");
	ck_assert_int_eq(stop(broker), 0);
}
END_TEST

START_TEST(what_workers_shall_get_and_is_not_there_is_told)
{
	broker = start_broker();
	write_config("bridgepool.cfg", "bridgepool.requests", "\"sh\", \"-c\", \"exit 3\"");
	expect("check --no-workers --set 'pools[0].pass_environment=[\"NOWHERE\", \"PATH\", \"NO_*\"]'", 0,
		"warn  pool \"default\": its pass_environment names NOWHERE, which is not set here");
	ck_assert_ptr_null(strstr(out, "names PATH"));
	ck_assert_ptr_null(strstr(out, "names NO_*"));
	expect("check --no-workers --set 'pools[0].pass_environment=[\"NOWHERE\"]' --set 'pools[0].environment=[\"NOWHERE=1\"]'",
		0, "configuration");
	ck_assert_ptr_null(strstr(out, "NOWHERE"));
	expect("run --set 'pools[0].pass_environment=[\"NOWHERE\"]'", 78,
		"its pass_environment names NOWHERE, which is not set here");
	ck_assert_int_eq(stop(broker), 0);
}
END_TEST

START_TEST(the_demo_goes_as_it_tells)
{
	expect("demo --dir demo", 0, "All went as told");
	ck_assert_ptr_nonnull(strstr(out, "SESSION_LOST"));
	ck_assert_ptr_nonnull(strstr(out, "WORKER_EXIT"));
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
	TCase *tests = tcase_create(name);

	tcase_set_timeout(tests, 110);
	suite_add_tcase(suite, tests);
	return tests;
}

static Suite *make_suite(void)
{
	Suite *suite = suite_create("app_commands");
	TCase *words = add_case(suite, "words"), *served = add_case(suite, "served"),
	      *own = add_case(suite, "processes of their own");

	tcase_add_test(words, every_command_tells_about_itself);
	tcase_add_test(words, wrong_usage_is_exit_code_64);
	tcase_add_test(words, a_daemon_that_waits_for_a_broker_does_not_reload);
	tcase_add_test(words, a_log_at_its_limit_is_not_the_end_of_the_daemon);
	tcase_add_test(words, a_process_that_is_no_daemon_gets_no_signal);
	tcase_add_test(words, output_that_nobody_gets_is_a_failure);
	tcase_add_test(words, wrong_configuration_is_exit_code_78_and_told_all_at_once);
	tcase_add_test(words, no_broker_is_exit_code_69);
	tcase_add_test(words, topics_can_be_printed_for_an_administrator);
	tcase_add_unchecked_fixture(served, serve, end_running);
	tcase_add_test(served, requests_go_round_in_either_encoding);
	tcase_add_test(served, what_is_too_large_is_a_dead_letter_that_tail_shows);
	tcase_add_test(served, a_file_of_requests_is_answered_line_by_line);
	tcase_add_test(served, a_request_does_not_outlive_its_client);
	tcase_add_test(served, a_request_over_its_time_is_told_as_such);
	tcase_add_test(served, a_signal_drains_and_ends_well);
	tcase_add_test(served, a_second_signal_stops_at_once);
	tcase_add_checked_fixture(own, NULL, end_running);
	tcase_add_test(own, workers_that_cannot_start_are_exit_code_78_before_the_group_is_joined);
	tcase_add_test(own, what_workers_shall_get_and_is_not_there_is_told);
	tcase_add_test(own, the_demo_goes_as_it_tells);
	return suite;
}

static void remove_directory(void)
{
	char line[128];

	snprintf(line, sizeof line, "rm -rf %s", directory);
	if (system(line) != 0)
		fprintf(stderr, "%s is left\n", directory);
}

int main(void)
{
	const char *build = getenv("BUILD_DIR");
	SRunner *runner;
	int failed;

	snprintf(program, sizeof program, "%s/bridgepool", build ? build : ".");
	if (access(program, X_OK) != 0) {
		fprintf(stderr, "%s: %s; BUILD_DIR must name where the program was built\n", program, strerror(errno));
		return EXIT_FAILURE;
	}
	snprintf(directory, sizeof directory, "/tmp/bridgepool-commands-XXXXXX");
	if (!mkdtemp(directory))
		return EXIT_FAILURE;
	out = malloc(OUT_MAX);
	runner = srunner_create(make_suite());
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	free(out);
	remove_directory();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
