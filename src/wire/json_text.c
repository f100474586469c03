/* json_text.c: strings of JSON from and to their text. */
#include "bridgepool/wire/json.h"

#include <jansson.h>
#include <string.h>

/* Escapes are rare and left to jansson, which refuses lone surrogates. */
static bool unescape_slow(struct slice quoted, struct buf *out)
{
	json_t *value = json_loadb(quoted.data, quoted.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	bool good = json_is_string(value) && buf_append(out, json_string_value(value), json_string_length(value));

	json_decref(value);
	return good;
}

bool json_unescape(struct slice quoted, struct buf *out)
{
	const char *p = quoted.data;

	if (!p || quoted.len < 2 || p[0] != '"' || p[quoted.len - 1] != '"')
		return false;
	if (memchr(p, '\\', quoted.len))
		return unescape_slow(quoted, out);
	return !memchr(p + 1, '"', quoted.len - 2) && buf_append(out, p + 1, quoted.len - 2);
}

static bool quote_byte(struct buf *out, uint8_t c)
{
	static const char short_form[] = {
		['\b'] = 'b',
		['\t'] = 't',
		['\n'] = 'n',
		['\f'] = 'f',
		['\r'] = 'r',
		['"'] = '"',
		['\\'] = '\\',
	};
	char two[2] = {'\\', short_form[c]};

	return two[1] ? buf_append(out, two, 2) : buf_printf(out, "\\u%04x", c);
}

static bool quote_utf8(struct buf *out, const uint8_t *p, size_t n)
{
	size_t from = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] >= 0x20 && p[i] != '"' && p[i] != '\\')
			continue;
		if (!buf_append(out, p + from, i - from) || !quote_byte(out, p[i]))
			return false;
		from = i + 1;
	}
	return buf_append(out, p + from, n - from);
}

static bool quote_bytes(struct buf *out, const uint8_t *p, size_t n)
{
	for (size_t i = 0, len; i < n; i += len ? len : 1) {
		len = slice_character((struct slice){p + i, n - i});
		if (!(len ? quote_utf8(out, p + i, len) : buf_text(out, "\xef\xbf\xbd")))
			return false;
	}
	return true;
}

bool json_quote(struct buf *out, struct slice utf8)
{
	const uint8_t *p = utf8.data ? utf8.data : (const uint8_t *)"";
	size_t before = out->len;

	if (buf_append(out, "\"", 1) && (slice_is_utf8(utf8) ? quote_utf8 : quote_bytes)(out, p, utf8.len) &&
		buf_append(out, "\"", 1))
		return true;
	out->len = before;
	return false;
}
