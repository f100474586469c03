/* wire_bridge_test.c: what workers are sent, byte for byte, and what is made of whatever they answer. */
#include "bridgepool/wire/bridge.h"
#include "bridgepool/wire/frame.h"
#include "bridgepool/wire/json.h"
#include "bridgepool/wire/pairs.h"
#include "bridgepool/wire/record.h"
#include "wire_check.h"

static struct buf out, scratch;

static void setup(void)
{
	buf_init(&out, 1 << 20);
	buf_init(&scratch, 1 << 20);
}

static void teardown(void)
{
	buf_free(&out);
	buf_free(&scratch);
}

/* The body of the one frame in out. */
static struct slice written(const struct call *c)
{
	struct frame_reader r;
	struct slice body;
	char errstr[128];

	buf_reset(&out);
	ck_assert(bridge_write(&out, c));
	frame_init(&r, 1 << 20);
	ck_assert(frame_feed(&r, out.data, out.len));
	ck_assert_int_eq(frame_next(&r, &body), FRAME_READY);
	ck_assert_uint_eq(frame_rest(&r).len, 0);
	frame_free(&r);
	body = (struct slice){out.data + FRAME_HEAD, out.len - FRAME_HEAD};
	ck_assert_msg(json_read_object(body, NULL, 0, JSON_MAX_DEPTH, errstr, sizeof(errstr)), "%s", errstr);
	return body;
}

static struct call request(void)
{
	return (struct call){
		.id = 7,
		.kind = CALL_REQUEST,
		.command = SLICE("ask"),
		.args = SLICE("{ \"n\": 1.10, \"b\":18446744073709551616 }"),
		.request_id = SLICE("r\"1"),
		.attempt = 1,
		.remaining_ms = 29950,
		.source_topic = SLICE("t"),
		.source_partition = 3,
		.source_offset = 41,
		.sent_wall_ms = 1767225600000,
	};
}

START_TEST(request_in_a_session)
{
	struct call c = request();
	struct buf headers;

	buf_init(&headers, 1024);
	pairs_add(&headers, SLICE("traceparent"), SLICE("00-ab"));
	pairs_add(&headers, SLICE("binary"), SLICE("\xff\xfe"));
	pairs_add(&headers, SLICE("none"), (struct slice){NULL, 0});
	c.headers = buf_slice(&headers);
	c.session_id = SLICE("s1");
	c.session_epoch = SLICE("e9");
	c.session_new = true;
	c.stream = true;
	ck_slice_is(written(&c),
		"{\"id\":7,\"command\":\"ask\",\"args\":{ \"n\": 1.10, \"b\":18446744073709551616 ,\"session_id\":\"s1\"},"
		"\"timestamp\":\"2026-01-01T00:00:00.000Z\",\"meta\":{\"request_id\":\"r\\\"1\",\"attempt\":1,\"remaining_ms\":"
		"29950,\"stream\":true,"
		"\"headers\":{\"traceparent\":\"00-ab\",\"none\":null},\"attributes\":{},\"session\":{\"id\":\"s1\",\"epoch\":"
		"\"e9\",\"new\":true},"
		"\"source\":{\"topic\":\"t\",\"partition\":3,\"offset\":41}}}");
	buf_free(&headers);
}
END_TEST

START_TEST(anonymous_request_passes_untouched)
{
	struct call c = request();

	c.remaining_ms = TIME_NONE;
	ck_slice_is(written(&c), "{\"id\":7,\"command\":\"ask\",\"args\":{ \"n\": 1.10, \"b\":18446744073709551616 },"
				 "\"timestamp\":\"2026-01-01T00:00:00.000Z\",\"meta\":{\"request_id\":\"r\\\"1\",\"attempt\":1,"
				 "\"headers\":{},\"attributes\":{},\"source\":{\"topic\":\"t\",\"partition\":3,\"offset\":41}}}");
}
END_TEST

static void check_args(const char *given, const char *expected)
{
	struct json_member m = {.name = "args"};
	struct call c = request();
	char errstr[128];

	c.args = slice_of(given);
	c.session_id = SLICE("s");
	ck_assert(json_read_object(written(&c), &m, 1, JSON_MAX_DEPTH, errstr, sizeof(errstr)));
	ck_slice_is(m.value, expected);
}

START_TEST(session_goes_into_any_args)
{
	check_args(NULL, "{\"session_id\":\"s\"}");
	check_args("{}", "{\"session_id\":\"s\"}");
	check_args(" {\n} \t", "{\n\"session_id\":\"s\"}");
	check_args("{\"a\":{}}", "{\"a\":{},\"session_id\":\"s\"}");
	check_args("{\"a\":\"}\"}\r\n", "{\"a\":\"}\",\"session_id\":\"s\"}");
	check_args("{\"session_id\":\"theirs\"}", "{\"session_id\":\"theirs\",\"session_id\":\"s\"}");
}
END_TEST

START_TEST(own_calls)
{
	struct call c = {.id = 1, .kind = CALL_PING, .initialization = true};

	ck_slice_is(written(&c),
		"{\"id\":1,\"command\":\"ping\",\"args\":{\"initialization\":true},\"timestamp\":\"1970-01-01T00:00:00.000Z\"}");
	c.initialization = false;
	ck_slice_is(written(&c), "{\"id\":1,\"command\":\"ping\",\"args\":{},\"timestamp\":\"1970-01-01T00:00:00.000Z\"}");
	c.kind = CALL_SHUTDOWN;
	ck_slice_is(written(&c), "{\"id\":1,\"command\":\"shutdown\",\"args\":{},\"timestamp\":\"1970-01-01T00:00:00.000Z\"}");
	c.kind = CALL_CANCEL;
	c.target = 9;
	c.reason = SLICE("timeout");
	ck_slice_is(written(&c), "{\"id\":1,\"command\":\"cancel\",\"args\":{\"id\":9,\"reason\":\"timeout\"},\"timestamp\":"
				 "\"1970-01-01T00:00:00.000Z\"}");
	c.kind = CALL_CLEANUP_SESSION;
	c.session_id = SLICE("s");
	c.session_epoch = SLICE("e");
	ck_slice_is(written(&c),
		"{\"id\":1,\"command\":\"cleanup_session\",\"args\":{\"session_id\":\"s\",\"reason\":\"timeout\"},"
		"\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"meta\":{\"session\":{\"id\":\"s\",\"epoch\":\"e\",\"new\":false}}"
		"}");
	c.kind = CALL_OPEN_SESSION;
	c.session_new = true;
	ck_slice_is(written(&c),
		"{\"id\":1,\"command\":\"open_session\",\"args\":{\"session_id\":\"s\"},"
		"\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"meta\":{\"session\":{\"id\":\"s\",\"epoch\":\"e\",\"new\":true}}}");
}
END_TEST

START_TEST(over_the_limit_adds_nothing)
{
	struct call c = request();
	size_t whole = written(&c).len + FRAME_HEAD;

	for (size_t limit = 3; limit < whole + 3; limit++) {
		struct buf small;

		buf_init(&small, limit);
		ck_assert(buf_text(&small, "abc"));
		ck_assert(!bridge_write(&small, &c));
		ck_slice_is(buf_slice(&small), "abc");
		ck_assert(!small.overflow);
		buf_free(&small);
	}
}
END_TEST

static struct answer answer_to(const char *body)
{
	struct answer a;

	bridge_read(slice_of(body), &scratch, &a);
	return a;
}

START_TEST(good_answers)
{
	struct answer a = answer_to(
		"{\"id\":7,\"success\":true,\"result\":{\"x\": 0.10},\"usage\":{\"tokens\":120},\"timestamp\":1.5,\"more\":[]}");

	ck_assert(a.has_id);
	ck_assert_uint_eq(a.id, 7);
	ck_assert_int_eq(a.kind, ANSWER_OK);
	ck_slice_is(a.payload, "{\"x\": 0.10}");
	ck_slice_is(a.usage, "{\"tokens\":120}");
	a = answer_to("{\"id\":7,\"success\":true}");
	ck_assert_int_eq(a.kind, ANSWER_OK);
	ck_absent(a.payload);
	ck_absent(a.usage);
	a = answer_to("{\"id\":7,\"success\":true,\"result\":null,\"usage\":{\"m\":{\"tokens\":1}}}");
	ck_slice_is(a.payload, "null");
	ck_absent(a.usage);
	a = answer_to("{\"id\":8,\"partial\":[1]}");
	ck_assert_int_eq(a.kind, ANSWER_PARTIAL);
	ck_assert_uint_eq(a.id, 8);
	ck_slice_is(a.payload, "[1]");
}
END_TEST

START_TEST(errors)
{
	struct answer a = answer_to("{\"id\":7,\"success\":false,\"error\":\"no \\u00e9\"}");

	ck_assert_int_eq(a.kind, ANSWER_ERROR);
	ck_slice_is(a.code, "PROGRAM_ERROR");
	ck_slice_is(a.message, "no \xc3\xa9");
	ck_assert(!a.retriable);
	ck_assert_int_eq(a.retry_after_ms, TIME_NONE);
	a = answer_to("{\"id\":7,\"success\":false,\"error\":{\"code\":\"c\\n\",\"message\":\"m\\t\",\"retriable\":true,\"retry_"
		      "after_ms\":500,\"details\":{\"k\":1.0}}}");
	ck_slice_is(a.code, "c\n");
	ck_slice_is(a.message, "m\t");
	ck_assert(a.retriable);
	ck_assert_int_eq(a.retry_after_ms, 500);
	ck_slice_is(a.details, "{\"k\":1.0}");
	a = answer_to("{\"id\":7,\"success\":false,\"error\":{\"code\":3,\"retry_after_ms\":-1,\"details\":null}}");
	ck_slice_is(a.code, "PROGRAM_ERROR");
	ck_assert_uint_gt(a.message.len, 0);
	ck_assert_int_eq(a.retry_after_ms, TIME_NONE);
	ck_absent(a.details);
	a = answer_to("{\"id\":7,\"success\":false,\"error\":42}");
	ck_slice_is(a.message, "42");
	a = answer_to("{\"id\":7,\"success\":false}");
	ck_assert_int_eq(a.kind, ANSWER_ERROR);
	ck_assert_uint_gt(a.message.len, 0);
	a = answer_to("{\"id\":7,\"success\":false,\"error\":\"file \\udcff\"}");
	ck_slice_is(a.message, "file \\udcff");
}
END_TEST

START_TEST(unreadable_answers)
{
	static const struct {
		const char *body;
		bool has_id;
	} bad[] = {
		{"{\"id\":7,\"success\":true,\"result\":NaN}", true},
		{"{\"id\":7,\"success\":true,\"result\":\"\xff\"}", true},
		{"{\"id\":7,\"success\":\"yes\"}", true},
		{"{\"id\":7}", true},
		{"{\"id\":\"7\",\"success\":true}", false},
		{"{\"id\":-7,\"success\":true}", false},
		{"{\"id\":7.5,\"success\":true}", false},
		{"{\"success\":true}", false},
		{"[7]", false},
		{"Traceback", false},
		{"", false},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct answer a = answer_to(bad[i].body);

		ck_assert_msg(a.kind == ANSWER_UNREADABLE, "%s", bad[i].body);
		ck_assert_msg(a.has_id == bad[i].has_id, "%s", bad[i].body);
		ck_assert(!a.has_id || a.id == 7);
		ck_slice_is(a.code, "INVALID_RESULT");
		ck_assert_uint_gt(a.message.len, 0);
	}
}
END_TEST

START_TEST(first_ping)
{
	struct answer a = answer_to("{\"id\":1,\"success\":true,\"result\":{\"status\":\"ok\",\"protocol\":1,\"version\":\"1."
				    "4\\u002e2\",\"concurrency\":32,"
				    "\"commands\":[\"ask\"],\"capabilities\":[\"partial\",\"unheard of\",\"sessions\",5]}}");

	ck_assert_int_eq(a.kind, ANSWER_OK);
	ck_assert_uint_eq(a.protocol, 1);
	ck_assert_uint_eq(a.concurrency, 32);
	ck_assert_uint_eq(a.capabilities, CAPABILITY_PARTIAL | CAPABILITY_SESSIONS);
	ck_slice_is(a.version, "1.4.2");
	a = answer_to("{\"id\":1,\"success\":true,\"concurrency\":4,\"capabilities\":[\"cancel\",\"ping_busy\"]}");
	ck_assert_uint_eq(a.concurrency, 4);
	ck_assert_uint_eq(a.capabilities, CAPABILITY_CANCEL | CAPABILITY_PING_BUSY);
	a = answer_to("{\"id\":1,\"success\":true,\"result\":{\"status\":\"ok\",\"concurrency\":-1,\"capabilities\":{},"
		      "\"version\":7}}");
	ck_assert_uint_eq(a.concurrency, 0);
	ck_assert_uint_eq(a.capabilities, 0);
	ck_absent(a.version);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("bridge");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, request_in_a_session);
	tcase_add_test(t, anonymous_request_passes_untouched);
	tcase_add_test(t, session_goes_into_any_args);
	tcase_add_test(t, own_calls);
	tcase_add_test(t, over_the_limit_adds_nothing);
	tcase_add_test(t, good_answers);
	tcase_add_test(t, errors);
	tcase_add_test(t, unreadable_answers);
	tcase_add_test(t, first_ping);
	return wire_run("wire.bridge", t);
}
