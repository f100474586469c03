/* wire_offsetmap_test.c: format 1 of the commit metadata, which can never be taken back once it is on a broker. */
#include "bridgepool/wire/offsetmap.h"
#include "wire_check.h"

static void set_bit(struct offsetmap *m, uint32_t i)
{
	m->bits[i / 8] |= (uint8_t)(1U << i % 8);
}

static void check_same(const struct offsetmap *a, const struct offsetmap *b)
{
	ck_assert_int_eq(a->base, b->base);
	ck_assert_uint_eq(a->span, b->span);
	ck_assert_uint_eq(a->nsuspects, b->nsuspects);
	for (uint32_t i = 0; i < a->span; i++)
		ck_assert_int_eq(offsetmap_bit(a, i), offsetmap_bit(b, i));
	for (unsigned i = 0; i < a->nsuspects; i++) {
		ck_assert_uint_eq(a->suspects[i].delta, b->suspects[i].delta);
		ck_assert_uint_eq(a->suspects[i].kills, b->suspects[i].kills);
	}
}

/* Computed apart from this code. Written down once: what is on a broker today must be read for ever. */
START_TEST(known_bytes)
{
	struct offsetmap m = {.base = 1234567890123, .span = 12, .nsuspects = 1, .suspects = {{.delta = 4, .kills = 1}}}, back;
	char text[OFFSETMAP_TEXT_MAX + 1];

	set_bit(&m, 1);
	set_bit(&m, 2);
	set_bit(&m, 11);
	offsetmap_encode(&m, text);
	ck_assert_str_eq(text, "AQAADAYIAQAEAV5hVDo=");
	ck_assert(offsetmap_decode(slice_of(text), m.base, &back));
	check_same(&m, &back);
}
END_TEST

START_TEST(empty_and_absent)
{
	struct offsetmap m;

	ck_assert(offsetmap_decode((struct slice){NULL, 0}, 7, &m));
	ck_assert_int_eq(m.base, 7);
	ck_assert_uint_eq(m.span, 0);
	ck_assert(offsetmap_decode(SLICE(""), 8, &m));
	ck_assert_int_eq(m.base, 8);
}
END_TEST

START_TEST(every_span_comes_back)
{
	char text[OFFSETMAP_TEXT_MAX + 1];
	struct offsetmap m, back;

	for (uint32_t span = 0; span <= OFFSETMAP_SPAN_MAX; span += span < 70 ? 1 : 997) {
		memset(&m, 0, sizeof(m));
		m.base = span;
		m.span = span;
		for (uint32_t i = 1; i < span; i += 1 + i % 7)
			set_bit(&m, i);
		m.nsuspects = span % (OFFSETMAP_SUSPECTS + 1);
		for (unsigned i = 0; i < m.nsuspects; i++)
			m.suspects[i] = (struct suspect){(uint16_t)(i * 1000), (uint8_t)(i + 1)};
		ck_assert_uint_eq(offsetmap_encode(&m, text), strlen(text));
		ck_assert(offsetmap_decode(slice_of(text), m.base, &back));
		check_same(&m, &back);
	}
}
END_TEST

START_TEST(the_largest_fits)
{
	struct offsetmap m = {.span = OFFSETMAP_SPAN_MAX, .nsuspects = OFFSETMAP_SUSPECTS}, back;
	char text[OFFSETMAP_TEXT_MAX + 1];

	memset(m.bits, 0xff, sizeof(m.bits));
	m.bits[0] = 0xfe;
	for (int i = 0; i < OFFSETMAP_SUSPECTS; i++)
		m.suspects[i] = (struct suspect){65535, 255};
	ck_assert_uint_le(offsetmap_encode(&m, text), OFFSETMAP_TEXT_MAX);
	ck_assert(offsetmap_decode(slice_of(text), 0, &back));
	check_same(&m, &back);
}
END_TEST

START_TEST(another_base_is_refused)
{
	struct offsetmap m = {.base = 100, .span = 9}, back;
	char text[OFFSETMAP_TEXT_MAX + 1];

	set_bit(&m, 8);
	offsetmap_encode(&m, text);
	ck_assert(!offsetmap_decode(slice_of(text), 101, &back));
	ck_assert_int_eq(back.base, 101);
	ck_assert_uint_eq(back.span, 0);
	ck_assert_uint_eq(back.nsuspects, 0);
}
END_TEST

START_TEST(every_damage_is_refused)
{
	struct offsetmap m = {.base = 5, .span = 30, .nsuspects = 2, .suspects = {{3, 1}, {9, 2}}}, back;
	char text[OFFSETMAP_TEXT_MAX + 1], bad[OFFSETMAP_TEXT_MAX + 1];
	size_t n;

	set_bit(&m, 4);
	set_bit(&m, 29);
	n = offsetmap_encode(&m, text);
	for (size_t i = 0; i < n; i++)
		ck_assert_msg(i == 0 || !offsetmap_decode((struct slice){text, i}, 5, &back), "cut at %zu", i);
	for (size_t i = 0; i < n; i++) {
		for (int c = 0; c < 256; c++) {
			memcpy(bad, text, n + 1);
			bad[i] = (char)c;
			ck_assert_msg(bad[i] == text[i] || !offsetmap_decode((struct slice){bad, n}, 5, &back), "byte %zu as %d",
				i, c);
		}
	}
	memcpy(bad, text, n);
	memcpy(bad + n, "AAAA", 4);
	ck_assert(!offsetmap_decode((struct slice){bad, n + 4}, 5, &back));
	ck_assert(!offsetmap_decode(SLICE("not ours at all!"), 5, &back));
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("offsetmap");

	tcase_add_test(t, known_bytes);
	tcase_add_test(t, empty_and_absent);
	tcase_add_test(t, every_span_comes_back);
	tcase_add_test(t, the_largest_fits);
	tcase_add_test(t, another_base_is_refused);
	tcase_add_test(t, every_damage_is_refused);
	return wire_run("wire.offsetmap", t);
}
