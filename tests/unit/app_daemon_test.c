/* app_daemon_test.c: the daemon's whole life in one process: embedded broker, mock workers, a client in a second thread. */
#include <check.h>
#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bridgepool/app/daemon.h"
#include "bridgepool/app/reload_word.h"
#include "bridgepool/kafka/client.h"
#include "bridgepool/kafka/embedded.h"
#include "bridgepool/wire/codec.h"
#include "bridgepool/wire/json.h"
#include "failing_uv.h"

enum { REQUESTS = 60, SESSIONS = 6, REPLY_MS = 30000, REASON = 512 };

static const char *const topics[] = {"bridgepool.requests", "bridgepool.results", "bridgepool.health", "bridgepool.dead-letters",
	NULL};

/* A file that holds this configuration and no more. */
static void write_config(char path[64], const char *format, const char *brokers)
{
	int fd;
	FILE *out;

	snprintf(path, 64, "/tmp/bridgepool-test-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	out = fdopen(fd, "w");
	ck_assert_ptr_nonnull(out);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	fprintf(out, format, brokers);
#pragma GCC diagnostic pop
	ck_assert_int_eq(fclose(out), 0);
}

static void load(struct settings *s, const char *format, const char *brokers)
{
	struct buf errors;
	char path[64];

	write_config(path, format, brokers);
	buf_init(&errors, 65536);
	if (!settings_load(path, NULL, 0, s, &errors))
		ck_abort_msg("%.*s", (int)errors.len, (const char *)errors.data);
	buf_free(&errors);
	unlink(path);
}

/* On the embedded broker, who joins a group that somebody has just left waits until nearly a session timeout is over. */
static const char mock_pool[] =
	"kafka = { brokers = \"%s\"; start_timeout = \"20s\";\n"
	"consumer_properties = [ \"fetch.wait.max.ms=5\", \"session.timeout.ms=6000\", \"heartbeat.interval.ms=500\" ]; };\n"
	"pools = ( { name = \"default\"; adapter = \"mock\"; command = [ \"unused\" ]; size = 2; } );\n"
	"drain = { shutdown = \"5s\"; };\nlog = { level = \"warn\"; };\n";

/* ---- the client's thread: what it does once the daemon is ready, and what it saw ---- */

struct client_side {
	pthread_t thread;
	bool started;
	const char *brokers;
	int send;             /* requests to send; then a signal ends the daemon */
	int answers;          /* results seen */
	int wrong;            /* results that are not OK, not ours, or out of order in their session */
	int last[SESSIONS];   /* newest number seen, by session */
	char trouble[REASON]; /* what the client itself met */
};

static bool send_requests(struct client_side *c, struct client *client)
{
	char session[16], value[256];

	for (int i = 0; i < c->send; i++) {
		snprintf(session, sizeof session, "s%d", i % SESSIONS);
		snprintf(value, sizeof value,
			"{\"request_id\":\"%d\",\"session_id\":\"%s\",\"command\":\"echo\",\"args\":{\"n\":%d}}", i, session, i);
		if (!client_send(client, topics[0], slice_of(session), slice_of(value), (struct slice){NULL, 0}, c->trouble,
			    REASON))
			return false;
	}
	return client_flush(client, REPLY_MS, c->trouble, REASON);
}

static void take_result(struct client_side *c, struct codec *codec, struct slice value)
{
	struct json_member m[] = {{.name = "request_id"}, {.name = "status"}, {.name = "final"}};
	struct buf json;
	char why[REASON];
	int number;

	buf_init(&json, 1 << 20);
	c->answers++;
	if (!codec_to_json(codec, value, &json, why, sizeof why) ||
		!json_read_object(buf_slice(&json), m, 3, 64, why, sizeof why) || !slice_is(m[1].value, "\"OK\"") ||
		!slice_is(m[2].value, "true") || m[0].value.len < 3) {
		c->wrong++;
		fprintf(stderr, "unexpected result: %.*s\n", (int)json.len, (const char *)json.data);
	} else {
		number = atoi((const char *)m[0].value.data + 1);
		if (number < c->last[number % SESSIONS])
			c->wrong++;
		c->last[number % SESSIONS] = number;
	}
	buf_free(&json);
}

static void read_results(struct client_side *c, struct client *client)
{
	const struct codec_config config = {.max_request = 1 << 20};
	struct codec *codec = codec_new(&config, c->trouble, REASON);
	struct client_record r;

	while (codec && c->answers < c->send && client_read(client, REPLY_MS, &r, c->trouble, REASON))
		take_result(c, codec, r.value);
	if (codec)
		codec_free(codec);
}

static void *client_main(void *arg)
{
	struct client_side *c = arg;
	const struct client_config config = {c->brokers, NULL};
	struct client *client = client_new(&config, c->trouble, REASON);

	if (client && client_follow(client, topics[1], false, REPLY_MS, c->trouble, REASON) && send_requests(c, client))
		read_results(c, client);
	if (client)
		client_free(client);
	kill(getpid(), SIGTERM);
	return NULL;
}

static void on_ready(void *ctx)
{
	struct client_side *c = ctx;

	c->started = pthread_create(&c->thread, NULL, client_main, c) == 0;
}

static int serve(struct client_side *c, const struct settings *s)
{
	const struct daemon_hooks hooks = {c, on_ready};
	int code = daemon_run(s, NULL, &hooks);

	ck_assert_msg(c->started, "the daemon was never ready");
	pthread_join(c->thread, NULL);
	ck_assert_str_eq(c->trouble, "");
	return code;
}

START_TEST(requests_are_answered_in_order_and_none_runs_again_after_a_drain)
{
	char why[REASON];
	struct embedded *broker = embedded_start(topics, 4, why, sizeof why);
	struct client_side first = {.send = REQUESTS}, second = {.send = 1};
	struct settings s;

	ck_assert_msg(broker != NULL, "%s", why);
	first.brokers = second.brokers = embedded_brokers(broker);
	load(&s, mock_pool, embedded_brokers(broker));
	ck_assert_int_eq(serve(&first, &s), EXIT_OK);
	ck_assert_int_eq(first.answers, REQUESTS);
	ck_assert_int_eq(first.wrong, 0);
	/* Everything was committed: the next run answers the one new request; the first answer it sees is number 0, not an older
	 * one. */
	ck_assert_int_eq(serve(&second, &s), EXIT_OK);
	ck_assert_int_eq(second.answers, 1);
	ck_assert_int_eq(second.last[0], 0);
	ck_assert_int_eq(second.wrong, 0);
	settings_free(&s);
	embedded_stop(broker);
}
END_TEST

static int run_until_it_refuses(const char *config, const char *brokers)
{
	struct settings s;
	int code;

	load(&s, config, brokers);
	code = daemon_run(&s, NULL, NULL);
	settings_free(&s);
	return code;
}

START_TEST(no_broker_is_told_by_the_exit_code)
{
	/* Port 1 of the loopback is nobody's. */
	ck_assert_int_eq(
		run_until_it_refuses("kafka = { brokers = \"%s\"; start_timeout = \"1s\"; };\n"
				     "pools = ( { name = \"default\"; adapter = \"mock\"; command = [ \"unused\" ]; } );\n",
			"127.0.0.1:1"),
		EXIT_BROKER);
}
END_TEST

START_TEST(a_command_that_does_not_exist_is_a_configuration_error)
{
	ck_assert_int_eq(run_until_it_refuses("kafka = { brokers = \"%s\"; start_timeout = \"1s\"; };\n"
					      "pools = ( { name = \"default\"; command = [ \"/nonexistent/worker\" ]; } );\n",
				 "127.0.0.1:1"),
		EXIT_CONFIGURATION);
}
END_TEST

START_TEST(a_machine_without_descriptors_is_no_configuration_error)
{
	static const char config[] = "kafka = { brokers = \"%s\"; start_timeout = \"1s\"; };\n"
				     "http = { listen = \"\"; };\n"
				     "pools = ( { name = \"default\"; adapter = \"mock\"; command = [ \"unused\" ]; } );\n";

	poll_fails = 1; /* the producer's */
	ck_assert_int_eq(run_until_it_refuses(config, "127.0.0.1:1"), EXIT_INTERNAL);
	poll_fails = 2; /* the consumer's */
	ck_assert_int_eq(run_until_it_refuses(config, "127.0.0.1:1"), EXIT_INTERNAL);
	ck_assert_int_eq(run_until_it_refuses(config, "127.0.0.1:1"), EXIT_BROKER);
}
END_TEST

START_TEST(a_property_that_the_library_refuses_is_a_configuration_error)
{
	ck_assert_int_eq(
		run_until_it_refuses("kafka = { brokers = \"%s\"; start_timeout = \"1s\";\n"
				     "consumer_properties = [ \"session.timeout.ms=6000\", \"max.poll.interval.ms=1000\" ]; };\n"
				     "pools = ( { name = \"default\"; adapter = \"mock\"; command = [ \"unused\" ]; } );\n",
			"127.0.0.1:1"),
		EXIT_CONFIGURATION);
}
END_TEST

/* True: the topic has this among the events of health, read up to its end. */
static bool health_tells(const char *brokers, const char *kind, const char *state, const char *reason)
{
	const struct client_config config = {brokers, NULL};
	const struct codec_config codec_config = {.max_request = 1 << 20};
	char why[REASON];
	struct client *client = client_new(&config, why, REASON);
	struct codec *codec = codec_new(&codec_config, why, REASON);
	struct client_record r;
	struct buf json;
	bool told = false;

	ck_assert_ptr_nonnull(client);
	ck_assert_ptr_nonnull(codec);
	buf_init(&json, 1 << 20);
	ck_assert_msg(client_follow(client, topics[2], true, REPLY_MS, why, REASON), "%s", why);
	while (!told && !client_at_end(client) && client_read(client, REPLY_MS, &r, why, REASON)) {
		buf_reset(&json);
		if (!codec_to_json(codec, r.value, &json, why, REASON))
			continue;
		buf_append(&json, "", 1);
		told = strstr((char *)json.data, kind) && strstr((char *)json.data, state) && strstr((char *)json.data, reason);
	}
	buf_free(&json);
	codec_free(codec);
	client_free(client);
	return told;
}

START_TEST(a_start_that_fails_is_told_on_the_health_topic)
{
	char why[REASON];
	struct embedded *broker = embedded_start(topics, 1, why, sizeof why);

	ck_assert_msg(broker != NULL, "%s", why);
	ck_assert_int_eq(run_until_it_refuses("kafka = { brokers = \"%s\"; start_timeout = \"20s\"; };\n"
					      "pools = ( { name = \"default\"; command = [ \"/bin/false\" ]; } );\n",
				 embedded_brokers(broker)),
		EXIT_CONFIGURATION);
	ck_assert(health_tells(embedded_brokers(broker), "INSTANCE_STATE", "\"to_state\":\"STOPPED\"",
		"the workers of pool \\\"default\\\" cannot start"));
	embedded_stop(broker);
}
END_TEST

/* ---- a configuration that is read again, often ---- */

enum { RELOADS = 150, LONG_STRINGS = 200, GROWN_MOST = 1 << 20 };

struct reloads {
	pthread_t thread;
	const char *brokers;
	char path[64];
	size_t before, after; /* bytes from malloc; without glibc's they stay 0 */
	char trouble[REASON];
};

/* Settings of 40 KB and more. */
static void write_large_config(const struct reloads *r, int slow_s)
{
	FILE *out = fopen(r->path, "w");

	ck_assert_ptr_nonnull(out);
	fprintf(out,
		"kafka = { brokers = \"%s\"; };\n"
		"pools = ( { name = \"default\"; adapter = \"mock\"; command = [ \"unused\" ]; size = 1; } );\n"
		"log = { level = \"error\"; slow = \"%ds\"; };\nheaders = { copy = [ \"x\"",
		r->brokers, slow_s);
	for (int i = 0; i < LONG_STRINGS; i++)
		fprintf(out, ", \"x-%0200d\"", i);
	fprintf(out, " ]; };\n");
	ck_assert_int_eq(fclose(out), 0);
}

/* One SIGHUP, and what came of it. */
static bool reload_once(struct reloads *r, const char *expected)
{
	int listener = reload_word_listen(getpid(), r->trouble, REASON);
	struct buf word;
	bool good;

	if (listener < 0)
		return false;
	buf_init(&word, RELOAD_WORD_MAX);
	kill(getpid(), SIGHUP);
	good = reload_word_hear(listener, REPLY_MS, &word) && strncmp((char *)word.data, expected, strlen(expected)) == 0;
	if (!good)
		snprintf(r->trouble, REASON, "%.*s", (int)word.len, word.len ? (char *)word.data : "");
	buf_free(&word);
	close(listener);
	return good;
}

static bool reload_twice(struct reloads *r, int slow_s)
{
	write_large_config(r, slow_s);
	return reload_once(r, "reloaded: 1 changed at once") && reload_once(r, "reloaded: nothing is different");
}

static void *reloads_main(void *arg)
{
	struct reloads *r = arg;
	bool good = true;

	for (int i = 0; good && i < 10; i++)
		good = reload_twice(r, 2 + i % 2);
	r->before = mallinfo2().uordblks;
	for (int i = 0; good && i < RELOADS; i++)
		good = reload_twice(r, 2 + i % 2);
	r->after = mallinfo2().uordblks;
	kill(getpid(), SIGTERM);
	return NULL;
}

static void on_ready_to_reload(void *ctx)
{
	struct reloads *r = ctx;

	pthread_create(&r->thread, NULL, reloads_main, r);
}

START_TEST(reloads_hold_no_more_memory_than_one)
{
	char why[REASON];
	struct embedded *broker = embedded_start(topics, 1, why, sizeof why);
	struct reloads r = {.path = "/tmp/bridgepool-test-XXXXXX"};
	const struct daemon_hooks hooks = {&r, on_ready_to_reload};
	const struct settings_origin origin = {r.path, NULL, 0};
	struct settings s;
	struct buf errors;
	int fd = mkstemp(r.path);

	ck_assert_msg(broker != NULL, "%s", why);
	ck_assert_int_ge(fd, 0);
	close(fd);
	r.brokers = embedded_brokers(broker);
	write_large_config(&r, 1);
	buf_init(&errors, 65536);
	ck_assert(settings_load(r.path, NULL, 0, &s, &errors));
	buf_free(&errors);
	ck_assert_int_eq(daemon_run(&s, &origin, &hooks), EXIT_OK);
	pthread_join(r.thread, NULL);
	ck_assert_str_eq(r.trouble, "");
	ck_assert_msg(r.after < r.before + GROWN_MOST, "%zu bytes before, %zu after", r.before, r.after);
	settings_free(&s);
	unlink(r.path);
	embedded_stop(broker);
}
END_TEST

static void on_nothing(int number)
{
	(void)number;
}

/* The end of a worker is a signal for any thread of the process. */
static void signal_each_thread(void)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *task;

	ck_assert_ptr_nonnull(tasks);
	signal(SIGCHLD, on_nothing);
	while ((task = readdir(tasks)))
		if (*task->d_name != '.')
			ck_assert_int_eq(syscall(SYS_tgkill, getpid(), atoi(task->d_name), SIGCHLD), 0);
	closedir(tasks);
}

START_TEST(the_embedded_broker_outlives_signals)
{
	char why[REASON];
	struct embedded *broker = embedded_start(topics, 1, why, sizeof why);
	struct client *client;

	ck_assert_msg(broker != NULL, "%s", why);
	const struct client_config config = {embedded_brokers(broker), NULL};
	signal_each_thread();
	client = client_new(&config, why, REASON);
	ck_assert_ptr_nonnull(client);
	ck_assert_msg(client_follow(client, topics[0], true, REPLY_MS / 6, why, REASON), "%s", why);
	client_free(client);
	embedded_stop(broker);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("app_daemon");
	TCase *tests = tcase_create("daemon");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tests, 100);
	tcase_add_test(tests, requests_are_answered_in_order_and_none_runs_again_after_a_drain);
	tcase_add_test(tests, reloads_hold_no_more_memory_than_one);
	tcase_add_test(tests, a_machine_without_descriptors_is_no_configuration_error);
	tcase_add_test(tests, a_property_that_the_library_refuses_is_a_configuration_error);
	tcase_add_test(tests, no_broker_is_told_by_the_exit_code);
	tcase_add_test(tests, a_command_that_does_not_exist_is_a_configuration_error);
	tcase_add_test(tests, the_embedded_broker_outlives_signals);
	tcase_add_test(tests, a_start_that_fails_is_told_on_the_health_topic);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
