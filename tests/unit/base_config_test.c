/* base_config_test.c: a file and --set against a small table: values, defaults, and every error with its place. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/base/config.h"

struct room {
	char *name;
	int64_t size;
	struct config_strings doors;
};

struct house {
	char *street;
	int64_t number, wait, area;
	bool empty;
	int colour;
	struct config_strings words;
	struct config_list rooms;
};

#define KEY(path, type, member, dflt, range)                                                                       \
	{                                                                                                          \
		path, type, offsetof(struct house, member), 0, dflt, range, RELOAD_LIVE, "Help of " path ".", NULL \
	}
#define ROOM(name, type, dflt, range)                                                                                        \
	{                                                                                                                    \
		"rooms[]." #name, type, offsetof(struct room, name), 0, dflt, range, RELOAD_LIVE, "Help of " #name ".", NULL \
	}

static const struct config_key keys[] = {
	KEY("place.street", CONFIG_STRING, street, "\"High Street\"", NULL),
	KEY("place.number", CONFIG_INT, number, "1", "1..99"),
	KEY("wait", CONFIG_DURATION, wait, "\"30s\"", "1ms..1d"),
	KEY("area", CONFIG_SIZE, area, "\"1KiB\"", NULL),
	KEY("empty", CONFIG_BOOL, empty, "false", NULL),
	KEY("colour", CONFIG_ENUM, colour, "\"red\"", "red|green|blue"),
	KEY("words", CONFIG_STRINGS, words, "[ \"a\", \"b\" ]", NULL),
	{"rooms[]", CONFIG_LIST, offsetof(struct house, rooms), sizeof(struct room), "( { } )", NULL, RELOAD_LIVE, "Rooms.",
		NULL},
	ROOM(name, CONFIG_STRING, "\"hall\"", NULL),
	ROOM(size, CONFIG_INT, "4", "1..1000"),
	ROOM(doors, CONFIG_STRINGS, "[ ]", NULL),
	{"rooms[].spare", CONFIG_RESERVED, 0, 0, "0", NULL, RELOAD_LIVE, "spare rooms", NULL},
	{"garden", CONFIG_RESERVED, 0, 0, NULL, NULL, RELOAD_LIVE, "a garden", NULL},
};

enum { NKEYS = sizeof keys / sizeof *keys, SETS_MAX = 8 };

static struct house house;
static char errors[65536], path[64];

static void setup(void)
{
	house = (struct house){0};
	*errors = '\0';
}

static void teardown(void)
{
	config_free(keys, NKEYS, &house);
}

static size_t count(const char *const *sets)
{
	size_t n = 0;

	while (sets && sets[n])
		n++;
	return n;
}

static bool load_with(const char *text, const char *const *sets, void (*check)(const void *, struct config_report *))
{
	struct buf out;
	bool good;
	int fd;

	config_free(keys, NKEYS, &house);
	buf_init(&out, sizeof errors - 1);
	if (text) {
		strcpy(path, "/tmp/bridgepool-config-XXXXXX");
		fd = mkstemp(path);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
		close(fd);
	}
	memset(&house, 0xa5, sizeof house); /* a caller need not have cleared it */
	good = config_load_checked(text ? path : NULL, sets, count(sets), keys, NKEYS, &house, check, &out);
	memcpy(errors, buf_slice(&out).data, out.len);
	errors[out.len] = '\0';
	buf_free(&out);
	if (text)
		unlink(path);
	return good;
}

static bool load(const char *text)
{
	return load_with(text, NULL, NULL);
}

static bool set(const char *one)
{
	const char *const sets[] = {one, NULL};

	return load_with(NULL, sets, NULL);
}

/* The whole output must be these lines; "@" stands for the file. */
static void expect_errors(const char *wanted)
{
	char text[8192], *out = text;

	for (const char *c = wanted; *c; c++) {
		if (*c == '@')
			out = stpcpy(out, path);
		else
			*out++ = *c;
	}
	*out = '\0';
	ck_assert_str_eq(errors, text);
}

static const struct room *room(size_t i)
{
	ck_assert_uint_lt(i, house.rooms.n);
	return (const struct room *)house.rooms.items + i;
}

/* ---- values ---- */

START_TEST(without_a_file_all_is_default)
{
	ck_assert_msg(load(NULL), "%s", errors);
	ck_assert_str_eq(house.street, "High Street");
	ck_assert_int_eq(house.number, 1);
	ck_assert_int_eq(house.wait, 30000000);
	ck_assert_int_eq(house.area, 1024);
	ck_assert(!house.empty);
	ck_assert_int_eq(house.colour, 0);
	ck_assert_uint_eq(house.words.n, 2);
	ck_assert_str_eq(house.words.items[1], "b");
	ck_assert_ptr_null(house.words.items[2]);
	ck_assert_uint_eq(house.rooms.n, 1);
	ck_assert_str_eq(room(0)->name, "hall");
	ck_assert_int_eq(room(0)->size, 4);
	ck_assert_ptr_nonnull(room(0)->doors.items);
	ck_assert_ptr_null(room(0)->doors.items[0]);
}
END_TEST

START_TEST(a_file_fills_all_types)
{
	ck_assert_msg(
		load("place = { street = \"Low\\tStreet\"; number = 99; };\nwait = 0.25; area = \"2MiB\"; empty = true; colour = "
		     "\"blue\";\n"
		     "words = ( \"x\" );\nrooms = ( { name = \"one\"; }, { size = 0x10; doors = [ \"n\", \"s\" ]; spare = 0; } );\n"),
		"%s", errors);
	ck_assert_str_eq(house.street, "Low\tStreet");
	ck_assert_int_eq(house.number, 99);
	ck_assert_int_eq(house.wait, 250000);
	ck_assert_int_eq(house.area, 2097152);
	ck_assert(house.empty);
	ck_assert_int_eq(house.colour, 2);
	ck_assert_uint_eq(house.words.n, 1);
	ck_assert_uint_eq(house.rooms.n, 2);
	ck_assert_str_eq(room(0)->name, "one");
	ck_assert_str_eq(room(1)->name, "hall");
	ck_assert_int_eq(room(1)->size, 16);
	ck_assert_str_eq(room(1)->doors.items[1], "s");
}
END_TEST

START_TEST(an_empty_list_is_a_list)
{
	ck_assert_msg(load("rooms = ( ); words = [ ];"), "%s", errors);
	ck_assert_uint_eq(house.rooms.n, 0);
	ck_assert_uint_eq(house.words.n, 0);
	ck_assert_ptr_null(house.words.items[0]);
}
END_TEST

static const struct {
	const char *text;
	int64_t us; /* -1: refused */
} waits[] = {{"250ms", 250000}, {"30s", 30000000}, {"5m", 300000000}, {"1h", INT64_C(3600000000)}, {"1d", INT64_C(86400000000)},
	{"7", 7000000}, {"1.5s", 1500000}, {"0.001", 1000}, {"1500us", 1500}, {"2d", -1}, {"0", -1}, {"-1s", -1}, {"-0.5", -1},
	{"", -1}, {"s", -1}, {"1 s", -1}, {"1s ", -1}, {" 1s", -1}, {"+1s", -1}, {"1.s", -1}, {"1e3", -1}, {"1S", -1}, {"5x", -1},
	{"99999999999999999999s", -1}, {"9223372036854775807h", -1}, {"1e300", -1}, {"nan", -1}, {"inf", -1}, {"0x10", -1}};

START_TEST(durations)
{
	char one[64];

	snprintf(one, sizeof one, "wait=%s", waits[_i].text);
	if (waits[_i].us < 0) {
		ck_assert_msg(!set(one), "%s was taken for %lld", one, (long long)house.wait);
		ck_assert_ptr_nonnull(strstr(errors, ": wait: found \""));
	} else {
		ck_assert_msg(set(one), "%s", errors);
		ck_assert_int_eq(house.wait, waits[_i].us);
	}
}
END_TEST

static const struct {
	const char *text;
	int64_t bytes;
} areas[] = {{"0", 0}, {"17", 17}, {"17B", 17}, {"64KiB", 65536}, {"1.5MiB", 1572864}, {"1GiB", 1073741824},
	{"2TiB", INT64_C(2199023255552)}, {"64MB", -1}, {"64M", -1}, {"-1", -1}, {"9000000TiB", -1}, {"99999999999.5TiB", -1},
	{"many", -1}};

START_TEST(sizes)
{
	char one[64];

	snprintf(one, sizeof one, "area=%s", areas[_i].text);
	ck_assert_msg(set(one) == (areas[_i].bytes >= 0), "%s: %s", one, errors);
	if (areas[_i].bytes >= 0)
		ck_assert_int_eq(house.area, areas[_i].bytes);
}
END_TEST

/* ---- variables and files in strings ---- */

START_TEST(variables_and_secret_files_are_put_in)
{
	char secret[] = "/tmp/bridgepool-secret-XXXXXX", text[256];
	int fd = mkstemp(secret);

	ck_assert_int_eq(write(fd, "s3 cret\r\n", 9), 9);
	close(fd);
	setenv("BRIDGEPOOL_TEST_WORD", "value", 1);
	setenv("BRIDGEPOOL_TEST_NUMBER", "42", 1);
	snprintf(text, sizeof text,
		"place = { street = \"<${BRIDGEPOOL_TEST_WORD}|${file:%s}|$${X}|$5>\"; number = \"${BRIDGEPOOL_TEST_NUMBER}\"; };\n"
		"words = [ \"a${BRIDGEPOOL_TEST_WORD}\" ];",
		secret);
	ck_assert_msg(load(text), "%s", errors);
	ck_assert_str_eq(house.street, "<value|s3 cret|${X}|$5>");
	ck_assert_int_eq(house.number, 42);
	ck_assert_str_eq(house.words.items[0], "avalue");
	unlink(secret);
}
END_TEST

START_TEST(what_is_put_in_is_not_shown_in_errors)
{
	setenv("BRIDGEPOOL_TEST_WORD", "topsecret", 1);
	ck_assert(!load("colour = \"${BRIDGEPOOL_TEST_WORD}\";"));
	expect_errors("@:1: colour: found \"${BRIDGEPOOL_TEST_WORD}\"; allowed is one of red, green, blue\n");
}
END_TEST

START_TEST(missing_variables_and_files_are_named)
{
	unsetenv("BRIDGEPOOL_TEST_NONE");
	ck_assert(!load("place = {\n street = \"${BRIDGEPOOL_TEST_NONE}\"; };\nwords = [ \"x\",\n "
			"\"${file:/nonexistent/secret}\" ];\ncolour = \"${open\";\narea = "
			"\"${}\";"));
	expect_errors("@:2: place.street: the environment variable BRIDGEPOOL_TEST_NONE is not set; set it, or write "
		      "$${BRIDGEPOOL_TEST_NONE} for the text "
		      "itself\n"
		      "@:6: area: \"${\" without a name and \"}\"; write ${NAME} or ${file:PATH}, or $${ for the text itself\n"
		      "@:5: colour: \"${\" without a name and \"}\"; write ${NAME} or ${file:PATH}, or $${ for the text itself\n"
		      "@:4: words: ${file:/nonexistent/secret} cannot be opened: No such file or directory\n");
}
END_TEST

/* ---- errors ---- */

START_TEST(all_errors_come_at_once_with_their_lines)
{
	ck_assert(!load("place = { street = 3;\n number = 100; };\nwait = \"soon\";\narea = 1.5;\nempty = 1;\ncolour = "
			"\"Red\";\nwords = \"a\";\n"
			"rooms = ( { size = true; },\n { doors = [ 1, 2 ]; } );\n"));
	expect_errors("@:1: place.street: found 3; allowed is a string in quotes; for example: \"High Street\"\n"
		      "@:2: place.number: found 100; allowed is a whole number, from 1 to 99; for example: 1\n"
		      "@:3: wait: found \"soon\"; allowed is a number of seconds, or \"250ms\", \"30s\", \"5m\", \"1h\", \"2d\", "
		      "from 1ms to 1d\n"
		      "@:4: area: found 1.5; allowed is a number of bytes, or \"64KiB\", \"256MiB\", \"1GiB\"\n"
		      "@:5: empty: found 1; allowed is true or false\n"
		      "@:6: colour: found \"Red\"; allowed is one of red, green, blue\n"
		      "@:7: words: found \"a\"; allowed is a list of strings, like [ \"a\", \"b\" ]\n"
		      "@:8: rooms[0].size: found true; allowed is a whole number, from 1 to 1000; for example: 4\n"
		      "@:9: rooms[1].doors: found 1; allowed is a list of strings, like [ \"a\", \"b\" ]\n");
	ck_assert_ptr_null(house.street);
	ck_assert_ptr_null(house.rooms.items);
	ck_assert_uint_eq(house.rooms.n, 0);
}
END_TEST

START_TEST(unknown_keys_suggest_the_nearest)
{
	ck_assert(!load(
		"place = { stret = \"x\"; };\nrooms = ( { }, { siz = 4; } );\nnumber = 3;\nqqqqqqqq = 1;\ncolor = \"red\";\nroom = ( { } );"));
	expect_errors("@:1: place.stret: there is no such key; did you mean place.street?\n"
		      "@:2: rooms[1].siz: there is no such key; did you mean rooms[].size?\n"
		      "@:3: number: there is no such key; did you mean place.number?\n"
		      "@:4: qqqqqqqq: there is no such key; remove it (bridgepool help lists all keys)\n"
		      "@:5: color: there is no such key; did you mean colour?\n"
		      "@:6: room: there is no such key; did you mean rooms?\n");
}
END_TEST

START_TEST(swapped_letters_and_groups_are_suggested_too)
{
	ck_assert(!load("plaec = { street = \"x\"; };\naera = 3;\nrooms = ( { szie = 3; } );"));
	expect_errors("@:1: plaec: there is no such key; did you mean place?\n"
		      "@:2: aera: there is no such key; did you mean area?\n"
		      "@:3: rooms[0].szie: there is no such key; did you mean rooms[].size?\n");
}
END_TEST

START_TEST(wrong_shapes_are_told)
{
	ck_assert(!load("place = 3;\nrooms = { name = \"x\"; };"));
	expect_errors("@:1: place: this is a group: write place = { ... };\n"
		      "@:2: rooms: allowed is a list of groups; write rooms = ( { ... }, { ... } );\n");
	ck_assert(!load("rooms = ( { },\n 3 );"));
	expect_errors("@:2: rooms[1]: allowed is a group; write { ... } and separate groups by commas\n");
}
END_TEST

START_TEST(words_of_a_later_version_are_refused_as_such)
{
	ck_assert(!load("rooms = ( { spare = 2; } );\ngarden = { size = 3; };"));
	expect_errors("@:1: rooms[0].spare: not supported in this version: spare rooms; remove it\n"
		      "@:2: garden: not supported in this version: a garden; remove it\n");
	ck_assert(!set("garden.size=3"));
	ck_assert_str_eq(errors, "--set 'garden.size=3': garden.size: not supported in this version: a garden; remove it\n");
}
END_TEST

START_TEST(syntax_errors_have_a_line)
{
	ck_assert(!load("wait = 3;\nplace = {\n street = ;\n};"));
	expect_errors("@:3: syntax error; look for a missing quote, bracket, = or ; here or in the line before\n");
}
END_TEST

START_TEST(what_cannot_be_read_has_the_hint_that_helps)
{
	ck_assert(!load("wait = 3;\nwait = 4;"));
	expect_errors("@:2: duplicate setting name; the key stands twice in its group; remove one of them\n");
	ck_assert(!load("wait = 3;\n@include \"no-such-file.cfg\"\n"));
	expect_errors("@:2: cannot open include file; a file to include is looked for from the folder of the configuration on\n");
	ck_assert(!load("tags = [ \"a\",\n 3 ];\n"));
	expect_errors(
		"@:2: mismatched element type in array; all that stands between [ and ] must be of one kind; quote all of it\n");
	ck_assert(!load("\xEF\xBB\xBFwait = 3;\n"));
	expect_errors("@: begins with a byte order mark (EF BB BF); save it as UTF-8 without one\n");
}
END_TEST

START_TEST(files_that_cannot_be_read_are_told)
{
	struct buf out;

	buf_init(&out, 4096);
	ck_assert(!config_load("/nonexistent/x.cfg", NULL, 0, keys, NKEYS, &house, &out));
	ck_assert(slice_is(buf_slice(&out), "/nonexistent/x.cfg: cannot be opened: No such file or directory\n"));
	buf_reset(&out);
	ck_assert(!config_load("/tmp", NULL, 0, keys, NKEYS, &house, &out));
	ck_assert(slice_is(buf_slice(&out), "/tmp: cannot be read: Is a directory\n"));
	buf_free(&out);
	ck_assert_ptr_null(house.street);
}
END_TEST

START_TEST(a_key_without_default_must_be_given)
{
	static const struct config_key must[] = {{"street", CONFIG_STRING, offsetof(struct house, street), 0, NULL, NULL,
		RELOAD_LIVE, "Where it is.", "\"High Street\""}};
	struct house h;
	struct buf out;

	buf_init(&out, 4096);
	ck_assert(!config_load(NULL, NULL, 0, must, 1, &h, &out));
	ck_assert(slice_is(buf_slice(&out), "street: must be given: Where it is. For example: \"High Street\"\n"));
	buf_free(&out);
}
END_TEST

/* ---- --set ---- */

START_TEST(set_changes_what_the_file_says)
{
	static const char *const sets[] = {"rooms[1].size=8", "place.street=A = B", "words[1]=z", "empty=true",
		"rooms[2].doors[0]=n", NULL};

	ck_assert_msg(load_with("rooms = ( { name = \"one\"; }, { size = 3; name = \"two\"; } ); words = [ \"x\", \"y\" ];", sets,
			      NULL),
		"%s", errors);
	ck_assert_uint_eq(house.rooms.n, 3);
	ck_assert_int_eq(room(1)->size, 8);
	ck_assert_str_eq(room(1)->name, "two");
	ck_assert_str_eq(room(2)->name, "hall");
	ck_assert_str_eq(room(2)->doors.items[0], "n");
	ck_assert_str_eq(house.street, "A = B");
	ck_assert_str_eq(house.words.items[0], "x");
	ck_assert_str_eq(house.words.items[1], "z");
	ck_assert(house.empty);
}
END_TEST

START_TEST(set_makes_what_is_missing)
{
	ck_assert_msg(set("rooms[0].size=8"), "%s", errors);
	ck_assert_uint_eq(house.rooms.n, 1);
	ck_assert_int_eq(room(0)->size, 8);
	ck_assert_str_eq(room(0)->name, "hall");
	ck_assert_msg(set("place.number=7"), "%s", errors);
	ck_assert_int_eq(house.number, 7);
	ck_assert_str_eq(house.street, "High Street");
}
END_TEST

START_TEST(set_takes_values_as_in_the_file)
{
	ck_assert_msg(set("words=[ \"p\", \"q\" ]"), "%s", errors);
	ck_assert_str_eq(house.words.items[1], "q");
	ck_assert_msg(set("words=a=b,c"), "%s", errors);
	ck_assert_uint_eq(house.words.n, 1);
	ck_assert_str_eq(house.words.items[0], "a=b,c");
	ck_assert_msg(set("words="), "%s", errors);
	ck_assert_uint_eq(house.words.n, 0);
	ck_assert_msg(set("place.street=\"quoted\""), "%s", errors);
	ck_assert_str_eq(house.street, "quoted");
	ck_assert_msg(set("rooms=( { name = \"a\"; size = 2; doors = [ \"d\" ]; }, { } )"), "%s", errors);
	ck_assert_uint_eq(house.rooms.n, 2);
	ck_assert_int_eq(room(0)->size, 2);
	ck_assert_str_eq(room(0)->doors.items[0], "d");
	setenv("BRIDGEPOOL_TEST_WORD", "value", 1);
	ck_assert_msg(set("place.street=${BRIDGEPOOL_TEST_WORD}"), "%s", errors);
	ck_assert_str_eq(house.street, "value");
}
END_TEST

static const struct {
	const char *set, *error;
} bad_sets[] = {
	{"size", "write it as KEY=VALUE, like pools[0].size=8"},
	{"=3", "write it as KEY=VALUE, like pools[0].size=8"},
	{"rooms[0].siez=3", "rooms[0].siez: there is no such key; did you mean rooms[0].size?"},
	{"rooms[2].size=3",
		"rooms[2].size: there is no such place; an index counts from 0 and may be one after the last at most"},
	{"rooms[].size=3", "rooms[].size: there is no such place; an index counts from 0 and may be one after the last at most"},
	{"rooms[-1].size=3", "rooms[-1].size: there is no such key; did you mean rooms[0].size?"},
	{"rooms[0]=3", "rooms[0]: there is no such key; did you mean rooms?"},
	{"rooms.size=3", "rooms.size: there is no such key; did you mean rooms[0].size?"},
	{"rooms[1].siez=3", "rooms[1].siez: there is no such key; did you mean rooms[1].size?"},
	{"rooms[99999999999].size=3",
		"rooms[99999999999].size: there is no such place; an index counts from 0 and may be one after the last at most"},
	{"place.number=0", "place.number: found \"0\"; allowed is a whole number, from 1 to 99; for example: 1"},
	{"place.number=1.5", "place.number: found \"1.5\"; allowed is a whole number, from 1 to 99; for example: 1"},
	{"words[3]=x", "words[3]: there is no such place; an index counts from 0 and may be one after the last at most"},
	{"place.street=\"open", "place.street: the value does not read like one in the file: syntax error"},
	{"words=[ \"a\" ]; empty = true", "words: the value does not read like one in the file: it is more than one"},
	{"empty=maybe", "empty: found \"maybe\"; allowed is true or false"},
	{"rooms=( { foo = 1; } )", "rooms[0].foo: there is no such key; remove it (bridgepool help lists all keys)"},
};

START_TEST(wrong_sets_are_told_by_themselves)
{
	char wanted[512];

	ck_assert(!set(bad_sets[_i].set));
	snprintf(wanted, sizeof wanted, "--set '%s': %s\n", bad_sets[_i].set, bad_sets[_i].error);
	ck_assert_str_eq(errors, wanted);
}
END_TEST

/* ---- what no single key can tell ---- */

static void check_house(const void *out, struct config_report *r)
{
	const struct house *h = out;

	if (h->number > 50)
		config_fault(r, "place.number", "the street ends at %d", 50);
	for (size_t i = 0; i < h->rooms.n; i++)
		if (((const struct room *)h->rooms.items)[i].size > 100)
			config_fault(r, i ? "rooms[1].size" : "rooms[0].size", "too large");
	if (h->wait > 3600000000)
		config_fault(r, "wait", "too long");
}

START_TEST(faults_of_several_keys_have_their_place)
{
	static const char *const sets[] = {"wait=2h", NULL};

	ck_assert(
		!load_with("place = {\n number = 60; };\nrooms = ( { size = 101; },\n { size = 102;\n } );", sets, check_house));
	expect_errors("@:2: place.number: the street ends at 50\n@:3: rooms[0].size: too large\n@:4: rooms[1].size: too large\n"
		      "--set 'wait=2h': wait: too long\n");
	ck_assert_ptr_null(house.street);
	ck_assert_msg(load_with("place = { number = 50; };", NULL, check_house), "%s", errors);
}
END_TEST

static void check_always(const void *out, struct config_report *r)
{
	const struct house *h = out;

	ck_assert_ptr_nonnull(h->street); /* whatever was wrong: there is a value to look at */
	ck_assert_uint_eq(h->words.n, 2);
	config_fault(r, "place.number", "once");
	config_fault(r, "words", "once");
	config_fault(r, "words", "and again");
}

START_TEST(faults_of_single_keys_and_of_several_are_told_together)
{
	ck_assert(
		!load_with("place = {\n number = 600; street = 7; };\n colour = \"pink\";\nwrods = [ ];\n", NULL, check_always));
	ck_assert_msg(strstr(errors, "place.number: found 600"), "%s", errors);
	ck_assert_msg(strstr(errors, "place.street: found 7"), "%s", errors);
	ck_assert_msg(strstr(errors, "colour: found \"pink\""), "%s", errors);
	ck_assert_msg(strstr(errors, "wrods: there is no such key"), "%s", errors);
	ck_assert_msg(!strstr(errors, "place.number: once"), "%s", errors); /* that value is not the one in the file */
	ck_assert_msg(strstr(errors, "words: once") && strstr(errors, "words: and again"), "%s", errors);
	ck_assert_ptr_null(house.street);
	ck_assert(!load_with("words = [ \"x\", \"y\", \"${NO_SUCH_VARIABLE}\" ];\n", NULL, check_always));
	ck_assert_msg(strstr(errors, "place.number: once") && !strstr(errors, "words: once"), "%s", errors);
	ck_assert(!load_with("rooms = ( 7 );\n", NULL, check_always)); /* nothing is there to be looked at */
	ck_assert_msg(!strstr(errors, "once"), "%s", errors);
}
END_TEST

/* ---- the table as text ---- */

START_TEST(the_example_is_a_file_of_defaults)
{
	struct buf example;
	char *text;
	size_t n;

	buf_init(&example, 1 << 20);
	config_example(keys, NKEYS, &example);
	buf_append(&example, "", 1);
	text = buf_take(&example, &n);
	ck_assert_msg(load(text), "%s\n%s", errors, text);
	ck_assert_str_eq(house.street, "High Street");
	ck_assert_int_eq(house.wait, 30000000);
	ck_assert_uint_eq(house.words.n, 2);
	ck_assert_uint_eq(house.rooms.n, 1);
	ck_assert_int_eq(room(0)->size, 4);
	ck_assert_ptr_null(strstr(text, "garden"));
	free(text);
}
END_TEST

START_TEST(reference_and_man_page_have_every_key)
{
	struct buf reference, man;

	buf_init(&reference, 1 << 20);
	buf_init(&man, 1 << 20);
	config_reference(keys, NKEYS, &reference);
	config_man(keys, NKEYS, &man);
	buf_append(&reference, "", 1);
	buf_append(&man, "", 1);
	for (size_t i = 0; i < NKEYS; i++) {
		bool shown = keys[i].type != CONFIG_RESERVED;

		ck_assert_int_eq(strstr((char *)reference.data, keys[i].path) != NULL, shown);
		ck_assert_int_eq(strstr((char *)man.data, keys[i].path) != NULL, shown);
	}
	ck_assert_ptr_nonnull(strstr((char *)reference.data, "  place.number = 1\n      Help of place.number. From 1 to 99.\n"));
	ck_assert_ptr_nonnull(
		strstr((char *)reference.data, "  colour = \"red\"\n      Help of colour. One of red, green, blue.\n"));
	ck_assert_ptr_nonnull(strstr((char *)man.data, ".TP\n.B place.number = 1\nHelp of place.number. From 1 to 99.\n"));
	buf_free(&reference);
	buf_free(&man);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("base_config");
	TCase *tests = tcase_create("config");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, without_a_file_all_is_default);
	tcase_add_test(tests, a_file_fills_all_types);
	tcase_add_test(tests, an_empty_list_is_a_list);
	tcase_add_loop_test(tests, durations, 0, (int)(sizeof waits / sizeof *waits));
	tcase_add_loop_test(tests, sizes, 0, (int)(sizeof areas / sizeof *areas));
	tcase_add_test(tests, variables_and_secret_files_are_put_in);
	tcase_add_test(tests, what_is_put_in_is_not_shown_in_errors);
	tcase_add_test(tests, missing_variables_and_files_are_named);
	tcase_add_test(tests, all_errors_come_at_once_with_their_lines);
	tcase_add_test(tests, unknown_keys_suggest_the_nearest);
	tcase_add_test(tests, swapped_letters_and_groups_are_suggested_too);
	tcase_add_test(tests, wrong_shapes_are_told);
	tcase_add_test(tests, words_of_a_later_version_are_refused_as_such);
	tcase_add_test(tests, syntax_errors_have_a_line);
	tcase_add_test(tests, what_cannot_be_read_has_the_hint_that_helps);
	tcase_add_test(tests, files_that_cannot_be_read_are_told);
	tcase_add_test(tests, a_key_without_default_must_be_given);
	tcase_add_test(tests, set_changes_what_the_file_says);
	tcase_add_test(tests, set_makes_what_is_missing);
	tcase_add_test(tests, set_takes_values_as_in_the_file);
	tcase_add_loop_test(tests, wrong_sets_are_told_by_themselves, 0, (int)(sizeof bad_sets / sizeof *bad_sets));
	tcase_add_test(tests, faults_of_several_keys_have_their_place);
	tcase_add_test(tests, faults_of_single_keys_and_of_several_are_told_together);
	tcase_add_test(tests, the_example_is_a_file_of_defaults);
	tcase_add_test(tests, reference_and_man_page_have_every_key);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
