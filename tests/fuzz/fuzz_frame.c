/* fuzz_frame.c: however a stream is cut, the same frames come out of it, and the same end. */
#include "fuzz.h"
#include "bridgepool/base/check.h"
#include "bridgepool/wire/frame.h"

enum { MAX_BODY = 300 };

/* All frames, one after the other with their lengths; the state at the end is returned. */
static enum frame_state collect(struct slice bytes, size_t step, struct buf *out)
{
	enum frame_state state = FRAME_MORE;
	struct frame_reader r;
	struct slice body;

	frame_init(&r, MAX_BODY);
	for (size_t at = 0; at < bytes.len && state != FRAME_TOO_BIG; at += step) {
		size_t n = bytes.len - at < step ? bytes.len - at : step;

		CHECK(frame_feed(&r, (const uint8_t *)bytes.data + at, n));
		while ((state = frame_next(&r, &body)) == FRAME_READY) {
			CHECK(body.len <= MAX_BODY);
			buf_printf(out, "%zu:", body.len);
			buf_add(out, body);
		}
	}
	CHECK(frame_rest(&r).len <= bytes.len);
	frame_free(&r);
	return state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = {data + 1, size - 1};
	enum frame_state whole_state, cut_state;
	struct buf whole, cut;

	if (size < 2)
		return 0;
	buf_init(&whole, 1 << 20);
	buf_init(&cut, 1 << 20);
	whole_state = collect(bytes, bytes.len, &whole);
	cut_state = collect(bytes, data[0] % 16 + 1U, &cut);
	CHECK(whole_state == cut_state);
	CHECK(slice_equal(buf_slice(&whole), buf_slice(&cut)) || (!whole.len && !cut.len));
	buf_free(&whole);
	buf_free(&cut);
	return 0;
}
