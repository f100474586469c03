/* room.h: makes room in a buf ahead of time, so that slices of what is added next stay where they are. */
#ifndef BRIDGEPOOL_WIRE_ROOM_H
#define BRIDGEPOOL_WIRE_ROOM_H

#include "bridgepool/base/buf.h"
#include "bridgepool/base/check.h"

/* False: over the limit. */
static inline bool room_make(struct buf *b, size_t n)
{
	if (n > b->limit - b->len)
		return false;
	if (b->capacity - b->len < n) {
		b->data = xrealloc(b->data, b->len + n);
		b->capacity = b->len + n;
	}
	return true;
}

#endif
