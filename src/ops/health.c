/* health.c: see health.h. Events are encoded when they happen and wait in a ring, in their order, while they cannot be sent. */
#include "bridgepool/ops/health.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"

enum {
	EVENT_LIMIT = 900 * 1024, /* bytes: under the usual message.max.bytes of a topic */
	RING_LIMIT = 8 << 20,     /* bytes of all that wait: heartbeats of many partitions are large */
	ID_LIMIT = 512
};

struct ring_event {
	void *value;
	size_t len;
};

struct health {
	char *instance_id, *incarnation, *host;
	enum encoding encoding;
	struct codec *codec;
	bool (*emit)(void *ctx, struct slice key, struct slice value, enum encoding encoding);
	void *ctx;
	int64_t sequence; /* of the newest event */
	struct buf scratch;
	struct ring_event *ring;
	size_t size, first, n, bytes;
	uint64_t dropped;
};

struct health *health_new(const struct health_config *c, struct codec *codec,
	bool (*emit)(void *ctx, struct slice key, struct slice value, enum encoding encoding), void *ctx)
{
	struct health *h = xcalloc(1, sizeof *h);

	*h = (struct health){
		.instance_id = xstrdup(c->instance_id),
		.incarnation = xstrdup(c->incarnation),
		.host = xstrdup(c->host),
		.encoding = c->encoding,
		.codec = codec,
		.emit = emit,
		.ctx = ctx,
		.ring = xcalloc(c->ring, sizeof *h->ring),
		.size = c->ring,
	};
	buf_init(&h->scratch, EVENT_LIMIT);
	return h;
}

void health_free(struct health *h)
{
	while (h->n > 0)
		free(h->ring[(h->first + --h->n) % h->size].value);
	free(h->ring);
	buf_free(&h->scratch);
	free(h->instance_id);
	free(h->incarnation);
	free(h->host);
	free(h);
}

/* ---- the ring ---- */

static struct ring_event ring_take(struct health *h)
{
	struct ring_event oldest = h->ring[h->first];

	CHECK(h->n > 0);
	h->first = (h->first + 1) % h->size;
	h->n--;
	h->bytes -= oldest.len;
	return oldest;
}

static void ring_put(struct health *h, struct slice value)
{
	struct ring_event *place;

	if (h->size == 0) {
		h->dropped++;
		return;
	}
	while (h->n == h->size || (h->n > 0 && h->bytes + value.len > RING_LIMIT)) {
		h->dropped++;
		free(ring_take(h).value);
	}
	place = &h->ring[(h->first + h->n++) % h->size];
	h->bytes += value.len;
	*place = (struct ring_event){xmalloc(value.len), value.len};
	memcpy(place->value, value.data, value.len);
}

static bool emit(struct health *h, struct slice value)
{
	return h->emit(h->ctx, slice_of(h->instance_id), value, h->encoding);
}

void health_retry(struct health *h)
{
	while (h->n > 0 && emit(h, (struct slice){h->ring[h->first].value, h->ring[h->first].len}))
		free(ring_take(h).value);
}

/* ---- events ---- */

static bool write_less(struct health *h, struct health_fields *event, struct snapshot *left, const char *reason)
{
	event->snapshot = left;
	event->reason = slice_of(reason);
	buf_reset(&h->scratch);
	return codec_write_health(h->codec, event, h->encoding, &h->scratch);
}

/* A snapshot of more partitions or workers than a record can hold goes without them. */
static bool write_event(struct health *h, const struct health_fields *whole)
{
	struct health_fields less = *whole;
	struct pool_snapshot *pools;
	struct snapshot left;
	bool good;

	buf_reset(&h->scratch);
	if (codec_write_health(h->codec, whole, h->encoding, &h->scratch))
		return true;
	if (!whole->snapshot)
		return false;
	left = *whole->snapshot;
	left.npartitions = 0;
	if (write_less(h, &less, &left, "partitions are left out: too many for one record"))
		return true;
	left.pools = pools = xcalloc(left.npools + 1, sizeof *pools);
	for (size_t i = 0; i < left.npools; i++) {
		pools[i] = whole->snapshot->pools[i];
		pools[i].nworker_list = 0;
	}
	good = write_less(h, &less, &left, "partitions and single workers are left out: too many for one record");
	free(pools);
	return good;
}

/* False: too large for a record; the gap in the sequence tells of it. */
static bool encode(struct health *h, const struct health_fields *event, int64_t wall_ms)
{
	struct health_fields whole = *event;
	struct buf id;
	bool good;

	buf_init(&id, ID_LIMIT);
	buf_printf(&id, "%s-%s-%" PRId64, h->instance_id, h->incarnation, ++h->sequence);
	whole.event_id = buf_slice(&id);
	whole.instance_id = slice_of(h->instance_id);
	whole.incarnation = slice_of(h->incarnation);
	whole.host = slice_of(h->host);
	whole.sequence = h->sequence;
	whole.at_ms = wall_ms;
	good = write_event(h, &whole);
	buf_free(&id);
	return good;
}

void health_event(struct health *h, const struct health_fields *event, int64_t wall_ms)
{
	if (!encode(h, event, wall_ms)) {
		h->dropped++;
		return;
	}
	health_retry(h);
	if (h->n > 0 || !emit(h, buf_slice(&h->scratch)))
		ring_put(h, buf_slice(&h->scratch));
}

void health_beat(struct health *h, const struct snapshot *s, int64_t wall_ms)
{
	const struct health_fields beat = {.kind = KIND_HEARTBEAT, .severity = SEVERITY_INFO, .snapshot = s};

	health_event(h, &beat, wall_ms);
}

uint64_t health_dropped(const struct health *h)
{
	return h->dropped;
}
