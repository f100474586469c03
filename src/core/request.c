/* request.c: see request.h. */
#include "request.h"

#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"

static struct slice keep(uint8_t **at, struct slice s)
{
	struct slice kept = {NULL, 0};

	if (s.data == NULL)
		return kept;
	kept = (struct slice){*at, s.len};
	memcpy(*at, s.data, s.len);
	*at += s.len + 1; /* one byte more, so that an empty value is not absent and never lies at the end */
	return kept;
}

struct request *request_new(const struct message *m, int64_t now)
{
	struct request *r = xcalloc(1, sizeof(*r) + m->key.len + m->value.len + m->headers.len + 3);
	uint8_t *at = r->raw;

	r->m = *m;
	r->m.key = keep(&at, m->key);
	r->m.value = keep(&at, m->value);
	r->m.headers = keep(&at, m->headers);
	r->received = now;
	r->deadline = INT64_MAX;
	buf_init(&r->scratch, SIZE_MAX);
	buf_init(&r->copied, SIZE_MAX);
	return r;
}

static const bool legal[PLACES][PLACES] = {
	[PLACE_NONE] = {[PLACE_PARKED] = true, [PLACE_QUEUED] = true},
	[PLACE_PARKED] = {[PLACE_NONE] = true},
	[PLACE_QUEUED] = {[PLACE_RUNNING] = true, [PLACE_NONE] = true},
	[PLACE_RUNNING] = {[PLACE_WAITING] = true, [PLACE_NONE] = true},
	[PLACE_WAITING] = {[PLACE_QUEUED] = true, [PLACE_NONE] = true},
};

void request_move(struct request *r, enum request_place to)
{
	CHECK(legal[r->place][to]);
	r->place = to;
}

size_t request_size(const struct request *r)
{
	return sizeof(*r) + r->m.key.len + r->m.value.len + r->m.headers.len + r->scratch.capacity + r->copied.capacity;
}

void request_free(struct request *r)
{
	CHECK(r->place == PLACE_NONE && r->timer.place == 0);
	buf_free(&r->scratch);
	buf_free(&r->copied);
	free(r);
}
