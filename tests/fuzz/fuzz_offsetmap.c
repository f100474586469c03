/* fuzz_offsetmap.c: a text that is read is the one that would be written; a map that is written comes back. */
#include "fuzz.h"
#include "bridgepool/base/check.h"
#include "bridgepool/wire/offsetmap.h"

#include <string.h>

static void read_then_write(struct slice text, int64_t base)
{
	char again[OFFSETMAP_TEXT_MAX + 1];
	struct offsetmap m;
	size_t n;

	if (!offsetmap_decode(text, base, &m)) {
		CHECK(m.base == base && m.span == 0 && m.nsuspects == 0);
		return;
	}
	CHECK(m.span <= OFFSETMAP_SPAN_MAX && m.nsuspects <= OFFSETMAP_SUSPECTS);
	n = offsetmap_encode(&m, again);
	CHECK(text.len == 0 || (n == text.len && !memcmp(again, text.data, n)));
}

static void write_then_read(const uint8_t *data, size_t size, int64_t base)
{
	char text[OFFSETMAP_TEXT_MAX + 1];
	struct offsetmap m = {.base = base}, back;
	size_t bytes, n;

	m.nsuspects = data[0] % (OFFSETMAP_SUSPECTS + 1);
	m.span = (uint32_t)(size - 1) * 8 - (size > 1 ? data[0] / 32 : 0);
	bytes = (m.span + 7) / 8;
	memcpy(m.bits, data + 1, bytes);
	if (bytes)
		m.bits[0] &= 0xfe;
	for (unsigned i = 0; i < m.nsuspects; i++)
		m.suspects[i] = (struct suspect){(uint16_t)(data[i % size] * 257), (uint8_t)(data[i % size] | 1)};
	n = offsetmap_encode(&m, text);
	CHECK(n <= OFFSETMAP_TEXT_MAX && strlen(text) == n);
	CHECK(offsetmap_decode((struct slice){text, n}, base, &back));
	CHECK(back.span == m.span && back.nsuspects == m.nsuspects);
	for (uint32_t i = 0; i < m.span; i++)
		CHECK(offsetmap_bit(&m, i) == offsetmap_bit(&back, i));
	CHECK(!memcmp(m.suspects, back.suspects, m.nsuspects * sizeof(struct suspect)) || m.nsuspects == 0);
	CHECK(!offsetmap_decode((struct slice){text, n}, base ^ 1, &back));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int64_t base;

	if (size < 9)
		return 0;
	memcpy(&base, data, 8);
	read_then_write((struct slice){data + 8, size - 8}, base);
	if (size - 9 <= OFFSETMAP_SPAN_MAX / 8)
		write_then_read(data + 8, size - 8, base);
	return 0;
}
