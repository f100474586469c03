/* frame.c: cuts a byte stream into frames. */
#include "bridgepool/wire/frame.h"
#include "bridgepool/base/check.h"

#include <string.h>

/* The reader takes frames out after every read, so more than one frame and one read is never kept. */
enum { FRAME_READ_MAX = 4 << 20 };

void frame_init(struct frame_reader *r, size_t max_body)
{
	CHECK(max_body <= UINT32_MAX);
	memset(r, 0, sizeof(*r));
	r->max_body = max_body;
	buf_init(&r->in, max_body + FRAME_HEAD + FRAME_READ_MAX);
}

bool frame_feed(struct frame_reader *r, const void *p, size_t n)
{
	if (r->broken)
		return false;
	if (r->consumed)
		buf_consume(&r->in, r->consumed);
	r->consumed = 0;
	if (!buf_append(&r->in, p, n))
		r->broken = true;
	return !r->broken;
}

static uint32_t frame_length(const uint8_t head[FRAME_HEAD])
{
	return (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
}

enum frame_state frame_next(struct frame_reader *r, struct slice *body)
{
	struct slice rest = frame_rest(r);
	size_t length;

	if (r->broken)
		return FRAME_TOO_BIG;
	if (rest.len < FRAME_HEAD)
		return FRAME_MORE;
	length = frame_length(rest.data);
	if (length > r->max_body) {
		r->broken = true;
		return FRAME_TOO_BIG;
	}
	if (rest.len - FRAME_HEAD < length)
		return FRAME_MORE;
	*body = (struct slice){(const uint8_t *)rest.data + FRAME_HEAD, length};
	r->consumed += FRAME_HEAD + length;
	return FRAME_READY;
}

struct slice frame_rest(const struct frame_reader *r)
{
	if (r->in.len == r->consumed)
		return SLICE("");
	return (struct slice){r->in.data + r->consumed, r->in.len - r->consumed};
}

void frame_free(struct frame_reader *r)
{
	buf_free(&r->in);
	memset(r, 0, sizeof(*r));
}

void frame_head(uint8_t out[FRAME_HEAD], size_t body_len)
{
	CHECK(body_len <= UINT32_MAX);
	for (int i = 0; i < FRAME_HEAD; i++)
		out[i] = (uint8_t)(body_len >> (24 - 8 * i));
}
