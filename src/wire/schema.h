/* schema.h: Avro schemas as the codec uses them: their canonical form and fingerprint, and a tree of types to walk records by. */
#ifndef BRIDGEPOOL_WIRE_SCHEMA_PRIVATE_H
#define BRIDGEPOOL_WIRE_SCHEMA_PRIVATE_H

#include "bridgepool/base/buf.h"

enum { SCHEMA_TEXTS = 4 };

struct schema_text {
	const char *name, *text;
};
extern const struct schema_text schema_texts[SCHEMA_TEXTS];

enum schema_kind {
	SCHEMA_NULL,
	SCHEMA_BOOLEAN,
	SCHEMA_INT,
	SCHEMA_LONG,
	SCHEMA_FLOAT,
	SCHEMA_DOUBLE,
	SCHEMA_BYTES,
	SCHEMA_STRING,
	SCHEMA_RECORD,
	SCHEMA_ENUM,
	SCHEMA_ARRAY,
	SCHEMA_MAP,
	SCHEMA_UNION,
	SCHEMA_FIXED
};

struct schema_type {
	enum schema_kind kind;
	char *name;                 /* full name of a record, enum or fixed; else NULL */
	size_t n;                   /* fields, symbols or branches; 1 for array and map; bytes of a fixed */
	char **names;               /* of fields or symbols */
	struct schema_type **inner; /* of fields, branches, items or values; a type may contain itself */
};

struct schema {
	uint64_t fingerprint; /* CRC-64-AVRO of the canonical form */
	struct schema_type *top;
	struct schema_type **all; /* every type, for finding by name and for freeing */
	size_t nall;
};

/* Parsing Canonical Form of a schema (Avro 1.11 specification) into out. False: errstr says why it is no schema. */
bool schema_canonical(const char *json, struct buf *out, char *errstr, size_t size);
uint64_t schema_crc64(struct slice bytes);

/* Returns new, or NULL and errstr. */
struct schema *schema_new(const char *json, char *errstr, size_t size);
void schema_free(struct schema *s);

const char *schema_kind_name(enum schema_kind k);
const char *schema_short_name(const struct schema_type *t); /* without its namespace; "" if it has no name */

#endif
