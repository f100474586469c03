/* window.c: see window.h. Two rings of bits; an offset's place is offset mod WINDOW_RING. */
#include "window.h"

#include <string.h>

#include "bridgepool/base/check.h"
#include "mutant.h"

static bool bit_get(const uint64_t *ring, int64_t offset)
{
	uint64_t i = (uint64_t)offset % WINDOW_RING;

	return ring[i / 64] >> (i % 64) & 1;
}

static void bit_set(uint64_t *ring, int64_t offset, bool on)
{
	uint64_t i = (uint64_t)offset % WINDOW_RING, mask = UINT64_C(1) << (i % 64);

	ring[i / 64] = on ? ring[i / 64] | mask : ring[i / 64] & ~mask;
}

void window_start(struct window *w, int64_t base, const struct offsetmap *m, uint32_t cap)
{
	CHECK(base >= 0 && cap >= 1 && cap <= OFFSETMAP_SPAN_MAX);
	memset(w, 0, sizeof(*w));
	w->base = w->next = w->top = base;
	w->cap = cap;
	for (uint32_t i = 0; i < m->span; i++) {
		if (!offsetmap_bit(m, i))
			continue;
		bit_set(w->done, base + i, true);
		w->top = base + i + 1;
	}
}

/* Only what is known to be in the log may fall below the base: a committed base beyond the log's end would lose what is written
 * there later. What is done was read once, though perhaps not again since a rebalance: then `next` is pushed along. */
static bool advance(struct window *w)
{
	int64_t old = w->base;

	while (w->base < w->top && bit_get(w->done, w->base)) {
		bit_set(w->done, w->base, false);
		w->base++;
	}
	if (w->next < w->base)
		w->next = w->base;
	if (w->top < w->next)
		w->top = w->next;
	return w->base != old;
}

bool window_fits(const struct window *w, int64_t offset)
{
	return offset < w->base + w->cap || w->ntaken == 0;
}

static void fill_gap(struct window *w, int64_t offset)
{
	if (w->ntaken == 0 && offset >= w->top) { /* nothing lives below: a gap of any length is passed at once */
		memset(w->done, 0, sizeof(w->done));
		w->base = w->next = w->top = offset;
		return;
	}
	for (; w->next < offset; w->next++)
		if (!bit_get(w->taken, w->next) && !MUTANT(3))
			bit_set(w->done, w->next, true);
	advance(w);
}

enum window_verdict window_admit(struct window *w, int64_t offset)
{
	if (offset < w->base)
		return WINDOW_DONE;
	CHECK(window_fits(w, offset));
	if (offset > w->next)
		fill_gap(w, offset);
	if (offset == w->next)
		w->next++;
	if (w->top < w->next)
		w->top = w->next;
	if (bit_get(w->done, offset)) {
		advance(w);
		return WINDOW_DONE;
	}
	if (bit_get(w->taken, offset))
		return WINDOW_AGAIN;
	bit_set(w->taken, offset, true);
	w->ntaken++;
	return WINDOW_NEW;
}

bool window_finish(struct window *w, int64_t offset)
{
	CHECK(offset >= w->base && offset < w->top);
	CHECK(bit_get(w->taken, offset));
	bit_set(w->taken, offset, false);
	w->ntaken--;
	bit_set(w->done, offset, true);
	return advance(w);
}

void window_put_back(struct window *w, int64_t offset)
{
	CHECK(offset >= w->base && offset < w->top && bit_get(w->taken, offset));
	bit_set(w->taken, offset, false);
	w->ntaken--;
}

void window_rewind(struct window *w)
{
	w->next = w->base;
}

/* The lowest done offset from `from` on, or top; a commit looks at all of a window in which little is done, so word by word. */
static int64_t next_done(const struct window *w, int64_t from)
{
	while (from < w->top) {
		uint64_t i = (uint64_t)from % WINDOW_RING, rest = w->done[i / 64] >> (i % 64);

		if (rest != 0)
			return from + __builtin_ctzll(rest);
		from += (int64_t)(64 - i % 64);
	}
	return w->top;
}

void window_map(const struct window *w, struct offsetmap *m)
{
	int64_t high = w->base, at;

	memset(m, 0, sizeof(*m));
	m->base = w->base;
	for (int64_t o = next_done(w, w->base); o < w->top; o = next_done(w, o + 1)) {
		at = o - w->base;
		if (MUTANT(13))
			at++;
		m->bits[at / 8] |= (uint8_t)(1u << (at % 8));
		high = w->base + at + 1;
	}
	m->span = (uint32_t)(high - w->base);
}

void window_check(const struct window *w)
{
	uint32_t ntaken = 0;

	CHECK(w->base <= w->next && w->next <= w->top && w->top - w->base <= WINDOW_RING);
	CHECK(w->base == w->top || !bit_get(w->done, w->base));
	for (int64_t o = w->base; o < w->top; o++) {
		CHECK(!(bit_get(w->done, o) && bit_get(w->taken, o)));
		ntaken += bit_get(w->taken, o);
	}
	CHECK(ntaken == w->ntaken);
	for (int64_t o = w->top; o < w->base + WINDOW_RING; o++)
		CHECK(!bit_get(w->done, o) && !bit_get(w->taken, o));
}
