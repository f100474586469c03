/* base_buf_test.c: slices and buffers, UTF-8, random numbers, clocks and the limit of log lines. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/base/buf.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/base/log.h"
#include "bridgepool/base/random.h"

/* ---- slices ---- */

START_TEST(absent_equals_only_absent)
{
	ck_assert_ptr_null(slice_of(NULL).data);
	ck_assert_ptr_nonnull(slice_of("").data);
	ck_assert(slice_equal(slice_of(NULL), slice_of(NULL)));
	ck_assert(!slice_equal(slice_of(NULL), slice_of("")));
	ck_assert(slice_equal(slice_of(""), SLICE("")));
	ck_assert(slice_is(SLICE("ab"), "ab"));
	ck_assert(!slice_is(SLICE("ab"), "abc"));
	ck_assert(!slice_equal(SLICE("a\0b"), SLICE("a\0c")));
}
END_TEST

static const struct {
	const char *bytes;
	bool good;
} texts[] = {
	{"", true},
	{"plain", true},
	{"\xc2\x80", true},
	{"\xdf\xbf", true},
	{"\xe0\xa0\x80", true},
	{"\xed\x9f\xbf", true},
	{"\xee\x80\x80", true},
	{"\xef\xbf\xbf", true},
	{"\xf0\x90\x80\x80", true},
	{"\xf4\x8f\xbf\xbf", true},
	{"\x80", false},             /* a continuation alone */
	{"\xc0\x80", false},         /* overlong */
	{"\xc1\xbf", false},         /* overlong */
	{"\xe0\x9f\xbf", false},     /* overlong */
	{"\xf0\x8f\xbf\xbf", false}, /* overlong */
	{"\xed\xa0\x80", false},     /* surrogate */
	{"\xf4\x90\x80\x80", false}, /* above U+10FFFF */
	{"\xf5\x80\x80\x80", false},
	{"\xff", false},
	{"\xc2", false},
	{"a\xe2\x82", false},
	{"\xf0\x90\x80", false}, /* cut short */
	{"\xe2\x28\xa1", false},
	{"\xe2\x82\x28", false},
	{"\xc2\x41", false},
};

START_TEST(utf8)
{
	size_t n = strlen(texts[_i].bytes);
	char *exact = malloc(n ? n : 1); /* a sanitizer sees one byte too far */

	memcpy(exact, texts[_i].bytes, n);
	ck_assert_int_eq(slice_is_utf8((struct slice){exact, n}), texts[_i].good);
	free(exact);
}
END_TEST

START_TEST(utf8_may_hold_nul_and_absent_is_utf8)
{
	ck_assert(slice_is_utf8(SLICE("a\0b")));
	ck_assert(slice_is_utf8((struct slice){NULL, 0}));
}
END_TEST

/* ---- buf ---- */

START_TEST(copies_lie_one_after_another)
{
	uint8_t memory[8], *at = memory;
	struct slice first = slice_copy(&at, SLICE("abc")), absent = slice_copy(&at, (struct slice){NULL, 0}),
		     empty = slice_copy(&at, SLICE("")), last = slice_copy(&at, SLICE("de"));

	ck_assert(slice_is(first, "abc") && slice_is(empty, "") && slice_is(last, "de"));
	ck_assert_ptr_eq(first.data, memory);
	ck_assert_ptr_null(absent.data);
	ck_assert_ptr_eq(at, memory + sizeof memory);
}
END_TEST

START_TEST(a_buffer_stops_at_its_limit)
{
	struct buf b;

	buf_init(&b, 100);
	ck_assert(buf_text(&b, "12345"));
	ck_assert(!buf_printf(&b, "%096d", 7));
	ck_assert(b.overflow);
	ck_assert(slice_is(buf_slice(&b), "12345"));
	ck_assert(buf_printf(&b, "%095d", 7));
	ck_assert_uint_eq(b.len, 100);
	ck_assert(b.overflow);
	ck_assert(!buf_append(&b, "x", 1));
	ck_assert(buf_append(&b, NULL, 0));
	buf_reset(&b);
	ck_assert(!b.overflow);
	ck_assert(slice_is(buf_slice(&b), ""));
	buf_free(&b);
}
END_TEST

START_TEST(long_formats_are_not_cut)
{
	struct buf b;
	char wanted[2001];

	memset(wanted, 'w', 2000);
	wanted[2000] = '\0';
	buf_init(&b, 1 << 20);
	ck_assert(buf_printf(&b, "%s|%d", wanted, 5));
	ck_assert_uint_eq(b.len, 2002);
	ck_assert(memcmp((const char *)b.data + 2000, "|5", 2) == 0);
	buf_free(&b);
}
END_TEST

START_TEST(bytes_leave_at_the_front)
{
	struct buf b;
	void *taken;
	size_t n;

	buf_init(&b, 64);
	buf_add(&b, SLICE("abcdef"));
	buf_consume(&b, 0);
	buf_consume(&b, 4);
	ck_assert(slice_is(buf_slice(&b), "ef"));
	taken = buf_take(&b, &n);
	ck_assert_uint_eq(n, 2);
	ck_assert_uint_eq(b.len, 0);
	free(taken);
	taken = buf_take(&b, &n);
	ck_assert_ptr_nonnull(taken);
	ck_assert_uint_eq(n, 0);
	free(taken);
	ck_assert(buf_text(&b, "again"));
	buf_free(&b);
}
END_TEST

START_TEST(what_is_no_character_is_replaced)
{
	static const struct {
		struct slice bytes;
		size_t character;
		const char *text;
	} rows[] = {
		{SLICE(""), 0, ""},
		{SLICE("ab"), 1, "ab"},
		{SLICE("\xc3\xa9!"), 2, "\xc3\xa9!"},
		{SLICE("\xf0\x9f\x98\x80"), 4, "\xf0\x9f\x98\x80"},
		{SLICE("\xf0\x9f\x98"), 0, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{SLICE("\xff"), 0, "\xef\xbf\xbd"},
		{SLICE("a\xe9z"), 1, "a\xef\xbf\xbdz"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf b;

		buf_init(&b, 64);
		ck_assert_uint_eq(slice_character(rows[i].bytes), rows[i].character);
		ck_assert(buf_utf8(&b, rows[i].bytes));
		ck_assert(slice_is(buf_slice(&b), rows[i].text));
		buf_free(&b);
		buf_init(&b, 4);
		ck_assert(buf_text(&b, "ab"));
		ck_assert(buf_utf8(&b, rows[i].bytes) == (strlen(rows[i].text) <= 2));
		ck_assert_uint_eq(b.len, strlen(rows[i].text) <= 2 ? 2 + strlen(rows[i].text) : 2);
		buf_free(&b);
	}
}
END_TEST

/* ---- random ---- */

START_TEST(the_same_seed_gives_the_same_numbers)
{
	/* The published first outputs of splitmix64 for seed 1234567. */
	static const uint64_t known[] = {UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
		UINT64_C(9817491932198370423), UINT64_C(4593380528125082431), UINT64_C(16408922859458223821)};
	struct random r;

	random_seed(&r, 1234567);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		ck_assert_uint_eq(random_next(&r), known[i]);
}
END_TEST

START_TEST(bounded_numbers_are_even_and_below_the_bound)
{
	unsigned seen[7] = {0};
	struct random r;

	random_seed(&r, 3);
	for (int i = 0; i < 70000; i++) {
		uint64_t x = random_below(&r, 7);

		ck_assert_uint_lt(x, 7);
		seen[x]++;
	}
	for (int i = 0; i < 7; i++) {
		ck_assert_uint_gt(seen[i], 9500);
		ck_assert_uint_lt(seen[i], 10500);
	}
	ck_assert_uint_eq(random_below(&r, 1), 0);
	ck_assert_uint_ne(random_entropy(), random_entropy());
}
END_TEST

/* ---- clock ---- */

START_TEST(time_is_written_in_utc)
{
	char text[25];

	clock_format_ms(0, text);
	ck_assert_str_eq(text, "1970-01-01T00:00:00.000Z");
	clock_format_ms(INT64_C(1769903999123), text);
	ck_assert_str_eq(text, "2026-01-31T23:59:59.123Z");
	clock_format_ms(-1, text);
	ck_assert_str_eq(text, "1969-12-31T23:59:59.999Z");
	clock_format_ms(INT64_C(951782400000), text);
	ck_assert_str_eq(text, "2000-02-29T00:00:00.000Z");
	clock_format_ms(INT64_MAX, text);
	ck_assert_str_eq(text, "0000-00-00T00:00:00.000Z");
	clock_format_ms(INT64_MIN, text);
	ck_assert_str_eq(text, "0000-00-00T00:00:00.000Z");
}
END_TEST

START_TEST(the_clocks_go_on)
{
	int64_t first = clock_mono_us();

	for (int i = 0; i < 1000; i++) {
		int64_t next = clock_mono_us();

		ck_assert_int_ge(next, first);
		first = next;
	}
	ck_assert_int_gt(clock_wall_ms(), INT64_C(1700000000000));
}
END_TEST

/* ---- log ---- */

START_TEST(lines_beyond_the_burst_are_counted)
{
	struct log_limit limit = {0};
	unsigned dropped;

	for (int i = 0; i < 3; i++) {
		ck_assert(log_allow(&limit, 3, SECOND_US, 5 * SECOND_US + i, &dropped));
		ck_assert_uint_eq(dropped, 0);
	}
	for (int i = 0; i < 4; i++)
		ck_assert(!log_allow(&limit, 3, SECOND_US, 5 * SECOND_US + 10, &dropped));
	ck_assert(!log_allow(&limit, 3, SECOND_US, 6 * SECOND_US - 1, &dropped));
	ck_assert_uint_eq(dropped, 0);
	ck_assert(log_allow(&limit, 3, SECOND_US, 6 * SECOND_US, &dropped));
	ck_assert_uint_eq(dropped, 5);
	ck_assert(log_allow(&limit, 3, SECOND_US, 6 * SECOND_US, &dropped));
	ck_assert_uint_eq(dropped, 0);
}
END_TEST

/* Whether stderr gets the line. */
static bool is_logged(enum log_level level)
{
	int before = dup(STDERR_FILENO), ends[2];
	char line[256];
	ssize_t n;

	ck_assert_int_eq(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	log_line(level, "test", "said");
	dup2(before, STDERR_FILENO);
	close(before);
	n = read(ends[0], line, sizeof line); /* 0: nobody has it open for writing, and there was nothing */
	close(ends[0]);
	return n > 0 && memmem(line, (size_t)n, " test said\n", strlen(" test said\n")) != NULL;
}

START_TEST(levels_are_an_order)
{
	log_setup(LOG_WARN, LOG_TEXT);
	ck_assert(!is_logged(LOG_DEBUG));
	ck_assert(!is_logged(LOG_INFO));
	ck_assert(is_logged(LOG_WARN));
	ck_assert(is_logged(LOG_ERROR));
	log_setup(LOG_INFO, LOG_TEXT);
}
END_TEST

START_TEST(lines_are_taken_one_by_one)
{
	struct slice rest = SLICE("one\n\nlast without an end"), line;

	ck_assert(slice_line(&rest, &line) && slice_is(line, "one"));
	ck_assert(slice_line(&rest, &line) && slice_is(line, ""));
	ck_assert(slice_line(&rest, &line) && slice_is(line, "last without an end"));
	ck_assert(!slice_line(&rest, &line));
	rest = SLICE("\n");
	ck_assert(slice_line(&rest, &line) && slice_is(line, ""));
	ck_assert(!slice_line(&rest, &line));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("base_buf");
	TCase *tests = tcase_create("buf");
	SRunner *runner;
	int failed;

	tcase_add_test(tests, lines_are_taken_one_by_one);
	tcase_add_test(tests, absent_equals_only_absent);
	tcase_add_loop_test(tests, utf8, 0, (int)(sizeof texts / sizeof *texts));
	tcase_add_test(tests, utf8_may_hold_nul_and_absent_is_utf8);
	tcase_add_test(tests, copies_lie_one_after_another);
	tcase_add_test(tests, a_buffer_stops_at_its_limit);
	tcase_add_test(tests, what_is_no_character_is_replaced);
	tcase_add_test(tests, long_formats_are_not_cut);
	tcase_add_test(tests, bytes_leave_at_the_front);
	tcase_add_test(tests, the_same_seed_gives_the_same_numbers);
	tcase_add_test(tests, bounded_numbers_are_even_and_below_the_bound);
	tcase_add_test(tests, time_is_written_in_utc);
	tcase_add_test(tests, the_clocks_go_on);
	tcase_add_test(tests, lines_beyond_the_burst_are_counted);
	tcase_add_test(tests, levels_are_an_order);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
