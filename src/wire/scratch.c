/* scratch.c: memory for libyajl during one reading. */
#include "scratch.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"

/* In front of each block, so that it can be moved. */
struct block {
	_Alignas(max_align_t) size_t size;
};

static bool is_inside(const struct scratch *s, const struct block *b)
{
	return (const unsigned char *)b >= s->bytes && (const unsigned char *)b < s->bytes + SCRATCH_BYTES;
}

static void *scratch_alloc(void *ctx, size_t size)
{
	struct scratch *s = ctx;
	size_t rounded = (size + sizeof(struct block) - 1) / sizeof(struct block) * sizeof(struct block);
	struct block *b;

	if (rounded < size || rounded > SCRATCH_BYTES - sizeof(struct block) ||
		s->used > SCRATCH_BYTES - sizeof(struct block) - rounded) {
		b = xmalloc(sizeof(struct block) + size);
	} else {
		b = (struct block *)(s->bytes + s->used);
		s->used += sizeof(struct block) + rounded;
	}
	b->size = size;
	return b + 1;
}

static void scratch_free(void *ctx, void *p)
{
	struct block *b = p;

	if (p && !is_inside(ctx, --b))
		free(b);
}

static void *scratch_realloc(void *ctx, void *p, size_t size)
{
	const struct block *b = p;
	void *moved = scratch_alloc(ctx, size);

	if (!p)
		return moved;
	memcpy(moved, p, b[-1].size < size ? b[-1].size : size);
	scratch_free(ctx, p);
	return moved;
}

yajl_alloc_funcs scratch_funcs(struct scratch *s)
{
	s->used = 0;
	return (yajl_alloc_funcs){.malloc = scratch_alloc, .realloc = scratch_realloc, .free = scratch_free, .ctx = s};
}
