/* wire_json_test.c: JSON is judged, looked into, and never changed. */
#include "bridgepool/wire/json.h"
#include "wire_check.h"

#include <math.h>

static bool valid(const char *text)
{
	enum json_kind kind;
	char errstr[128];

	return json_read_value(slice_of(text), &kind, JSON_MAX_DEPTH, errstr, sizeof(errstr));
}

START_TEST(members_are_their_exact_bytes)
{
	static const char doc[] = " { \"id\" : 7 , \"big\":1e400,\"num\":-0.10 "
				  ",\"s\\u0070\":\"a\\u00e9\\\"}\",\n\"o\":{\"id\":8,\"x\":[1,{}]} ,\"a\":[ 1 , 2 ],"
				  "\"t\":true,\"n\":null,\"e\":{},\"last\":12 } ";
	static const struct {
		const char *name, *value;
		enum json_kind kind;
	} expected[] = {
		{"id", "7", JSON_KIND_NUMBER},
		{"big", "1e400", JSON_KIND_NUMBER},
		{"num", "-0.10", JSON_KIND_NUMBER},
		{"sp", "\"a\\u00e9\\\"}\"", JSON_KIND_STRING},
		{"o", "{\"id\":8,\"x\":[1,{}]}", JSON_KIND_OBJECT},
		{"a", "[ 1 , 2 ]", JSON_KIND_ARRAY},
		{"t", "true", JSON_KIND_BOOL},
		{"n", "null", JSON_KIND_NULL},
		{"e", "{}", JSON_KIND_OBJECT},
		{"last", "12", JSON_KIND_NUMBER},
		{"x", NULL, JSON_KIND_NONE},
	};
	enum { N = sizeof(expected) / sizeof(expected[0]) };
	struct json_member m[N];
	char errstr[128];

	for (int i = 0; i < N; i++)
		m[i].name = expected[i].name;
	ck_assert_msg(json_read_object(SLICE(doc), m, N, 8, errstr, sizeof(errstr)), "%s", errstr);
	for (int i = 0; i < N; i++) {
		ck_assert_int_eq(m[i].kind, expected[i].kind);
		ck_slice_is(m[i].value, expected[i].value);
	}
}
END_TEST

START_TEST(last_of_duplicates_wins)
{
	struct json_member m = {.name = "a"};
	char errstr[128];

	ck_assert(json_read_object(SLICE("{\"a\":1,\"a\":[2],\"\\u0061\":\"3\"}"), &m, 1, 8, errstr, sizeof(errstr)));
	ck_slice_is(m.value, "\"3\"");
	ck_assert_int_eq(m.kind, JSON_KIND_STRING);
}
END_TEST

START_TEST(members_before_an_error_are_there)
{
	struct json_member m[] = {{.name = "id"}, {.name = "late"}};
	char errstr[128];

	ck_assert(!json_read_object(SLICE("{\"id\":7,\"result\":NaN,\"late\":1}"), m, 2, 8, errstr, sizeof(errstr)));
	ck_slice_is(m[0].value, "7");
	ck_absent(m[1].value);
	ck_assert_ptr_nonnull(strstr(errstr, "at byte"));
	ck_assert(!json_read_object(SLICE("{\"id\":7,\"result\":\"\xff\",\"late\":1}"), m, 2, 8, errstr, sizeof(errstr)));
	ck_slice_is(m[0].value, "7");
	ck_assert_ptr_nonnull(strstr(errstr, "UTF-8"));
}
END_TEST

START_TEST(only_objects_are_objects)
{
	static const char *const others[] = {"[1]", "1", "\"a\"", "null", "true", "", " ", "{", "}", "{}{}", "{} x", "{} \"",
		"{} tru", "{} -", "{}{", "{\"a\"}", "{a:1}", "{\"a\":1,}"};
	char errstr[128];

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		errstr[0] = '\0';
		ck_assert_msg(!json_read_object(slice_of(others[i]), NULL, 0, 8, errstr, sizeof(errstr)), "%s", others[i]);
		ck_assert_msg(errstr[0], "no reason for %s", others[i]);
	}
	ck_assert(!json_read_object((struct slice){NULL, 0}, NULL, 0, 8, errstr, sizeof(errstr)));
	ck_assert(!json_read_object(SLICE("[1]"), NULL, 0, 8, errstr, sizeof(errstr)));
	ck_assert_str_eq(errstr, "is an array, not an object");
}
END_TEST

START_TEST(grammar)
{
	static const char *const good[] = {"0", "-0", "1.5e+10", "\"\"", "\"\\u0000\"", "\"\\ud800\"", "[[],{}]", "\t[\r\n] ",
		"123456789012345678901234567890"};
	static const char *const bad[] = {"01", "+1", "1.", ".5", "1e", "-", "NaN", "Infinity", "'a'", "\"\t\"", "\"\\x\"",
		"\"\\u12\"", "[1,]", "[1 2]", "//c\n1", "/*c*/1", "\v1", "1\f", "\xef\xbb\xbf{}", "\"\xc0\x80\"",
		"\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "tru", "nul", "1 \"a", "\"\" nul", "[] 1e", "1 -"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(valid(good[i]), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!valid(bad[i]), "%s", bad[i]);
}
END_TEST

START_TEST(nul_after_or_inside_is_refused)
{
	enum json_kind kind;
	char errstr[128];

	ck_assert(!json_read_value(SLICE("{}\0"), &kind, 8, errstr, sizeof(errstr)));
	ck_assert(!json_read_value(SLICE("{\"a\":\0 1}"), &kind, 8, errstr, sizeof(errstr)));
	ck_assert(!json_read_value(SLICE("\"a\0b\""), &kind, 8, errstr, sizeof(errstr)));
	ck_assert_int_eq(kind, JSON_KIND_NONE);
}
END_TEST

START_TEST(depth_is_bounded)
{
	enum { MILLION = 1000000 };
	char *deep = malloc(2 * MILLION), errstr[128];
	enum json_kind kind;

	ck_assert(json_read_value(SLICE("[{\"a\":[]}]"), &kind, 3, errstr, sizeof(errstr)));
	ck_assert(!json_read_value(SLICE("[{\"a\":[]}]"), &kind, 2, errstr, sizeof(errstr)));
	ck_assert_ptr_nonnull(strstr(errstr, "deeper"));
	memset(deep, '[', MILLION);
	memset(deep + MILLION, ']', MILLION);
	ck_assert(!json_read_value((struct slice){deep, 2 * MILLION}, &kind, JSON_MAX_DEPTH, errstr, sizeof(errstr)));
	free(deep);
}
END_TEST

static bool collect(void *ctx, struct slice key, struct slice value, enum json_kind kind)
{
	struct buf *b = ctx;

	buf_add(b, key);
	buf_text(b, "=");
	buf_add(b, value);
	buf_printf(b, ":%d;", kind);
	return b->len < 30;
}

START_TEST(each_shows_keys_as_they_stand)
{
	struct buf b;

	buf_init(&b, 1000);
	ck_assert(json_each(SLICE("{ \"a\\n\" : {\"x\":1} , \"\":[ ] }"), collect, &b));
	ck_slice_is(buf_slice(&b), "a\\n={\"x\":1}:5;=[ ]:6;");
	buf_reset(&b);
	ck_assert(!json_each(SLICE("{\"first\":1111111111111111111111,\"second\":2,\"third\":3}"), collect, &b));
	ck_slice_is(buf_slice(&b), "first=1111111111111111111111:3;");
	buf_free(&b);
}
END_TEST

START_TEST(unescape)
{
	static const struct {
		const char *quoted;
		struct slice text;
	} good[] = {
		{"\"\"", SLICE("")},
		{"\"plain\"", SLICE("plain")},
		{"\"a\\u00e9\\n\\/\"", SLICE("a\xc3\xa9\n/")},
		{"\"\\ud83d\\ude00\"", SLICE("\xf0\x9f\x98\x80")},
		{"\"\\u0000x\"", SLICE("\0x")},
	};
	static const char *const bad[] = {"", "\"", "a", "\"a", "\"\\ud800\"", "\"\\ude00\\ud83d\"", "7", "\"a\"b\"", "{}"};
	struct buf b;

	buf_init(&b, 1000);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		buf_reset(&b);
		ck_assert_msg(json_unescape(slice_of(good[i].quoted), &b), "%s", good[i].quoted);
		ck_assert(slice_equal(buf_slice(&b), good[i].text) || (!b.len && !good[i].text.len));
	}
	buf_reset(&b);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(!json_unescape(slice_of(bad[i]), &b), "%s", bad[i]);
		ck_assert_uint_eq(b.len, 0);
	}
	buf_free(&b);
}
END_TEST

START_TEST(quote_is_what_unescape_reads)
{
	char every[256];
	struct buf quoted, back;

	for (int i = 0; i < 128; i++)
		every[i] = (char)i;
	buf_init(&quoted, 4096);
	buf_init(&back, 4096);
	ck_assert(json_quote(&quoted, (struct slice){every, 128}));
	ck_assert(json_unescape(buf_slice(&quoted), &back));
	ck_assert_uint_eq(back.len, 128);
	ck_assert_mem_eq(back.data, every, 128);
	buf_reset(&quoted);
	ck_assert(json_quote(&quoted, SLICE("a\xff\"\xc3\xa9\xe2\x82")));
	ck_slice_is(buf_slice(&quoted), "\"a\xef\xbf\xbd\\\"\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\"");
	buf_reset(&quoted);
	ck_assert(json_quote(&quoted, (struct slice){NULL, 0}));
	ck_slice_is(buf_slice(&quoted), "\"\"");
	buf_free(&quoted);
	buf_free(&back);
}
END_TEST

START_TEST(quote_over_the_limit_adds_nothing)
{
	struct buf b;

	buf_init(&b, 6);
	ck_assert(buf_text(&b, "xy"));
	ck_assert(!json_quote(&b, SLICE("abc")));
	ck_slice_is(buf_slice(&b), "xy");
	buf_free(&b);
}
END_TEST

START_TEST(numbers)
{
	static const struct {
		const char *text;
		bool good;
		int64_t value;
	} ints[] = {
		{"0", true, 0},
		{"-0", true, 0},
		{"7", true, 7},
		{"1e3", true, 1000},
		{"5.0", true, 5},
		{"5.10e1", true, 51},
		{"1000e-3", true, 1},
		{"9223372036854775807", true, INT64_MAX},
		{"-9223372036854775808", true, INT64_MIN},
		{"9223372036854775807.000000000000000000", true, INT64_MAX},
		{"9223372036854775808", false, 0},
		{"-9223372036854775809", false, 0},
		{"1.5", false, 0},
		{"1e19", false, 0},
		{"1e-1", false, 0},
		{"0e999999999999", true, 0},
		{"1e999999999999", false, 0},
		{"1e-999999999999", false, 0},
		{"", false, 0},
		{"true", false, 0},
		{"\"7\"", false, 0},
	};
	double d;
	int64_t v;

	for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++) {
		ck_assert_msg(json_int(slice_of(ints[i].text), &v) == ints[i].good, "%s", ints[i].text);
		if (ints[i].good)
			ck_assert_int_eq(v, ints[i].value);
	}
	ck_assert(json_double(SLICE("-1.25e2"), &d) && fabs(d + 125) < 1e-9);
	ck_assert(!json_double(SLICE("1e999"), &d));
	ck_assert(!json_double(SLICE("null"), &d));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("json");

	tcase_add_test(t, members_are_their_exact_bytes);
	tcase_add_test(t, last_of_duplicates_wins);
	tcase_add_test(t, members_before_an_error_are_there);
	tcase_add_test(t, only_objects_are_objects);
	tcase_add_test(t, grammar);
	tcase_add_test(t, nul_after_or_inside_is_refused);
	tcase_add_test(t, depth_is_bounded);
	tcase_add_test(t, each_shows_keys_as_they_stand);
	tcase_add_test(t, unescape);
	tcase_add_test(t, quote_is_what_unescape_reads);
	tcase_add_test(t, quote_over_the_limit_adds_nothing);
	tcase_add_test(t, numbers);
	return wire_run("wire.json", t);
}
