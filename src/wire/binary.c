/* binary.c: careful reading of Avro's binary encoding. */
#include "binary.h"

#include <string.h>

static bool binary_fail(struct binary *b, const char *fault)
{
	b->fault = fault;
	return false;
}

static size_t binary_left(const struct binary *b)
{
	return (size_t)(b->end - b->p);
}

struct binary binary_of(struct slice bytes)
{
	const uint8_t *p = bytes.data ? bytes.data : (const uint8_t *)"";

	return (struct binary){p, p + bytes.len, NULL};
}

bool binary_long(struct binary *b, int64_t *v)
{
	uint64_t bits = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		uint8_t c;

		if (b->p == b->end)
			return binary_fail(b, "the record ends too early");
		c = *b->p++;
		if (shift == 63 && c > 1)
			break;
		bits |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80) {
			*v = (int64_t)(bits >> 1 ^ -(bits & 1));
			return true;
		}
	}
	return binary_fail(b, "a number has more than 64 bits");
}

bool binary_int(struct binary *b, int64_t *v)
{
	if (!binary_long(b, v))
		return false;
	return (*v >= INT32_MIN && *v <= INT32_MAX) || binary_fail(b, "an int has more than 32 bits");
}

bool binary_bool(struct binary *b, bool *v)
{
	if (b->p == b->end)
		return binary_fail(b, "the record ends too early");
	if (*b->p > 1)
		return binary_fail(b, "a boolean is neither 0 nor 1");
	*v = *b->p++;
	return true;
}

bool binary_fixed(struct binary *b, size_t n, struct slice *v)
{
	if (n > binary_left(b))
		return binary_fail(b, "the record ends too early");
	*v = (struct slice){b->p, n};
	b->p += n;
	return true;
}

static uint64_t binary_little_endian(struct slice s)
{
	const uint8_t *p = s.data;
	uint64_t bits = 0;

	for (size_t i = s.len; i-- > 0;)
		bits = bits << 8 | p[i];
	return bits;
}

bool binary_double(struct binary *b, double *v)
{
	struct slice s;
	uint64_t bits;

	if (!binary_fixed(b, 8, &s))
		return false;
	bits = binary_little_endian(s);
	memcpy(v, &bits, sizeof(*v));
	return true;
}

bool binary_float(struct binary *b, float *v)
{
	struct slice s;
	uint32_t bits;

	if (!binary_fixed(b, 4, &s))
		return false;
	bits = (uint32_t)binary_little_endian(s);
	memcpy(v, &bits, sizeof(*v));
	return true;
}

bool binary_bytes(struct binary *b, struct slice *v)
{
	int64_t n;

	if (!binary_long(b, &n))
		return false;
	if (n < 0 || (uint64_t)n > binary_left(b))
		return binary_fail(b, "a length goes beyond the end of the record");
	return binary_fixed(b, (size_t)n, v);
}

bool binary_string(struct binary *b, struct slice *v)
{
	struct slice bytes;

	if (!binary_bytes(b, &bytes))
		return false;
	if (!slice_is_utf8(bytes))
		return binary_fail(b, "a string is not valid UTF-8");
	*v = bytes;
	return true;
}

bool binary_index(struct binary *b, size_t n, size_t *i)
{
	int64_t v;

	if (!binary_long(b, &v))
		return false;
	if (v < 0 || (uint64_t)v >= n)
		return binary_fail(b, "the index of an enum or union is out of range");
	*i = (size_t)v;
	return true;
}

bool binary_branch(struct binary *b, const struct schema_type **t)
{
	size_t i;

	while ((*t)->kind == SCHEMA_UNION) {
		if (!binary_index(b, (*t)->n, &i))
			return false;
		*t = (*t)->inner[i];
	}
	return true;
}

bool binary_block(struct binary *b, uint64_t *items)
{
	int64_t n, bytes = 0;

	if (!binary_long(b, &n) || (n < 0 && !binary_long(b, &bytes)))
		return false;
	*items = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
	/* An item has at least a byte. Those that have none (null) are held to the same: their number would be a way to keep us
	 * busy. */
	if (*items > binary_left(b) || bytes < 0 || (uint64_t)bytes > binary_left(b))
		return binary_fail(b, "an array or map has more items than the record has bytes");
	return true;
}

static bool skip_item(struct binary *b, const struct schema_type *t, unsigned depth)
{
	struct slice key;

	return (t->kind != SCHEMA_MAP || binary_string(b, &key)) && binary_skip(b, t->inner[0], depth);
}

static bool skip_items(struct binary *b, const struct schema_type *t, unsigned depth)
{
	const uint8_t *before;
	uint64_t items;

	do {
		if (!binary_block(b, &items))
			return false;
		for (uint64_t i = 0; i < items; i++) {
			before = b->p;
			if (!skip_item(b, t, depth))
				return false;
			if (b->p == before)
				/* of a type without bytes, so the others have none either: not one by one, they may be many */
				break;
		}
	} while (items);
	return true;
}

static bool skip_fields(struct binary *b, const struct schema_type *t, unsigned depth)
{
	for (size_t i = 0; i < t->n; i++) {
		if (!binary_skip(b, t->inner[i], depth))
			return false;
	}
	return true;
}

bool binary_skip(struct binary *b, const struct schema_type *t, unsigned depth)
{
	struct slice bytes;
	int64_t number;
	size_t index;
	bool truth;

	if (depth == 0)
		return binary_fail(b, "the record is nested too deep");
	if (!binary_branch(b, &t))
		return false;
	switch (t->kind) {
	case SCHEMA_NULL: return true;
	case SCHEMA_BOOLEAN: return binary_bool(b, &truth);
	case SCHEMA_INT: return binary_int(b, &number);
	case SCHEMA_LONG: return binary_long(b, &number);
	case SCHEMA_FLOAT: return binary_fixed(b, 4, &bytes);
	case SCHEMA_DOUBLE: return binary_fixed(b, 8, &bytes);
	case SCHEMA_BYTES: return binary_bytes(b, &bytes);
	case SCHEMA_STRING: return binary_string(b, &bytes);
	case SCHEMA_ENUM: return binary_index(b, t->n, &index);
	case SCHEMA_FIXED: return binary_fixed(b, t->n, &bytes);
	case SCHEMA_ARRAY:
	case SCHEMA_MAP: return skip_items(b, t, depth - 1);
	case SCHEMA_RECORD: return skip_fields(b, t, depth - 1);
	case SCHEMA_UNION: break; /* binary_branch leaves none */
	}
	return binary_fail(b, "the schema has a type that is not known");
}
