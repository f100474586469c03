/* status.c: see status.h. */
#include "bridgepool/ops/status.h"

#include <jansson.h>
#include <stdlib.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"

enum { SHOWN_MAX = 64 }; /* bytes of a name that is not known */

/* IDs are the clients' words, but UTF-8 by then. */
static json_t *text(struct slice s)
{
	return s.data ? json_stringn(s.data, s.len) : json_null();
}

static json_t *milliseconds(int64_t ms)
{
	return ms == TIME_NONE ? json_null() : json_integer(ms);
}

static json_t *text_or_null(const char *s)
{
	return *s ? json_string(s) : json_null();
}

/* Takes document. */
static void write_document(json_t *document, struct buf *out)
{
	char *bytes = json_dumps(document, JSON_INDENT(2));

	CHECK(bytes);
	buf_text(out, bytes);
	buf_text(out, "\n");
	free(bytes);
	json_decref(document);
}

/* ---- the whole ---- */

static json_t *worker_document(const struct worker_view *w)
{
	return json_pack("{s:s, s:o, s:s, s:s, s:o, s:i, s:i, s:i, s:I, s:I, s:I, s:o}", "worker_id", w->id, "pid",
		w->pid ? json_integer(w->pid) : json_null(), "state", health_state_name(w->state), "role", w->role, "version",
		text_or_null(w->version), "in_flight", (int)w->in_flight, "concurrency", (int)w->concurrency, "unanswered",
		(int)w->unanswered, "sessions", (json_int_t)w->sessions, "runs", (json_int_t)w->runs, "resident_bytes",
		(json_int_t)w->resident, "ready_ms", milliseconds(w->ready_ms));
}

static json_t *workers_document(const struct engine *e, uint16_t pool, int64_t now)
{
	struct worker_view *views = xcalloc(engine_workers_most(e, pool), sizeof *views);
	size_t n = engine_view_workers(e, pool, now, views);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, worker_document(&views[i]));
	free(views);
	return list;
}

static json_t *counts_document(const struct named_count *counts, size_t n)
{
	json_t *o = json_object();

	for (size_t i = 0; i < n; i++)
		json_object_set_new(o, counts[i].name, json_integer((json_int_t)counts[i].n));
	return o;
}

static json_t *requests_document(const struct pool_snapshot *p)
{
	json_t *o = json_object();

	for (int i = STATUS_UNKNOWN + 1; i < STATUS_COUNT; i++)
		json_object_set_new(o, status_name((enum status)i), json_integer((json_int_t)p->requests[i]));
	return o;
}

static json_t *usage_document(const struct used_up *u)
{
	json_t *tokens = json_object();

	for (int i = 0; i < TOKEN_KINDS; i++)
		json_object_set_new(tokens, token_kind_name((enum token_kind)i), json_real(u->tokens[i]));
	return json_pack("{s:o, s:f}", "tokens", tokens, "cost_dollars", u->cost);
}

static json_t *pool_document(const struct engine *e, uint16_t index, const struct pool_snapshot *p, int64_t now)
{
	json_t *sessions = json_pack("{s:I, s:I, s:I, s:o}", "live", (json_int_t)p->sessions, "created",
		(json_int_t)p->sessions_created, "lost", (json_int_t)p->sessions_lost, "ended",
		counts_document(p->ended, p->nended));

	return json_pack("{s:o, s:s, s:s, s:i, s:i, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "pool", text(p->name), "state",
		health_state_name(p->state), "circuit", circuit_name(p->circuit), "places_used", (int)p->slots_used, "places",
		(int)p->slots_total, "queued", (json_int_t)p->queued, "recycle_memory", (json_int_t)p->recycle_memory,
		"resident_limit", (json_int_t)p->resident_limit, "starts", (json_int_t)p->starts, "exits",
		counts_document(p->exited, p->nexited), "sessions", sessions, "requests", requests_document(p), "usage",
		usage_document(&p->used), "workers", workers_document(e, index, now));
}

static json_t *partition_document(const struct partition_snapshot *p)
{
	return json_pack("{s:o, s:i, s:I, s:I, s:I, s:i, s:I, s:b}", "topic", text(p->topic), "partition", (int)p->partition,
		"offset", (json_int_t)p->base, "next", (json_int_t)p->next, "backlog", (json_int_t)p->backlog, "window",
		(int)p->window, "oldest_ms", (json_int_t)p->oldest_ms, "held", p->held);
}

void status_write(const struct engine *e, int64_t now, const struct status_facts *f, struct buf *out)
{
	json_t *pools = json_array(), *partitions = json_array();
	struct snapshot s;

	engine_snapshot(e, now, &s);
	for (size_t i = 0; i < s.npools; i++)
		json_array_append_new(pools, pool_document(e, (uint16_t)i, &s.pools[i], now));
	for (size_t i = 0; i < s.npartitions; i++)
		json_array_append_new(partitions, partition_document(&s.partitions[i]));
	write_document(json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:{s:I, s:I}, s:I, s:o, s:o, s:o}", "instance_id",
			       f->process->instance_id, "state", health_state_name(f->process->state), "version",
			       f->process->version, "group", f->group, "host", f->host, "up_ms",
			       (json_int_t)(f->wall_ms - (int64_t)(f->process->started_s * 1000)), "memory", "used",
			       (json_int_t)s.memory_used, "limit", (json_int_t)s.memory_limit, "records_pending",
			       (json_int_t)s.records_pending, "last_commit_ms", milliseconds(s.last_commit_ms), "pools", pools,
			       "partitions", partitions),
		out);
	snapshot_free(&s);
}

/* ---- one thing ---- */

static json_t *session_document(const struct session_view *s)
{
	json_t *source = s->topic ? json_pack("{s:s, s:i}", "topic", s->topic, "partition", (int)s->partition) : json_null();

	return json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:s?}", "pool", s->pool, "state", s->state, "alive",
		s->alive, "source", source, "worker_id", text_or_null(s->worker), "session_epoch", text_or_null(s->epoch),
		"requests", (json_int_t)s->requests, "idle_ms", milliseconds(s->idle_ms), "first_request", text(s->head),
		"first_since_ms", milliseconds(s->head_ms), "waits_for", s->waits_for);
}

static bool write_unknown(const char *what, struct slice id, struct buf *out)
{
	json_t *document = json_pack("{s:s, s:o}", "error",
		"not known to this instance: it is over, was not read yet, or belongs to another instance", what, text(id));

	write_document(document ? document : json_pack("{s:s}", "error", "that is not UTF-8"), out);
	return false;
}

bool status_write_session(const struct engine *e, int64_t now, struct slice id, struct buf *out)
{
	json_t *list = json_array();
	struct session_view s;
	uint16_t pool = 0;

	while (engine_view_session(e, id, &pool, now, &s))
		json_array_append_new(list, session_document(&s));
	if (json_array_size(list) == 0) {
		json_decref(list);
		return write_unknown("session_id", id, out);
	}
	write_document(json_pack("{s:o, s:o}", "session_id", text(id), "pools", list), out);
	return true;
}

bool status_write_request(const struct engine *e, int64_t now, struct slice id, struct buf *out)
{
	struct request_view r;

	if (!engine_view_request(e, id, now, &r))
		return write_unknown("request_id", id, out);
	write_document(json_pack("{s:o, s:I, s:s, s:o, s:s, s:s, s:o, s:o, s:i, s:o, s:o, s:{s:s, s:i, s:I}}", "request_id",
			       text(id), "of_that_id", (json_int_t)r.same_id, "place", r.place, "since_ms",
			       milliseconds(r.since_ms), "waits_for", r.waits_for, "pool", r.pool, "session_id", text(r.session),
			       "worker_id", text_or_null(r.worker), "attempts", (int)r.attempts, "age_ms", milliseconds(r.age_ms),
			       "left_ms", milliseconds(r.left_ms), "source", "topic", r.topic, "partition",
			       (int)r.source.tp.partition, "offset", (json_int_t)r.source.offset),
		out);
	return true;
}

void status_write_unknown_argument(struct slice name, const char *const *known, struct buf *out)
{
	json_t *list = json_array();

	for (; *known; known++)
		json_array_append_new(list, json_string(*known));
	write_document(json_pack("{s:s, s:o*, s:o}", "error", "there is no such argument", "found",
			       text(slice_cut(name, SHOWN_MAX)), "arguments", list),
		out);
}
