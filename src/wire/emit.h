/* emit.h: writes a record field by field, as Avro or as JSON. Each record is told once, in the order of its schema; what differs
 * between the encodings is here. Nothing is returned: look at out->overflow at the end. */
#ifndef BRIDGEPOOL_WIRE_EMIT_H
#define BRIDGEPOOL_WIRE_EMIT_H

#include "bridgepool/wire/record.h"

struct emit {
	struct buf *out;
	bool json;
};

/* "null" in a name: the type is a union of null and the other, null first. Absent slices and TIME_NONE are null. */
void emit_text(struct emit *e, const char *name, struct slice v);
void emit_text_null(struct emit *e, const char *name, struct slice v);
void emit_payload(struct emit *e, const char *name, struct slice json); /* string that holds JSON; absent: {} */
void emit_payload_null(struct emit *e, const char *name, struct slice json);
void emit_long(struct emit *e, const char *name, int64_t v); /* int too: the bytes are the same */
void emit_long_null(struct emit *e, const char *name, int64_t v);
void emit_bool(struct emit *e, const char *name, bool v);
void emit_enum(struct emit *e, const char *name, unsigned index, const char *symbol);
void emit_enum_null(struct emit *e, const char *name, unsigned index, const char *symbol); /* index 0 (UNKNOWN) is null */
void emit_pairs(struct emit *e, const char *name, struct slice list);                      /* map of strings */
void emit_numbers(struct emit *e, const char *name, struct slice json); /* map of doubles, from a JSON object of numbers */

void emit_open(struct emit *e, const char *name); /* a record; name NULL: the top one */
void emit_item_open(struct emit *e);              /* a record in an array */
void emit_close(struct emit *e);
void emit_null(struct emit *e, const char *name); /* a union's null */
void emit_branch(struct emit *e);                 /* before what stands in a union with null */

/* A map or array of n items, which follow. */
void emit_map_open(struct emit *e, const char *name, size_t n);
void emit_map_long(struct emit *e, const char *key, int64_t v);
void emit_map_close(struct emit *e);
void emit_array_open(struct emit *e, const char *name, size_t n);
void emit_array_long(struct emit *e, int64_t v);
void emit_array_close(struct emit *e);

#endif
