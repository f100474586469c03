/* health.h: notes and snapshots become HealthEvents. Keeps a bounded ring while the broker is away; never blocks; makes no note
 * itself. */
#ifndef BRIDGEPOOL_OPS_HEALTH_H
#define BRIDGEPOOL_OPS_HEALTH_H

#include "bridgepool/wire/codec.h"

struct health;

struct health_config {
	const char *instance_id, *incarnation, *host;
	enum encoding encoding;
	size_t ring; /* events kept while they cannot be sent, and at most 8 MiB of them; the oldest go first */
};

/* Copies c; codec is borrowed until health_free. emit: false when it cannot be sent now; the event is kept and offered again by
 * the next event or health_retry, in order. Its key (the instance ID) and value are borrowed. Never NULL. */
struct health *health_new(const struct health_config *c, struct codec *codec,
	bool (*emit)(void *ctx, struct slice key, struct slice value, enum encoding encoding), void *ctx);
/* event: kind, severity, pool, worker_id, states, reason, count; the rest (id, sequence, instance, time) is filled here. */
void health_event(struct health *h, const struct health_fields *event, int64_t wall_ms);
void health_beat(struct health *h, const struct snapshot *s, int64_t wall_ms);
void health_retry(struct health *h);
uint64_t health_dropped(const struct health *h); /* events lost: the ring was full, or one too large for a record */
void health_free(struct health *h);

#endif
