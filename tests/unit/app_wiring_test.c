/* app_wiring_test.c: what a configuration says arrives in the rooms. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/base/clock.h"
#include "bridgepool/base/log.h"
#include "wiring.h"

static const char text[] =
	"instance = { id = \"one\"; };\n"
	"kafka = { brokers = \"a:1,b:2\"; group = \"g\"; properties = [ \"client.id=x\" ]; linger = \"5ms\"; };\n"
	"sources = ( { topic = \"t1\"; pool = \"fast\"; commands = [ \"ask*\" ]; }, { topic = \"t2\"; pool = \"slow\"; } );\n"
	"pools = ( { name = \"slow\"; command = [ \"worker\", \"--slow\" ]; size = 2; request_timeout = \"2m\"; state = \"none\"; },\n"
	"\t{ name = \"fast\"; command = [ \"worker\" ]; size = 7; concurrency = 16; on_session_loss = \"fail\"; cpu = \"1500ms\"; oom_score = 7;\n"
	"\tno_new_privileges = false; } );\n"
	"delivery = { max_attempts = 5; retry_backoff = \"250ms\"; };\n"
	"limits = { memory = \"64MiB\"; };\n"
	"encoding = { results = \"%s\"; health = \"%s\"; };\n"
	"headers = { copy = [ \"x-*\" ]; };\n";

static struct settings settings;
static struct identity identity;
static struct wiring wiring;
static const struct machine_memory memory = {0, "the machine", false};

static void wire_with(const char *results, const char *health, const char *set)
{
	char path[] = "/tmp/bridgepool-wiring-XXXXXX";
	int fd = mkstemp(path);
	struct buf errors;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_gt(dprintf(fd, text, results, health), 0);
	close(fd);
	buf_init(&errors, 65536);
	if (!settings_load(path, &set, set != NULL, &settings, &errors))
		ck_abort_msg("%.500s", (const char *)errors.data);
	unlink(path);
	buf_free(&errors);
	wiring_identity(&settings, &identity);
	wiring_init(&wiring, &settings, &identity, &memory);
}

static void wire(const char *results, const char *health)
{
	wire_with(results, health, NULL);
}

static void unwire(void)
{
	wiring_free(&wiring);
	settings_free(&settings);
}

START_TEST(the_engine_gets_its_pools_and_sources)
{
	const struct engine_config *e = &wiring.engine;

	wire("mirror", "avro");
	ck_assert_str_eq(e->instance_id, "one");
	ck_assert_uint_eq(e->npools, 2);
	ck_assert_str_eq(e->pools[0].name, "slow");
	ck_assert_int_eq(e->pools[0].request_timeout_us, 120 * SECOND_US);
	ck_assert_int_eq(e->pools[0].state, POOL_STATE_NONE);
	ck_assert_int_eq(e->pools[0].on_session_loss, SESSION_LOSS_RUN);
	ck_assert_uint_eq(e->pools[1].size, 7);
	ck_assert_uint_eq(e->pools[1].concurrency, 16);
	ck_assert_int_eq(e->pools[1].state, POOL_STATE_MEMORY);
	ck_assert_int_eq(e->pools[1].on_session_loss, SESSION_LOSS_FAIL);
	ck_assert_uint_eq(e->nsources, 2);
	ck_assert_str_eq(e->sources[0].topic, "t1");
	ck_assert_uint_eq(e->sources[0].pool, 1);
	ck_assert_uint_eq(e->sources[0].ncommands, 1);
	ck_assert_str_eq(e->sources[0].commands[0], "ask*");
	ck_assert_uint_eq(e->sources[1].pool, 0);
	ck_assert_uint_eq(e->max_attempts, 5);
	ck_assert_int_eq(e->retry_backoff_us, 250 * MS_US);
	ck_assert_uint_eq(e->memory_limit, 64u << 20);
	ck_assert_uint_eq(e->ncopy_headers, 1);
	ck_assert_str_eq(e->copy_headers[0], "x-*");
	unwire();
}
END_TEST

START_TEST(the_words_of_encodings_mean_what_they_say)
{
	wire("mirror", "avro");
	ck_assert_int_eq(wiring.engine.results_encoding, -1);
	ck_assert_int_eq(wiring.health_encoding, ENCODING_AVRO);
	unwire();
	wire("avro", "json");
	ck_assert_int_eq(wiring.engine.results_encoding, ENCODING_AVRO);
	ck_assert_int_eq(wiring.health_encoding, ENCODING_JSON);
	unwire();
	wire("json", "avro");
	ck_assert_int_eq(wiring.engine.results_encoding, ENCODING_JSON);
	unwire();
}
END_TEST

/* ---- words of the configuration that become values of enums ---- */

static int state_of(void)
{
	return wiring.engine.pools[0].state;
}

static int session_loss_of(void)
{
	return wiring.engine.pools[0].on_session_loss;
}

static int revoke_of(void)
{
	return wiring.engine.pools[0].on_revoke;
}

static int circuit_of(void)
{
	return wiring.engine.pools[0].circuit_rejects;
}

static int results_of(void)
{
	return wiring.engine.results_encoding;
}

static int health_of(void)
{
	return wiring.health_encoding;
}

static int level_of(void)
{
	return settings.log.level;
}

static int format_of(void)
{
	return settings.log.format;
}

static const struct {
	const char *key, *word;
	int (*got)(void);
	int expected;
} words[] = {
	{"pools[].state", "memory", state_of, POOL_STATE_MEMORY},
	{"pools[].state", "none", state_of, POOL_STATE_NONE},
	{"pools[].on_session_loss", "run", session_loss_of, SESSION_LOSS_RUN},
	{"pools[].on_session_loss", "fail", session_loss_of, SESSION_LOSS_FAIL},
	{"pools[].on_revoke", "suspend", revoke_of, REVOKE_SUSPENDS},
	{"pools[].on_revoke", "end", revoke_of, REVOKE_ENDS},
	{"pools[].circuit", "hold", circuit_of, false},
	{"pools[].circuit", "reject", circuit_of, true},
	{"encoding.results", "mirror", results_of, -1},
	{"encoding.results", "avro", results_of, ENCODING_AVRO},
	{"encoding.results", "json", results_of, ENCODING_JSON},
	{"encoding.health", "avro", health_of, ENCODING_AVRO},
	{"encoding.health", "json", health_of, ENCODING_JSON},
	{"log.level", "debug", level_of, LOG_DEBUG},
	{"log.level", "info", level_of, LOG_INFO},
	{"log.level", "warn", level_of, LOG_WARN},
	{"log.level", "error", level_of, LOG_ERROR},
	{"log.format", "text", format_of, LOG_TEXT},
	{"log.format", "json", format_of, LOG_JSON},
	{"delivery.guarantee", "at-least-once", NULL, 0}, /* no value of any enum; the other is refused */
	{"delivery.guarantee", "exactly-once", NULL, 0},
};

enum { WORDS = sizeof words / sizeof *words };

START_TEST(a_word_is_the_value_that_has_its_name)
{
	const char *key = words[_i].key;
	char set[96];

	if (!words[_i].got)
		return;
	if (strncmp(key, "pools[].", 8) == 0)
		snprintf(set, sizeof set, "pools[0].%s=%s", key + 8, words[_i].word);
	else
		snprintf(set, sizeof set, "%s=%s", key, words[_i].word);
	wire_with("mirror", "avro", set);
	ck_assert_msg(words[_i].got() == words[_i].expected, "%s is %d", set, words[_i].got());
	unwire();
}
END_TEST

/* The words above, in their order, are all that the table allows. */
START_TEST(no_word_is_left_out)
{
	size_t n, seen = 0;
	const struct config_key *keys = settings_keys(&n);
	char range[256];

	for (size_t i = 0; i < n; i++) {
		if (keys[i].type != CONFIG_ENUM)
			continue;
		*range = '\0';
		for (size_t k = 0; k < WORDS; k++) {
			if (strcmp(words[k].key, keys[i].path) != 0)
				continue;
			snprintf(range + strlen(range), sizeof range - strlen(range), "%s%s", *range ? "|" : "", words[k].word);
			seen++;
		}
		ck_assert_msg(strcmp(range, keys[i].range) == 0, "%s: %s here, %s there", keys[i].path, range, keys[i].range);
	}
	ck_assert_uint_eq(seen, WORDS);
}
END_TEST

START_TEST(kafka_gets_its_names_and_properties)
{
	wire("mirror", "avro");
	ck_assert_str_eq(wiring.consumer.brokers, "a:1,b:2");
	ck_assert_str_eq(wiring.consumer.group, "g");
	ck_assert_str_eq(wiring.consumer.instance_id, "one");
	ck_assert_uint_eq(wiring.consumer.ntopics, 2);
	ck_assert_str_eq(wiring.consumer.topics[1], "t2");
	ck_assert_str_eq(wiring.consumer.properties[0], "client.id=x");
	ck_assert_ptr_null(wiring.consumer.properties[1]);
	ck_assert_int_eq(wiring.producer.linger_us, 5 * MS_US);
	unwire();
}
END_TEST

START_TEST(an_adapter_gets_its_command)
{
	struct adapter_config a;

	wire("mirror", "avro");
	a = wiring_adapter(settings_pool(&settings, 0));
	ck_assert_str_eq(a.kind, "process");
	ck_assert_str_eq(a.command[0], "worker");
	ck_assert_str_eq(a.command[1], "--slow");
	ck_assert_ptr_null(a.command[2]);
	ck_assert_str_eq(a.pool_name, "slow");
	ck_assert_ptr_null(a.script);
	ck_assert_uint_eq(a.max_frame_bytes, 16u << 20);
	ck_assert_int_eq(a.stop_grace_us, 2 * SECOND_US);
	ck_assert_int_eq(a.oom_score, 500);
	ck_assert_int_eq(a.cpu_seconds, 0);
	ck_assert(!a.may_gain_privileges);
	a = wiring_adapter(settings_pool(&settings, 1));
	ck_assert_int_eq(a.cpu_seconds, 2); /* up to whole seconds */
	ck_assert_int_eq(a.oom_score, 7);
	ck_assert(a.may_gain_privileges);
	unwire();
}
END_TEST

START_TEST(without_a_name_each_run_has_its_own)
{
	const struct settings nameless = {.instance = {NULL}};
	struct identity one, two;

	wiring_identity(&nameless, &one);
	wiring_identity(&nameless, &two);
	ck_assert_str_ne(one.instance, two.instance);
	ck_assert_str_ne(one.incarnation, two.incarnation);
	ck_assert_str_eq(one.host, two.host);
	ck_assert_uint_gt(strlen(one.host), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("app_wiring");
	TCase *tests = tcase_create("wiring");
	SRunner *runner;
	int failed;

	tcase_add_test(tests, the_engine_gets_its_pools_and_sources);
	tcase_add_test(tests, the_words_of_encodings_mean_what_they_say);
	tcase_add_loop_test(tests, a_word_is_the_value_that_has_its_name, 0, WORDS);
	tcase_add_test(tests, no_word_is_left_out);
	tcase_add_test(tests, kafka_gets_its_names_and_properties);
	tcase_add_test(tests, an_adapter_gets_its_command);
	tcase_add_test(tests, without_a_name_each_run_has_its_own);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
