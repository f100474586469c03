/* lookup.c: one request by its ID, wherever it is: in a line, parked and not decoded yet, or answered, with the broker still to
 * acknowledge it. For people who ask: it takes its time, the requests pay nothing for it. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/wire/json.h"
#include "state.h"
#include "view.h"

struct lookup {
	const struct engine *e;
	struct slice id;
	bool plain;     /* the ID looks the same in every JSON text */
	int64_t offset; /* that an ID of our making would name; -1: it is none */
	int64_t now;
	struct buf scratch;
	int rank; /* of the best so far */
	size_t found;
	struct request_view *out;
};

/* Writers escape what is not ASCII, and some of what is. */
static bool is_plain(struct slice id)
{
	const char *text = id.data;

	for (size_t i = 0; i < id.len; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("-_.:", text[i]))
			return false;
	return true;
}

static int64_t offset_named(struct slice id)
{
	const char *text = id.data;
	size_t at = id.len;
	int64_t n = 0;

	while (at > 0 && text[at - 1] >= '0' && text[at - 1] <= '9')
		at--;
	if (at == 0 || at == id.len || text[at - 1] != '-' || id.len - at > 18)
		return -1;
	for (; at < id.len; at++)
		n = n * 10 + (text[at] - '0');
	return n;
}

/* Only what may have the ID is worth decoding. */
static bool may_name(const struct lookup *l, struct slice value)
{
	if (memmem(value.data, value.len, l->id.data, l->id.len) != NULL)
		return true;
	return !l->plain && memchr(value.data, '\\', value.len) != NULL;
}

/* The request as it was sent: what intake would call it. */
static bool request_named(struct lookup *l, struct slice value, struct source at)
{
	struct request_fields f = {0};
	struct fault why = {0};
	char made[MADE_ID];

	if (value.data == NULL || (at.offset != l->offset && !may_name(l, value)))
		return false;
	buf_reset(&l->scratch);
	if (!codec_read_request(l->e->codec, value, &l->scratch, &f, &why))
		f.request_id = why.request_id;
	if (f.request_id.len == 0) {
		request_made_id(l->e, at, made);
		f.request_id = slice_of(made);
	}
	return slice_equal(f.request_id, l->id);
}

/* True: this is the best so far, and is to be told. */
static bool count(struct lookup *l, int rank)
{
	l->found++;
	if (rank <= l->rank)
		return false;
	l->rank = rank;
	return true;
}

static void look_at_request(struct lookup *l, const struct request *r)
{
	static const int ranks[PLACES] = {
		[PLACE_NONE] = 1,
		[PLACE_PARKED] = 2,
		[PLACE_QUEUED] = 3,
		[PLACE_WAITING] = 4,
		[PLACE_RUNNING] = 5,
	};
	bool named = r->place == PLACE_PARKED ? request_named(l, r->m.value, r->m.source)
					      : slice_equal(r->fields.request_id, l->id);

	if (named && count(l, ranks[r->place]))
		view_request(l->e, r, l->now, l->out);
}

/* ---- what was answered ---- */

enum { OF_ID, OF_SESSION, OF_WORKER, OF_ATTEMPTS, OF_COMPLETED, OF_RESULT };

static void keep_text(const struct json_member *m, char *out, size_t size)
{
	struct buf text;

	buf_init(&text, SIZE_MAX);
	if (m->kind == JSON_KIND_STRING && json_unescape(m->value, &text) && text.len < size) {
		memcpy(out, text.data, text.len);
		out[text.len] = '\0';
	}
	buf_free(&text);
}

static void view_record(const struct lookup *l, const struct outgoing *r)
{
	const struct engine *e = l->e;
	const struct source_config *from = &e->cfg.sources[r->tp.topic];

	*l->out = (struct request_view){.place = "answered",
		.pool = e->pools[from->pool].cfg.name,
		.topic = from->topic,
		.source = {r->tp, r->ticket->offset},
		.age_ms = TIME_NONE,
		.since_ms = TIME_NONE,
		.left_ms = TIME_NONE,
		.waits_for = r->record.kind == RECORD_RESULT ? "the broker to acknowledge its result"
							     : "the broker to acknowledge its dead letter"};
}

static void view_result(const struct lookup *l, const struct outgoing *r, const struct json_member *m)
{
	struct request_view *out = l->out;
	int64_t attempts = 0, completed = 0;

	view_record(l, r);
	keep_text(&m[OF_SESSION], out->kept, sizeof(out->kept));
	if (m[OF_SESSION].kind == JSON_KIND_STRING)
		out->session = slice_of(out->kept);
	keep_text(&m[OF_WORKER], out->worker, sizeof(out->worker));
	if (json_int(m[OF_ATTEMPTS].value, &attempts))
		out->attempts = (uint32_t)attempts;
	if (json_int(m[OF_COMPLETED].value, &completed))
		out->since_ms = l->now / MS_US + l->e->wall_offset_ms - completed;
}

static void look_at_result(struct lookup *l, const struct outgoing *r)
{
	struct json_member m[OF_RESULT] = {
		[OF_ID] = {.name = "request_id"},
		[OF_SESSION] = {.name = "session_id"},
		[OF_WORKER] = {.name = "worker_id"},
		[OF_ATTEMPTS] = {.name = "attempts"},
		[OF_COMPLETED] = {.name = "completed_at"},
	};
	struct buf text, id;
	char why[128];

	if (!may_name(l, r->record.value))
		return;
	buf_init(&text, SIZE_MAX);
	buf_init(&id, SIZE_MAX);
	if (codec_to_json(l->e->codec, r->record.value, &text, why, sizeof(why)) &&
		json_read_object(buf_slice(&text), m, OF_RESULT, JSON_MAX_DEPTH, why, sizeof(why)) &&
		m[OF_ID].kind == JSON_KIND_STRING && json_unescape(m[OF_ID].value, &id) && slice_equal(buf_slice(&id), l->id) &&
		count(l, 1))
		view_result(l, r, m);
	buf_free(&text);
	buf_free(&id);
}

/* Its result is acknowledged, or is another record here: then it is found by that one. */
static void look_at_dead_letter(struct lookup *l, const struct outgoing *r)
{
	if (r->ticket->open == 1 && request_named(l, r->record.value, (struct source){r->tp, r->ticket->offset}) && count(l, 1))
		view_record(l, r);
}

static void look_at_record(struct lookup *l, const struct outgoing *r)
{
	if (r->ticket == NULL || r->state == OUTBOX_DEAD)
		return;
	if (r->record.kind == RECORD_RESULT)
		look_at_result(l, r);
	else
		look_at_dead_letter(l, r);
}

/* ---- the door ---- */

static void look_at_all(struct lookup *l)
{
	const struct outbox *o = &l->e->outbox;
	const struct partition *p;
	const struct outgoing *out;
	const struct request *r;

	TAILQ_FOREACH (p, &l->e->partitions, all)
		TAILQ_FOREACH (r, &p->requests, of_partition)
			look_at_request(l, r);
	for (out = o->sent; out != NULL; out = out->hh.next)
		look_at_record(l, out);
	for (int k = 0; k < RECORD_KINDS; k++) {
		for (int line = 0; line < OUTLET_LINES; line++)
			TAILQ_FOREACH (out, &o->outlet[k].lines[line], line)
				look_at_record(l, out);
	}
}

bool engine_view_request(const struct engine *e, struct slice id, int64_t now, struct request_view *out)
{
	struct lookup l = {.e = e, .id = id, .plain = is_plain(id), .offset = offset_named(id), .now = now, .out = out};

	if (id.len == 0)
		return false;
	buf_init(&l.scratch, SIZE_MAX);
	look_at_all(&l);
	buf_free(&l.scratch);
	if (l.found > 0)
		out->same_id = l.found;
	return l.found > 0;
}
