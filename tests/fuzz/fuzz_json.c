/* fuzz_json.c: what json.c calls valid is what jansson calls valid, except where json.h says more; members are values
 * themselves. */
#include "fuzz.h"
#include "bridgepool/base/check.h"
#include "bridgepool/wire/json.h"

#include <jansson.h>
#include <string.h>

/* jansson has limits of its own: numbers that fit nowhere, NUL in keys, its depth, and halves of surrogate pairs. */
static bool jansson_limit(const json_error_t *error)
{
	enum json_error_code code = json_error_code(error);

	return code == json_error_numeric_overflow || code == json_error_null_byte_in_key || code == json_error_stack_overflow ||
	       strstr(error->text, "invalid Unicode") != NULL;
}

static void compare(struct slice doc, bool good)
{
	json_error_t error;
	json_t *other = json_loadb(doc.data, doc.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	enum json_kind kind;
	char errstr[128];

	if (good)
		CHECK(other || jansson_limit(&error));
	else if (other && !memchr(doc.data, 0, doc.len)) /* to jansson a NUL after the value is its end */
		CHECK(!json_read_value(doc, &kind, JSON_MAX_DEPTH, errstr, sizeof(errstr)) && strstr(errstr, "deeper"));
	json_decref(other);
}

static bool check_member(void *ctx, struct slice key, struct slice value, enum json_kind kind)
{
	enum json_kind again;
	char errstr[128];

	(void)ctx;
	CHECK(json_read_value((struct slice){(const char *)key.data - 1, key.len + 2}, &again, 1, errstr, sizeof(errstr)));
	CHECK(again == JSON_KIND_STRING);
	CHECK(json_read_value(value, &again, JSON_MAX_DEPTH, errstr, sizeof(errstr)));
	CHECK(again == kind);
	return true;
}

static void check_numbers(struct slice number)
{
	double real;
	int64_t whole;

	if (json_int(number, &whole) && json_double(number, &real))
		CHECK((double)whole - real < 2048 && real - (double)whole < 2048);
}

static void check_text(struct slice bytes)
{
	struct buf quoted, back;
	enum json_kind kind;
	char errstr[128];

	buf_init(&quoted, bytes.len * 6 + 2);
	buf_init(&back, bytes.len * 3 + 1);
	CHECK(json_quote(&quoted, bytes));
	CHECK(json_read_value(buf_slice(&quoted), &kind, 1, errstr, sizeof(errstr)) && kind == JSON_KIND_STRING);
	CHECK(json_unescape(buf_slice(&quoted), &back));
	if (slice_is_utf8(bytes) && bytes.len)
		CHECK(slice_equal(buf_slice(&back), bytes));
	buf_free(&quoted);
	buf_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char name[] = "\"k\"";
	struct json_member m[] = {{.name = "id"}, {.name = "a"}, {.name = ""}};
	struct slice doc = {data, size};
	enum json_kind kind;
	char errstr[128];
	bool good = json_read_value(doc, &kind, JSON_MAX_DEPTH, errstr, sizeof(errstr));
	bool object = json_read_object(doc, m, 3, JSON_MAX_DEPTH, errstr, sizeof(errstr));

	compare(doc, good);
	CHECK(object == (good && kind == JSON_KIND_OBJECT));
	if (object)
		CHECK(json_each(doc, check_member, NULL));
	for (int i = 0; object && i < 3; i++) {
		if (m[i].kind != JSON_KIND_NONE)
			check_member(NULL, (struct slice){&name[1], 1}, m[i].value, m[i].kind);
	}
	if (good && kind == JSON_KIND_NUMBER)
		check_numbers(doc);
	check_text(doc);
	return 0;
}
