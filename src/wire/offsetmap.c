/* offsetmap.c: the done set above a base as commit metadata, format 1 (offsetmap.h has the layout). */
#include "bridgepool/wire/offsetmap.h"
#include "bridgepool/base/base64.h"
#include "bridgepool/base/check.h"

#include <string.h>
#include <xxhash.h>

enum { OFFSETMAP_TAG = 1, OFFSETMAP_HEAD = 4, OFFSETMAP_SUSPECT = 3, OFFSETMAP_SUM = 4 };
enum { OFFSETMAP_RAW_MAX = OFFSETMAP_TEXT_MAX / 4 * 3 };

_Static_assert(OFFSETMAP_HEAD + (OFFSETMAP_SPAN_MAX + 7) / 8 + 1 + OFFSETMAP_SUSPECTS * OFFSETMAP_SUSPECT + OFFSETMAP_SUM <=
		       OFFSETMAP_RAW_MAX,
	"the largest map must fit into the metadata of a commit");

static uint8_t *offsetmap_put(uint8_t *p, uint64_t v, unsigned bytes)
{
	for (unsigned i = bytes; i-- > 0;)
		*p++ = (uint8_t)(v >> (8 * i));
	return p;
}

static uint32_t offsetmap_get(const uint8_t *p, unsigned bytes)
{
	uint32_t v = 0;

	while (bytes--)
		v = v << 8 | *p++;
	return v;
}

static uint32_t offsetmap_sum(int64_t base, const uint8_t *raw, size_t n)
{
	uint8_t all[8 + OFFSETMAP_RAW_MAX];

	offsetmap_put(all, (uint64_t)base, 8);
	memcpy(all + 8, raw, n);
	return XXH32(all, 8 + n, 0);
}

size_t offsetmap_encode(const struct offsetmap *m, char out[OFFSETMAP_TEXT_MAX + 1])
{
	uint8_t raw[OFFSETMAP_RAW_MAX], *p = raw;
	size_t bytes = (m->span + 7) / 8;

	CHECK(m->span <= OFFSETMAP_SPAN_MAX && m->nsuspects <= OFFSETMAP_SUSPECTS);
	CHECK(!offsetmap_bit(m, 0));
	p = offsetmap_put(p, OFFSETMAP_TAG, 1);
	p = offsetmap_put(p, 0, 1);
	p = offsetmap_put(p, m->span, 2);
	memcpy(p, m->bits, bytes);
	if (m->span % 8)
		p[bytes - 1] &= (uint8_t)((1U << m->span % 8) - 1);
	p = offsetmap_put(p + bytes, m->nsuspects, 1);
	for (unsigned i = 0; i < m->nsuspects; i++) {
		CHECK(m->suspects[i].kills > 0);
		p = offsetmap_put(p, m->suspects[i].delta, 2);
		p = offsetmap_put(p, m->suspects[i].kills, 1);
	}
	p = offsetmap_put(p, offsetmap_sum(m->base, raw, (size_t)(p - raw)), OFFSETMAP_SUM);
	return base64_encode(raw, (size_t)(p - raw), out);
}

static bool offsetmap_read_bits(const uint8_t *bits, struct offsetmap *m)
{
	size_t bytes = (m->span + 7) / 8;

	memcpy(m->bits, bits, bytes);
	if (m->span % 8 && m->bits[bytes - 1] >> m->span % 8)
		return false;
	return !offsetmap_bit(m, 0);
}

static bool offsetmap_read_suspects(const uint8_t *p, struct offsetmap *m)
{
	for (unsigned i = 0; i < m->nsuspects; i++, p += OFFSETMAP_SUSPECT) {
		m->suspects[i].delta = (uint16_t)offsetmap_get(p, 2);
		m->suspects[i].kills = p[2];
		if (!p[2])
			return false;
	}
	return true;
}

static bool offsetmap_read(const uint8_t *raw, size_t n, struct offsetmap *m)
{
	const uint8_t *suspects;
	size_t body = n - OFFSETMAP_SUM, bytes;

	if (n < OFFSETMAP_HEAD + 1 + OFFSETMAP_SUM ||
		offsetmap_get(raw + body, OFFSETMAP_SUM) != offsetmap_sum(m->base, raw, body))
		return false;
	if (raw[0] != OFFSETMAP_TAG || raw[1] != 0)
		return false;
	m->span = offsetmap_get(raw + 2, 2);
	bytes = (m->span + 7) / 8;
	if (m->span > OFFSETMAP_SPAN_MAX || body < OFFSETMAP_HEAD + bytes + 1)
		return false;
	suspects = raw + OFFSETMAP_HEAD + bytes + 1;
	m->nsuspects = suspects[-1];
	if (m->nsuspects > OFFSETMAP_SUSPECTS || body != OFFSETMAP_HEAD + bytes + 1 + m->nsuspects * OFFSETMAP_SUSPECT)
		return false;
	return offsetmap_read_bits(raw + OFFSETMAP_HEAD, m) && offsetmap_read_suspects(suspects, m);
}

static void offsetmap_clear(struct offsetmap *m, int64_t base)
{
	memset(m, 0, sizeof(*m));
	m->base = base;
}

bool offsetmap_decode(struct slice text, int64_t base, struct offsetmap *m)
{
	uint8_t raw[OFFSETMAP_RAW_MAX];
	size_t n;

	offsetmap_clear(m, base);
	if (!text.data || !text.len)
		return true;
	if (text.len <= OFFSETMAP_TEXT_MAX && base64_decode(text, raw, &n) && offsetmap_read(raw, n, m))
		return true;
	offsetmap_clear(m, base);
	return false;
}
