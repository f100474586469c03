/* pairs.h: a flat list of (name, value) byte strings in one buffer: record headers and attributes. A value may be absent. */
#ifndef BRIDGEPOOL_WIRE_PAIRS_H
#define BRIDGEPOOL_WIRE_PAIRS_H

#include "bridgepool/base/buf.h"

bool pairs_add(struct buf *b, struct slice name, struct slice value); /* false: over b's limit */
/* Walks: *rest starts as the whole list and shrinks; name and value borrow it. False at the end, or at what is no list. */
bool pairs_next(struct slice *rest, struct slice *name, struct slice *value);
bool pairs_find(struct slice list, const char *name, struct slice *value); /* the last of that name wins */
size_t pairs_count(struct slice list);

#endif
