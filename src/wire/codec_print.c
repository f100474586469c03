/* codec_print.c: any of our records as one JSON object on one line, for people and scripts. */
#include "inside.h"
#include "bridgepool/wire/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Strings that hold JSON; shown as what they hold. */
static const char *const payload_fields[] = {"args", "result", "details"};

static bool field_is_payload(const char *name)
{
	for (size_t i = 0; i < sizeof(payload_fields) / sizeof(payload_fields[0]); i++) {
		if (!strcmp(name, payload_fields[i]))
			return true;
	}
	return false;
}

/* In JSON a line break can only stand between tokens, so a space does as well. */
static bool print_one_line(struct slice json, struct buf *out)
{
	size_t before = out->len;

	if (!buf_add(out, json))
		return false;
	for (size_t i = before; i < out->len; i++) {
		if (out->data[i] == '\n' || out->data[i] == '\r')
			out->data[i] = ' ';
	}
	return true;
}

/* As Avro's own JSON has bytes: each is the character of its number. */
static bool print_bytes(struct slice bytes, struct buf *out)
{
	const uint8_t *p = bytes.data;
	bool good = buf_append(out, "\"", 1);

	for (size_t i = 0; good && i < bytes.len; i++) {
		char c = (char)p[i];

		good = p[i] >= 0x20 && p[i] < 0x7f && c != '"' && c != '\\' ? buf_append(out, &c, 1)
									    : buf_printf(out, "\\u%04x", p[i]);
	}
	return good && buf_append(out, "\"", 1);
}

static bool print_double(double v, struct buf *out)
{
	return isfinite(v) ? buf_printf(out, "%.17g", v) : buf_text(out, "null");
}

static bool print_scalar(struct binary *b, const struct schema_type *t, struct buf *out)
{
	struct slice bytes;
	int64_t number;
	size_t index;
	double real;
	float small;
	bool truth;

	switch (t->kind) {
	case SCHEMA_BOOLEAN: return binary_bool(b, &truth) && buf_text(out, truth ? "true" : "false");
	case SCHEMA_INT: return binary_int(b, &number) && buf_printf(out, "%" PRId64, number);
	case SCHEMA_LONG: return binary_long(b, &number) && buf_printf(out, "%" PRId64, number);
	case SCHEMA_FLOAT: return binary_float(b, &small) && print_double(small, out);
	case SCHEMA_DOUBLE: return binary_double(b, &real) && print_double(real, out);
	case SCHEMA_BYTES: return binary_bytes(b, &bytes) && print_bytes(bytes, out);
	case SCHEMA_FIXED: return binary_fixed(b, t->n, &bytes) && print_bytes(bytes, out);
	case SCHEMA_STRING: return binary_string(b, &bytes) && json_quote(out, bytes);
	case SCHEMA_ENUM: return binary_index(b, t->n, &index) && json_quote(out, slice_of(t->names[index]));
	default: return buf_text(out, "null");
	}
}

static bool print_value(struct binary *b, const struct schema_type *t, struct buf *out, unsigned depth);

static bool print_items(struct binary *b, const struct schema_type *t, struct buf *out, unsigned depth)
{
	bool map = t->kind == SCHEMA_MAP, first = true;
	struct slice key;
	uint64_t items;

	buf_text(out, map ? "{" : "[");
	do {
		if (!binary_block(b, &items))
			return false;
		for (uint64_t i = 0; i < items; i++, first = false) {
			if (!first)
				buf_text(out, ",");
			if (map && !(binary_string(b, &key) && json_quote(out, key) && buf_text(out, ":")))
				return false;
			if (!print_value(b, t->inner[0], out, depth))
				return false;
		}
	} while (items);
	return buf_text(out, map ? "}" : "]");
}

static bool print_payload(struct binary *b, struct buf *out)
{
	enum json_kind kind;
	struct slice text;
	char errstr[64];

	if (!binary_string(b, &text))
		return false;
	return json_read_value(text, &kind, JSON_MAX_DEPTH, errstr, sizeof(errstr)) ? print_one_line(text, out)
										    : json_quote(out, text);
}

static bool print_field(struct binary *b, const char *name, const struct schema_type *t, struct buf *out, unsigned depth)
{
	if (!json_quote(out, slice_of(name)) || !buf_text(out, ":") || !binary_branch(b, &t))
		return false;
	return t->kind == SCHEMA_STRING && field_is_payload(name) ? print_payload(b, out) : print_value(b, t, out, depth);
}

static bool print_value(struct binary *b, const struct schema_type *t, struct buf *out, unsigned depth)
{
	if (depth == 0) {
		b->fault = "the record is nested too deep";
		return false;
	}
	if (!binary_branch(b, &t))
		return false;
	if (t->kind == SCHEMA_ARRAY || t->kind == SCHEMA_MAP)
		return print_items(b, t, out, depth - 1);
	if (t->kind != SCHEMA_RECORD)
		return print_scalar(b, t, out);
	buf_text(out, "{");
	for (size_t i = 0; i < t->n; i++) {
		if (i)
			buf_text(out, ",");
		if (!print_field(b, t->names[i], t->inner[i], out, depth - 1))
			return false;
	}
	return buf_text(out, "}");
}

static bool print_avro(struct codec *c, struct slice bytes, uint64_t fingerprint, struct buf *out, char *errstr, size_t size)
{
	const struct writer *w = codec_writer(c, fingerprint);
	struct binary b = binary_of(codec_avro_body(bytes));

	if (!w) {
		snprintf(errstr, size, "written with a schema that is not known here, fingerprint %016" PRIx64, fingerprint);
		return false;
	}
	if (print_value(&b, w->schema->top, out, BINARY_MAX_DEPTH) && b.p == b.end)
		return true;
	if (!b.fault)
		b.fault = out->overflow ? "it is too large to print" : "more bytes follow its end";
	snprintf(errstr, size, "the Avro record is damaged: %s", b.fault);
	return false;
}

bool codec_to_json(struct codec *c, struct slice bytes, struct buf *out, char *errstr, size_t size)
{
	size_t before = out->len;
	uint64_t fingerprint;

	if (codec_is_avro(bytes, &fingerprint)) {
		if (print_avro(c, bytes, fingerprint, out, errstr, size))
			return true;
		out->len = before;
		return false;
	}
	if (!json_read_object(bytes, NULL, 0, JSON_MAX_DEPTH, errstr, size))
		return false;
	if (print_one_line(bytes, out))
		return true;
	snprintf(errstr, size, "the record is too large to print");
	return false;
}
