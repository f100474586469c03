/* wire_codec_test.c: records in both encodings: what is read, what is refused and why, what is written. */
#include "bridgepool/wire/codec.h"
#include "bridgepool/wire/json.h"
#include "bridgepool/wire/pairs.h"
#include "wire_check.h"

#include <avro.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIMIT = 64 << 10 };

static struct codec *codec;
static struct buf out, scratch;
static struct request_fields r;
static struct fault why;
static char extra_dir[4096];

static void setup(void)
{
	struct codec_config config = {.max_request = LIMIT};
	char errstr[256];

	codec = codec_new(&config, errstr, sizeof(errstr));
	ck_assert_msg(codec != NULL, "%s", errstr);
	buf_init(&out, 1 << 20);
	buf_init(&scratch, 1 << 20);
}

static void teardown(void)
{
	codec_free(codec);
	buf_free(&out);
	buf_free(&scratch);
}

static bool reads(struct slice bytes)
{
	buf_reset(&scratch);
	return codec_read_request(codec, bytes, &scratch, &r, &why);
}

static void check_attribute(const char *name, const char *value)
{
	struct slice found;

	ck_assert_msg(pairs_find(r.attributes, name, &found), "no attribute %s", name);
	ck_slice_is(found, value);
}

static void check_refused(struct slice bytes, const char *code, const char *part)
{
	ck_assert_msg(!reads(bytes), "%.*s", (int)bytes.len, (const char *)bytes.data);
	ck_assert_msg(!strcmp(why.code, code), "%.*s: %s: %s", (int)bytes.len, (const char *)bytes.data, why.code, why.message);
	ck_assert_msg(strstr(why.message, part) != NULL, "'%s' is not in '%s'", part, why.message);
	ck_assert(slice_is_utf8(slice_of(why.message)));
}

/* ---- JSON requests ---- */

START_TEST(json_request_with_everything)
{
	ck_assert_msg(reads(SLICE(" {\"request_id\":\"r\\u00e9\",\"session_id\":\"s\",\"session_epoch\":\"e\",\"pool\":\"p\","
				  "\"command\":\"c\\\"d\","
				  "\"args\":{ "
				  "\"n\":1.10,\"n\":2e400},\"timeout_ms\":1e3,\"deadline\":\"2026-01-31T12:00:00.5+01:00\","
				  "\"stream\":true,\"idempotent\":true,"
				  "\"attributes\":{\"a\":\"1\",\"b\\n\":\"\\u00e9\",\"\":\"\"},\"from_the_future\":[1,{}]}")),
		"%s", why.message);
	ck_assert_int_eq(r.encoding, ENCODING_JSON);
	ck_slice_is(r.request_id, "r\xc3\xa9");
	ck_slice_is(r.session_id, "s");
	ck_slice_is(r.session_epoch, "e");
	ck_slice_is(r.pool, "p");
	ck_slice_is(r.command, "c\"d");
	ck_slice_is(r.args, "{ \"n\":1.10,\"n\":2e400}");
	ck_assert_int_eq(r.timeout_ms, 1000);
	ck_assert_int_eq(r.deadline_ms, 1769857200500);
	ck_assert(r.stream);
	ck_assert(r.idempotent);
	ck_assert_uint_eq(pairs_count(r.attributes), 3);
	check_attribute("a", "1");
	check_attribute("b\n", "\xc3\xa9");
	check_attribute("", "");
}
END_TEST

static void check_defaults(void)
{
	ck_slice_is(r.command, "ask");
	ck_absent(r.request_id);
	ck_absent(r.session_id);
	ck_absent(r.session_epoch);
	ck_absent(r.pool);
	ck_absent(r.args);
	ck_assert_int_eq(r.timeout_ms, TIME_NONE);
	ck_assert_int_eq(r.deadline_ms, TIME_NONE);
	ck_assert(!r.stream);
	ck_assert(!r.idempotent);
	ck_assert_uint_eq(pairs_count(r.attributes), 0);
}

START_TEST(json_defaults)
{
	static const char *const same[] = {"{\"command\":\"ask\"}",
		("{\"command\":\"ask\",\"request_id\":null,\"session_id\":null,\"session_epoch\":null,\"pool\":null,\"args\":null,"
		 "\"timeout_ms\":null,"
		 "\"deadline\":null,\"stream\":null,\"idempotent\":null,\"attributes\":null}"),
		"{\"command\":\"ask\",\"request_id\":\"\",\"session_id\":\"\",\"session_epoch\":\"\",\"pool\":\"\",\"args\":\"\","
		"\"attributes\":{}}"};

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		ck_assert_msg(reads(slice_of(same[i])), "%s", why.message);
		check_defaults();
	}
}
END_TEST

START_TEST(json_args_as_text)
{
	ck_assert(reads(
		SLICE("{\"command\":\"ask\",\"args\":\"{\\\"q\\\": \\\"\\\\u00e9\\\", \\\"n\\\":1.10}\",\"pool\":\"\\u0070\"}")));
	ck_slice_is(r.args, "{\"q\": \"\\u00e9\", \"n\":1.10}");
	ck_slice_is(r.pool, "p");
}
END_TEST

/* Texts that need unescaping share scratch with the attributes, and none may move. */
START_TEST(json_texts_stay_while_scratch_grows)
{
	struct buf doc;

	buf_init(&doc, LIMIT);
	buf_text(&doc, "{\"request_id\":\"\\u0031\",\"attributes\":{");
	for (int i = 0; i < 1000; i++)
		buf_printf(&doc, "%s\"k\\u0030%d\":\"\\u0031%d\"", i ? "," : "", i, i);
	buf_text(&doc, "},\"args\":\"{}\",\"command\":\"\\u0063\",\"session_id\":\"\\u0073\"}");
	buf_free(&scratch);
	buf_init(&scratch, 1 << 20);
	ck_assert_msg(reads(buf_slice(&doc)), "%s", why.message);
	ck_slice_is(r.request_id, "1");
	ck_slice_is(r.command, "c");
	ck_slice_is(r.session_id, "s");
	ck_assert_uint_eq(pairs_count(r.attributes), 1000);
	check_attribute("k0999", "1999");
	check_attribute("k00", "10");
	buf_free(&doc);
}
END_TEST

START_TEST(json_wrong_fields_are_named)
{
	static const struct {
		const char *doc, *code, *part;
	} bad[] = {
		{"{}", "INVALID_COMMAND", "'command' is missing"},
		{"{\"command\":\"\"}", "INVALID_COMMAND", "'command' is missing"},
		{"{\"command\":7}", "INVALID_FIELD", "'command' must be a string; found a number"},
		{"{\"command\":\"c\",\"session_id\":{}}", "INVALID_FIELD", "'session_id' must be a string; found an object"},
		{"{\"command\":\"c\",\"request_id\":\"\\ud800\"}", "INVALID_FIELD", "'request_id' has an escape"},
		{"{\"command\":\"c\",\"args\":[]}", "INVALID_ARGS", "'args' must be an object"},
		{"{\"command\":\"c\",\"args\":\"[]\"}", "INVALID_ARGS", "args must be a JSON object: its text is an array"},
		{"{\"command\":\"c\",\"args\":\"{\"}", "INVALID_ARGS", "args must be a JSON object"},
		{"{\"command\":\"c\",\"timeout_ms\":-1}", "INVALID_FIELD", "'timeout_ms' must be a whole number"},
		{"{\"command\":\"c\",\"timeout_ms\":1.5}", "INVALID_FIELD", "'timeout_ms' must be a whole number"},
		{"{\"command\":\"c\",\"timeout_ms\":\"2026-01-01T00:00:00Z\"}", "INVALID_FIELD",
			"'timeout_ms' must be a whole number"},
		{"{\"command\":\"c\",\"timeout_ms\":[]}", "INVALID_FIELD", "found an array"},
		{"{\"command\":\"c\",\"deadline\":\"tomorrow\"}", "INVALID_FIELD", "'deadline' must be milliseconds"},
		{"{\"command\":\"c\",\"deadline\":\"2026-01-01T00:00:00\"}", "INVALID_FIELD", "with a zone"},
		{"{\"command\":\"c\",\"stream\":1}", "INVALID_FIELD", "'stream' must be true or false; found a number"},
		{"{\"command\":\"c\",\"attributes\":[]}", "INVALID_FIELD", "'attributes' must be an object"},
		{"{\"command\":\"c\",\"attributes\":{\"a\":1}}", "INVALID_FIELD", "found a number"},
		{"{\"command\":\"c\",\"attributes\":{\"a\":\"\\udc00\"}}", "INVALID_FIELD", "'attributes' has an escape"},
		{"{\"command\":\"c\"", "INVALID_RECORD", "not valid JSON"},
		{"{\"command\":\"c\",\"x\":\"\xff\"}", "INVALID_RECORD", "UTF-8"},
		{"{\"command\":NaN}", "INVALID_RECORD", "not valid JSON"},
		{"{\"command\":\"c\"}}", "INVALID_RECORD", "not valid JSON"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_refused(slice_of(bad[i].doc), bad[i].code, bad[i].part);
}
END_TEST

START_TEST(a_broken_request_keeps_its_name)
{
	ck_assert(!reads(SLICE("{\"request_id\":\"r1\",\"args\":{\"x\":NaN}}")));
	ck_slice_is(why.request_id, "r1");
	ck_assert(!reads(SLICE("{\"args\":[],\"request_id\":\"r2\",\"command\":\"c\"}")));
	ck_slice_is(why.request_id, "r2");
	ck_assert(!reads(SLICE("{\"request_id\":\"\xff\",\"command\":\"c\"}")));
	ck_absent(why.request_id);
	ck_assert_int_eq(why.encoding, ENCODING_JSON);
}
END_TEST

START_TEST(depth_and_size_are_bounded)
{
	char doc[LIMIT + 64];
	size_t n = (size_t)snprintf(doc, sizeof(doc), "{\"command\":\"c\",\"args\":{\"a\":");

	memset(doc + n, '[', 20000);
	memset(doc + n + 20000, ']', 20000);
	memcpy(doc + n + 40000, "}}", 2);
	check_refused((struct slice){doc, n + 40002}, "INVALID_RECORD", "deeper");
	memset(doc, ' ', sizeof(doc));
	memcpy(doc + sizeof(doc) - 15, "{\"command\":\"c\"}", 15);
	check_refused((struct slice){doc, sizeof(doc)}, "TOO_LARGE", "65536 are allowed");
	ck_assert(reads((struct slice){doc + 64, LIMIT}));
}
END_TEST

START_TEST(args_may_be_as_deep_as_allowed)
{
	struct codec_config config = {.max_request = LIMIT, .max_depth = 3};
	char errstr[256];

	codec_free(codec);
	codec = codec_new(&config, errstr, sizeof(errstr));
	ck_assert(reads(SLICE("{\"command\":\"c\",\"args\":{\"a\":[[]]}}")));
	ck_assert(!reads(SLICE("{\"command\":\"c\",\"args\":{\"a\":[[[]]]}}")));
	ck_assert(reads(SLICE("{\"command\":\"c\",\"args\":\"{\\\"a\\\":[[]]}\"}")));
	ck_assert(!reads(SLICE("{\"command\":\"c\",\"args\":\"{\\\"a\\\":[[[]]]}\"}")));
}
END_TEST

START_TEST(other_encodings_are_named)
{
	check_refused((struct slice){NULL, 0}, "INVALID_ENCODING", "empty");
	check_refused(SLICE(""), "INVALID_ENCODING", "empty");
	check_refused(SLICE("hello"), "INVALID_ENCODING", "begins with byte 68");
	check_refused(SLICE("[{}]"), "INVALID_ENCODING", "begins with byte 5B");
	check_refused(SLICE("\xef\xbb\xbf{}"), "INVALID_ENCODING", "EF");
	check_refused(SLICE("\xc3"), "INVALID_ENCODING", "C3");
	check_refused(SLICE("\xc3\x01\x00"), "INVALID_ENCODING", "too short");
	ck_assert_int_eq(why.encoding, ENCODING_AVRO);
	check_refused(SLICE("\0\0\0\0\1abc"), "UNSUPPORTED_ENCODING", "C3 01");
	ck_assert_int_eq(why.encoding, ENCODING_CONFLUENT);
	check_refused(SLICE("\xc3\x01\x08\x07\x06\x05\x04\x03\x02\x01zz"), "UNKNOWN_SCHEMA", "0102030405060708");
	ck_assert_int_eq(why.encoding, ENCODING_AVRO);
}
END_TEST

START_TEST(iso_times)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: refused */
	} times[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2000-02-29T12:34:56.789Z", 951827696789},
		{"2000-02-29 12:34:56.7891Z", 951827696789},
		{"2000-02-29t12:34z", 951827640000},
		{"1970-01-01T01:00:00+01:00", 0},
		{"1970-01-01T00:00:00-0130", 5400000},
		{"1970-01-01T02:00:00+02", 0},
		{"2016-12-31T23:59:60Z", 1483228800000},
		{"1969-12-31T23:59:59Z", -1},
		{"2001-02-29T00:00:00Z", -1},
		{"2000-13-01T00:00:00Z", -1},
		{"2000-00-01T00:00:00Z", -1},
		{"2000-01-01T24:00:00Z", -1},
		{"2000-01-01T00:00:00", -1},
		{"2000-01-01", -1},
		{"2000-01-01T00:00:00Zx", -1},
		{"2000-01-01T00:00:00.Z", -1},
		{"2000-01-01T00:00:00+1", -1},
		{"20000101T000000Z", -1},
		{" 2000-01-01T00:00:00Z", -1},
		{"", -1},
		{"2000-01-01T00:00:00\\u0000Z", -1},
	};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		char doc[256];

		snprintf(doc, sizeof(doc), "{\"command\":\"c\",\"deadline\":\"%s\"}", times[i].text);
		ck_assert_msg(reads(slice_of(doc)) == (times[i].ms >= 0), "%s", times[i].text);
		if (times[i].ms >= 0)
			ck_assert_int_eq(r.deadline_ms, times[i].ms);
	}
}
END_TEST

/* ---- Avro requests ---- */

static struct request_fields full_request(struct buf *attributes)
{
	buf_reset(attributes);
	pairs_add(attributes, SLICE("a"), SLICE("1"));
	pairs_add(attributes, SLICE("\xc3\xa9"), SLICE(""));
	return (struct request_fields){
		.request_id = SLICE("r1"),
		.session_id = SLICE("s1"),
		.session_epoch = SLICE("e1"),
		.pool = SLICE("p"),
		.command = SLICE("ask"),
		.args = SLICE("{\"q\": 1.10, \"\\u00e9\":18446744073709551616 }"),
		.timeout_ms = 30000,
		.deadline_ms = INT64_MAX,
		.stream = true,
		.idempotent = true,
		.attributes = buf_slice(attributes),
	};
}

static void check_same_request(const struct request_fields *a, const struct request_fields *b)
{
	ck_assert(slice_equal(a->request_id, b->request_id));
	ck_assert(slice_equal(a->session_id, b->session_id));
	ck_assert(slice_equal(a->session_epoch, b->session_epoch));
	ck_assert(slice_equal(a->pool, b->pool));
	ck_assert(slice_equal(a->command, b->command));
	ck_assert(slice_equal(a->args, b->args));
	ck_assert_int_eq(a->timeout_ms, b->timeout_ms);
	ck_assert_int_eq(a->deadline_ms, b->deadline_ms);
	ck_assert_int_eq(a->stream, b->stream);
	ck_assert_int_eq(a->idempotent, b->idempotent);
	ck_assert_uint_eq(a->attributes.len, b->attributes.len);
	ck_assert(a->attributes.len == 0 || slice_equal(a->attributes, b->attributes));
}

START_TEST(requests_come_back_from_both_encodings)
{
	struct buf attributes;
	struct request_fields q;

	buf_init(&attributes, 1024);
	q = full_request(&attributes);
	for (int as = ENCODING_AVRO; as <= ENCODING_JSON; as++) {
		buf_reset(&out);
		ck_assert(codec_write_request(codec, &q, (enum encoding)as, &out));
		ck_assert_msg(reads(buf_slice(&out)), "%s", why.message);
		ck_assert_int_eq((int)r.encoding, as);
		check_same_request(&r, &q);
	}
	q = (struct request_fields){
		.command = SLICE("c"),
		.args = SLICE("{}"),
		.timeout_ms = TIME_NONE,
		.deadline_ms = TIME_NONE,
	};
	for (int as = ENCODING_AVRO; as <= ENCODING_JSON; as++) {
		buf_reset(&out);
		ck_assert(codec_write_request(codec, &q, (enum encoding)as, &out));
		ck_assert_msg(reads(buf_slice(&out)), "%s", why.message);
		check_same_request(&r, &q);
	}
	buf_free(&attributes);
}
END_TEST

static void write_avro_request(void)
{
	struct buf attributes;
	struct request_fields q;

	buf_init(&attributes, 1024);
	q = full_request(&attributes);
	buf_reset(&out);
	ck_assert(codec_write_request(codec, &q, ENCODING_AVRO, &out));
	buf_free(&attributes);
}

START_TEST(every_truncation_is_refused)
{
	write_avro_request();
	for (size_t n = 0; n < out.len; n++) {
		struct slice cut = wire_exact(out.data, n);

		ck_assert_msg(!reads(cut), "cut at %zu", n);
		ck_assert_ptr_nonnull(why.code);
		free((void *)(uintptr_t)cut.data);
	}
	ck_assert(buf_append(&out, "", 1));
	check_refused(buf_slice(&out), "INVALID_RECORD", "1 bytes follow its end");
}
END_TEST

/* A reader that believes a byte too many shows under a sanitizer; here it must at least say one thing or the other. */
START_TEST(no_mutation_breaks_the_reader)
{
	unsigned good = 0, bad = 0;
	struct slice copy;

	write_avro_request();
	copy = wire_exact(out.data, out.len);
	for (size_t i = 0; i < out.len; i++) {
		uint8_t *p = (uint8_t *)(uintptr_t)copy.data + i, was = *p;

		for (int c = 0; c < 256; c++) {
			*p = (uint8_t)c;
			if (reads(copy)) {
				ck_assert(slice_is_utf8(r.command) && r.command.len);
				good++;
			} else {
				ck_assert_ptr_nonnull(why.code);
				bad++;
			}
		}
		*p = was;
	}
	ck_assert_uint_gt(good, out.len);
	ck_assert_uint_gt(bad, 10 * out.len);
	free((void *)(uintptr_t)copy.data);
}
END_TEST

static void avro_head(struct buf *b, const char *schema)
{
	bool ok;
	uint64_t f = codec_fingerprint(schema, &ok);
	uint8_t head[10] = {0xc3, 0x01};

	ck_assert(ok);
	for (int i = 0; i < 8; i++)
		head[2 + i] = (uint8_t)(f >> (8 * i));
	buf_append(b, head, sizeof(head));
}

START_TEST(hostile_lengths_are_refused)
{
	static const struct slice bodies[] = {
		SLICE("\xfe\xff\xff\xff\x0f"),                                              /* request_id of 2 GiB */
		SLICE("\x01"),                                                              /* of -1 bytes */
		SLICE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),                          /* of INT64_MIN bytes */
		SLICE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),                          /* a number of 65 bits */
		SLICE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), SLICE("\0\x04"), /* branch 2 of two */
		SLICE("\0\x01"),                                                            /* branch -1 */
		SLICE("\0\0\0\0\2c\4{}\0\0\2"),                                             /* ends before idempotent */
		SLICE("\0\0\0\0\2c\4{}\0\0\0\2\x01"), /* idempotent is fine, map of -1 items without a size */
		SLICE("\0\0\0\0\2c\4{}\0\0\0\0\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* a map of 2^62 items */
		SLICE("\0\0\0\0\2c\4{}\0\0\3\2\0"),                                       /* a boolean of 3 */
		SLICE("\0\0\0\0\2\xff\4{}\0\0\0\0\0"),                                    /* command is not UTF-8 */
	};

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		buf_reset(&out);
		avro_head(&out, codec_schema("ProgramRequest"));
		buf_add(&out, bodies[i]);
		check_refused(buf_slice(&out), "INVALID_RECORD", "damaged");
	}
	buf_reset(&out);
	avro_head(&out, codec_schema("ProgramRequest"));
	buf_add(&out, SLICE("\0\0\0\0\2c\4{}\0\0\1\1\0"));
	ck_assert_msg(reads(buf_slice(&out)), "%s", why.message);
	ck_slice_is(r.command, "c");
}
END_TEST

START_TEST(another_record_is_no_request)
{
	struct result_fields result = {.request_id = SLICE("r"), .error.retry_after_ms = TIME_NONE};

	ck_assert(codec_write_result(codec, &result, ENCODING_AVRO, &out));
	check_refused(buf_slice(&out), "INVALID_RECORD", "ProgramResult");
}
END_TEST

/* ---- older and newer writers ---- */

static void write_schema(const char *name, const char *text)
{
	char path[5000];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", extra_dir, name);
	f = fopen(path, "w");
	ck_assert_msg(f != NULL, "%s", path);
	fputs(text, f);
	fclose(f);
}

static void extra_setup(void)
{
	snprintf(extra_dir, sizeof(extra_dir), "%s/wire-codec-XXXXXX", getenv("BUILD_DIR"));
	ck_assert_ptr_nonnull(mkdtemp(extra_dir));
}

static void extra_remove(const char *name)
{
	char path[5000];

	snprintf(path, sizeof(path), "%s/%s", extra_dir, name);
	ck_assert_int_eq(unlink(path), 0);
}

static bool extra_codec(char *errstr, size_t size)
{
	const char *dirs[] = {extra_dir};
	struct codec_config config = {.max_request = LIMIT, .extra_dirs = dirs, .nextra_dirs = 1};

	codec_free(codec);
	codec = codec_new(&config, errstr, size);
	return codec != NULL;
}

static const char older[] = "{\"type\":\"record\",\"name\":\"ProgramRequest\",\"namespace\":\"bridgepool.v0\",\"fields\":["
			    "{\"name\":\"command\",\"type\":\"string\"},{\"name\":\"timeout_ms\",\"type\":\"int\"}]}";

static const char newer[] = "{\"type\":\"record\",\"name\":\"ProgramRequest\",\"namespace\":\"bridgepool.v9\",\"fields\":["
			    "{\"name\":\"priority\",\"type\":{\"type\":\"enum\",\"name\":\"P\",\"symbols\":[\"LOW\",\"HIGH\"]}},"
			    "{\"name\":\"nested\",\"type\":{\"type\":\"record\",\"name\":\"N\",\"fields\":[{\"name\":\"xs\","
			    "\"type\":{\"type\":\"array\",\"items\":[\"null\",\"double\",\"N\"]}},"
			    "{\"name\":\"f\",\"type\":{\"type\":\"fixed\",\"name\":\"F\",\"size\":3}}]}},"
			    "{\"name\":\"session_id\",\"type\":[\"string\",\"null\"]},"
			    "{\"name\":\"attributes\",\"type\":{\"type\":\"map\",\"values\":[\"null\",\"string\"]}},"
			    "{\"name\":\"ratio\",\"type\":\"float\"},"
			    "{\"name\":\"command\",\"type\":\"bytes\"}]}";

static void check_avro(int rc)
{
	ck_assert_msg(rc == 0, "%s", avro_strerror());
}

/* Encodes with avro-c, after the head: the other side of the wire is not ours. */
static void add_value(avro_value_t *v)
{
	char body[4096];
	avro_writer_t w = avro_writer_memory(body, sizeof(body));

	check_avro(avro_value_write(w, v));
	ck_assert(buf_append(&out, body, (size_t)avro_writer_tell(w)));
	avro_writer_free(w);
}

START_TEST(an_older_writer)
{
	avro_schema_t schema;
	avro_value_iface_t *iface;
	avro_value_t v, field;
	char errstr[512];

	extra_setup();
	write_schema("older.avsc", older);
	write_schema("notes.txt", "not a schema");
	ck_assert_msg(extra_codec(errstr, sizeof(errstr)), "%s", errstr);
	check_avro(avro_schema_from_json_length(older, strlen(older), &schema));
	iface = avro_generic_class_from_schema(schema);
	check_avro(avro_generic_value_new(iface, &v));
	check_avro(avro_value_get_by_name(&v, "command", &field, NULL));
	check_avro(avro_value_set_string(&field, "ask"));
	check_avro(avro_value_get_by_name(&v, "timeout_ms", &field, NULL));
	check_avro(avro_value_set_int(&field, 1234567));
	buf_reset(&out);
	avro_head(&out, older);
	add_value(&v);
	ck_assert_msg(reads(buf_slice(&out)), "%s", why.message);
	ck_assert_int_eq(r.timeout_ms, 1234567);
	r.timeout_ms = TIME_NONE;
	check_defaults();
	avro_value_decref(&v);
	avro_value_iface_decref(iface);
	avro_schema_decref(schema);
	extra_remove("older.avsc");
	extra_remove("notes.txt");
	ck_assert_int_eq(rmdir(extra_dir), 0);
}
END_TEST

/* priority HIGH, nested {[null, 2.5], abc}, session_id "s", attributes {a: "1"} in a block with its size, ratio, command. */
START_TEST(a_newer_writer)
{
	static const struct slice body = SLICE("\2"
					       "\4\0\2\0\0\0\0\0\0\4\x40\0"
					       "abc"
					       "\0\2s"
					       "\1\x0a\2a\2\2"
					       "1\0"
					       "\0\0\x80\x3f"
					       "\6ask");
	char errstr[512];

	extra_setup();
	write_schema("newer.avsc", newer);
	ck_assert_msg(extra_codec(errstr, sizeof(errstr)), "%s", errstr);
	buf_reset(&out);
	avro_head(&out, newer);
	buf_add(&out, body);
	ck_assert_msg(reads(buf_slice(&out)), "%s", why.message);
	ck_slice_is(r.session_id, "s");
	ck_slice_is(r.command, "ask");
	ck_assert_uint_eq(pairs_count(r.attributes), 1);
	check_attribute("a", "1");
	extra_remove("newer.avsc");
	ck_assert_int_eq(rmdir(extra_dir), 0);
}
END_TEST

/* Each block says that as many items follow as the record has bytes left. Looked at one by one they would take hours. */
START_TEST(items_without_bytes_cost_nothing)
{
	static const char text[] =
		"{\"type\":\"record\",\"name\":\"ProgramRequest\",\"fields\":["
		"{\"name\":\"nothing\",\"type\":{\"type\":\"array\",\"items\":\"null\"}},{\"name\":\"command\",\"type\":\"string\"}]}";
	enum { BLOCKS = 300000 };
	struct codec_config config = {.max_request = 1 << 20, .extra_dirs = (const char *[]){extra_dir}, .nextra_dirs = 1};
	char errstr[512];
	struct buf large;

	extra_setup();
	write_schema("nothing.avsc", text);
	codec_free(codec);
	codec = codec_new(&config, errstr, sizeof(errstr));
	ck_assert_msg(codec != NULL, "%s", errstr);
	buf_init(&large, 1 << 20);
	avro_head(&large, text);
	for (size_t left = BLOCKS * 3; left > 0; left -= 3)
		buf_append(&large, (uint8_t[]){0x80 | (left & 0x7f & ~1U), 0x80 | (left >> 7 & 0x7f), left >> 14 & 0x7f}, 3);
	buf_append(&large, "\0\6ask", 5);
	ck_assert_msg(reads(buf_slice(&large)), "%s", why.message);
	ck_slice_is(r.command, "ask");
	buf_free(&large);
	extra_remove("nothing.avsc");
	ck_assert_int_eq(rmdir(extra_dir), 0);
}
END_TEST

START_TEST(a_writer_that_is_not_compatible)
{
	static const char text[] =
		"{\"type\":\"record\",\"name\":\"ProgramRequest\",\"fields\":[{\"name\":\"command\",\"type\":\"long\"}]}";
	char errstr[512];

	extra_setup();
	write_schema("wrong.avsc", text);
	ck_assert_msg(extra_codec(errstr, sizeof(errstr)), "%s", errstr);
	buf_reset(&out);
	avro_head(&out, text);
	buf_append(&out, "\2", 1);
	check_refused(buf_slice(&out), "INVALID_FIELD", "'command' must be a string; the writer's schema has long");
	write_schema("wrong.avsc", "{\"type\":");
	ck_assert(!extra_codec(errstr, sizeof(errstr)));
	ck_assert_msg(strstr(errstr, "wrong.avsc") != NULL, "%s", errstr);
	extra_remove("wrong.avsc");
	ck_assert_int_eq(rmdir(extra_dir), 0);
	ck_assert(!extra_codec(errstr, sizeof(errstr)));
	ck_assert_msg(strstr(errstr, extra_dir) != NULL, "%s", errstr);
}
END_TEST

/* ---- results and health ---- */

static struct result_fields full_result(struct buf *attributes)
{
	buf_reset(attributes);
	pairs_add(attributes, SLICE("a"), SLICE("1\""));
	return (struct result_fields){
		.request_id = SLICE("r1"),
		.session_id = SLICE("s1"),
		.pool = SLICE("p"),
		.command = SLICE("ask"),
		.status = STATUS_ERROR,
		.result = SLICE("[1.10,{\"n\":1e400}]"),
		.error = {SLICE("CODE"), SLICE("message\n"), true, 500, SLICE("{\"k\": 1.0}")},
		.session_epoch = SLICE("e"),
		.session_new = true,
		.instance_id = SLICE("i"),
		.worker_id = SLICE("w"),
		.worker_version = SLICE("1.4.2"),
		.attempts = 2,
		.timings = {1, 2, 3, 4, INT64_MAX},
		.usage = SLICE("{\"tokens\":120,\"cost\":0.25,\"\\u0078\":-1}"),
		.source_topic = SLICE("t"),
		.source_partition = 3,
		.source_offset = 41,
		.part = 1,
		.final = true,
		.attributes = buf_slice(attributes),
		.completed_at_ms = 1767225600000,
	};
}

START_TEST(result_in_json)
{
	struct buf attributes;
	struct result_fields f;

	buf_init(&attributes, 1024);
	f = full_result(&attributes);
	ck_assert(codec_write_result(codec, &f, ENCODING_JSON, &out));
	ck_slice_is(buf_slice(&out), "{\"request_id\":\"r1\",\"session_id\":\"s1\",\"pool\":\"p\",\"command\":\"ask\",\"status\":"
				     "\"ERROR\",\"result\":[1.10,{\"n\":1e400}],"
				     "\"error\":{\"code\":\"CODE\",\"message\":\"message\\n\",\"retriable\":true,\"retry_after_"
				     "ms\":500,\"details\":{\"k\": 1.0}},"
				     "\"session_epoch\":\"e\",\"session_new\":true,\"instance_id\":\"i\",\"worker_id\":\"w\","
				     "\"worker_version\":\"1.4.2\",\"attempts\":2,"
				     "\"timings\":{\"broker_us\":1,\"session_wait_us\":2,\"worker_wait_us\":3,\"retry_wait_us\":"
				     "4,\"run_us\":9223372036854775807},"
				     "\"usage\":{\"tokens\":120,\"cost\":0.25,\"\\u0078\":-1},\"source\":{\"topic\":\"t\","
				     "\"partition\":3,\"offset\":41},\"part\":1,\"final\":true,"
				     "\"attributes\":{\"a\":\"1\\\"\"},\"completed_at\":1767225600000}");
	buf_free(&attributes);
}
END_TEST

/* What Avro holds, printed by the schema's names in the schema's order, is the JSON record: byte for byte. */
static void check_avro_prints_as(struct slice avro, const char *json)
{
	struct buf printed;
	char errstr[256];

	buf_init(&printed, 1 << 20);
	ck_assert_msg(codec_to_json(codec, avro, &printed, errstr, sizeof(errstr)), "%s", errstr);
	ck_slice_is(buf_slice(&printed), json);
	buf_free(&printed);
}

static char *text_of(const struct buf *b)
{
	return strndup((const char *)b->data, b->len);
}

static void check_both_encodings_agree(const struct result_fields *f)
{
	char *json;

	buf_reset(&out);
	ck_assert(codec_write_result(codec, f, ENCODING_JSON, &out));
	json = text_of(&out);
	buf_reset(&out);
	ck_assert(codec_write_result(codec, f, ENCODING_AVRO, &out));
	check_avro_prints_as(buf_slice(&out), json);
	free(json);
}

START_TEST(result_is_the_same_in_avro)
{
	struct buf attributes;
	struct result_fields f;

	buf_init(&attributes, 1024);
	f = full_result(&attributes);
	f.usage = SLICE("{\"tokens\":120,\"cost\":0.25}");
	check_both_encodings_agree(&f);
	f = (struct result_fields){.request_id = SLICE("r"),
		.status = STATUS_OK,
		.result = SLICE("null"),
		.error.retry_after_ms = TIME_NONE,
		.usage = SLICE("{}")};
	check_both_encodings_agree(&f);
	f.result = (struct slice){NULL, 0};
	f.usage = (struct slice){NULL, 0};
	f.error.code = SLICE("C");
	check_both_encodings_agree(&f);
	buf_free(&attributes);
}
END_TEST

START_TEST(health_is_the_same_in_both)
{
	struct worker_snapshot workers[2] = {{
						     .id = "a/0.1",
						     .role = "serving",
						     .state = HEALTH_READY,
						     .in_flight = 3,
						     .unanswered = 1,
						     .sessions = 4,
						     .resident = 5000000,
					     },
		{.id = "a/1.0", .role = "spare", .state = HEALTH_TERMINATED}};
	struct pool_snapshot pools[2] = {
		{
			.name = SLICE("a"),
			.state = HEALTH_READY,
			.workers = {[HEALTH_READY] = 3, [HEALTH_TERMINATING] = 1},
			.busy = 2,
			.slots_used = 4,
			.slots_total = 48,
			.queued = 7,
			.sessions = 9,
			.sessions_created = 10,
			.sessions_ended = 1,
			.sessions_lost = 2,
			.requests = {[STATUS_OK] = 100, [STATUS_TIMEOUT] = 1},
			.duration = {[0] = 5, [11] = 1},
			.starts = 5,
			.exits = 1,
			.worker_list = workers,
			.nworker_list = 2,
		},
		{.name = SLICE("b"), .state = HEALTH_UNAVAILABLE},
	};
	struct partition_snapshot partitions[1] = {{
		.topic = SLICE("t"),
		.partition = 3,
		.base = 100,
		.next = 140,
		.backlog = 12,
		.window = 40,
		.oldest_ms = 1500,
		.held = true,
	}};
	struct snapshot s = {
		.state = HEALTH_DEGRADED,
		.npools = 2,
		.npartitions = 1,
		.pools = pools,
		.partitions = partitions,
		.memory_used = 1,
		.memory_limit = 2,
		.late_answers = 3,
		.dropped_stale = 4,
		.heartbeat_ms = 10000,
	};
	struct health_fields h = {
		.event_id = SLICE("v"),
		.instance_id = SLICE("i"),
		.incarnation = SLICE("n"),
		.host = SLICE("h"),
		.sequence = 1,
		.at_ms = 2,
		.kind = KIND_WORKER_STATE,
		.severity = SEVERITY_WARN,
		.pool = SLICE("a"),
		.worker_id = SLICE("w"),
		.from_state = HEALTH_READY,
		.to_state = HEALTH_TERMINATED,
		.reason = SLICE("why"),
		.count = 5,
	};
	char *json;

	for (int round = 0; round < 3; round++) {
		buf_reset(&out);
		ck_assert(codec_write_health(codec, &h, ENCODING_JSON, &out));
		json = text_of(&out);
		ck_assert_ptr_eq(strstr(json, "\"snapshot\":null") ? NULL : json, round ? json : NULL);
		buf_reset(&out);
		ck_assert(codec_write_health(codec, &h, ENCODING_AVRO, &out));
		check_avro_prints_as(buf_slice(&out), json);
		free(json);
		h = (struct health_fields){.kind = KIND_HEARTBEAT, .severity = SEVERITY_INFO, .snapshot = &s};
		if (round)
			s.npools = s.npartitions = 0;
	}
}
END_TEST

/* The last words of a worker are whatever it wrote; a message may be cut within a character. Avro's strings are UTF-8 all the
 * same. */
START_TEST(what_is_no_utf8_is_repaired)
{
	struct health_fields h = {.kind = KIND_WORKER_EXIT, .reason = SLICE("caf\xe9 \xe2\x82"), .worker_id = SLICE("w")};
	struct result_fields f = {.status = STATUS_ERROR, .error = {.code = SLICE("C"), .message = SLICE("\xff")}};
	char errstr[512];
	struct buf doc;

	buf_init(&doc, LIMIT);
	for (enum encoding as = ENCODING_AVRO; as <= ENCODING_JSON; as++) {
		buf_reset(&out);
		buf_reset(&doc);
		ck_assert(codec_write_health(codec, &h, as, &out));
		ck_assert_msg(codec_to_json(codec, buf_slice(&out), &doc, errstr, sizeof(errstr)), "%s", errstr);
		ck_assert_ptr_nonnull(
			memmem(doc.data, doc.len, "\"caf\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\"", strlen("\"caf??? ??????\"")));
		buf_reset(&out);
		buf_reset(&doc);
		ck_assert(codec_write_result(codec, &f, as, &out));
		ck_assert_msg(codec_to_json(codec, buf_slice(&out), &doc, errstr, sizeof(errstr)), "%s", errstr);
		ck_assert_ptr_nonnull(memmem(doc.data, doc.len, "\"message\":\"\xef\xbf\xbd\"", strlen("\"message\":\"???\"")));
	}
	buf_free(&doc);
}
END_TEST

START_TEST(over_the_limit_adds_nothing)
{
	struct buf attributes;
	struct result_fields f;
	size_t whole;

	buf_init(&attributes, 1024);
	f = full_result(&attributes);
	for (int as = ENCODING_AVRO; as <= ENCODING_JSON; as++) {
		buf_reset(&out);
		ck_assert(codec_write_result(codec, &f, (enum encoding)as, &out));
		whole = out.len;
		for (size_t limit = 1; limit <= whole + 1; limit++) {
			struct buf small;

			buf_init(&small, limit);
			ck_assert(buf_text(&small, "x"));
			ck_assert_int_eq(codec_write_result(codec, &f, (enum encoding)as, &small), limit == whole + 1);
			ck_assert_uint_eq(small.len, limit == whole + 1 ? whole + 1 : 1);
			buf_free(&small);
		}
	}
	buf_free(&attributes);
}
END_TEST

START_TEST(printing_anything)
{
	char errstr[256];

	ck_assert(codec_to_json(codec, SLICE("{\n \"a\" :\r\n 1}"), &out, errstr, sizeof(errstr)));
	ck_slice_is(buf_slice(&out), "{  \"a\" :   1}");
	buf_reset(&out);
	ck_assert(!codec_to_json(codec, SLICE("[]"), &out, errstr, sizeof(errstr)));
	ck_assert(!codec_to_json(codec, SLICE("\xc3\x01\1\2\3\4\5\6\7\10"), &out, errstr, sizeof(errstr)));
	ck_assert_ptr_nonnull(strstr(errstr, "0807060504030201"));
	ck_assert(!codec_to_json(codec, SLICE(""), &out, errstr, sizeof(errstr)));
	ck_assert_uint_eq(out.len, 0);
	write_avro_request();
	for (size_t n = 10; n < out.len; n++) {
		struct buf printed;

		buf_init(&printed, 1 << 20);
		ck_assert(!codec_to_json(codec, (struct slice){out.data, n}, &printed, errstr, sizeof(errstr)));
		ck_assert_uint_eq(printed.len, 0);
		buf_free(&printed);
	}
}
END_TEST

START_TEST(content_types)
{
	ck_assert_str_eq(codec_content_type(ENCODING_JSON), "application/json");
	ck_assert_str_eq(codec_content_type(ENCODING_AVRO), "avro/binary");
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("codec");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, json_request_with_everything);
	tcase_add_test(t, json_defaults);
	tcase_add_test(t, json_args_as_text);
	tcase_add_test(t, json_texts_stay_while_scratch_grows);
	tcase_add_test(t, json_wrong_fields_are_named);
	tcase_add_test(t, a_broken_request_keeps_its_name);
	tcase_add_test(t, depth_and_size_are_bounded);
	tcase_add_test(t, args_may_be_as_deep_as_allowed);
	tcase_add_test(t, other_encodings_are_named);
	tcase_add_test(t, iso_times);
	tcase_add_test(t, requests_come_back_from_both_encodings);
	tcase_add_test(t, every_truncation_is_refused);
	tcase_add_test(t, no_mutation_breaks_the_reader);
	tcase_add_test(t, hostile_lengths_are_refused);
	tcase_add_test(t, another_record_is_no_request);
	tcase_add_test(t, an_older_writer);
	tcase_add_test(t, a_newer_writer);
	tcase_add_test(t, items_without_bytes_cost_nothing);
	tcase_add_test(t, a_writer_that_is_not_compatible);
	tcase_add_test(t, result_in_json);
	tcase_add_test(t, result_is_the_same_in_avro);
	tcase_add_test(t, health_is_the_same_in_both);
	tcase_add_test(t, what_is_no_utf8_is_repaired);
	tcase_add_test(t, over_the_limit_adds_nothing);
	tcase_add_test(t, printing_anything);
	tcase_add_test(t, content_types);
	return wire_run("wire.codec", t);
}
