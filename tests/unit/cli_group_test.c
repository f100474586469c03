/* cli_group_test.c: the picture of a group that `bridgepool watch` draws, from health events alone. */
#include <check.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "picture.h"
#include "table.h"

static struct group group;
static struct picture picture;

static void setup(void)
{
	group_init(&group, 10000);
}

static void teardown(void)
{
	group_free(&group);
	picture_free(&picture);
}

/* event: members of a HealthEvent beside those that each has. */
static const struct member *take(const char *instance, int sequence, int64_t seen_ms, const char *event)
{
	json_t *o = json_loads(event, 0, NULL);
	const struct member *m;

	ck_assert_ptr_nonnull(o);
	json_object_set_new(o, "instance_id", json_string(instance));
	json_object_set_new(o, "sequence", json_integer(sequence));
	json_object_set_new(o, "at", json_integer(1767225600000 + seen_ms));
	if (!json_object_get(o, "incarnation"))
		json_object_set_new(o, "incarnation", json_string("one"));
	json_object_set_new(o, "host", json_string("h"));
	m = group_take(&group, o, seen_ms);
	json_decref(o);
	return m;
}

static const struct member *beat(const char *instance, int sequence, int64_t seen_ms, int finished, int failed)
{
	char text[1024];

	snprintf(text, sizeof text,
		"{\"kind\":\"HEARTBEAT\",\"severity\":\"INFO\",\"snapshot\":{\"state\":\"READY\",\"memory_used\":2048,\"memory_limit\":1048576,"
		"\"pools\":[{\"name\":\"fast\",\"state\":\"READY\",\"workers\":{\"READY\":3,\"INITIALIZING\":1},\"busy\":2,\"slots_used\":5,\"slots_total\":24,"
		"\"queued\":7,\"sessions\":11,\"sessions_lost\":1,\"requests\":{\"OK\":%d,\"ERROR\":%d},\"durations\":[0,0,%d,0,0,0,0,0,0,0,0,0]}],"
		"\"partitions\":[{\"topic\":\"t\",\"partition\":0,\"backlog\":4,\"oldest_ms\":1500,\"held\":false},"
		"{\"topic\":\"t\",\"partition\":1,\"backlog\":5,\"oldest_ms\":200,\"held\":true}]}}",
		finished - failed, failed, finished);
	return take(instance, sequence, seen_ms, text);
}

static void state(const char *instance, int sequence, int64_t seen_ms, const char *to)
{
	char text[256];

	snprintf(text, sizeof text,
		"{\"kind\":\"INSTANCE_STATE\",\"severity\":\"INFO\",\"to_state\":\"%s\",\"reason\":\"because\"}", to);
	ck_assert_ptr_null(take(instance, sequence, seen_ms, text));
}

static const char *find_line(const char *text)
{
	for (size_t i = 0; i < picture.n; i++)
		if (strstr(picture.lines[i].text, text))
			return picture.lines[i].text;
	return NULL;
}

/* A line has these words, in this order. */
static void expect(int64_t now_ms, const char *line, ...)
{
	const char *at, *word;
	va_list words;

	picture_draw(&picture, &group, "title", 0, now_ms, 1767225600000 + now_ms, 10);
	at = find_line(line);
	if (!at)
		for (size_t i = 0; i < picture.n; i++)
			fprintf(stderr, "%s\n", picture.lines[i].text);
	ck_assert_msg(at != NULL, "no line with \"%s\"", line);
	va_start(words, line);
	while ((word = va_arg(words, const char *))) {
		const char *next = strstr(at, word);
		ck_assert_msg(next != NULL, "no \"%s\" in \"%s\"", word, at);
		at = next + strlen(word);
	}
	va_end(words);
}

START_TEST(a_heartbeat_shows_instance_and_pool)
{
	ck_assert_ptr_nonnull(beat("a", 5, 1000, 100, 10));
	ck_assert(group_is_whole(&group));
	expect(3500, "a  ", " READY ", " 2.5s ", " 2 ", " 9 ", " 1.5s ", "2.0K/1.0M", " - ", " -", " h", "1 held", NULL);
	expect(3500, "fast", " READY ", " 3 ", " 2 ", " 1 ", " 0 ", " 0 ", " 5/24 ", " 7 ", " 11 ", " 1 ", " - ", " - ", " - ",
		" -", NULL);
}
END_TEST

START_TEST(rates_are_those_between_two_heartbeats)
{
	beat("a", 1, 1000, 100, 10);
	beat("a", 2, 6000, 200, 20);
	beat("b", 1, 1000, 0, 0);
	beat("b", 2, 6000, 50, 0);
	expect(6000, "a  ", " 20.0 ", " 2.0 ", NULL);
	expect(6000, "b  ", " 10.0 ", " 0.0 ", NULL);
	expect(6000, "fast", " 6 ", " 4 ", " 2 ", " 10/48 ", " 14 ", " 22 ", " 2 ", " 30.0 ", " 2.0 ", " 10ms ", " 10ms", NULL);
}
END_TEST

START_TEST(a_new_incarnation_begins_anew)
{
	beat("a", 1, 1000, 100, 10);
	beat("a", 5, 2000, 200, 10);
	ck_assert(member_rate(group.members, false) > 99);
	ck_assert_int_eq(group.members->missed, 3);
	take("a", 1, 2500,
		"{\"kind\":\"INSTANCE_STATE\",\"severity\":\"INFO\",\"to_state\":\"STARTING\",\"incarnation\":\"two\"}");
	ck_assert(!group_is_whole(&group));
	ck_assert(member_rate(group.members, false) < 0);
	ck_assert_int_eq(group.members->missed, 0);
	expect(2600, "a  ", " STARTING ", NULL);
}
END_TEST

START_TEST(who_is_not_heard_for_three_intervals_is_told_once)
{
	beat("a", 1, 1000, 0, 0);
	beat("a", 2, 2000, 0, 0); /* so its interval is one second */
	beat("b", 1, 2000, 0, 0); /* nobody knows its; ten seconds were given */
	group_look(&group, 4900, 0);
	ck_assert_uint_eq(group.nevents, 0);
	group_look(&group, 5100, 0);
	group_look(&group, 5200, 0);
	ck_assert_uint_eq(group.nevents, 1);
	ck_assert_str_eq(group.events[0].text, "a is not heard any more: no heartbeat for 3 s; it was READY");
	expect(5200, "a  ", " SILENT ", "no heartbeat for 3.2s, it was READY", NULL);
	expect(5200, "fast", " 3 ", NULL); /* those of b alone */
	ck_assert(group_is_whole(&group));
	beat("a", 3, 6000, 0, 0);
	ck_assert_str_eq(group.events[1].text, "a is heard again");
	ck_assert(member_lives(group.members));
	group_look(&group, 6000 + 4000 * 31, 0);
	ck_assert_uint_eq(HASH_COUNT(group.members), 1); /* a is forgotten by then, b not yet */
}
END_TEST

START_TEST(who_stops_is_not_missed)
{
	beat("a", 1, 1000, 0, 0);
	state("a", 2, 1500, "STOPPED");
	group_look(&group, 50000, 0);
	ck_assert_uint_eq(group.nevents, 1);
	ck_assert(!group_is_whole(&group));
	expect(50000, "a  ", " STOPPED ", NULL);
	group_look(&group, 70000, 0);
	ck_assert_ptr_null(group.members);
	expect(70000, "nothing was heard yet", NULL);
}
END_TEST

START_TEST(events_that_did_not_come_are_counted)
{
	beat("a", 7, 1000, 0, 0);
	beat("a", 8, 2000, 0, 0);
	beat("a", 11, 3000, 0, 0);
	ck_assert_int_eq(group.members->missed, 2);
	expect(3000, "a  ", "2 events lost", NULL);
}
END_TEST

START_TEST(events_are_lines_the_newest_first)
{
	take("a", 1, 1000,
		"{\"kind\":\"WORKER_EXIT\",\"severity\":\"WARN\",\"worker_id\":\"fast/1.3\",\"reason\":\"signal\\n9\",\"count\":4,"
		"\"from_state\":\"READY\",\"to_state\":\"TERMINATED\"}");
	take("a", 2, 2000, "{\"kind\":\"POOL_STATE\",\"severity\":\"ERROR\",\"pool\":\"fast\",\"to_state\":\"UNAVAILABLE\"}");
	expect(2000, "WORKER_EXIT", "WARN ", " a WORKER_EXIT fast/1.3 READY -> TERMINATED: signal 9 (4)", NULL);
	expect(2000, "POOL_STATE", "ERROR a POOL_STATE fast UNAVAILABLE", NULL);
	ck_assert(find_line("POOL_STATE") < find_line("WORKER_EXIT"));
	for (int i = 0; i < 3 * GROUP_EVENTS; i++)
		state("a", 3 + i, 3000 + i, i % 2 ? "READY" : "UNAVAILABLE");
	picture_draw(&picture, &group, "title", 0, 5000, 5000, 1000);
	ck_assert_uint_lt(picture.n, GROUP_EVENTS + 20);
	ck_assert_ptr_null(find_line("WORKER_EXIT"));
}
END_TEST

START_TEST(what_is_no_event_changes_nothing)
{
	static const char *const texts[] = {"{}", "[]", "{\"instance_id\":5,\"kind\":\"X\"}", "{\"instance_id\":\"a\"}", "3"};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		json_t *o = json_loads(texts[i], JSON_DECODE_ANY, NULL);

		ck_assert_ptr_null(group_take(&group, o, 1));
		json_decref(o);
	}
	ck_assert_ptr_null(group.members);
	take("a", 1, 1,
		"{\"kind\":\"NEWER\",\"severity\":\"STRANGE\",\"to_state\":\"ODD\",\"snapshot\":{\"pools\":[3,{}],\"partitions\":{}}}");
	expect(1, "a  ", " UNKNOWN ", NULL);
}
END_TEST

START_TEST(foreign_text_steers_no_terminal)
{
	take("a\033[2J", 1, 1, "{\"kind\":\"POOL_STATE\",\"pool\":\"p\\u001bc\",\"reason\":\"\\u007f\\r\\u009b\"}");
	beat("b", 1, 1, 0, 0);
	picture_draw(&picture, &group, "title", 0, 1, 1, 10);
	for (size_t i = 0; i < picture.n; i++)
		for (const char *c = picture.lines[i].text; *c; c++)
			ck_assert((unsigned char)*c >= ' ' && (unsigned char)*c < 0x7f);
}
END_TEST

/* An instance says when it will be heard again; 0: not any more by heartbeats. */
START_TEST(the_interval_is_as_an_instance_says)
{
	static const char
		text[] = "{\"kind\":\"HEARTBEAT\",\"severity\":\"INFO\",\"snapshot\":{\"state\":\"READY\",\"heartbeat_ms\":%s}}";
	char event[256];

	snprintf(event, sizeof event, text, "60000");
	take("a", 1, 1000, event);
	take("a", 2, 2000, event); /* told at once, when it was changed */
	group_look(&group, 180000, 0);
	ck_assert_uint_eq(group.nevents, 0);
	group_look(&group, 183000, 0);
	ck_assert_str_eq(group.events[0].text, "a is not heard any more: no heartbeat for 181 s; it was READY");
	snprintf(event, sizeof event, text, "0");
	take("a", 3, 190000, event);
	group_look(&group, 190000 + INT64_C(40) * 24 * 3600 * 1000, 0);
	ck_assert(group.members && member_lives(group.members));
	snprintf(event, sizeof event, text, "9223372036854775807");
	take("a", 4, 200000, event);
	ck_assert_int_eq(group.members->interval_ms, 24 * 3600 * 1000);
	snprintf(event, sizeof event, text, "-1"); /* not told: as seen */
	take("a", 5, 204000, event);
	ck_assert_int_eq(group.members->interval_ms, 4000);
}
END_TEST

/* Whose configuration says that no heartbeats are made waits for none. */
START_TEST(no_heartbeats_are_missed_where_none_are_made)
{
	group_init(&group, 0);
	state("a", 1, 1000, "READY");
	group_look(&group, INT64_C(40) * 24 * 3600 * 1000, 0);
	ck_assert_uint_eq(group.nevents, 1);
	ck_assert(group_is_whole(&group));
}
END_TEST

START_TEST(no_number_is_too_large)
{
	static const char *const most[] = {"9223372036854775807", "-9223372036854775808", "1e300", "70368744177664"};
	char event[2048];

	for (int i = 0; i < 40; i++) {
		const char *n = most[i % 4];

		snprintf(event, sizeof event,
			"{\"kind\":\"HEARTBEAT\",\"at\":%s,\"sequence\":%s,\"count\":%s,\"snapshot\":{\"state\":\"READY\",\"memory_used\":%s,\"memory_limit\":%s,"
			"\"heartbeat_ms\":-1,\"pools\":[{\"name\":\"p\",\"state\":\"READY\",\"queued\":%s,\"sessions\":%s,\"requests\":{\"OK\":%s,\"ERROR\":%s},"
			"\"durations\":[%s,%s]},{\"name\":\"p\",\"queued\":%s}],\"partitions\":[{\"backlog\":%s,\"oldest_ms\":%s},{\"backlog\":%s}]}}",
			n, n, n, n, n, n, n, n, n, n, n, n, n, n, n);
		json_t *o = json_loads(event, 0, NULL);
		char name[8];

		snprintf(name, sizeof name, "m%d", i % 8);
		json_object_set_new(o, "instance_id", json_string(name));
		group_take(&group, o, 1000 + i);
		json_decref(o);
		group_look(&group, 1000 + i, 0);
		picture_draw(&picture, &group, "title", 80, 1000 + i, 1000 + i, 10);
	}
	for (const struct member *m = group.members; m; m = m->hh.next)
		ck_assert(m->last.backlog >= 0 && m->last.backlog <= GROUP_MOST && m->interval_ms >= 0 && m->missed >= 0);
}
END_TEST

START_TEST(a_topic_full_of_names_is_bounded)
{
	char name[16];

	for (int i = 0; i < GROUP_MEMBERS + 10; i++) {
		snprintf(name, sizeof name, "m%d", i);
		beat(name, 1, 1000, 0, 0);
	}
	ck_assert_uint_eq(HASH_COUNT(group.members), GROUP_MEMBERS);
	expect(1000, "there are more: only 256 instances are shown", NULL);
	state("m0", 2, 2000, "STOPPED");
	beat("late", 1, 2000, 0, 0); /* takes the place of the one that has gone */
	expect(2000, "late ", " READY ", NULL);
	ck_assert_uint_eq(HASH_COUNT(group.members), GROUP_MEMBERS);
	group_look(&group, 400000, 0); /* all are long forgotten but those of ten seconds */
	ck_assert(!group.left_out);
}
END_TEST

/* ---- narrow terminals ---- */

static size_t columns(const char *text)
{
	size_t used;

	table_fit(text, 10000, &used);
	return used;
}

START_TEST(what_matters_most_fits_into_80_columns)
{
	beat("instance-1", 1, 1000, 100, 10);
	beat("instance-1", 2, 2000, 200, 20);
	beat("instance-2", 1, 2000, 0, 0);
	group_look(&group, 5000, 0);
	picture_draw(&picture, &group, "title", 80, 5000, 1767225600000, 10);
	for (size_t i = 0; i < picture.n && strcmp(picture.lines[i].text, "EVENTS") != 0; i++)
		ck_assert_msg(columns(picture.lines[i].text) <= 80, "%s", picture.lines[i].text);
	ck_assert_str_eq(find_line("INSTANCE"), "INSTANCE   STATE          BEAT PARTITIONS  BACKLOG  OLDEST   DONE/S FAILED/S");
	ck_assert_str_eq(find_line("instance-1 "),
		"instance-1 READY          3.0s          2        9    1.5s      100     10.0");
	ck_assert_str_eq(find_line("held"), "  1 held");
	ck_assert_str_eq(find_line("POOL"), "POOL STATE         READY  BUSY  DOWN       PLACES  QUEUED  SESSIONS    LOST");
	ck_assert_str_eq(find_line("fast"), "fast READY             6     4     0        10/48      14        22       2");
}
END_TEST

START_TEST(the_least_terminal_has_names_and_states)
{
	beat("a", 1, 1000, 100, 10);
	picture_draw(&picture, &group, "title", 20, 1000, 1767225600000, 10);
	ck_assert_str_eq(find_line("INSTANCE"), "INSTANCE STATE");
	ck_assert_str_eq(find_line("a  "), "a        READY");
	ck_assert_str_eq(find_line("POOL"), "POOL STATE");
}
END_TEST

/* What an instance said last is no state when it is not heard any more, however narrow the screen. */
START_TEST(who_is_silent_is_so_in_the_state_at_every_width)
{
	static const size_t widths[] = {0, 20, 30, 80, 150};

	beat("bridgepool-0123456789abcdef-0123", 1, 1000, 0, 0);
	state("bridgepool-0123456789abcdef-0123", 2, 1100, "DRAINING");
	for (int silent = 0; silent < 2; silent++) {
		if (silent)
			group_look(&group, 32000, 0);
		for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
			const char *said = silent ? "SILENT" : "DRAINING", *other = silent ? "DRAINING" : "SILENT", *row;

			picture_draw(&picture, &group, "title", widths[i], 32000, 1767225600000, 0);
			row = picture.lines[3].text; /* below the title, a blank line and the head */
			ck_assert_msg(strstr(row, said) &&
					      (!widths[i] || (size_t)(strstr(row, said) - row) + strlen(said) <= widths[i]),
				"%s", row);
			ck_assert_msg(!strstr(row, other) || strstr(row, "it was"), "%s", row);
			ck_assert_int_eq(picture.lines[3].colour, silent ? COLOUR_RED : COLOUR_YELLOW);
		}
	}
	picture_draw(&picture, &group, "title", 80, 57000, 1767225600000, 0);
	ck_assert_str_eq(find_line("SILENT"), "0123456789abcdef-0123 SILENT          56s        9    1.5s        -        -");
	ck_assert_str_eq(find_line("no heartbeat"), "  no heartbeat for 55s, it was DRAINING 1 held");
}
END_TEST

START_TEST(little_room_is_for_what_tells_instances_apart)
{
	beat("bridgepool-1a2b3c4d", 1, 1000, 0, 0);
	beat("bridgepool-", 1, 1000, 0, 0);
	state("bridgepool-1a2b3c4d", 2, 1100, "STOPPED");
	picture_draw(&picture, &group, "title", 80, 1100, 1767225600000, 10);
	ck_assert_ptr_nonnull(find_line("1a2b3c4d    STOPPED"));
	ck_assert_ptr_nonnull(find_line("bridgepool- READY"));
	ck_assert_str_eq(find_line("INSTANCE_STATE"), "00:00:01 INFO  1a2b3c4d INSTANCE_STATE STOPPED: because");
	picture_draw(&picture, &group, "title", 150, 1100, 1767225600000, 10);
	ck_assert_ptr_nonnull(find_line("bridgepool-1a2b3c4d STOPPED"));
	ck_assert_str_eq(find_line("INSTANCE_STATE"), "00:00:01 INFO  bridgepool-1a2b3c4d INSTANCE_STATE STOPPED: because");
}
END_TEST

START_TEST(a_line_that_is_cut_says_so)
{
	const char *more;

	ck_assert_uint_eq(table_cut("12345678", 8, &more), 8);
	ck_assert_str_eq(more, "");
	ck_assert_uint_eq(table_cut("123456789", 8, &more), 5);
	ck_assert_str_eq(more, "...");
	ck_assert_uint_eq(table_cut("123456789", 3, &more), 3); /* no room for anything else */
	ck_assert_str_eq(more, "");
}
END_TEST

/* In each locale as it writes; none cuts a character in two. */
START_TEST(characters_stay_whole)
{
	static const char wide[] = "\xe6\x97\xa5\xe6\x9c\xac"; /* two characters of two columns each */
	char name[200] = "", event[512];
	size_t used;

	ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C.UTF-8"));
	ck_assert_uint_eq(table_fit(wide, 3, &used), 3);
	ck_assert_uint_eq(used, 2);
	ck_assert_uint_eq(table_fit("e\xcc\x81t", 1, &used), 3); /* an accent takes no room */
	ck_assert_uint_eq(used, 1);
	ck_assert_uint_eq(table_fit("a\xff\xc3", 9, &used), 3); /* no text, and no end without it */
	ck_assert_uint_eq(used, 3);
	setlocale(LC_CTYPE, "C");
	ck_assert_uint_eq(table_fit(wide, 1, NULL), 3);

	for (int i = 0; i < 60; i++)
		strcat(name, "\xc3\xa9");
	snprintf(event, sizeof event, "{\"kind\":\"WORKER_EXIT\",\"reason\":\"%s%s\"}", name, name);
	take(name, 1, 1000, event);
	beat(name + 2, 1, 1000, 0, 0);
	ck_assert(slice_is_utf8(slice_of(group.members->id)) && slice_is_utf8(slice_of(group.events[0].text)));
	picture_draw(&picture, &group, "title", 80, 1000, 1767225600000, 10);
	for (size_t i = 0; i < picture.n; i++)
		ck_assert(slice_is_utf8(slice_of(picture.lines[i].text)));
}
END_TEST

START_TEST(a_heartbeat_is_one_line_too)
{
	char text[PICTURE_WIDTH];

	picture_beat(beat("a", 1, 1000, 100, 10), text, sizeof text);
	ck_assert_ptr_nonnull(
		strstr(text, " INFO  a HEARTBEAT READY workers=4 ready=3 sessions=11 queued=7 partitions=2 backlog=9 done/s=-"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli_group");
	TCase *t = tcase_create("group");
	SRunner *runner;
	int failed;

	setenv("TZ", "UTC", 1);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_heartbeat_shows_instance_and_pool);
	tcase_add_test(t, rates_are_those_between_two_heartbeats);
	tcase_add_test(t, a_new_incarnation_begins_anew);
	tcase_add_test(t, who_is_not_heard_for_three_intervals_is_told_once);
	tcase_add_test(t, who_stops_is_not_missed);
	tcase_add_test(t, events_that_did_not_come_are_counted);
	tcase_add_test(t, events_are_lines_the_newest_first);
	tcase_add_test(t, what_is_no_event_changes_nothing);
	tcase_add_test(t, foreign_text_steers_no_terminal);
	tcase_add_test(t, the_interval_is_as_an_instance_says);
	tcase_add_test(t, no_heartbeats_are_missed_where_none_are_made);
	tcase_add_test(t, no_number_is_too_large);
	tcase_add_test(t, a_topic_full_of_names_is_bounded);
	tcase_add_test(t, what_matters_most_fits_into_80_columns);
	tcase_add_test(t, the_least_terminal_has_names_and_states);
	tcase_add_test(t, who_is_silent_is_so_in_the_state_at_every_width);
	tcase_add_test(t, little_room_is_for_what_tells_instances_apart);
	tcase_add_test(t, a_line_that_is_cut_says_so);
	tcase_add_test(t, characters_stay_whole);
	tcase_add_test(t, a_heartbeat_is_one_line_too);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
