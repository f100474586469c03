/* buf.c: see buf.h. */
#include "bridgepool/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"

enum { FIRST_CAPACITY = 64 };

struct slice slice_of(const char *text)
{
	return (struct slice){text, text ? strlen(text) : 0};
}

bool slice_equal(struct slice a, struct slice b)
{
	if (a.data == NULL || b.data == NULL)
		return a.data == b.data;
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

bool slice_is(struct slice a, const char *text)
{
	return slice_equal(a, slice_of(text));
}

/* How many bytes the sequence that begins with `first` has, and the range of its second byte (Unicode 15, table 3-7). */
static int sequence(uint8_t first, uint8_t *low, uint8_t *high)
{
	*low = 0x80;
	*high = 0xbf;
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first <= 0xdf)
		return 2;
	if (first >= 0xe0 && first <= 0xef) {
		*low = first == 0xe0 ? 0xa0 : 0x80;
		*high = first == 0xed ? 0x9f : 0xbf;
		return 3;
	}
	if (first >= 0xf0 && first <= 0xf4) {
		*low = first == 0xf0 ? 0x90 : 0x80;
		*high = first == 0xf4 ? 0x8f : 0xbf;
		return 4;
	}
	return 0;
}

/* Eight bytes at once: most text is ASCII. */
static const uint8_t *skip_ascii(const uint8_t *p, const uint8_t *end)
{
	uint64_t eight;

	for (; end - p >= 8; p += 8) {
		memcpy(&eight, p, sizeof(eight));
		if (eight & UINT64_C(0x8080808080808080))
			break;
	}
	return p;
}

bool slice_is_utf8(struct slice s)
{
	const uint8_t *p = s.data ? s.data : (const uint8_t *)"", *end = p + s.len;
	uint8_t low, high;

	for (p = skip_ascii(p, end); p < end;) {
		int n = sequence(*p, &low, &high);

		if (n == 0 || end - p < n || (n > 1 && (p[1] < low || p[1] > high)))
			return false;
		for (int i = 2; i < n; i++)
			if ((p[i] & 0xc0) != 0x80)
				return false;
		p += n;
	}
	return true;
}

size_t slice_character(struct slice s)
{
	uint8_t low, high;
	size_t n = s.len ? (size_t)sequence(*(const uint8_t *)s.data, &low, &high) : 0;

	return n <= s.len && slice_is_utf8((struct slice){s.data, n}) ? n : 0;
}

struct slice slice_cut(struct slice s, size_t most)
{
	const uint8_t *p = s.data;

	if (s.len <= most)
		return s;
	while (most > 0 && (p[most] & 0xc0) == 0x80)
		most--;
	return (struct slice){s.data, most};
}

struct slice slice_copy(uint8_t **at, struct slice s)
{
	struct slice copy = {NULL, 0};

	if (s.data == NULL)
		return copy;
	copy = (struct slice){*at, s.len};
	memcpy(*at, s.data, s.len);
	*at += s.len + 1;
	return copy;
}

bool slice_line(struct slice *rest, struct slice *line)
{
	const uint8_t *p = rest->data, *end;

	if (rest->len == 0)
		return false;
	end = memchr(p, '\n', rest->len);
	*line = (struct slice){p, end ? (size_t)(end - p) : rest->len};
	*rest = end ? (struct slice){end + 1, rest->len - line->len - 1} : (struct slice){NULL, 0};
	return true;
}

void buf_init(struct buf *b, size_t limit)
{
	*b = (struct buf){.limit = limit};
}

static bool reserve(struct buf *b, size_t more)
{
	size_t need, capacity = b->capacity ? b->capacity : FIRST_CAPACITY;

	if (more > b->limit - b->len) {
		b->overflow = true;
		return false;
	}
	need = b->len + more;
	if (need <= b->capacity)
		return true;
	while (capacity < need)
		capacity = capacity > SIZE_MAX / 2 ? need : capacity * 2;
	b->data = xrealloc(b->data, capacity);
	b->capacity = capacity;
	return true;
}

bool buf_room(struct buf *b, size_t n)
{
	if (n > b->limit - b->len)
		return false;
	if (b->capacity - b->len < n) {
		b->data = xrealloc(b->data, b->len + n);
		b->capacity = b->len + n;
	}
	return true;
}

bool buf_append(struct buf *b, const void *p, size_t n)
{
	if (!reserve(b, n))
		return false;
	if (n > 0)
		memcpy(b->data + b->len, p, n);
	b->len += n;
	return true;
}

bool buf_add(struct buf *b, struct slice s)
{
	return buf_append(b, s.data, s.len);
}

bool buf_text(struct buf *b, const char *text)
{
	return buf_append(b, text, strlen(text));
}

bool buf_utf8(struct buf *b, struct slice s)
{
	const uint8_t *p = s.data;
	size_t before = b->len;
	bool fits = true;

	for (size_t i = 0, n; fits && i < s.len; i += n ? n : 1) {
		n = slice_character((struct slice){p + i, s.len - i});
		fits = n ? buf_append(b, p + i, n) : buf_text(b, "\xef\xbf\xbd");
	}
	if (!fits)
		b->len = before;
	return fits;
}

bool buf_printf(struct buf *b, const char *format, ...)
{
	char small[256], *text = small;
	va_list args, again;
	bool fits;
	int n;

	va_start(args, format);
	va_copy(again, args);
	n = vsnprintf(small, sizeof(small), format, args);
	va_end(args);
	CHECK(n >= 0);
	if ((size_t)n >= sizeof(small)) {
		text = xmalloc((size_t)n + 1);
		vsnprintf(text, (size_t)n + 1, format, again);
	}
	va_end(again);
	fits = buf_append(b, text, (size_t)n);
	if (text != small)
		free(text);
	return fits;
}

void buf_consume(struct buf *b, size_t n)
{
	CHECK(n <= b->len);
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->overflow = false;
}

struct slice buf_slice(const struct buf *b)
{
	return (struct slice){b->data ? (const void *)b->data : "", b->len};
}

void *buf_take(struct buf *b, size_t *n)
{
	void *p = b->data ? b->data : xmalloc(1);

	*n = b->len;
	buf_init(b, b->limit);
	return p;
}

void buf_free(struct buf *b)
{
	free(b->data);
	buf_init(b, b->limit);
}
