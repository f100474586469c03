/* codec_property.h: a request that was read, written and read again is the same request, in both encodings. */
#ifndef BRIDGEPOOL_FUZZ_CODEC_PROPERTY_H
#define BRIDGEPOOL_FUZZ_CODEC_PROPERTY_H

#include <string.h>

#include "bridgepool/base/check.h"
#include "bridgepool/wire/codec.h"

enum { FUZZ_REQUEST_MAX = 1 << 16 };

static inline struct codec *property_codec(void)
{
	static struct codec *codec;
	struct codec_config config = {.max_request = FUZZ_REQUEST_MAX};
	char errstr[256];

	if (!codec)
		codec = codec_new(&config, errstr, sizeof(errstr));
	CHECK(codec);
	return codec;
}

static inline bool property_same_text(struct slice a, struct slice b)
{
	return slice_equal(a, b) || (!a.len && !b.len);
}

static inline struct slice property_bare(struct slice text)
{
	const char *p = text.data, *end = p + text.len;

	while (p < end && strchr(" \t\r\n", *p) && *p)
		p++;
	while (p < end && strchr(" \t\r\n", end[-1]) && end[-1])
		end--;
	return (struct slice){p, (size_t)(end - p)};
}

/* Blanks around a document are no part of it: between the members of a record nobody tells them apart. */
static inline bool property_same_args(struct slice a, struct slice b)
{
	return slice_equal(property_bare(a.data ? a : SLICE("{}")), property_bare(b.data ? b : SLICE("{}")));
}

static inline void property_same(const struct request_fields *a, const struct request_fields *b)
{
	CHECK(property_same_text(a->request_id, b->request_id));
	CHECK(property_same_text(a->session_id, b->session_id));
	CHECK(property_same_text(a->session_epoch, b->session_epoch));
	CHECK(property_same_text(a->pool, b->pool));
	CHECK(property_same_text(a->command, b->command));
	CHECK(property_same_args(a->args, b->args));
	CHECK(a->timeout_ms == b->timeout_ms && a->deadline_ms == b->deadline_ms);
	CHECK(a->stream == b->stream && a->idempotent == b->idempotent);
	CHECK(property_same_text(a->attributes, b->attributes));
}

static inline void property_round(const struct request_fields *r, enum encoding as)
{
	/* Escapes make a text up to six times as long. */
	struct codec_config config = {.max_request = 16 * FUZZ_REQUEST_MAX};
	static struct codec *codec;
	struct buf bytes, scratch;
	struct request_fields back;
	struct fault why;
	char errstr[256];

	if (!codec)
		codec = codec_new(&config, errstr, sizeof(errstr));
	buf_init(&bytes, 16 * FUZZ_REQUEST_MAX);
	buf_init(&scratch, 64 * FUZZ_REQUEST_MAX);
	CHECK(codec_write_request(codec, r, as, &bytes));
	CHECK(codec_read_request(codec, buf_slice(&bytes), &scratch, &back, &why));
	CHECK(back.encoding == as);
	property_same(r, &back);
	buf_free(&bytes);
	buf_free(&scratch);
}

/* Reads; what was refused must say why. */
static inline bool property_read(struct slice bytes)
{
	struct request_fields r;
	struct buf scratch;
	struct fault why;
	bool good;

	buf_init(&scratch, 16 * FUZZ_REQUEST_MAX);
	good = codec_read_request(property_codec(), bytes, &scratch, &r, &why);
	if (good) {
		CHECK(r.command.len && slice_is_utf8(r.command));
		property_round(&r, ENCODING_AVRO);
		property_round(&r, ENCODING_JSON);
	} else {
		CHECK(why.code && why.message[0] && slice_is_utf8(slice_of(why.message)));
		CHECK(!why.request_id.data || slice_is_utf8(why.request_id));
	}
	buf_free(&scratch);
	return good;
}

#endif
