/* http.h: a small HTTP/1.1 server on the loop, for people and monitoring: GET and HEAD only, each answer made at once, in the
 * loop's thread. Slow and too many clients cost a connection each, at most 32, and never the loop; a connection has its time
 * until its request is complete, and until its answer was taken, whatever trickles meanwhile. */
#ifndef BRIDGEPOOL_OPS_HTTP_H
#define BRIDGEPOOL_OPS_HTTP_H

#include "bridgepool/base/buf.h"

struct uv_loop_s;
struct http;
struct http_query;

enum http_status { HTTP_OK = 200, HTTP_BAD_REQUEST = 400, HTTP_NOT_FOUND = 404, HTTP_UNAVAILABLE = 503 };

struct http_answer {
	enum http_status status;
	const char *type; /* of the content; a literal */
	struct buf *body; /* empty; to be filled */
};

struct http_config {
	const char *listen; /* "127.0.0.1:9464", "[::1]:9464"; port 0: any free one */
	void *ctx;
	void (*answer)(void *ctx, const struct http_query *q, struct http_answer *a);
	uint64_t request_ms, answer_ms; /* until a connection's request is complete, until its answer was taken; 0: 10 s, 30 s */
};

/* NULL: errstr says what is wrong with the address and how to mend it. Copies c. */
struct http *http_new(struct uv_loop_s *loop, const struct http_config *c, char *errstr, size_t size);
/* Whether that can be an address to listen on; nothing is opened. */
bool http_address_fits(const char *listen, char *errstr, size_t size);
const char *http_address(const struct http *h);    /* with the port that it has */
const char *http_path(const struct http_query *q); /* "/metrics", decoded */
/* Of ?name=value, decoded, so that it may hold any byte; absent: not there. */
struct slice http_argument(const struct http_query *q, const char *name);
/* The name of an argument that is none of known, which ends with NULL; absent: there is none. */
struct slice http_unknown_argument(const struct http_query *q, const char *const *known);
void http_close(struct http *h); /* frees h in a later turn of the loop */

#endif
