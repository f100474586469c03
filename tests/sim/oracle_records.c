/* oracle_records.c: invariants 1, 2, 11 and 12: what is published about a request, and what commits claim. */
#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "bridgepool/wire/json.h"
#include "client.h"
#include "group.h"
#include "workers.h"

/* ---- reading what was published ---- */

static struct slice unquoted(struct slice s)
{
	const char *text = s.data;

	return s.len >= 2 && text[0] == '"' ? (struct slice){text + 1, s.len - 2} : (struct slice){NULL, 0};
}

static int64_t number(struct world *w, struct slice s)
{
	int64_t n;

	if (s.data == NULL || !json_int(s, &n))
		breach(w, "a result lacks a number: %.*s", (int)s.len, s.data ? (const char *)s.data : "");
	return n;
}

static void find(struct world *w, struct slice doc, struct json_member *m, size_t n)
{
	char why[200];

	if (!json_read_object(doc, m, n, JSON_MAX_DEPTH, why, sizeof(why)))
		breach(w, "a result is no valid JSON: %s", why);
}

static struct asked *source_of(struct world *w, struct slice topic, int64_t partition, int64_t offset)
{
	for (unsigned t = 0; t < w->k.topics; t++)
		if (slice_is(topic, w->sources[t].topic))
			return client_find(w, t, (int32_t)partition, offset);
	return NULL;
}

static struct asked *read_source(struct world *w, struct slice source)
{
	struct json_member m[] = {{.name = "topic"}, {.name = "partition"}, {.name = "offset"}};

	find(w, source, m, 3);
	return source_of(w, unquoted(m[0].value), number(w, m[1].value), number(w, m[2].value));
}

static struct slice read_code(struct world *w, struct slice error)
{
	struct json_member m[] = {{.name = "code"}};

	if (error.data == NULL || *(const char *)error.data != '{')
		return (struct slice){NULL, 0};
	find(w, error, m, 1);
	return unquoted(m[0].value);
}

static void read_timings(struct world *w, struct slice timings, struct told *t)
{
	struct json_member m[] = {{.name = "run_us"}, {.name = "session_wait_us"}, {.name = "worker_wait_us"},
		{.name = "retry_wait_us"}};

	find(w, timings, m, 4);
	t->run_us = number(w, m[0].value);
	t->all_us = t->run_us;
	for (int k = 1; k < 4; k++)
		t->all_us += number(w, m[k].value);
}

/* The record that a result is about; *t borrows text. */
static struct asked *read_result(struct world *w, const struct instance *i, struct slice text, struct told *t)
{
	enum {
		STATUS,
		RESULT,
		ERROR,
		EPOCH,
		NEW,
		ATTEMPTS,
		SOURCE,
		FINAL,
		INSTANCE,
		SESSION,
		WORKER,
		ATTRIBUTES,
		COMPLETED,
		TIMINGS,
		PART,
		MEMBERS
	};
	struct json_member m[MEMBERS] = {
		[STATUS] = {.name = "status"},
		[RESULT] = {.name = "result"},
		[ERROR] = {.name = "error"},
		[EPOCH] = {.name = "session_epoch"},
		[NEW] = {.name = "session_new"},
		[ATTEMPTS] = {.name = "attempts"},
		[SOURCE] = {.name = "source"},
		[FINAL] = {.name = "final"},
		[INSTANCE] = {.name = "instance_id"},
		[SESSION] = {.name = "session_id"},
		[WORKER] = {.name = "worker_id"},
		[ATTRIBUTES] = {.name = "attributes"},
		[COMPLETED] = {.name = "completed_at"},
		[TIMINGS] = {.name = "timings"},
		[PART] = {.name = "part"},
	};
	struct asked *r;

	find(w, text, m, MEMBERS);
	r = read_source(w, m[SOURCE].value);
	if (r == NULL)
		breach(w, "a result names a record that does not exist: %.*s", (int)m[SOURCE].value.len,
			(const char *)m[SOURCE].value.data);
	if (!slice_is(unquoted(m[INSTANCE].value), i->name))
		breach(w, "the result of record %u is not from instance %d", r->index, i->index);
	if (r->session >= 0 && (r->ask == ASK_RUN || r->ask == ASK_END_SESSION) &&
		!slice_is(unquoted(m[SESSION].value), w->session[r->session].id))
		breach(w, "the result of record %u names another session", r->index);
	*t = (struct told){
		.status = unquoted(m[STATUS].value),
		.code = read_code(w, m[ERROR].value),
		.result = m[RESULT].value,
		.session_epoch = unquoted(m[EPOCH].value),
		.session_new = slice_is(m[NEW].value, "true"),
		.final = slice_is(m[FINAL].value, "true"),
		.part = number(w, m[PART].value),
		.attempts = number(w, m[ATTEMPTS].value),
		.worker_id = unquoted(m[WORKER].value),
		.attributes = m[ATTRIBUTES].value,
		.completed_at_ms = number(w, m[COMPLETED].value),
	};
	read_timings(w, m[TIMINGS].value, t);
	return r;
}

static struct slice header(struct world *w, const struct record *rec, const char *name)
{
	struct slice value;

	if (!pairs_find(rec->headers, name, &value))
		breach(w, "a dead letter lacks the header %s", name);
	return value;
}

static int64_t header_number(struct world *w, const struct record *rec, const char *name)
{
	return number(w, header(w, rec, name));
}

/* That of its request; one is made where there is none and the topic takes none without. */
static bool has_right_key(const struct world *w, const struct record *rec, const struct asked *r)
{
	return slice_equal(rec->key, r->key) || (w->k.needs_key && r->key.data == NULL && rec->key.len > 0);
}

static struct asked *read_dead_letter(struct world *w, const struct instance *i, const struct record *rec)
{
	struct slice value;
	struct asked *r = source_of(w, header(w, rec, "bridgepool.original.topic"),
		header_number(w, rec, "bridgepool.original.partition"), header_number(w, rec, "bridgepool.original.offset"));

	if (r == NULL)
		breach(w, "a dead letter names a record that does not exist");
	if (!has_right_key(w, rec, r))
		breach(w, "the dead letter of record %u has another key", r->index);
	if (!slice_equal(rec->value, r->value) && !pairs_find(rec->headers, "bridgepool.truncated", &value))
		breach(w, "the dead letter of record %u has another value", r->index);
	if (r->headers.len > rec->headers.len ||
		memcmp(r->headers.data ? r->headers.data : "", rec->headers.data, r->headers.len) != 0)
		breach(w, "the dead letter of record %u lacks its headers", r->index);
	if (header_number(w, rec, "bridgepool.original.timestamp") != r->timestamp_ms ||
		!slice_is(header(w, rec, "bridgepool.instance"), i->name))
		breach(w, "the dead letter of record %u tells another time or instance", r->index);
	header_number(w, rec, "bridgepool.attempts");
	header(w, rec, "bridgepool.error.code");
	header(w, rec, "bridgepool.error.message");
	return r;
}

/* ---- what may be published ---- */

static struct known_serial *serial_of(struct world *w, struct instance *i, uint64_t serial)
{
	if (serial == 0 || serial > 1000000)
		breach(w, "serial %llu is out of the order of counting", (unsigned long long)serial);
	while (i->nserials <= serial) {
		if (i->nserials == i->serials_capacity) {
			i->serials_capacity = i->serials_capacity ? i->serials_capacity * 2 : 256;
			i->serials = xrealloc(i->serials, i->serials_capacity * sizeof(*i->serials));
		}
		i->serials[i->nserials++] = (struct known_serial){.record = -1};
	}
	return &i->serials[serial];
}

static void check_final_order(struct world *w, struct instance *i, const struct asked *r, const struct view *v)
{
	struct session_view *s = r->session >= 0 ? &i->sessions[r->session] : NULL;

	if (s == NULL || v->run == RUN_NONE || w->session[r->session].violates)
		return; /* what never ran has ended at once, beside the line */
	if (s->final_since == v->since && r->offset < s->newest_final)
		breach(w, "4: session %d tells the end of offset %lld after that of offset %lld", r->session,
			(long long)r->offset, (long long)s->newest_final);
	s->final_since = v->since;
	s->newest_final = r->offset;
}

static void check_counted(struct world *w, struct instance *i, const struct asked *r, struct view *v)
{
	if (++v->finals > v->rounds)
		breach(w, "record %u was given to instance %d in %u ownerships of its partition and has %u finals there",
			r->index, i->index, v->rounds, v->finals);
	if (v->has_final)
		breach(w, "record %u has two finals in instance %d", r->index, i->index);
	v->has_final = true;
}

static void learn(const struct told *t, struct known_serial *s)
{
	if (!slice_is(t->status, "OK") && !slice_is(t->status, "SESSION_LOST"))
		return;
	s->learn = true;
	if (t->session_epoch.len < sizeof(s->epoch) && slice_is(t->status, "OK"))
		snprintf(s->epoch, sizeof(s->epoch), "%.*s", (int)t->session_epoch.len,
			t->session_epoch.data ? (const char *)t->session_epoch.data : "");
}

static uint64_t sum_of(struct slice s)
{
	return s.data ? XXH3_64bits(s.data, s.len) : 0;
}

/* The request's key and encoding, and a header that names it. */
static void check_form(struct world *w, const struct asked *r, const struct record *rec, bool json)
{
	bool wants_json = w->k.engine.results_encoding == ENCODING_JSON || !r->avro;
	struct slice type;

	if (json != wants_json)
		breach(w, "the result of record %u is %s, and its request was %s", r->index, json ? "JSON" : "Avro",
			r->avro ? "Avro" : "JSON");
	if (!pairs_find(rec->headers, "content-type", &type) ||
		!slice_is(type, codec_content_type(json ? ENCODING_JSON : ENCODING_AVRO)))
		breach(w, "the result of record %u does not tell its encoding", r->index);
	if (!has_right_key(w, rec, r))
		breach(w, "the result of record %u has another key", r->index);
}

/* What a part holds: once or more what the worker says before its answer. Returns how often. */
static int32_t count_partials(struct world *w, const struct asked *r, const struct told *t)
{
	struct buf one;
	struct slice rest = {(const char *)t->result.data + 1, t->result.len - 1};
	int32_t n = 0;

	buf_init(&one, SIZE_MAX);
	workers_payload(r, (int32_t)t->attempts, false, &one);
	while (rest.len > one.len && memcmp(rest.data, one.data, one.len) == 0) {
		rest = (struct slice){(const char *)rest.data + one.len + 1, rest.len - one.len - 1};
		n++;
	}
	if (rest.len != 0 || n == 0)
		breach(w, "a part about record %u does not hold what the worker said: %.*s", r->index, (int)t->result.len,
			(const char *)t->result.data);
	buf_free(&one);
	return n;
}

/* How many of what a worker says before its answer its parts may hold, by their bytes: all of one run are the same. */
static int32_t partials_allowed(const struct world *w, const struct asked *r, int32_t attempt)
{
	uint64_t most = w->k.pool[r->pool].partial_bytes_max;
	struct buf one;
	int32_t n;

	buf_init(&one, SIZE_MAX);
	workers_payload(r, attempt, false, &one);
	n = most > 0 && most / one.len < INT32_MAX ? (int32_t)(most / one.len) : INT32_MAX;
	buf_free(&one);
	return n;
}

static void check_part(struct world *w, const struct asked *r, struct view *v, const struct told *t)
{
	int32_t *next = &v->parts[t->attempts % PARTS_KEPT].next, *told = &v->parts[t->attempts % PARTS_KEPT].told;

	if (!r->stream || v->has_final || !slice_is(t->status, "OK"))
		breach(w, "there is a part about record %u: streamed %d, final before %d", r->index, r->stream, v->has_final);
	if (t->part != *next && !(v->recounted && t->part == 0))
		breach(w, "part %lld of record %u comes where %d should", (long long)t->part, r->index, *next);
	*told += count_partials(w, r, t);
	if (*told > v->parts[t->attempts % PARTS_KEPT].said)
		breach(w, "parts of record %u hold more than its worker said", r->index);
	if (!v->recounted && *told > partials_allowed(w, r, (int32_t)t->attempts))
		breach(w, "parts of record %u hold more bytes than partial_bytes_max", r->index);
	if (w->k.pool[r->pool].partial_max > 0 && t->part >= w->k.pool[r->pool].partial_max)
		breach(w, "record %u has more parts than partial_max", r->index);
	*next = (int32_t)t->part + 1;
}

/* What was said is told before the end, but for what would not fit and what goes beyond the pool's bounds. The end may count
 * fewer attempts than there were runs: one that we ended does not count. */
static void check_parts_end(struct world *w, const struct asked *r, const struct view *v, const struct told *t)
{
	int32_t next = v->parts[v->attempt % PARTS_KEPT].next;
	int32_t said = v->parts[v->attempt % PARTS_KEPT].said, allowed = partials_allowed(w, r, (int32_t)t->attempts);
	int32_t kept = (said < allowed ? said : allowed) - v->parts[v->attempt % PARTS_KEPT].told;
	bool full = w->k.pool[r->pool].partial_max > 0 && (uint32_t)next >= w->k.pool[r->pool].partial_max;
	struct buf one;

	buf_init(&one, SIZE_MAX);
	workers_payload(r, (int32_t)t->attempts, false, &one);
	if (t->part != next && !((v->recounted || v->again) && t->part == 0)) /* again: it was put back, and has not run since */
		breach(w, "the final result of record %u is part %lld, not %d", r->index, (long long)t->part, next);
	if (slice_is(t->status, "OK") && !v->recounted && kept > 0 && !full && said * (one.len + 1) <= w->k.engine.result_limit)
		breach(w, "the end of record %u is told before %d partial answers", r->index, kept);
	buf_free(&one);
}

/* So much may be too much: for one part, for all that wait together, or for all parts of a run. */
static bool may_be_full(const struct world *w, const struct asked *r, const struct work *k)
{
	const struct pool_config *pool = &w->k.pool[r->pool];
	struct buf one;
	uint64_t len;

	buf_init(&one, SIZE_MAX);
	workers_payload(r, k->attempt, false, &one);
	len = one.len;
	buf_free(&one);
	return (pool->partial_max > 0 && k->partials > pool->partial_max) ||
	       (pool->partial_bytes_max > 0 && k->partials * len > pool->partial_bytes_max) ||
	       k->partials * (len + 1) > w->k.engine.result_limit;
}

/* Told once for each run, when it reaches a bound. */
void oracle_parts_dropped(struct world *w, struct instance *i, const struct note *n)
{
	const struct asked *r = client_find(w, n->tp.topic, n->tp.partition, n->count);
	struct proc *p;
	struct work *k = r != NULL ? oracle_run_of(i, r, &p) : NULL;

	if (k == NULL || !r->stream)
		breach(w, "22: parts of offset %lld are told to be left out, and it says none", (long long)n->count);
	if (k->told_full || !may_be_full(w, r, k))
		breach(w, "22: parts of record %u are told to be left out %s", r->index,
			k->told_full ? "twice in one run" : "before they are too many");
	k->told_full = true;
}

static struct asked *produced_result(struct world *w, struct instance *i, const struct record *rec, struct known_serial *s)
{
	bool json = rec->value.len > 0 && *(const char *)rec->value.data == '{', again = s->record >= 0;
	struct told t;
	struct asked *r;
	struct buf text;
	char why[200];

	buf_init(&text, SIZE_MAX);
	if (!json && !codec_to_json(w->codec, rec->value, &text, why, sizeof(why)))
		breach(w, "a result does not decode: %s", why);
	r = read_result(w, i, json ? rec->value : buf_slice(&text), &t);
	oracle_headers(w, r, rec->headers);
	check_form(w, r, rec, json);
	if (!again) {
		struct view *v = &i->views[r->index];

		s->part = !t.final;
		s->sum = sum_of(rec->value);
		if (s->part) {
			check_part(w, r, v, &t);
			buf_free(&text);
			return r;
		}
		check_parts_end(w, r, v, &t);
		check_counted(w, i, r, v);
		check_final_order(w, i, r, v);
		verdict_check(w, i, r, v, &t);
		if (v->has_dead_letter && !v->may_dead_letter)
			breach(w, "record %u has a dead letter without a cause", r->index);
		s->wants_dead_letter = v->needs_dead_letter;
		learn(&t, s);
	}
	if (again && s->sum != sum_of(rec->value) &&
		(rec->value.len > w->k.output_limit || !slice_is(t.code, "RESULT_TOO_LARGE")))
		breach(w, "the result of record %u is another one when it is sent again", r->index);
	s->sum = sum_of(rec->value);
	buf_free(&text);
	return r;
}

static struct asked *produced_dead_letter(struct world *w, struct instance *i, const struct record *rec,
	const struct known_serial *s)
{
	struct asked *r = read_dead_letter(w, i, rec);
	struct view *v = &i->views[r->index];

	if (s->record >= 0)
		return r;
	if (++v->dead_letters > v->rounds)
		breach(w, "record %u was given to instance %d in %u ownerships of its partition and has %u dead letters there",
			r->index, i->index, v->rounds, v->dead_letters);
	if (v->has_final && !v->may_dead_letter)
		breach(w, "record %u has a dead letter without a cause", r->index);
	v->has_dead_letter = true;
	return r;
}

int oracle_produced(struct world *w, struct instance *i, const struct record *rec)
{
	struct known_serial *s = serial_of(w, i, rec->serial);
	struct asked *r;

	if (s->with_producer || s->closed)
		breach(w, "17: record %llu is produced again while %s", (unsigned long long)rec->serial,
			s->closed ? "it is delivered" : "it is with the producer");
	r = rec->kind == RECORD_RESULT ? produced_result(w, i, rec, s) : produced_dead_letter(w, i, rec, s);
	TRACE(w, PRODUCE, i->index, (int64_t)rec->serial, r->index, rec->kind);
	if (i->own[r->topic][r->partition].state == OWNED_NOT)
		breach(w, "12: instance %d publishes about record %u of partition %d, which it has given back", i->index,
			r->index, r->partition);
	if (s->record >= 0 && s->record != (int)r->index)
		breach(w, "record %llu is about another request than before", (unsigned long long)rec->serial);
	s->record = (int)r->index;
	s->kind = rec->kind;
	s->with_producer = true;
	return (int)r->index;
}

void oracle_landed(struct world *w, struct instance *i, uint64_t serial)
{
	const struct known_serial *s = &i->serials[serial];
	struct asked *r = &w->asked[s->record];

	TRACE(w, LANDED, i->index, (int64_t)serial, r->index, s->kind);
	w->progress_at = w->now;
	if (s->kind == RECORD_DEAD_LETTER) {
		r->dead_letters++;
		return;
	}
	if (s->part)
		return;
	r->finals++;
	if (s->learn && r->session >= 0)
		memcpy(w->session[r->session].known_epoch, s->epoch, EPOCH_TEXT);
}

void oracle_reported(struct world *w, struct instance *i, uint64_t serial, enum delivery d)
{
	struct known_serial *s = &i->serials[serial];
	struct view *v = &i->views[s->record];

	(void)w;
	s->with_producer = false;
	s->closed = d == DELIVERY_OK || s->part;
	if (d != DELIVERY_OK || s->part)
		return;
	if (s->kind == RECORD_DEAD_LETTER)
		v->dead_letter_acked = true;
	else if (s->wants_dead_letter)
		v->final_acked = true;
	else
		v->complete = true;
	v->complete |= v->final_acked && v->dead_letter_acked;
}

/* ---- what commits claim ---- */

static bool claimed(const struct offsetmap *map, int64_t offset)
{
	return offset < map->base || offsetmap_bit(map, (uint32_t)(offset - map->base));
}

static void read_map(struct world *w, const struct commit_entry *c, struct offsetmap *map)
{
	char again[OFFSETMAP_TEXT_MAX + 1];

	if (!offsetmap_decode(slice_of(c->metadata), c->base, map))
		breach(w, "11: the map of a commit does not decode");
	offsetmap_encode(map, again);
	if (c->metadata[0] != '\0' && strcmp(again, c->metadata) != 0)
		breach(w, "11: a map changes when it is decoded and encoded");
}

struct mark oracle_mark(int64_t base, struct slice metadata)
{
	return (struct mark){base, metadata.len ? XXH3_64bits(metadata.data, metadata.len) : 0};
}

bool oracle_same_mark(struct mark a, struct mark b)
{
	return a.base == b.base && a.hash == b.hash;
}

void oracle_commit_answered(struct instance *i, uint64_t id, struct tp tp, bool accepted)
{
	struct owned *o = &i->own[tp.topic][tp.partition];

	if (o->sent_id != id || tp.epoch < o->since || (o->state == OWNED_NOT && !o->suspended))
		return;
	if (accepted)
		o->accepted = o->sent;
	else
		o->sent_id = 0;
}

static uint32_t kills_said(const struct offsetmap *map, int64_t offset)
{
	for (unsigned k = 0; k < map->nsuspects; k++)
		if (map->base + map->suspects[k].delta == offset)
			return map->suspects[k].kills;
	return 0;
}

uint32_t oracle_kills_told(struct world *w, const struct asked *r)
{
	const struct request_log *log = &w->log[r->topic][r->partition];
	struct offsetmap map;

	if (!offsetmap_decode(slice_of(log->metadata), log->committed, &map))
		breach(w, "11: the committed map of partition %d does not decode", r->partition);
	return kills_said(&map, r->offset);
}

/* What is known to have killed a worker alone: by its runs here, or by the map that the ownership began with. */
static uint32_t kills_known(const struct instance *i, const struct owned *o, const struct asked *r)
{
	const struct view *v = &i->views[r->index];

	if (r->claimed || v->complete)
		return 0;
	if (v->since == o->since)
		return v->certain_kills;
	for (unsigned k = 0; k < o->nsuspects; k++)
		if (o->suspects[k].offset == r->offset)
			return o->suspects[k].kills;
	return 0;
}

/* The group remembers what kills workers, whoever dies with it. */
static void check_suspects(struct world *w, const struct instance *i, const struct owned *o, const struct request_log *log,
	const struct offsetmap *map)
{
	for (size_t k = 0; k < log->n; k++)
		if (kills_said(map, log->records[k]->offset) > log->records[k]->kills)
			breach(w, "9: a commit of partition %d tells that record %u killed %u workers alone; it may have been %u",
				log->records[k]->partition, log->records[k]->index, kills_said(map, log->records[k]->offset),
				log->records[k]->kills);
	if (w->k.metadata_limit < OFFSETMAP_TEXT_MAX || o->full)
		return;
	for (size_t k = 0; k < log->n; k++) {
		const struct asked *r = log->records[k];

		if (kills_known(i, o, r) > kills_said(map, r->offset))
			breach(w, "9: a commit of partition %d does not tell that record %u killed %u workers alone",
				r->partition, r->index, kills_known(i, o, r));
	}
}

void oracle_commit(struct world *w, struct instance *i, uint64_t id, const struct commit_entry *c)
{
	struct owned *o = group_owned(w, i, c->tp);
	struct offsetmap map;
	const struct request_log *log;

	if (o == NULL || !o->located)
		breach(w, "12: instance %d commits partition %d in epoch %u, which it has not got", i->index, c->tp.partition,
			c->tp.epoch);
	read_map(w, c, &map);
	if (c->base > o->known || (map.span > 0 && map.base + map.span > o->known))
		breach(w,
			"2: a commit of partition %d claims offsets that instance %d never saw: base %lld, span %u, seen up to %lld",
			c->tp.partition, i->index, (long long)c->base, map.span, (long long)o->known);
	log = &w->log[c->tp.topic][c->tp.partition];
	o->sent = oracle_mark(c->base, slice_of(c->metadata));
	o->sent_id = id;
	o->full |= map.nsuspects == OFFSETMAP_SUSPECTS;
	check_suspects(w, i, o, log, &map);
	for (size_t k = log->n; k-- > 0;) {
		const struct asked *r = log->records[k];

		if (claimed(&map, r->offset) && !r->claimed && !i->views[r->index].complete)
			breach(w,
				"2: a commit of partition %d claims offset %lld (record %u), whose records are not all acknowledged",
				c->tp.partition, (long long)r->offset, r->index);
	}
}

void oracle_committed(struct world *w, struct instance *i, const struct commit_entry *c)
{
	const struct request_log *log = &w->log[c->tp.topic][c->tp.partition];
	struct offsetmap map;

	(void)i;
	read_map(w, c, &map);
	for (size_t k = 0; k < log->n; k++) {
		struct asked *r = log->records[k];

		if (!claimed(&map, r->offset) || r->claimed)
			continue;
		if (r->finals == 0)
			breach(w, "1: record %u is committed and has no visible final", r->index);
		r->claimed = true;
		w->unfinished--;
		w->progress_at = w->now;
	}
}
