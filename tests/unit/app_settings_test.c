/* app_settings_test.c: the defaults, the files in config/, and what no single key can tell. */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/app/settings.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/kafka/producer.h"

static struct settings settings;
static char errors[65536], path[64];
static const char *source_dir;

static void teardown(void)
{
	settings_free(&settings);
}

static bool load_file(const char *name, const char *const *sets, size_t nsets)
{
	struct buf out;
	bool good;

	settings_free(&settings);
	buf_init(&out, sizeof errors - 1);
	good = settings_load(name, sets, nsets, &settings, &out);
	memcpy(errors, buf_slice(&out).data, out.len);
	errors[out.len] = '\0';
	buf_free(&out);
	return good;
}

static bool load(const char *text)
{
	bool good;
	int fd;

	strcpy(path, "/tmp/bridgepool-settings-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	good = load_file(path, NULL, 0);
	unlink(path);
	return good;
}

static const struct pool_settings *pool(size_t i)
{
	ck_assert_uint_lt(i, settings.pools.n);
	return (const struct pool_settings *)settings.pools.items + i;
}

static const struct source_settings *source(size_t i)
{
	ck_assert_uint_lt(i, settings.sources.n);
	return (const struct source_settings *)settings.sources.items + i;
}

/* ---- defaults ---- */

#define ONE "pools = ( { command = [ \"w\" ]; } );\n"

START_TEST(defaults_are_the_documented_ones)
{
	ck_assert_msg(load(ONE), "%s", errors);
	ck_assert_str_eq(settings.instance.id, "");
	ck_assert_str_eq(settings.kafka.brokers, "localhost:9092");
	ck_assert_str_eq(settings.kafka.group, "bridgepool");
	ck_assert_str_eq(settings.kafka.results, "bridgepool.results");
	ck_assert_str_eq(settings.kafka.health, "bridgepool.health");
	ck_assert_str_eq(settings.kafka.dead_letters, "bridgepool.dead-letters");
	ck_assert_int_eq(settings.kafka.linger, 5 * MS_US);
	ck_assert_int_eq(settings.delivery.max_attempts, 3);
	ck_assert_int_eq(settings.delivery.retry_backoff, 100 * MS_US);
	ck_assert_int_eq(settings.delivery.window, 24000);
	ck_assert_int_eq(settings.drain.shutdown, 30 * SECOND_US);
	ck_assert_int_eq(settings.drain.revoke, 2 * SECOND_US);
	ck_assert_int_eq(settings.limits.memory, 256 << 20);
	ck_assert_int_eq(settings.limits.request, 1 << 20);
	ck_assert_int_eq(settings.limits.result, 1 << 20);
	ck_assert_int_eq(settings.encoding.results, 0);
	ck_assert_int_eq(settings.encoding.health, 0);
	ck_assert_int_eq(settings.health.heartbeat, 10 * SECOND_US);
	ck_assert_int_eq(settings.log.level, 1);
	ck_assert_uint_eq(settings.headers.copy.n, 1);
	ck_assert_str_eq(settings.headers.copy.items[0], "x-*");
}
END_TEST

START_TEST(defaults_of_sources_and_pools)
{
	ck_assert_msg(load(ONE), "%s", errors);
	ck_assert_uint_eq(settings.sources.n, 1);
	ck_assert_str_eq(source(0)->topic, "bridgepool.requests");
	ck_assert_str_eq(source(0)->pool, "default");
	ck_assert_uint_eq(source(0)->commands.n, 1);
	ck_assert_str_eq(source(0)->commands.items[0], "*");
	ck_assert_uint_eq(settings.pools.n, 1);
	ck_assert_str_eq(pool(0)->name, "default");
	ck_assert_str_eq(pool(0)->adapter, "process");
	ck_assert_int_eq(pool(0)->size, 4);
	ck_assert_int_eq(pool(0)->concurrency, 0);
	ck_assert_int_eq(pool(0)->state, 0);
	ck_assert_int_eq(pool(0)->request_timeout, 30 * SECOND_US);
	ck_assert_int_eq(pool(0)->session_ttl, 3600 * SECOND_US);
	ck_assert_int_eq(pool(0)->max_sessions, 100000);
}
END_TEST

START_TEST(a_source_without_pool_gets_default_or_the_first)
{
	ck_assert_msg(load("pools = ( { name = \"a\"; command = [ \"w\" ]; }, { name = \"b\"; command = [ \"w\" ]; } );"), "%s",
		errors);
	ck_assert_str_eq(source(0)->pool, "a");
	ck_assert_msg(load("pools = ( { name = \"a\"; command = [ \"w\" ]; }, { name = \"default\"; command = [ \"w\" ]; } );\n"
			   "sources = ( { topic = \"x\"; }, { topic = \"y\"; pool = \"a\"; } );"),
		"%s", errors);
	ck_assert_str_eq(source(0)->pool, "default");
	ck_assert_str_eq(source(1)->pool, "a");
}
END_TEST

START_TEST(the_command_line_can_say_it_all)
{
	static const char *const sets[] = {"pools[0].command=[ \"python3\", \"app.py\" ]", "pools[0].size=8",
		"kafka.brokers=b1:9092,b2:9092", "kafka.properties=security.protocol=SSL", "log.level=debug"};

	ck_assert_msg(load_file(NULL, sets, 5), "%s", errors);
	ck_assert_int_eq(pool(0)->size, 8);
	ck_assert_str_eq(pool(0)->command.items[1], "app.py");
	ck_assert_str_eq(settings.kafka.brokers, "b1:9092,b2:9092");
	ck_assert_str_eq(settings.kafka.properties.items[0], "security.protocol=SSL");
	ck_assert_int_eq(settings.log.level, 0);
}
END_TEST

START_TEST(a_mock_pool_needs_no_command)
{
	ck_assert_msg(load("pools = ( { adapter = \"mock\"; } );"), "%s", errors);
	ck_assert_uint_eq(pool(0)->command.n, 0);
}
END_TEST

/* ---- what is refused: each alone, with its whole line ---- */

static const struct {
	const char *text, *error;
} refused[] = {
	{"", "pools[0].command: adapter \"process\" needs the worker's command; for example: command = [ \"python3\", \"-m\", "
	     "\"bridgepool.worker\", "
	     "\"app:app\" ];"},
	{"pools = ( );",
		"1: pools: empty; write at least one: pools = ( { command = [ \"python3\", \"-m\", \"bridgepool.worker\", "
		"\"app:app\" ]; } );"},
	{ONE "sources = ( );", "2: sources: empty; leave the key out for one source, bridgepool.requests"},
	{ONE "sources = (\n{ pool = \"qa\"; } );",
		"3: sources[0].pool: there is no pool \"qa\"; name one of pools, or leave the key out"},
	{ONE "sources = ( { },\n{ } );",
		"3: sources[1].topic: sources[0] reads \"bridgepool.requests\" already; each source needs a topic of its own"},
	{ONE "sources = ( { topic = \"a b\"; } );",
		"2: sources[0].topic: found \"a b\"; a topic's name is 1 to 249 of letters, digits, ., _ and -"},
	{ONE "sources = ( { topic = \"..\"; } );",
		"2: sources[0].topic: found \"..\"; a topic's name is 1 to 249 of letters, digits, ., _ and -"},
	{ONE "sources = ( { commands = [ ]; } );",
		"2: sources[0].commands: empty: no request would be allowed; write [ \"*\" ] for all"},
	{ONE "sources = ( { reply_topics = [ \"r\" ]; } );",
		"2: sources[0].reply_topics: not supported in this version: reply topics; leave the list empty"},
	{"pools = ( { command = [ \"w\" ]; },\n{ command = [ \"w\" ]; } );",
		"2: pools[1].name: a pool \"default\" stands before; each needs a name of its own"},
	{"pools = ( { name = \"Qa\"; command = [ \"w\" ]; } );",
		"1: pools[0].name: found \"Qa\"; a name is 1 to 48 of a-z, 0-9 and -"},
	{"pools = ( { name = \"\"; command = [ \"w\" ]; } );",
		"1: pools[0].name: found \"\"; a name is 1 to 48 of a-z, 0-9 and -"},
	{"pools = ( { adapter = \"grpc\"; } );",
		"1: pools[0].adapter: there is no adapter \"grpc\"; allowed are \"process\" and \"mock\""},
	{"pools = ( { command = [ \"w\" ]; environment = [ \"A=1\", \"B\" ]; } );",
		"1: pools[0].environment: item 1 is not of the form \"NAME=value\""},
	{"pools = ( { command = [ \"w\" ]; backoff_min = \"1m\"; } );",
		"1: pools[0].backoff_min: is above backoff_max; lower it or raise that"},
	{"pools = ( { command = [ \"w\" ]; user = \"no-such-user\"; } );",
		"1: pools[0].user: there is no user \"no-such-user\" on this machine"},
	{"pools = ( { command = [ \"w\" ]; group = \"no-such-group\"; } );",
		"1: pools[0].group: there is no group \"no-such-group\" on this machine"},
	{"pools = ( { command = [ \"w\" ]; min_ready = 5; } );", "1: pools[0].min_ready: is above size; lower it or raise that"},
	{"pools = ( { command = [ \"w\" ]; recycle_memory = \"2GiB\"; resident_limit = \"1GiB\"; } );",
		"1: pools[0].recycle_memory: must be below resident_limit; lower it or raise that"},
	{ONE "limits = { result = \"16MiB\"; };",
		"1: pools[0].max_frame_bytes: must be at least 64KiB above limits.request and limits.result; raise it or lower those"},
	{ONE "limits = { memory = \"1MiB\"; };",
		"2: limits.memory: must be at least limits.request and limits.result together; raise it or lower those"},
	{ONE "kafka = { results = \"bridgepool.requests\"; };",
		"2: kafka.results: \"bridgepool.requests\" is read as requests by sources[0]; what is written must go elsewhere"},
	{ONE "kafka = { dead_letters = \"\"; };",
		"2: kafka.dead_letters: found \"\"; a topic's name is 1 to 249 of letters, digits, ., _ and -"},
	{ONE "kafka = { brokers = \"\"; };", "2: kafka.brokers: empty; write host:port,host:port"},
	{ONE "kafka = { group = \"\"; };", "2: kafka.group: empty; name the consumer group"},
	{ONE "kafka = { properties = [ \"sasl.password\" ]; };", "2: kafka.properties: item 0 is not of the form \"name=value\""},
	{ONE "instance = { id = \"\xff\"; };", "2: instance.id: must be UTF-8 of at most 79 bytes"},
	{ONE "delivery = { guarantee = \"exactly-once\"; };",
		"2: delivery.guarantee: not supported in this version: \"exactly-once\"; write \"at-least-once\""},
	{ONE "http = { listen = \"9464\"; };",
		"2: http.listen: \"9464\" is no address to listen on; write 127.0.0.1:9464 or [::1]:9464, or \"\" for none"},
	{ONE "schemas = { output = \"old.avsc\"; };",
		"2: schemas.output: not supported in this version: an older schema to write with; remove it"},
	{ONE "encoding = { results = \"confluent\"; };",
		"2: encoding.results: found \"confluent\"; allowed is one of mirror, avro, json"},
};

START_TEST(refusals_say_where_and_how_to_mend)
{
	const char *error = refused[_i].error;
	bool line = *error >= '0' && *error <= '9';
	char wanted[512];

	ck_assert(!load(refused[_i].text));
	snprintf(wanted, sizeof wanted, "%s:%s%s\n", path, line ? "" : " ", error);
	ck_assert_str_eq(errors, wanted);
	ck_assert_ptr_null(settings.kafka.brokers);
	ck_assert_ptr_null(settings.pools.items);
}
END_TEST

/* ---- properties of librdkafka ---- */

static bool takes_property(const char *key, const char *name)
{
	char text[512];

	snprintf(text, sizeof text, ONE "kafka = { %s = [ \"client.rack=r1\", \"%s=secret\" ]; };", key, name);
	if (load(text))
		return true;
	ck_assert_ptr_nonnull(strstr(errors, name));
	ck_assert_ptr_null(strstr(errors, "secret"));
	return false;
}

START_TEST(properties_that_are_ours_are_refused)
{
	ck_assert(!takes_property("consumer_properties", "enable.auto.commit"));
	ck_assert(!takes_property("properties", "enable.auto.commit"));
	ck_assert(!takes_property("producer_properties", "transactional.id"));
	ck_assert(!takes_property("properties", "transactional.id"));
	ck_assert(takes_property("properties", "sasl.password"));
	ck_assert(takes_property("consumer_properties", "sasl.username"));
	ck_assert(!takes_property("producer_properties", "group.id.x"));
}
END_TEST

START_TEST(heartbeats_that_come_too_late_are_refused)
{
	ck_assert(!load(ONE "kafka = { consumer_properties = [ \"session.timeout.ms=3000\" ]; };"));
	ck_assert_ptr_nonnull(strstr(errors, "heartbeat.interval.ms=3000"));
	ck_assert(load(ONE
		"kafka = { properties = [ \"heartbeat.interval.ms=500\" ]; consumer_properties = [ \"session.timeout.ms=3000\" ]; };"));
}
END_TEST

/* ---- the files that are delivered ---- */

START_TEST(every_file_in_config_loads)
{
	char file[1024];
	struct dirent *entry;
	DIR *dir;
	int n = 0;

	snprintf(file, sizeof file, "%s/config", source_dir);
	dir = opendir(file);
	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir))) {
		size_t len = strlen(entry->d_name);

		if (len < 4 || strcmp(entry->d_name + len - 4, ".cfg") != 0)
			continue;
		snprintf(file, sizeof file, "%s/config/%s", source_dir, entry->d_name);
		ck_assert_msg(load_file(file, NULL, 0), "%s", errors);
		n++;
	}
	closedir(dir);
	ck_assert_int_ge(n, 3);
}
END_TEST

START_TEST(the_example_file_is_what_the_table_says)
{
	size_t n, nkeys;
	const struct config_key *keys = settings_keys(&nkeys);
	char file[1024], *text;
	struct buf example;
	FILE *f;

	buf_init(&example, 1 << 20);
	config_example(keys, nkeys, &example);
	ck_assert(!example.overflow);
	snprintf(file, sizeof file, "%s/config/bridgepool.cfg", source_dir);
	f = fopen(file, "re");
	ck_assert_ptr_nonnull(f);
	text = calloc(1, 1 << 20);
	n = fread(text, 1, (1 << 20) - 1, f);
	fclose(f);
	if (!slice_equal(buf_slice(&example), (struct slice){text, n})) {
		snprintf(file, sizeof file, "%s/bridgepool.cfg", getenv("BUILD_DIR"));
		f = fopen(file, "we");
		ck_assert_ptr_nonnull(f);
		fwrite(example.data, 1, example.len, f);
		fclose(f);
		ck_abort_msg("config/bridgepool.cfg is not what the table of keys gives; that is in %s now", file);
	}
	free(text);
	buf_free(&example);
}
END_TEST

START_TEST(every_key_has_help_and_a_place_of_its_own)
{
	size_t n;
	const struct config_key *keys = settings_keys(&n);

	for (size_t i = 0; i < n; i++) {
		ck_assert_uint_gt(strlen(keys[i].help), 10);
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(keys[i].path, keys[j].path);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("app_settings");
	TCase *tests = tcase_create("settings");
	SRunner *runner;
	int failed;

	source_dir = getenv("SOURCE_DIR");
	if (!source_dir) {
		fprintf(stderr, "app_settings_test: set SOURCE_DIR to the project's directory\n");
		return EXIT_FAILURE;
	}
	tcase_add_checked_fixture(tests, NULL, teardown);
	tcase_add_test(tests, defaults_are_the_documented_ones);
	tcase_add_test(tests, defaults_of_sources_and_pools);
	tcase_add_test(tests, a_source_without_pool_gets_default_or_the_first);
	tcase_add_test(tests, the_command_line_can_say_it_all);
	tcase_add_test(tests, a_mock_pool_needs_no_command);
	tcase_add_loop_test(tests, refusals_say_where_and_how_to_mend, 0, (int)(sizeof refused / sizeof *refused));
	tcase_add_test(tests, properties_that_are_ours_are_refused);
	tcase_add_test(tests, heartbeats_that_come_too_late_are_refused);
	tcase_add_test(tests, every_file_in_config_loads);
	tcase_add_test(tests, the_example_file_is_what_the_table_says);
	tcase_add_test(tests, every_key_has_help_and_a_place_of_its_own);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
