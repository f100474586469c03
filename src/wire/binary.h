/* binary.h: Avro's binary encoding, read from foreign bytes: every length, index and count is checked against what is there
 * before it is believed; nothing is allocated. */
#ifndef BRIDGEPOOL_WIRE_BINARY_H
#define BRIDGEPOOL_WIRE_BINARY_H

#include "schema.h"

enum { BINARY_MAX_DEPTH = 64 };

struct binary {
	const uint8_t *p, *end;
	const char *fault; /* why a read was false; a sentence part such as "the record ends too early" */
};

struct binary binary_of(struct slice bytes);
bool binary_long(struct binary *b, int64_t *v);
bool binary_int(struct binary *b, int64_t *v); /* refuses what does not fit into 32 bits */
bool binary_bool(struct binary *b, bool *v);
bool binary_double(struct binary *b, double *v);
bool binary_float(struct binary *b, float *v);
bool binary_bytes(struct binary *b, struct slice *v);  /* borrows */
bool binary_string(struct binary *b, struct slice *v); /* the same, and it is UTF-8 */
bool binary_fixed(struct binary *b, size_t n, struct slice *v);
bool binary_index(struct binary *b, size_t n, size_t *i); /* of a symbol or branch: 0 <= i < n */
/* Follows unions down to the branch that is there. */
bool binary_branch(struct binary *b, const struct schema_type **t);
/* The next block of an array or map: how many items follow; 0: it ends. */
bool binary_block(struct binary *b, uint64_t *items);
/* Walks over one value. */
bool binary_skip(struct binary *b, const struct schema_type *t, unsigned depth);

#endif
