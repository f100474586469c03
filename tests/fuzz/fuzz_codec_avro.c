/* fuzz_codec_avro.c: any bytes as the body of one of our records; the first byte chooses which. */
#include "codec_property.h"
#include "fuzz.h"
#include "bridgepool/wire/json.h"

static const char *const records[] = {"ProgramRequest", "ProgramResult", "HealthEvent", "DeadLetter"};

static void put_head(struct buf *b, const char *record)
{
	bool ok;
	uint64_t fingerprint = codec_fingerprint(codec_schema(record), &ok);
	uint8_t head[10] = {0xc3, 0x01};

	for (int i = 0; i < 8; i++)
		head[2 + i] = (uint8_t)(fingerprint >> (8 * i));
	CHECK(ok && buf_append(b, head, sizeof(head)));
}

static bool prints(struct slice bytes)
{
	struct buf out;
	char errstr[256];
	bool good;

	buf_init(&out, 1 << 26);
	good = codec_to_json(property_codec(), bytes, &out, errstr, sizeof(errstr));
	if (good)
		CHECK(json_read_object(buf_slice(&out), NULL, 0, UINT32_MAX, errstr, sizeof(errstr)));
	else
		CHECK(out.len == 0);
	buf_free(&out);
	return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct buf heads[4];
	struct buf bytes;
	unsigned which;

	if (size < 1)
		return 0;
	which = data[0] % 4;
	if (!heads[which].len) {
		buf_init(&heads[which], 64);
		put_head(&heads[which], records[which]);
	}
	buf_init(&bytes, size + 64);
	buf_add(&bytes, buf_slice(&heads[which]));
	if (size > 1)
		buf_append(&bytes, data + 1, size - 1);
	/* What is no request may still be printed; what is a request must be. */
	if (property_read(buf_slice(&bytes)))
		CHECK(which == 0 && prints(buf_slice(&bytes)));
	else
		prints(buf_slice(&bytes));
	buf_free(&bytes);
	return 0;
}
