/* cli_text_test.c: bytes of records as text for a terminal. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/wire/pairs.h"
#include "text.h"

static void expect(struct buf *out, const char *text)
{
	buf_append(out, "", 1);
	ck_assert_str_eq((const char *)out->data, text);
	buf_free(out);
}

START_TEST(bytes_are_text_or_base64)
{
	static const struct {
		struct slice bytes;
		const char *text;
	} rows[] = {
		{{NULL, 0}, "null"},
		{SLICE(""), "\"\""},
		{SLICE("a\"\xc3\xa9"), "\"a\\\"\xc3\xa9\""},
		{SLICE("\xff"), "{\"base64\":\"/w==\"}"},
		{SLICE("\xff\xfe"), "{\"base64\":\"//4=\"}"},
		{SLICE("\xff\xfe\x00"), "{\"base64\":\"//4A\"}"},
		{SLICE("\xff\xfe\x00\x01"), "{\"base64\":\"//4AAQ==\"}"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf out;

		buf_init(&out, 256);
		text_bytes(rows[i].bytes, &out);
		expect(&out, rows[i].text);
	}
}
END_TEST

START_TEST(pairs_are_an_object)
{
	struct buf list, out;

	buf_init(&list, 256);
	buf_init(&out, 256);
	text_pairs(buf_slice(&list), &out);
	pairs_add(&list, SLICE("a"), SLICE("1"));
	pairs_add(&list, SLICE("b"), (struct slice){NULL, 0});
	pairs_add(&list, SLICE("c"), SLICE("\xff"));
	text_pairs(buf_slice(&list), &out);
	buf_free(&list);
	expect(&out, "{}{\"a\":\"1\",\"b\":null,\"c\":{\"base64\":\"/w==\"}}");
}
END_TEST

/* Whoever reads JSON lines splits them at line breaks. */
START_TEST(json_stays_on_one_line)
{
	static const struct {
		struct slice value;
		const char *text;
	} rows[] = {
		{SLICE("[1,\n\r\n 2]"), "[1,    2]"},
		{SLICE("\n\"a\\n\"\n"), " \"a\\n\" "},
		{SLICE("12"), "12"},
		{SLICE("no\nJSON"), "\"no\\nJSON\""},
		{SLICE(""), "\"\""},
		{{NULL, 0}, "null"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct buf out;

		buf_init(&out, 256);
		text_value(rows[i].value, &out);
		expect(&out, rows[i].text);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cli_text");
	TCase *t = tcase_create("text");
	SRunner *runner;
	int failed;

	tcase_add_test(t, bytes_are_text_or_base64);
	tcase_add_test(t, pairs_are_an_object);
	tcase_add_test(t, json_stays_on_one_line);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
