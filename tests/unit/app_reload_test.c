/* app_reload_test.c: a configuration that is read again: what it tells, what it takes over, and that the table's classes are
 * true. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bridgepool/app/reload_word.h"
#include "bridgepool/base/clock.h"
#include "reload.h"
#include "wiring.h"

static struct settings now;
static struct reload reload;
static const struct machine_memory memory = {0, "the machine", false};
static char path[64], report[8192];

static void setup(void)
{
	int fd;

	strcpy(path, "/tmp/bridgepool-reload-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void teardown(void)
{
	settings_free(&now);
	if (reload.good)
		settings_free(&reload.settings);
	reload_free(&reload);
	unlink(path);
}

static void put(const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
}

static void load(const char *text, const char *const *sets, size_t nsets)
{
	struct buf errors;

	put(text);
	buf_init(&errors, 4096);
	ck_assert_msg(settings_load(path, sets, nsets, &now, &errors), "%.*s", (int)errors.len, (const char *)errors.data);
	buf_free(&errors);
}

static void judge(const char *const *sets, size_t nsets)
{
	const struct settings_origin from = {path, sets, nsets};
	struct buf out;

	reload_judge(&reload, &from, &now);
	buf_init(&out, sizeof report - 1);
	reload_report(&reload, &out);
	memcpy(report, out.data, out.len);
	report[out.len] = '\0';
	buf_free(&out);
}

static void change(const char *one, const char *two)
{
	load(one, NULL, 0);
	put(two);
	judge(NULL, 0);
}

#define TRUE "command = [ \"/bin/true\" ]; "

START_TEST(the_same_again)
{
	change("pools = ( { " TRUE "} );", "# a comment\npools = ( { " TRUE "} );");
	ck_assert(reload.good);
	ck_assert_str_eq(report, "reloaded: nothing is different\n");
	ck_assert(!reload.rolls[0]);
}
END_TEST

START_TEST(each_change_is_told_as_what_it_is)
{
	change("sources = ( { pool = \"a\"; } );\npools = ( { name = \"a\"; " TRUE "}, { name = \"b\"; " TRUE "} );",
		"sources = ( { pool = \"a\"; } );\npools = ( { name = \"b\"; " TRUE
		"environment = [ \"SECRET=x\" ]; cpu = \"1m\"; },\n"
		"{ name = \"a\"; " TRUE "request_timeout = \"1m\"; size = 7; } );\n"
		"kafka = { brokers = \"elsewhere:9092\"; };\nlog = { level = \"debug\"; };");
	ck_assert_msg(reload.good, "%s", report);
	ck_assert_str_eq(report, "reloaded: 3 changed at once, 2 by replacing workers, 1 kept until a restart\n"
				 "  restart  kafka.brokers\n"
				 "  live     pools[0].size (a): 4 -> 7\n"
				 "  live     pools[0].request_timeout (a): \"30s\" -> \"1m\"\n"
				 "  rolls    pools[1].cpu (b): 0 -> \"1m\"\n"
				 "  rolls    pools[1].environment (b)\n"
				 "  live     log.level: \"info\" -> \"debug\"\n");
	ck_assert(!reload.rolls[0]);
	ck_assert(reload.rolls[1]);
	ck_assert_str_eq(reload.settings.kafka.brokers, "localhost:9092");
	ck_assert_int_eq(reload.settings.log.level, 0);
	ck_assert_str_eq(settings_pool(&reload.settings, 0)->name, "a");
	ck_assert_int_eq(settings_pool(&reload.settings, 0)->size, 7);
	ck_assert_int_eq(settings_pool(&reload.settings, 0)->request_timeout, 60 * SECOND_US);
	ck_assert_str_eq(settings_pool(&reload.settings, 1)->environment.items[0], "SECRET=x");
	ck_assert_str_eq(settings_source(&reload.settings, 0)->pool, "a");
}
END_TEST

/* With room for so many bytes. */
static void report_in(size_t limit)
{
	struct buf out;

	buf_init(&out, limit);
	reload_report(&reload, &out);
	ck_assert(!out.overflow);
	snprintf(report, sizeof report, "%.*s", (int)out.len, (const char *)out.data);
	buf_free(&out);
}

START_TEST(what_a_report_has_no_room_for_is_counted)
{
	change("pools = ( { name = \"a\"; " TRUE "} );",
		"pools = ( { name = \"a\"; " TRUE "size = 7; request_timeout = \"1m\"; } );\nlog = { level = \"debug\"; };");
	report_in(200);
	ck_assert_str_eq(report, "reloaded: 3 changed at once, 0 by replacing workers, 0 kept until a restart\n"
				 "  live     pools[0].size (a): 4 -> 7\n  … 2 more lines\n");
	report_in(250);
	ck_assert_ptr_nonnull(strstr(report, "-> \"1m\"\n  … 1 more line\n"));
	settings_free(&reload.settings);
	reload_free(&reload);
	settings_free(&now);
	change("pools = ( { " TRUE "} );", "pools = ( { size = 0; " TRUE "} );\nlog = { level = \"loud\"; format = \"loud\"; };");
	ck_assert(!reload.good);
	report_in(300);
	ck_assert_ptr_nonnull(strstr(report, "pools[0].size: found 0"));
	ck_assert_ptr_nonnull(strstr(report, "\n  … 2 more lines\n"));
}
END_TEST

static struct shares share(uint64_t mib)
{
	return (struct shares){.limit = mib << 20};
}

START_TEST(another_share_of_the_memory_is_told_with_what_brought_it)
{
	struct shares before = share(176), after = share(88), none = share(0);
	struct buf out;

	change("pools = ( { name = \"a\"; " TRUE "} );", "pools = ( { name = \"a\"; " TRUE "size = 9; } );");
	reload_shares(&reload, &before, &before);
	ck_assert_uint_eq(reload.n, 1);
	reload_shares(&reload, &before, &after);
	reload_shares(&reload, &after, &none);
	buf_init(&out, sizeof report - 1);
	reload_report(&reload, &out);
	ck_assert(slice_is(buf_slice(&out),
		"reloaded: 3 changed at once, 0 by replacing workers, 0 kept until a restart\n"
		"  live     pools[0].size (a): 4 -> 9\n"
		"  live     pools[].resident_limit where it is 0, a share of the control group's memory: 176 MiB -> 88 MiB\n"
		"  live     pools[].resident_limit where it is 0, a share of the control group's memory: 88 MiB -> none\n"));
	buf_free(&out);
}
END_TEST

START_TEST(pools_and_sources_come_and_go_with_a_restart)
{
	change("pools = ( { name = \"a\"; " TRUE "}, { name = \"b\"; " TRUE "} );\nsources = ( { topic = \"t\"; } );",
		"pools = ( { name = \"a\"; " TRUE "kill_grace = 9; }, { name = \"c\"; " TRUE
		"} );\nsources = ( { topic = \"u\"; commands = [ \"x\" ]; } );");
	ck_assert_msg(reload.good, "%s", report);
	ck_assert_str_eq(report, "reloaded: 1 changed at once, 0 by replacing workers, 4 kept until a restart\n"
				 "  restart  sources[0] (t): it is gone\n"
				 "  restart  sources[0] (u): it is new\n"
				 "  restart  pools[1] (b): it is gone\n"
				 "  restart  pools[1] (c): it is new\n"
				 "  live     pools[0].kill_grace (a): \"5s\" -> \"9s\"\n");
	ck_assert_uint_eq(reload.settings.pools.n, 2);
	ck_assert_str_eq(settings_pool(&reload.settings, 1)->name, "b");
	ck_assert_str_eq(settings_source(&reload.settings, 0)->topic, "t");
}
END_TEST

START_TEST(if_anything_is_wrong_nothing_changes_and_all_is_told)
{
	change("pools = ( { " TRUE "} );",
		"pools = ( { " TRUE "size = 0; } );\nlog = { level = \"loud\"; };\nkafka = { linger = \"1ms\"; };");
	ck_assert(!reload.good);
	ck_assert_uint_eq(reload.n, 0);
	ck_assert_ptr_eq(strstr(report, "refused: the configuration has errors, nothing was changed\n"), report);
	ck_assert_ptr_nonnull(strstr(report, ":1: pools[0].size: found 0"));
	ck_assert_ptr_nonnull(strstr(report, ":2: log.level: found \"loud\""));
	ck_assert_ptr_null(reload.settings.kafka.brokers);
	ck_assert_int_eq(now.kafka.linger, 5 * MS_US);
}
END_TEST

START_TEST(a_file_that_is_gone_is_an_error)
{
	load("pools = ( { " TRUE "} );", NULL, 0);
	unlink(path);
	judge(NULL, 0);
	ck_assert(!reload.good);
	ck_assert_ptr_nonnull(strstr(report, "cannot be opened"));
}
END_TEST

START_TEST(what_was_set_on_the_command_line_stays_set)
{
	const char *const sets[] = {"log.level=warn"};

	load("pools = ( { " TRUE "} );", sets, 1);
	put("pools = ( { " TRUE "} );\nlog = { level = \"debug\"; };");
	judge(sets, 1);
	ck_assert_str_eq(report, "reloaded: nothing is different\n");
}
END_TEST

/* Each file is right for itself; without the restart the second's half is not. */
START_TEST(halves_that_do_not_go_together_are_refused)
{
	change("pools = ( { " TRUE "max_frame_bytes = \"32MiB\"; } );\nlimits = { request = \"20MiB\"; };",
		"pools = ( { " TRUE "max_frame_bytes = \"2MiB\"; } );\nlimits = { request = \"1MiB\"; };");
	ck_assert(!reload.good);
	ck_assert_ptr_nonnull(strstr(report, "pools[0].max_frame_bytes: must be at least 64KiB above limits.request"));
	ck_assert_ptr_nonnull(strstr(report, "these changes only go together with others that need a restart\n"));
}
END_TEST

START_TEST(a_command_that_is_not_there_is_refused)
{
	change("pools = ( { " TRUE "} );", "pools = ( { command = [ \"/no/such/program\" ]; } );");
	ck_assert(!reload.good);
	ck_assert_ptr_nonnull(strstr(report, "pool \"default\": the command /no/such/program cannot be run"));
}
END_TEST

/* ---- the classes of the table ---- */

/* Another value for a key, as --set takes it. */
static const char *other_value(const struct config_key *key)
{
	static const struct {
		const char *path, *value;
	} rows[] = {
		{"sources[].commands", "[\"x\"]"},
		{"headers.copy", "[\"y-*\"]"},
		{"pools[].command", "[\"/bin/false\"]"},
		{"pools[].environment", "[\"A=1\"]"},
		{"pools[].pass_environment", "[\"A\"]"},
		{"pools[].directory", "/"},
		{"pools[].user", "12345"},
		{"pools[].group", "12345"},
		{"pools[].max_frame_bytes", "32MiB"},
	};
	static char word[64];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(rows[i].path, key->path) == 0)
			return rows[i].value;
	if (key->type == CONFIG_BOOL)
		return strcmp(key->dflt, "true") == 0 ? "false" : "true";
	if (key->type == CONFIG_ENUM) /* the second word, or the first if that is the default */
		snprintf(word, sizeof word, "%.*s", (int)strcspn(key->range, "|"), key->range);
	if (key->type == CONFIG_ENUM && strstr(key->dflt, word))
		snprintf(word, sizeof word, "%.*s", (int)strcspn(strchr(key->range, '|') + 1, "|"), strchr(key->range, '|') + 1);
	return key->type == CONFIG_ENUM ? word : key->type == CONFIG_DURATION ? "7s" : key->type == CONFIG_SIZE ? "3MiB" : "2";
}

/* As a reader of the daemon would give the key in an item of a list: number 0. */
static void set_of(const struct config_key *key, char *out, size_t size)
{
	const char *bracket = strstr(key->path, "[]");

	if (bracket)
		snprintf(out, size, "%.*s[0]%s=%s", (int)(bracket - key->path), key->path, bracket + 2, other_value(key));
	else
		snprintf(out, size, "%s=%s", key->path, other_value(key));
}

static bool same_list(const char *const *a, size_t na, const char *const *b, size_t nb)
{
	bool same = na == nb;

	for (size_t i = 0; same && i < na; i++)
		same = strcmp(a[i], b[i]) == 0;
	return same;
}

static bool same_engine(const struct engine_config *a, const struct engine_config *b)
{
	struct engine_config x = *a, y = *b;
	struct pool_config p = a->pools[0], q = b->pools[0];

	x.instance_id = y.instance_id = p.name = q.name = NULL;
	x.pools = y.pools = NULL;
	x.sources = y.sources = NULL;
	x.copy_headers = y.copy_headers = NULL;
	return memcmp(&x, &y, sizeof x) == 0 && memcmp(&p, &q, sizeof p) == 0 &&
	       same_list(a->copy_headers, a->ncopy_headers, b->copy_headers, b->ncopy_headers) &&
	       same_list(a->sources[0].commands, a->sources[0].ncommands, b->sources[0].commands, b->sources[0].ncommands);
}

static size_t length(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static bool same_workers(const struct adapter_config *a, const struct adapter_config *b)
{
	return same_list(a->command, length(a->command), b->command, length(b->command)) &&
	       same_list(a->environment, length(a->environment), b->environment, length(b->environment)) &&
	       same_list(a->pass, length(a->pass), b->pass, length(b->pass)) && strcmp(a->directory, b->directory) == 0 &&
	       strcmp(a->user, b->user) == 0 && strcmp(a->group, b->group) == 0 && a->max_frame_bytes == b->max_frame_bytes &&
	       a->address_space == b->address_space && a->open_files == b->open_files && a->core_bytes == b->core_bytes &&
	       a->cpu_seconds == b->cpu_seconds && a->stop_grace_us == b->stop_grace_us && a->oom_score == b->oom_score &&
	       a->may_gain_privileges == b->may_gain_privileges;
}

/* What flow and daemon read from the settings whenever they need it. */
static bool is_read_when_needed(const char *key)
{
	static const char *const keys[] = {"log.level", "log.format", "health.heartbeat", "drain.shutdown"};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}

/* Builds both configurations that differ in one key. */
static void compare(const struct config_key *key, bool *engine, bool *workers)
{
	const struct identity id = {.instance = "i"};
	struct adapter_config a, b;
	struct wiring one, two;
	char set[256];
	const char *sets[] = {"sources[0].topic=t", set};

	set_of(key, set, sizeof set);
	load("pools = ( { " TRUE "} );", sets, 1);
	judge(sets, 2);
	ck_assert_msg(reload.good, "%s: %s", set, report);
	ck_assert_msg(reload.n == 1 && reload.changes[0].how == key->reload, "%s: %s", set, report);
	wiring_init(&one, &now, &id, &memory);
	wiring_init(&two, &reload.settings, &id, &memory);
	a = wiring_adapter(settings_pool(&now, 0));
	b = wiring_adapter(settings_pool(&reload.settings, 0));
	*engine = !same_engine(&one.engine, &two.engine);
	*workers = !same_workers(&a, &b);
	wiring_free(&one);
	wiring_free(&two);
	settings_free(&now);
	settings_free(&reload.settings);
	reload_free(&reload);
}

START_TEST(what_is_live_or_rolls_gets_where_it_is_used)
{
	size_t n, live = 0, rolls = 0;
	const struct config_key *keys = settings_keys(&n);

	for (size_t i = 0; i < n; i++) {
		bool engine, workers, owned = strstr(keys[i].path, "].user") || strstr(keys[i].path, "].group");

		if (keys[i].reload == RELOAD_RESTART || (owned && geteuid() != 0) || strcmp(keys[i].path, "pools[].user") == 0)
			continue; /* a user by number needs a group beside it */
		compare(&keys[i], &engine, &workers);
		if (keys[i].reload == RELOAD_LIVE) {
			ck_assert_msg((engine && !workers) || is_read_when_needed(keys[i].path), "%s is not live", keys[i].path);
			live++;
		} else {
			ck_assert_msg(strncmp(keys[i].path, "pools[].", 8) == 0, "%s belongs to no pool", keys[i].path);
			ck_assert_msg(workers || strcmp(keys[i].path, "pools[].concurrency") == 0,
				"%s does not get to the workers", keys[i].path);
			rolls++;
		}
	}
	ck_assert_uint_gt(live, 20);
	ck_assert_uint_gt(rolls, 9);
}
END_TEST

/* ---- the word to who waits ---- */

START_TEST(the_word_comes_to_who_listens)
{
	char why[128];
	int listener = reload_word_listen(getpid(), why, sizeof why), status;
	struct buf out;
	pid_t pid;

	ck_assert_msg(listener >= 0, "%s", why);
	ck_assert_int_lt(reload_word_listen(getpid(), why, sizeof why), 0);
	ck_assert_ptr_nonnull(strstr(why, "another"));
	ck_assert(reload_word_tell(SLICE("reloaded: x\n  live y\n")));
	buf_init(&out, RELOAD_WORD_MAX);
	ck_assert(reload_word_hear(listener, 10000, &out));
	ck_assert(slice_is(buf_slice(&out), "reloaded: x\n  live y\n"));
	ck_assert(!reload_word_hear(listener, 10, &out));
	close(listener);
	ck_assert(!reload_word_tell(SLICE("nobody")));
	buf_free(&out);
	if (geteuid() != 0)
		return;
	pid = fork(); /* somebody else's ear */
	if (pid == 0) {
		if (setuid(65534) || reload_word_listen(getppid(), why, sizeof why) < 0)
			_exit(1);
		raise(SIGSTOP);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
	ck_assert(WIFSTOPPED(status));
	ck_assert(!reload_word_tell(SLICE("secret")));
	kill(pid, SIGCONT);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("app_reload");
	TCase *t = tcase_create("reload");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, the_same_again);
	tcase_add_test(t, each_change_is_told_as_what_it_is);
	tcase_add_test(t, what_a_report_has_no_room_for_is_counted);
	tcase_add_test(t, another_share_of_the_memory_is_told_with_what_brought_it);
	tcase_add_test(t, pools_and_sources_come_and_go_with_a_restart);
	tcase_add_test(t, if_anything_is_wrong_nothing_changes_and_all_is_told);
	tcase_add_test(t, a_file_that_is_gone_is_an_error);
	tcase_add_test(t, what_was_set_on_the_command_line_stays_set);
	tcase_add_test(t, halves_that_do_not_go_together_are_refused);
	tcase_add_test(t, a_command_that_is_not_there_is_refused);
	tcase_add_test(t, what_is_live_or_rolls_gets_where_it_is_used);
	tcase_add_test(t, the_word_comes_to_who_listens);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
