/* emit.c: the two encodings, value by value. */
#include "emit.h"
#include "bridgepool/wire/json.h"
#include "bridgepool/wire/pairs.h"

#include <string.h>

/* ---- Avro ---- */

static void put_long(struct emit *e, int64_t v)
{
	uint64_t bits = (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
	uint8_t bytes[10];
	size_t n = 0;

	for (; bits >= 0x80; bits >>= 7)
		bytes[n++] = (uint8_t)(bits | 0x80);
	bytes[n++] = (uint8_t)bits;
	buf_append(e->out, bytes, n);
}

static void put_text(struct emit *e, struct slice v)
{
	put_long(e, (int64_t)v.len);
	if (v.len)
		buf_add(e->out, v);
}

static void put_double(struct emit *e, double v)
{
	uint8_t bytes[8];
	uint64_t bits;

	memcpy(&bits, &v, sizeof(bits));
	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(bits >> (8 * i));
	buf_append(e->out, bytes, 8);
}

/* ---- JSON ---- */

static void put_comma(struct emit *e)
{
	uint8_t last = e->out->len ? e->out->data[e->out->len - 1] : '{';

	if (last != '{' && last != '[')
		buf_append(e->out, ",", 1);
}

static void put_name(struct emit *e, const char *name)
{
	size_t n = strlen(name);

	put_comma(e);
	buf_append(e->out, "\"", 1);
	buf_append(e->out, name, n);
	buf_append(e->out, "\":", 2);
}

static void put_digits(struct emit *e, int64_t v)
{
	uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	char text[24], *p = text + sizeof(text);

	do {
		*--p = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	if (v < 0)
		*--p = '-';
	buf_append(e->out, p, (size_t)(text + sizeof(text) - p));
}

static void put_symbol(struct emit *e, const char *symbol)
{
	buf_append(e->out, "\"", 1);
	buf_text(e->out, symbol);
	buf_append(e->out, "\"", 1);
}

/* ---- values ---- */

void emit_null(struct emit *e, const char *name)
{
	if (!e->json) {
		put_long(e, 0);
		return;
	}
	put_name(e, name);
	buf_append(e->out, "null", 4);
}

void emit_branch(struct emit *e)
{
	if (!e->json)
		put_long(e, 1);
}

/* Avro's strings are UTF-8, like JSON's. What a worker's last words have otherwise is repaired, as json_quote does it. */
static void put_repaired(struct emit *e, struct slice v)
{
	struct buf text;

	buf_init(&text, v.len * 3);
	buf_utf8(&text, v);
	put_text(e, buf_slice(&text));
	buf_free(&text);
}

void emit_text(struct emit *e, const char *name, struct slice v)
{
	if (!e->json) {
		(slice_is_utf8(v) ? put_text : put_repaired)(e, v);
		return;
	}
	put_name(e, name);
	json_quote(e->out, v);
}

void emit_text_null(struct emit *e, const char *name, struct slice v)
{
	if (!v.data) {
		emit_null(e, name);
		return;
	}
	emit_branch(e);
	emit_text(e, name, v);
}

void emit_payload(struct emit *e, const char *name, struct slice json)
{
	if (!json.data)
		json = SLICE("{}");
	if (!e->json) {
		put_text(e, json);
		return;
	}
	put_name(e, name);
	buf_add(e->out, json);
}

void emit_payload_null(struct emit *e, const char *name, struct slice json)
{
	if (!json.data) {
		emit_null(e, name);
		return;
	}
	emit_branch(e);
	emit_payload(e, name, json);
}

void emit_long(struct emit *e, const char *name, int64_t v)
{
	if (!e->json) {
		put_long(e, v);
		return;
	}
	put_name(e, name);
	put_digits(e, v);
}

void emit_long_null(struct emit *e, const char *name, int64_t v)
{
	if (v == TIME_NONE) {
		emit_null(e, name);
		return;
	}
	emit_branch(e);
	emit_long(e, name, v);
}

void emit_bool(struct emit *e, const char *name, bool v)
{
	if (!e->json) {
		buf_append(e->out, v ? "\1" : "\0", 1);
		return;
	}
	put_name(e, name);
	buf_text(e->out, v ? "true" : "false");
}

void emit_enum(struct emit *e, const char *name, unsigned index, const char *symbol)
{
	if (!e->json) {
		put_long(e, index);
		return;
	}
	put_name(e, name);
	put_symbol(e, symbol);
}

void emit_enum_null(struct emit *e, const char *name, unsigned index, const char *symbol)
{
	if (!index) {
		emit_null(e, name);
		return;
	}
	emit_branch(e);
	emit_enum(e, name, index, symbol);
}

/* ---- containers ---- */

void emit_open(struct emit *e, const char *name)
{
	if (!e->json)
		return;
	if (name)
		put_name(e, name);
	buf_append(e->out, "{", 1);
}

void emit_item_open(struct emit *e)
{
	if (!e->json)
		return;
	put_comma(e);
	buf_append(e->out, "{", 1);
}

void emit_close(struct emit *e)
{
	if (e->json)
		buf_append(e->out, "}", 1);
}

static void container_open(struct emit *e, const char *name, size_t n, const char *bracket)
{
	if (e->json) {
		put_name(e, name);
		buf_append(e->out, bracket, 1);
	} else if (n) {
		put_long(e, (int64_t)n);
	}
}

static void container_close(struct emit *e, const char *bracket)
{
	if (e->json)
		buf_append(e->out, bracket, 1);
	else
		put_long(e, 0);
}

void emit_map_open(struct emit *e, const char *name, size_t n)
{
	container_open(e, name, n, "{");
}

void emit_map_long(struct emit *e, const char *key, int64_t v)
{
	if (!e->json)
		put_text(e, slice_of(key));
	emit_long(e, key, v);
}

void emit_map_close(struct emit *e)
{
	container_close(e, "}");
}

void emit_array_open(struct emit *e, const char *name, size_t n)
{
	container_open(e, name, n, "[");
}

void emit_array_long(struct emit *e, int64_t v)
{
	if (!e->json) {
		put_long(e, v);
		return;
	}
	put_comma(e);
	put_digits(e, v);
}

void emit_array_close(struct emit *e)
{
	container_close(e, "]");
}

void emit_pairs(struct emit *e, const char *name, struct slice list)
{
	struct slice key, value;

	emit_map_open(e, name, e->json ? 0 : pairs_count(list));
	while (pairs_next(&list, &key, &value)) {
		if (!e->json) {
			put_text(e, key);
			put_text(e, value);
			continue;
		}
		put_comma(e);
		json_quote(e->out, key);
		buf_append(e->out, ":", 1);
		json_quote(e->out, value);
	}
	emit_map_close(e);
}

/* Each number is a block of one, so they need not be counted first. A name without a text (a lone surrogate) is left out. */
static bool put_number(void *ctx, struct slice key, struct slice value, enum json_kind kind)
{
	struct slice quoted = {(const char *)key.data - 1, key.len + 2};
	struct emit *e = ctx;
	struct buf text;
	double v;

	buf_init(&text, key.len);
	if (kind == JSON_KIND_NUMBER && json_double(value, &v) && json_unescape(quoted, &text)) {
		put_long(e, 1);
		put_text(e, buf_slice(&text));
		put_double(e, v);
	}
	buf_free(&text);
	return true;
}

void emit_numbers(struct emit *e, const char *name, struct slice json)
{
	if (e->json) {
		emit_payload(e, name, json);
		return;
	}
	if (json.data)
		json_each(json, put_number, e);
	put_long(e, 0);
}
