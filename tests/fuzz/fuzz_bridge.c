/* fuzz_bridge.c: whatever a worker says becomes an answer; whatever args a client sends become one valid frame. */
#include "fuzz.h"
#include "bridgepool/base/check.h"
#include "bridgepool/wire/bridge.h"
#include "bridgepool/wire/frame.h"
#include "bridgepool/wire/json.h"

#include <string.h>

static void check_json(struct slice s)
{
	enum json_kind kind;
	char errstr[128];

	CHECK(!s.data || json_read_value(s, &kind, JSON_MAX_DEPTH, errstr, sizeof(errstr)));
}

static void check_answer(struct slice body)
{
	struct buf scratch;
	struct answer a;

	buf_init(&scratch, body.len + 256);
	bridge_read(body, &scratch, &a);
	if (a.kind == ANSWER_UNREADABLE) {
		CHECK(slice_is(a.code, "INVALID_RESULT") && a.message.len);
	} else {
		CHECK(a.has_id);
		check_json(a.payload);
		check_json(a.usage);
		check_json(a.details);
		CHECK(slice_is_utf8(a.code) && slice_is_utf8(a.message) && slice_is_utf8(a.version));
		CHECK((a.kind == ANSWER_ERROR) == (a.code.data != NULL));
	}
	buf_free(&scratch);
}

static void check_frame(struct slice args)
{
	struct json_member m = {.name = "args"}, inner = {.name = "session_id"};
	struct call c = {.id = 1, .command = SLICE("c"), .args = args, .session_id = SLICE("s\n")};
	struct buf out;
	char errstr[128];

	buf_init(&out, args.len + 1024);
	CHECK(bridge_write(&out, &c));
	CHECK(json_read_object((struct slice){out.data + FRAME_HEAD, out.len - FRAME_HEAD}, &m, 1, JSON_MAX_DEPTH + 1, errstr,
		sizeof(errstr)));
	CHECK(json_read_object(m.value, &inner, 1, JSON_MAX_DEPTH, errstr, sizeof(errstr)));
	CHECK(slice_is(inner.value, "\"s\\n\""));
	/* The client's bytes stand there untouched. */
	CHECK(memmem(out.data, out.len, args.data,
		(size_t)((const char *)memrchr(args.data, '}', args.len) - (const char *)args.data)));
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = {data, size};
	char errstr[128];

	check_answer(bytes);
	if (json_read_object(bytes, NULL, 0, JSON_MAX_DEPTH, errstr, sizeof(errstr)))
		check_frame(bytes);
	return 0;
}
