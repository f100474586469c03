/* requester.h: sends requests and gathers their results: the client side of submit and demo. */
#ifndef CLI_REQUESTER_H
#define CLI_REQUESTER_H

#include "bridgepool/wire/codec.h"

struct requester;

struct requester_config {
	const char *brokers;
	const char *const *properties;
	const char *requests, *results; /* topics */
	enum encoding encoding;
	int reach_ms;       /* how long a broker is waited for */
	int64_t timeout_ms; /* of a request that names neither timeout_ms nor deadline; TIME_NONE: it waits as long as it must */
};

/* A result of one of our requests. Borrowed until the next call. */
struct reply {
	struct slice request_id;
	enum status status;
	bool final;
	struct slice json; /* the whole record, as one JSON object */
};

/* NULL: errstr says why; *code is the exit code for it. From here on no result is missed. */
struct requester *requester_open(const struct requester_config *c, int *code, char *errstr, size_t size);
void requester_close(struct requester *r);
/* Fills what a request needs and does not have: its id, its time. Copies all. */
bool requester_send(struct requester *r, const struct request_fields *f, char *errstr, size_t size);
bool requester_flush(struct requester *r, int timeout_ms, char *errstr, size_t size);
/* One result, or false after timeout_ms; errstr is empty when there was simply nothing. */
bool requester_next(struct requester *r, int timeout_ms, struct reply *out, char *errstr, size_t size);
size_t requester_sent(const struct requester *r);
size_t requester_open_requests(const struct requester *r); /* sent and not answered */
struct codec *requester_codec(struct requester *r);

#endif
