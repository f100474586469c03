/* codec_write.c: tells each record once, in the order of its schema; emit.c knows the encodings. */
#include "emit.h"
#include "inside.h"

#include <string.h>

/* ---- frame of a record ---- */

struct writing {
	struct emit emit;
	size_t before;
	bool overflow;
};

static struct writing write_begin(const struct codec *c, enum own_schema which, enum encoding as, struct buf *out)
{
	struct writing w = {{out, as != ENCODING_AVRO}, out->len, out->overflow};
	uint64_t fingerprint = c->writers[which].schema->fingerprint;
	uint8_t head[AVRO_HEAD] = {0xc3, 0x01};

	out->overflow = false;
	for (int i = 0; i < 8; i++)
		head[2 + i] = (uint8_t)(fingerprint >> (8 * i));
	if (!w.emit.json)
		buf_append(out, head, sizeof(head));
	emit_open(&w.emit, NULL);
	return w;
}

static bool write_end(struct writing *w)
{
	struct buf *out = w->emit.out;
	bool good;

	emit_close(&w->emit);
	good = !out->overflow;
	if (!good)
		out->len = w->before;
	out->overflow = w->overflow;
	return good;
}

/* ---- request ---- */

bool codec_write_request(struct codec *c, const struct request_fields *r, enum encoding as, struct buf *out)
{
	struct writing w = write_begin(c, OWN_REQUEST, as, out);
	struct emit *e = &w.emit;

	emit_text(e, "request_id", r->request_id);
	emit_text_null(e, "session_id", r->session_id);
	emit_text_null(e, "session_epoch", r->session_epoch);
	emit_text_null(e, "pool", r->pool);
	emit_text(e, "command", r->command);
	emit_payload(e, "args", r->args);
	emit_long_null(e, "timeout_ms", r->timeout_ms);
	emit_long_null(e, "deadline", r->deadline_ms);
	emit_bool(e, "stream", r->stream);
	emit_bool(e, "idempotent", r->idempotent);
	emit_pairs(e, "attributes", r->attributes);
	return write_end(&w);
}

/* ---- result ---- */

static void write_error(struct emit *e, const struct error_fields *x)
{
	if (!x->code.data) {
		emit_null(e, "error");
		return;
	}
	emit_branch(e);
	emit_open(e, "error");
	emit_text(e, "code", x->code);
	emit_text(e, "message", x->message);
	emit_bool(e, "retriable", x->retriable);
	emit_long_null(e, "retry_after_ms", x->retry_after_ms);
	emit_payload_null(e, "details", x->details);
	emit_close(e);
}

static void write_timings(struct emit *e, const struct timings *t)
{
	emit_open(e, "timings");
	emit_long(e, "broker_us", t->broker_us);
	emit_long(e, "session_wait_us", t->session_wait_us);
	emit_long(e, "worker_wait_us", t->worker_wait_us);
	emit_long(e, "retry_wait_us", t->retry_wait_us);
	emit_long(e, "run_us", t->run_us);
	emit_close(e);
}

static void write_source(struct emit *e, const struct result_fields *r)
{
	emit_open(e, "source");
	emit_text(e, "topic", r->source_topic);
	emit_long(e, "partition", r->source_partition);
	emit_long(e, "offset", r->source_offset);
	emit_close(e);
}

bool codec_write_result(struct codec *c, const struct result_fields *r, enum encoding as, struct buf *out)
{
	struct writing w = write_begin(c, OWN_RESULT, as, out);
	struct emit *e = &w.emit;

	emit_text(e, "request_id", r->request_id);
	emit_text_null(e, "session_id", r->session_id);
	emit_text_null(e, "pool", r->pool);
	emit_text_null(e, "command", r->command);
	emit_enum(e, "status", r->status, status_name(r->status));
	emit_payload_null(e, "result", r->result);
	write_error(e, &r->error);
	emit_text_null(e, "session_epoch", r->session_epoch);
	emit_bool(e, "session_new", r->session_new);
	emit_text(e, "instance_id", r->instance_id);
	emit_text_null(e, "worker_id", r->worker_id);
	emit_text_null(e, "worker_version", r->worker_version);
	emit_long(e, "attempts", r->attempts);
	write_timings(e, &r->timings);
	emit_numbers(e, "usage", r->usage);
	write_source(e, r);
	emit_long(e, "part", r->part);
	emit_bool(e, "final", r->final);
	emit_pairs(e, "attributes", r->attributes);
	emit_long(e, "completed_at", r->completed_at_ms);
	return write_end(&w);
}

/* ---- health event ---- */

static void write_state(struct emit *e, const char *name, enum health_state s)
{
	emit_enum(e, name, s, health_state_name(s));
}

/* The counters that are not zero, by name. */
static void write_workers(struct emit *e, const uint32_t workers[HEALTH_STATE_COUNT])
{
	size_t n = 0;

	for (unsigned i = 0; i < HEALTH_STATE_COUNT; i++)
		n += workers[i] > 0;
	emit_map_open(e, "workers", n);
	for (unsigned i = 0; i < HEALTH_STATE_COUNT; i++) {
		if (workers[i])
			emit_map_long(e, health_state_name((enum health_state)i), workers[i]);
	}
	emit_map_close(e);
}

static void write_requests(struct emit *e, const uint64_t requests[STATUS_COUNT])
{
	size_t n = 0;

	for (unsigned i = 0; i < STATUS_COUNT; i++)
		n += requests[i] > 0;
	emit_map_open(e, "requests", n);
	for (unsigned i = 0; i < STATUS_COUNT; i++) {
		if (requests[i])
			emit_map_long(e, status_name((enum status)i), (int64_t)requests[i]);
	}
	emit_map_close(e);
}

static void write_durations(struct emit *e, const uint64_t duration[DURATION_BUCKETS])
{
	emit_array_open(e, "durations", DURATION_BUCKETS);
	for (unsigned i = 0; i < DURATION_BUCKETS; i++)
		emit_array_long(e, (int64_t)duration[i]);
	emit_array_close(e);
}

static void write_worker(struct emit *e, const struct worker_snapshot *w)
{
	emit_item_open(e);
	emit_text(e, "worker_id", slice_of(w->id));
	write_state(e, "state", w->state);
	emit_text(e, "role", slice_of(w->role));
	emit_long(e, "in_flight", w->in_flight);
	emit_long(e, "unanswered", w->unanswered);
	emit_long(e, "sessions", (int64_t)w->sessions);
	emit_long(e, "resident_bytes", (int64_t)w->resident);
	emit_close(e);
}

static void write_pool(struct emit *e, const struct pool_snapshot *p)
{
	emit_item_open(e);
	emit_text(e, "name", p->name);
	write_state(e, "state", p->state);
	write_workers(e, p->workers);
	emit_long(e, "busy", p->busy);
	emit_long(e, "slots_used", p->slots_used);
	emit_long(e, "slots_total", p->slots_total);
	emit_long(e, "queued", (int64_t)p->queued);
	emit_long(e, "sessions", (int64_t)p->sessions);
	emit_long(e, "sessions_created", (int64_t)p->sessions_created);
	emit_long(e, "sessions_ended", (int64_t)p->sessions_ended);
	emit_long(e, "sessions_lost", (int64_t)p->sessions_lost);
	write_requests(e, p->requests);
	write_durations(e, p->duration);
	emit_long(e, "starts", (int64_t)p->starts);
	emit_long(e, "exits", (int64_t)p->exits);
	emit_array_open(e, "worker_list", p->nworker_list);
	for (size_t i = 0; i < p->nworker_list; i++)
		write_worker(e, &p->worker_list[i]);
	emit_array_close(e);
	emit_close(e);
}

static void write_partition(struct emit *e, const struct partition_snapshot *p)
{
	emit_item_open(e);
	emit_text(e, "topic", p->topic);
	emit_long(e, "partition", p->partition);
	emit_long(e, "base", p->base);
	emit_long(e, "next", p->next);
	emit_long(e, "backlog", (int64_t)p->backlog);
	emit_long(e, "window", p->window);
	emit_long(e, "oldest_ms", p->oldest_ms);
	emit_bool(e, "held", p->held);
	emit_close(e);
}

static void write_snapshot(struct emit *e, const struct snapshot *s)
{
	if (!s) {
		emit_null(e, "snapshot");
		return;
	}
	emit_branch(e);
	emit_open(e, "snapshot");
	write_state(e, "state", s->state);
	emit_array_open(e, "pools", s->npools);
	for (size_t i = 0; i < s->npools; i++)
		write_pool(e, &s->pools[i]);
	emit_array_close(e);
	emit_array_open(e, "partitions", s->npartitions);
	for (size_t i = 0; i < s->npartitions; i++)
		write_partition(e, &s->partitions[i]);
	emit_array_close(e);
	emit_long(e, "memory_used", (int64_t)s->memory_used);
	emit_long(e, "memory_limit", (int64_t)s->memory_limit);
	emit_long(e, "late_answers", (int64_t)s->late_answers);
	emit_long(e, "dropped_stale", (int64_t)s->dropped_stale);
	emit_long(e, "heartbeat_ms", s->heartbeat_ms);
	emit_close(e);
}

bool codec_write_health(struct codec *c, const struct health_fields *h, enum encoding as, struct buf *out)
{
	struct writing w = write_begin(c, OWN_HEALTH, as, out);
	struct emit *e = &w.emit;

	emit_text(e, "event_id", h->event_id);
	emit_text(e, "instance_id", h->instance_id);
	emit_text(e, "incarnation", h->incarnation);
	emit_text(e, "host", h->host);
	emit_long(e, "sequence", h->sequence);
	emit_long(e, "at", h->at_ms);
	emit_enum(e, "kind", h->kind, health_kind_name(h->kind));
	emit_enum(e, "severity", h->severity, severity_name(h->severity));
	emit_text_null(e, "pool", h->pool);
	emit_text_null(e, "worker_id", h->worker_id);
	emit_enum_null(e, "from_state", h->from_state, health_state_name(h->from_state));
	emit_enum_null(e, "to_state", h->to_state, health_state_name(h->to_state));
	emit_text_null(e, "reason", h->reason);
	emit_long(e, "count", h->count);
	write_snapshot(e, h->snapshot);
	return write_end(&w);
}
