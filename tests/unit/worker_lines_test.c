/* worker_lines_test.c: lines come out the same however the bytes come in, and none is longer than it may be. */
#include "lines.h"
#include "worker_stage.h"

struct heard {
	char text[64 << 10];
	size_t len;
	int lines;
};

static void hear(void *ctx, struct slice line)
{
	struct heard *h = ctx;

	ck_assert_uint_le(line.len, 4096); /* README */
	ck_assert_uint_le(h->len + line.len + 1, sizeof h->text);
	memcpy(h->text + h->len, line.data, line.len);
	h->text[h->len + line.len] = '|';
	h->len += line.len + 1;
	h->lines++;
}

static void check_heard(const struct heard *h, const char *expected)
{
	ck_assert_msg(h->len == strlen(expected) && !memcmp(h->text, expected, h->len), "heard %.*s", (int)h->len, h->text);
}

START_TEST(every_cut_gives_the_same_lines)
{
	static const char text[] = "one\n\ntwo\r\n \nthree";

	for (size_t cut = 0; cut <= sizeof text - 1; cut++) {
		struct lines l = {0};
		struct heard h = {.len = 0};

		lines_feed(&l, text, cut, hear, &h);
		lines_feed(&l, text + cut, sizeof text - 1 - cut, hear, &h);
		lines_end(&l, hear, &h);
		lines_end(&l, hear, &h);
		check_heard(&h, "one||two| |three|");
		ck_assert_uint_eq(l.last_len, 5);
		ck_assert_int_eq(memcmp(l.last, "three", 5), 0);
		lines_free(&l);
	}
}
END_TEST

START_TEST(a_blank_line_is_not_the_last_word)
{
	struct lines l = {0};
	struct heard h = {.len = 0};

	lines_feed(&l, "ValueError: no\n\n \t\n", 19, hear, &h);
	lines_end(&l, hear, &h);
	ck_assert_int_eq(h.lines, 3);
	ck_assert_uint_eq(l.last_len, strlen("ValueError: no"));
	lines_free(&l);
}
END_TEST

/* Its beginning is said once; its rest is dropped; the next line is whole. */
static void check_long_line(size_t len, size_t piece)
{
	static char text[40 << 10];
	struct lines l = {0};
	struct heard h = {.len = 0};

	memset(text, 'x', len);
	memcpy(text + len, "\nnext\n", 6);
	for (size_t at = 0; at < len + 6; at += piece)
		lines_feed(&l, text + at, at + piece < len + 6 ? piece : len + 6 - at, hear, &h);
	lines_end(&l, hear, &h);
	ck_assert_int_eq(h.lines, 2);
	ck_assert_uint_eq(h.len, (len < STDERR_LINE_MAX ? len : STDERR_LINE_MAX) + strlen("|next|"));
	ck_assert_int_eq(memcmp(h.text + h.len - 6, "|next|", 6), 0);
	ck_assert_uint_le(l.last_len, STDERR_LAST_MAX);
	lines_free(&l);
}

START_TEST(long_lines_are_cut)
{
	static const size_t lengths[] = {STDERR_LINE_MAX - 1, STDERR_LINE_MAX, STDERR_LINE_MAX + 1, 3 * STDERR_LINE_MAX};
	static const size_t pieces[] = {1, 7, 4096, STDERR_LINE_MAX, 64 << 10};

	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		for (size_t k = 0; k < sizeof pieces / sizeof pieces[0]; k++)
			check_long_line(lengths[i], pieces[k]);
	}
}
END_TEST

START_TEST(bytes_that_are_no_text_pass)
{
	struct lines l = {0};
	struct heard h = {.len = 0};

	lines_feed(&l, "\0\xff\n\0", 4, hear, &h);
	lines_end(&l, hear, &h);
	ck_assert_uint_eq(h.len, 5);
	ck_assert_int_eq(memcmp(h.text, "\0\xff|\0|", 5), 0);
	lines_free(&l);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("lines");

	tcase_add_test(t, every_cut_gives_the_same_lines);
	tcase_add_test(t, a_blank_line_is_not_the_last_word);
	tcase_add_test(t, long_lines_are_cut);
	tcase_add_test(t, bytes_that_are_no_text_pass);
	return stage_main("worker_lines", t);
}
