/* client.c: see client.h. */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BIG = 12000 };

static void draw_session(struct world *w, int i)
{
	struct client_session *s = &w->session[i];

	s->topic = (uint16_t)random_below(&w->random, w->k.topics);
	s->partition = (int32_t)random_below(&w->random, w->k.partitions[s->topic]);
	s->pool = w->sources[s->topic].pool;
	s->by_key = random_below(&w->random, 2) == 0;
	s->violates = world_chance(w, w->k.violate_permille);
	snprintf(s->id, sizeof(s->id), "session-%d", i);
}

void client_init(struct world *w)
{
	w->asked = xcalloc(w->k.requests, sizeof(*w->asked));
	for (unsigned i = 0; i < w->k.sessions; i++)
		draw_session(w, (int)i);
	for (unsigned t = 0; t < w->k.topics; t++) {
		for (unsigned p = 0; p < w->k.partitions[t]; p++) {
			struct request_log *log = &w->log[t][p];

			log->start = log->end = random_below(&w->random, 3) ? 0 : (int64_t)random_below(&w->random, 100000);
			log->committed = -1;
			log->metadata = xstrdup("");
		}
	}
	events_add(&w->events, (struct event){.kind = EV_ASK, .at = w->now, .instance = -1});
}

static void free_slice(struct slice s)
{
	free((void *)(uintptr_t)s.data);
}

void client_cleanup(struct world *w)
{
	for (size_t i = 0; i < w->nasked; i++) {
		free_slice(w->asked[i].key);
		free_slice(w->asked[i].value);
		free_slice(w->asked[i].headers);
		free_slice(w->asked[i].args);
	}
	free(w->asked);
	for (unsigned t = 0; t < MAX_TOPICS; t++) {
		for (unsigned p = 0; p < MAX_PARTITIONS; p++) {
			free(w->log[t][p].records);
			free(w->log[t][p].metadata);
		}
	}
}

static struct slice keep(const void *data, size_t len)
{
	char *p = xmalloc(len + 1);

	memcpy(p, data, len);
	p[len] = '\0';
	return (struct slice){p, len};
}

/* One of the last that the session asked for and whose ID its client has chosen; NULL: none. */
static const struct asked *newest_of(struct world *w, int session)
{
	size_t n = w->nasked - 1, skip = random_below(&w->random, 3);

	for (size_t k = 0; k < n && k < 200; k++) {
		const struct asked *r = &w->asked[n - 1 - k];

		if (r->session == session && r->ask <= ASK_END_SESSION && r->index % 3 && skip-- == 0)
			return r;
	}
	return NULL;
}

static enum ask draw_ask(struct world *w, int session)
{
	static const enum ask odd[] = {ASK_RESERVED, ASK_FORBIDDEN, ASK_UNKNOWN_POOL, ASK_TOMBSTONE, ASK_UNDECODABLE,
		ASK_OVERSIZED};

	if (world_chance(w, w->k.odd_permille))
		return odd[random_below(&w->random, sizeof(odd) / sizeof(odd[0]))];
	if (session >= 0 && world_chance(w, w->k.cancel_permille) && newest_of(w, session) != NULL)
		return ASK_CANCEL;
	return session >= 0 && world_chance(w, w->k.end_permille) ? ASK_END_SESSION : ASK_RUN;
}

/* Numbers that a tree of doubles would change, so that bytes which do not pass untouched are seen. */
static void write_args(struct asked *r)
{
	char text[BIG + 128];
	int n;

	if (r->ask == ASK_CANCEL) {
		n = snprintf(text, sizeof(text), "{\"request_id\":\"request-%d\",\"n\":%u}", r->target, r->index);
		r->args = keep(text, (size_t)n);
		return;
	}
	n = snprintf(text, sizeof(text), "{ \"n\":%u, \"x\": 1.10,\"big\":12345678901234567890", r->index);

	if (r->big) {
		n += snprintf(text + n, sizeof(text) - (size_t)n, ",\"pad\":\"");
		memset(text + n, 'p', BIG);
		n += BIG;
		text[n++] = '"';
	}
	text[n++] = '}';
	r->args = keep(text, (size_t)n);
}

void client_attribute(const struct asked *r, char out[ATTRIBUTE_TEXT])
{
	snprintf(out, ATTRIBUTE_TEXT, "t%u", r->index);
}

static void write_attributes(const struct asked *r, struct buf *attributes)
{
	char text[ATTRIBUTE_TEXT];

	buf_init(attributes, SIZE_MAX);
	if (!r->attributed)
		return;
	client_attribute(r, text);
	pairs_add(attributes, SLICE("tenant"), slice_of(text));
}

static void write_value(struct world *w, struct asked *r, enum encoding as)
{
	static const char *const command[] = {
		[ASK_RUN] = "work",
		[ASK_END_SESSION] = "end_session",
		[ASK_CANCEL] = "cancel",
		[ASK_RESERVED] = "ping",
		[ASK_FORBIDDEN] = "other",
		[ASK_UNKNOWN_POOL] = "work",
	};
	const struct client_session *s = r->session >= 0 ? &w->session[r->session] : NULL;
	struct request_fields f = {
		.timeout_ms = TIME_NONE,
		.deadline_ms = TIME_NONE,
		.command = slice_of(command[r->ask]),
		.args = r->args,
		.idempotent = r->idempotent,
		.stream = r->stream,
	};
	struct buf out, attributes;
	char id[32];

	if (r->index % 3) {
		snprintf(id, sizeof(id), "request-%u", r->index);
		f.request_id = slice_of(id);
	}
	if (s != NULL && !s->by_key)
		f.session_id = slice_of(s->id);
	if (r->named)
		f.session_epoch = slice_of(r->epoch);
	if (r->ask == ASK_UNKNOWN_POOL)
		f.pool = SLICE("no such pool");
	if (r->deadline_ms != INT64_MAX && r->index % 2)
		f.deadline_ms = r->deadline_ms;
	else if (r->deadline_ms != INT64_MAX)
		f.timeout_ms = r->deadline_ms - r->timestamp_ms;
	buf_init(&out, SIZE_MAX);
	write_attributes(r, &attributes);
	f.attributes = buf_slice(&attributes);
	CHECK(codec_write_request(w->codec, &f, as, &out));
	buf_free(&attributes);
	r->value = (struct slice){out.data, out.len};
}

static void draw_value(struct world *w, struct asked *r)
{
	char junk[20001];

	write_args(r);
	switch (r->ask) {
	case ASK_TOMBSTONE: return;
	case ASK_UNDECODABLE: r->value = keep("{\"command\": \"work\", \"args\": ", 28); return;
	case ASK_OVERSIZED:
		memset(junk, 'j', sizeof(junk));
		r->value = keep(junk, sizeof(junk));
		return;
	default: r->avro = world_chance(w, w->k.avro_permille); write_value(w, r, r->avro ? ENCODING_AVRO : ENCODING_JSON);
	}
}

/* Some that go on to the worker and the result, some that must not. */
static void draw_headers(struct world *w, struct asked *r)
{
	struct buf out;

	if (!world_chance(w, w->k.headers_permille))
		return;
	buf_init(&out, SIZE_MAX);
	pairs_add(&out, SLICE("traceparent"), SLICE("00-trace"));
	pairs_add(&out, SLICE("authorization"), SLICE("secret"));
	pairs_add(&out, SLICE("X-Tenant"), SLICE("one"));
	pairs_add(&out, SLICE("spring_json_header_types"), SLICE("{}"));
	pairs_add(&out, SLICE("x-absent"), (struct slice){NULL, 0});
	r->headers.data = buf_take(&out, &r->headers.len);
}

static void draw_place(struct world *w, struct asked *r)
{
	const struct client_session *s;

	if (r->session < 0) {
		r->topic = (uint16_t)random_below(&w->random, w->k.topics);
		r->partition = (int32_t)random_below(&w->random, w->k.partitions[r->topic]);
		r->pool = w->sources[r->topic].pool;
		if (random_below(&w->random, 2))
			r->key = keep("\xff\xfe", 2); /* no UTF-8: names no session */
		return;
	}
	s = &w->session[r->session];
	r->topic = s->topic;
	r->pool = s->pool;
	r->partition = s->violates ? (int32_t)random_below(&w->random, w->k.partitions[s->topic]) : s->partition;
	r->key = keep(s->id, strlen(s->id));
}

static void draw_wishes(struct world *w, struct asked *r)
{
	const struct client_session *s = r->session >= 0 ? &w->session[r->session] : NULL;

	r->attributed = world_chance(w, w->k.attributes_permille);
	r->idempotent = world_chance(w, w->k.idempotent_permille);
	r->stream = world_chance(w, w->k.stream_permille);
	r->poison = r->ask == ASK_RUN && world_chance(w, w->k.poison_permille);
	r->big = r->ask == ASK_RUN && world_chance(w, w->k.big_permille);
	r->timestamp_ms = world_wall_ms(w);
	r->deadline_ms = INT64_MAX;
	if (world_chance(w, w->k.deadline_permille))
		r->deadline_ms = r->timestamp_ms + (int64_t)random_below(&w->random, (uint64_t)(w->k.deadline_us / MS_US)) + 1;
	if (s == NULL || !world_chance(w, w->k.epoch_permille) || (s->known_epoch[0] == '\0' && random_below(&w->random, 20)))
		return;
	r->named = true;
	snprintf(r->epoch, sizeof(r->epoch), "%s", s->known_epoch[0] ? s->known_epoch : "never");
}

static void append(struct world *w, struct asked *r)
{
	struct request_log *log = &w->log[r->topic][r->partition];

	if (log->n == log->capacity) {
		log->capacity = log->capacity ? log->capacity * 2 : 64;
		log->records = xrealloc(log->records, log->capacity * sizeof(struct asked *));
	}
	r->offset = log->end++;
	log->records[log->n++] = r;
	if (world_chance(w, w->k.gap_permille)) /* transaction markers, compaction */
		log->end += 1 + (int64_t)random_below(&w->random, random_below(&w->random, 20) ? 5 : 2000);
	w->unfinished++;
}

static void draw_target(struct world *w, struct asked *r)
{
	int session = random_below(&w->random, 8) ? r->session
						  : (int)random_below(&w->random, w->k.sessions); /* another's is not found */
	const struct asked *target = r->ask == ASK_CANCEL ? newest_of(w, session) : NULL;

	if (r->ask == ASK_CANCEL && target == NULL)
		r->ask = ASK_RUN;
	r->target = target != NULL ? (int)target->index : -1;
}

void client_ask(struct world *w, const struct event *ev)
{
	struct asked *r = &w->asked[w->nasked];

	(void)ev;
	r->index = (uint32_t)w->nasked++;
	r->session = world_chance(w, w->k.anonymous_permille) ? -1 : (int)random_below(&w->random, w->k.sessions);
	r->ask = draw_ask(w, r->session);
	draw_place(w, r);
	draw_target(w, r);
	draw_wishes(w, r);
	draw_value(w, r);
	draw_headers(w, r);
	append(w, r);
	TRACE(w, ASK, r->index, r->partition, r->offset, r->session, r->ask);
	if (w->nasked < w->k.requests)
		events_add(&w->events,
			(struct event){.kind = EV_ASK, .at = w->now + world_delay(w, 2 * w->k.arrival_us), .instance = -1});
	else
		events_add(&w->events,
			(struct event){.kind = EV_QUIET, .at = w->now + world_delay(w, 10 * SECOND_US), .instance = -1});
}

struct asked *client_find(struct world *w, uint32_t topic, int32_t partition, int64_t offset)
{
	struct request_log *log;
	size_t low = 0, high;

	if (topic >= w->k.topics || partition < 0 || (unsigned)partition >= w->k.partitions[topic])
		return NULL;
	log = &w->log[topic][partition];
	for (high = log->n; low < high;) {
		size_t mid = (low + high) / 2;

		if (log->records[mid]->offset < offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low < log->n && log->records[low]->offset == offset ? log->records[low] : NULL;
}

int client_session(const struct world *w, struct slice id)
{
	for (unsigned i = 0; id.data != NULL && i < w->k.sessions; i++)
		if (slice_is(id, w->session[i].id))
			return (int)i;
	return -1;
}
