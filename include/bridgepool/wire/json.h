/* json.h: validates a whole JSON document (RFC 8259, UTF-8), finds members of its top object, never rewrites it. libyajl inside.
 * Names stay clear of those that libjansson exports. */
#ifndef BRIDGEPOOL_WIRE_JSON_H
#define BRIDGEPOOL_WIRE_JSON_H

#include "bridgepool/base/buf.h"

enum { JSON_MAX_DEPTH = 512 };
enum json_kind {
	JSON_KIND_NONE,
	JSON_KIND_NULL,
	JSON_KIND_BOOL,
	JSON_KIND_NUMBER,
	JSON_KIND_STRING,
	JSON_KIND_OBJECT,
	JSON_KIND_ARRAY
};

const char *json_kind_name(enum json_kind k); /* "a string", for messages */

struct json_member {
	const char *name; /* what to look for; given by the caller */
	/* the member's exact bytes in doc (strings with their quotes); absent if not found. The last of duplicates wins */
	struct slice value;
	enum json_kind kind;
};

/* True: doc is one valid JSON object, nested at most max_depth deep. Fills kind and value of each wanted member; values borrow
 * doc. False: errstr says what and at which byte; members found before the error are filled in. */
bool json_read_object(struct slice doc, struct json_member *members, size_t n, unsigned max_depth, char *errstr, size_t size);
/* True: doc is one valid JSON value; *kind says which. */
bool json_read_value(struct slice doc, enum json_kind *kind, unsigned max_depth, char *errstr, size_t size);
/* Calls back for each member of a valid object, key and value as they stand in doc (key without quotes, still escaped). False
 * from each stops. */
bool json_each(struct slice object, bool (*each)(void *ctx, struct slice key, struct slice value, enum json_kind kind),
	void *ctx);

/* Appends the text of "a\u00e9" (quotes included) as UTF-8. False: not a string, or a lone surrogate; nothing was added. */
bool json_unescape(struct slice quoted, struct buf *out);
bool json_quote(struct buf *out, struct slice utf8); /* appends a quoted string; bytes that are not UTF-8 become U+FFFD */
bool json_int(struct slice number, int64_t *out);    /* false: not an integer in range; 1e3 and 5.0 count as integers */
bool json_double(struct slice number, double *out);

#endif
