/* text.c: bytes of records as text for a terminal. */
#include "text.h"

#include <stdio.h>

#include "bridgepool/base/base64.h"
#include "bridgepool/wire/json.h"
#include "bridgepool/wire/pairs.h"

static void add_base64(struct slice bytes, struct buf *out)
{
	const uint8_t *in = bytes.data;
	char four[BASE64_LEN(3) + 1];

	for (size_t i = 0; i < bytes.len; i += 3)
		buf_append(out, four, base64_encode(in + i, bytes.len - i < 3 ? bytes.len - i : 3, four));
}

void text_bytes(struct slice bytes, struct buf *out)
{
	if (!bytes.data) {
		buf_text(out, "null");
	} else if (slice_is_utf8(bytes)) {
		json_quote(out, bytes);
	} else {
		buf_text(out, "{\"base64\":\"");
		add_base64(bytes, out);
		buf_text(out, "\"}");
	}
}

/* Outside of its strings JSON may have line breaks, where a space does as well; inside them it has none. */
static void add_one_line(struct slice json, struct buf *out)
{
	size_t before = out->len;

	buf_add(out, json);
	for (size_t i = before; i < out->len; i++)
		if (out->data[i] == '\n' || out->data[i] == '\r')
			out->data[i] = ' ';
}

void text_value(struct slice value, struct buf *out)
{
	enum json_kind kind;
	char why[256];

	if (value.len && json_read_value(value, &kind, JSON_MAX_DEPTH, why, sizeof why))
		add_one_line(value, out);
	else
		text_bytes(value, out);
}

void text_pairs(struct slice pairs, struct buf *out)
{
	struct slice name, value;
	const char *comma = "";

	buf_text(out, "{");
	while (pairs_next(&pairs, &name, &value)) {
		buf_text(out, comma);
		json_quote(out, name);
		buf_text(out, ":");
		text_bytes(value, out);
		comma = ",";
	}
	buf_text(out, "}");
}

bool text_line(const struct buf *line)
{
	fwrite(line->data, 1, line->len, stdout);
	putchar('\n');
	return fflush(stdout) == 0;
}
