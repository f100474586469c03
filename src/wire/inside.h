/* inside.h: what the codec's parts share. */
#ifndef BRIDGEPOOL_WIRE_INSIDE_H
#define BRIDGEPOOL_WIRE_INSIDE_H

#include "binary.h"
#include "bridgepool/wire/codec.h"
#include "schema.h"

/* as schema_texts has them */
enum own_schema { OWN_REQUEST, OWN_RESULT, OWN_HEALTH, OWN_DEAD_LETTER, OWN_SCHEMAS };

enum { REQUEST_FIELDS = 11, AVRO_HEAD = 10 /* C3 01 and the fingerprint */ };

/* A schema that records come in. */
struct writer {
	struct schema *schema;
	bool is_request;
	int *field; /* for each field of a request: which of ours it is, or -1 */
};

struct codec {
	size_t max_request;
	unsigned max_depth;
	struct writer *writers; /* the first OWN_SCHEMAS are our own, as own_schema has them */
	size_t nwriters;
	struct buf text, text2; /* for a moment, inside one call */
};

/* codec.c */
const struct writer *codec_writer(const struct codec *c, uint64_t fingerprint); /* NULL: not known */
bool codec_is_avro(struct slice bytes, uint64_t *fingerprint);
struct slice codec_avro_body(struct slice bytes);

/* codec_request.c */
int request_field_index(const char *name); /* -1: none of ours */
bool request_read_json(struct codec *c, struct slice bytes, struct buf *scratch, struct request_fields *out, struct fault *why);
bool request_read_avro(struct codec *c, const struct writer *w, struct slice body, struct buf *scratch,
	struct request_fields *out, struct fault *why);
bool fault_set(struct fault *why, const char *code, const char *format, ...)
	__attribute__((format(printf, 3, 4))); /* always false */

#endif
