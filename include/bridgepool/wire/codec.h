/* codec.h: records of schemas/ in Avro single-object encoding and JSON, told apart by the first bytes of the value.
 *
 * Avro: C3 01, CRC-64-AVRO fingerprint of the writer's schema (little-endian), body (Avro 1.11 specification). Decoded with the
 * writer's schema, fields taken by name; what the writer did not have gets our default. Every length is checked against the
 * bytes that are there before it is believed. JSON: an object; see schemas/ for the names. The schemas are compiled in. */
#ifndef BRIDGEPOOL_WIRE_CODEC_H
#define BRIDGEPOOL_WIRE_CODEC_H

#include "bridgepool/wire/record.h"

struct codec_config {
	const char *const *extra_dirs; /* directories of further writer schemas (*.avsc); may be NULL */
	size_t nextra_dirs;
	size_t max_request; /* bytes of a record's value */
	unsigned max_depth; /* of JSON payloads; 0: JSON_MAX_DEPTH */
};

/* Why a record was refused. code is one of our stable words: INVALID_ENCODING, UNKNOWN_SCHEMA, INVALID_RECORD, TOO_LARGE,
 * UNSUPPORTED_ENCODING; with of_field INVALID_FIELD, INVALID_ARGS, INVALID_COMMAND. */
struct fault {
	const char *code;
	char message[256];       /* printable UTF-8: what, where, how to mend */
	enum encoding encoding;  /* as far as it could be told; JSON otherwise */
	struct slice request_id; /* as far as it could be read; borrows the same as the request's fields */
	bool of_field;           /* the record can be read, but one of its fields is not what it must be */
};

struct codec *codec_new(const struct codec_config *c, char *errstr, size_t size); /* NULL: errstr says why */
void codec_free(struct codec *c);

/* out borrows `bytes` and `scratch` (appended to; the caller resets it). False: *why is filled. */
bool codec_read_request(struct codec *c, struct slice bytes, struct buf *scratch, struct request_fields *out, struct fault *why);
bool codec_write_request(struct codec *c, const struct request_fields *r, enum encoding as, struct buf *out);
/* Appends to out. False: over out's limit. */
bool codec_write_result(struct codec *c, const struct result_fields *r, enum encoding as, struct buf *out);
bool codec_write_health(struct codec *c, const struct health_fields *h, enum encoding as, struct buf *out);

/* Any of our records, whatever its encoding, as one JSON object: for `tail`, `submit` and tests. False: errstr says why. */
bool codec_to_json(struct codec *c, struct slice bytes, struct buf *out, char *errstr, size_t size);

const char *codec_content_type(enum encoding as); /* "application/json", "avro/binary" */
/* The compiled-in schemas, as written in schemas/. name: "ProgramRequest", "ProgramResult", "HealthEvent", "DeadLetter"; NULL if
 * unknown. */
const char *codec_schema(const char *name);
uint64_t codec_fingerprint(const char *schema_json, bool *ok); /* CRC-64-AVRO of the Parsing Canonical Form */

#endif
