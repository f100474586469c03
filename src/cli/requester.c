/* requester.c: sends requests and gathers their results. */
#include "requester.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/base/random.h"
#include "bridgepool/kafka/client.h"
#include "bridgepool/wire/json.h"
#include "bridgepool/wire/pairs.h"
#include "cli.h"

enum { RECORD_LIMIT = 64 << 20, FULL_TIMEOUT_MS = 30000 };

/* Results repeat this header: what was refused unread (it was too large) is known by it alone. */
#define CORRELATION "kafka_correlationId"

/* A request without its final result. */
struct waiting {
	UT_hash_handle hh;
	char id[];
};

struct requester {
	struct requester_config config;
	struct codec *codec;
	struct client *client;
	struct waiting *waiting;
	size_t sent;
	uint64_t name; /* ours, in the ids that we make */
	struct buf record, headers, line, id;
};

struct requester *requester_open(const struct requester_config *c, int *code, char *errstr, size_t size)
{
	struct requester *r = xcalloc(1, sizeof *r);
	const struct codec_config codec = {.max_request = RECORD_LIMIT};
	const struct client_config client = {c->brokers, c->properties};

	r->config = *c;
	r->name = random_entropy();
	buf_init(&r->record, RECORD_LIMIT);
	buf_init(&r->headers, 256);
	buf_init(&r->line, RECORD_LIMIT);
	buf_init(&r->id, RECORD_LIMIT);
	*code = EXIT_CONFIGURATION;
	r->codec = codec_new(&codec, errstr, size);
	r->client = r->codec ? client_new(&client, errstr, size) : NULL;
	if (r->client) {
		*code = EXIT_BROKER;
		if (client_follow(r->client, c->results, false, c->reach_ms, errstr, size))
			return r;
	}
	requester_close(r);
	return NULL;
}

void requester_close(struct requester *r)
{
	struct waiting *w, *next;

	HASH_ITER (hh, r->waiting, w, next) {
		HASH_DEL(r->waiting, w);
		free(w);
	}
	if (r->client)
		client_free(r->client);
	if (r->codec)
		codec_free(r->codec);
	buf_free(&r->record);
	buf_free(&r->headers);
	buf_free(&r->line);
	buf_free(&r->id);
	free(r);
}

static bool wait_for(struct requester *r, struct slice id)
{
	struct waiting *w;

	HASH_FIND(hh, r->waiting, id.data, id.len, w);
	if (w)
		return false;
	w = xmalloc(sizeof *w + id.len + 1);
	memcpy(w->id, id.data, id.len);
	w->id[id.len] = '\0';
	HASH_ADD_KEYPTR(hh, r->waiting, w->id, id.len, w);
	return true;
}

static bool send_record(struct requester *r, struct slice key, char *errstr, size_t size)
{
	struct slice value = buf_slice(&r->record), headers = buf_slice(&r->headers);

	if (client_send(r->client, r->config.requests, key, value, headers, errstr, size))
		return true;
	/* Its queue may simply be full: make room, once. */
	return client_flush(r->client, FULL_TIMEOUT_MS, errstr, size) &&
	       client_send(r->client, r->config.requests, key, value, headers, errstr, size);
}

bool requester_send(struct requester *r, const struct request_fields *f, char *errstr, size_t size)
{
	struct request_fields full = *f;
	char made[64];

	if (!full.request_id.data) {
		snprintf(made, sizeof made, "cli-%016" PRIx64 "-%zu", r->name, r->sent + 1);
		full.request_id = slice_of(made);
	}
	if (full.timeout_ms == TIME_NONE && full.deadline_ms == TIME_NONE)
		full.timeout_ms = r->config.timeout_ms;
	buf_reset(&r->record);
	buf_reset(&r->headers);
	pairs_add(&r->headers, SLICE("content-type"), slice_of(codec_content_type(r->config.encoding)));
	pairs_add(&r->headers, SLICE(CORRELATION), full.request_id);
	if (!codec_write_request(r->codec, &full, r->config.encoding, &r->record)) {
		snprintf(errstr, size, "the request is over %d bytes", RECORD_LIMIT);
		return false;
	}
	if (!wait_for(r, full.request_id)) {
		snprintf(errstr, size, "request_id \"%.*s\" is used twice", (int)full.request_id.len,
			(const char *)full.request_id.data);
		return false;
	}
	if (!send_record(r, full.session_id, errstr, size))
		return false;
	r->sent++;
	return true;
}

bool requester_flush(struct requester *r, int timeout_ms, char *errstr, size_t size)
{
	return client_flush(r->client, timeout_ms, errstr, size);
}

static enum status status_of(struct slice quoted)
{
	for (int s = STATUS_OK; s < STATUS_COUNT; s++) {
		const char *name = status_name((enum status)s);
		if (quoted.len == strlen(name) + 2 && memcmp((const char *)quoted.data + 1, name, strlen(name)) == 0)
			return (enum status)s;
	}
	return STATUS_UNKNOWN;
}

static struct waiting *find_waiting(struct requester *r, struct slice id)
{
	struct waiting *w;

	HASH_FIND(hh, r->waiting, id.data, id.len, w);
	return w;
}

/* True: the record is a result of one of our requests that has had no final one yet. */
static bool read_reply(struct requester *r, const struct client_record *record, struct reply *out)
{
	struct json_member m[] = {{.name = "request_id"}, {.name = "status"}, {.name = "final"}};
	struct waiting *w;
	struct slice id;
	char why[256];

	buf_reset(&r->line);
	buf_reset(&r->id);
	if (!record->value.data || !codec_to_json(r->codec, record->value, &r->line, why, sizeof why))
		return false;
	if (!json_read_object(buf_slice(&r->line), m, 3, JSON_MAX_DEPTH, why, sizeof why) || !m[0].value.data ||
		!json_unescape(m[0].value, &r->id))
		return false;
	w = find_waiting(r, buf_slice(&r->id));
	if (!w && pairs_find(record->headers, CORRELATION, &id))
		w = find_waiting(r, id);
	if (!w)
		return false;
	*out = (struct reply){buf_slice(&r->id), status_of(m[1].value), !slice_is(m[2].value, "false"), buf_slice(&r->line)};
	if (out->final) {
		HASH_DEL(r->waiting, w);
		free(w);
	}
	return true;
}

bool requester_next(struct requester *r, int timeout_ms, struct reply *out, char *errstr, size_t size)
{
	int64_t left = timeout_ms, until = clock_mono_us() + timeout_ms * MS_US;
	struct client_record record;

	*errstr = '\0';
	while (left >= 0 && client_read(r->client, (int)left, &record, errstr, size)) {
		if (read_reply(r, &record, out))
			return true;
		left = (until - clock_mono_us()) / MS_US; /* results of others may come without a pause */
	}
	return false;
}

size_t requester_sent(const struct requester *r)
{
	return r->sent;
}

size_t requester_open_requests(const struct requester *r)
{
	return HASH_COUNT(r->waiting);
}

struct codec *requester_codec(struct requester *r)
{
	return r->codec;
}
