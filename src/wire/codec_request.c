/* codec_request.c: reads a ProgramRequest out of JSON or Avro. One table says what our fields are; both readers follow it. */
#include "inside.h"
#include "isotime.h"
#include "bridgepool/wire/json.h"
#include "bridgepool/wire/pairs.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum want { WANT_TEXT, WANT_ARGS, WANT_MS, WANT_TIME, WANT_FLAG, WANT_PAIRS };

static const struct request_field {
	const char *name;
	enum want want;
	size_t offset; /* in struct request_fields */
} request_fields[REQUEST_FIELDS] = {
	{"request_id", WANT_TEXT, offsetof(struct request_fields, request_id)},
	{"session_id", WANT_TEXT, offsetof(struct request_fields, session_id)},
	{"session_epoch", WANT_TEXT, offsetof(struct request_fields, session_epoch)},
	{"pool", WANT_TEXT, offsetof(struct request_fields, pool)},
	{"command", WANT_TEXT, offsetof(struct request_fields, command)},
	{"args", WANT_ARGS, offsetof(struct request_fields, args)},
	{"timeout_ms", WANT_MS, offsetof(struct request_fields, timeout_ms)},
	{"deadline", WANT_TIME, offsetof(struct request_fields, deadline_ms)},
	{"stream", WANT_FLAG, offsetof(struct request_fields, stream)},
	{"idempotent", WANT_FLAG, offsetof(struct request_fields, idempotent)},
	{"attributes", WANT_PAIRS, offsetof(struct request_fields, attributes)},
};

static const char *const want_words[] = {
	[WANT_TEXT] = "a string",
	[WANT_ARGS] = "an object, or a string that holds one",
	[WANT_MS] = "a whole number of milliseconds, 0 or more",
	[WANT_TIME] = "milliseconds since 1970 or an ISO 8601 time with a zone, such as 2026-01-31T12:00:00Z",
	[WANT_FLAG] = "true or false",
	[WANT_PAIRS] = "an object whose members are strings",
};

/* One request in the making. */
struct reading {
	struct codec *codec;
	struct buf *scratch;
	struct request_fields *out;
	struct fault *why;
};

int request_field_index(const char *name)
{
	for (int i = 0; i < REQUEST_FIELDS; i++) {
		if (!strcmp(request_fields[i].name, name))
			return i;
	}
	return -1;
}

static void *field_at(const struct reading *r, const struct request_field *f)
{
	return (char *)r->out + f->offset;
}

bool fault_set(struct fault *why, const char *code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->message, sizeof(why->message), format, args);
	va_end(args);
	why->code = code;
	return false;
}

/* Fills *why: the record itself is sound, but not this field. */
__attribute__((format(printf, 3, 4))) static bool field_fault(struct reading *r, const struct request_field *f,
	const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(r->why->message, sizeof(r->why->message), format, args);
	va_end(args);
	r->why->code = f->want == WANT_ARGS ? "INVALID_ARGS" : "INVALID_FIELD";
	r->why->of_field = true;
	return false;
}

static bool reading_full(struct reading *r)
{
	return fault_set(r->why, "TOO_LARGE", "the request takes more memory than a request may; make it smaller");
}

/* ---- what both encodings have in common ---- */

static bool args_check(struct reading *r, const struct request_field *f, struct slice args)
{
	char errstr[128];

	if (json_read_object(args, NULL, 0, r->codec->max_depth, errstr, sizeof(errstr)))
		return true;
	return field_fault(r, f, "args must be a JSON object: its text %s", errstr);
}

static struct slice empty_to_absent(struct slice s)
{
	return s.len ? s : (struct slice){NULL, 0};
}

static bool request_finish(struct reading *r)
{
	struct request_fields *q = r->out;

	if (!q->command.len) {
		r->why->of_field = true;
		return fault_set(r->why, "INVALID_COMMAND", "'command' is missing; it names what the worker shall do");
	}
	q->request_id = empty_to_absent(q->request_id);
	q->session_id = empty_to_absent(q->session_id);
	q->session_epoch = empty_to_absent(q->session_epoch);
	q->pool = empty_to_absent(q->pool);
	return true;
}

static void request_clear(struct request_fields *q, enum encoding encoding)
{
	memset(q, 0, sizeof(*q));
	q->encoding = encoding;
	q->timeout_ms = TIME_NONE;
	q->deadline_ms = TIME_NONE;
}

/* ---- JSON ---- */

static struct slice unquoted(struct slice quoted)
{
	return (struct slice){(const char *)quoted.data + 1, quoted.len - 2};
}

/* The text of a JSON string: the bytes that stand there, or added to room. */
static bool json_text(struct slice quoted, struct buf *room, struct slice *out)
{
	size_t before = room->len;

	*out = unquoted(quoted);
	if (!memchr(quoted.data, '\\', quoted.len))
		return true;
	if (!json_unescape(quoted, room))
		return false;
	*out = (struct slice){room->data ? (const char *)room->data + before : "", room->len - before};
	return true;
}

static bool json_wrong(struct reading *r, const struct request_field *f, const struct json_member *m)
{
	return field_fault(r, f, "'%s' must be %s; found %s", f->name, want_words[f->want], json_kind_name(m->kind));
}

static bool json_read_text(struct reading *r, const struct request_field *f, const struct json_member *m)
{
	if (m->kind != JSON_KIND_STRING)
		return json_wrong(r, f, m);
	if (json_text(m->value, r->scratch, field_at(r, f)))
		return true;
	return field_fault(r, f, "'%s' has an escape that is no character (half of a surrogate pair)", f->name);
}

static bool json_read_args(struct reading *r, const struct request_field *f, const struct json_member *m)
{
	if (m->kind == JSON_KIND_OBJECT) {
		r->out->args = m->value;
		return true;
	}
	if (m->kind != JSON_KIND_STRING)
		return json_wrong(r, f, m);
	if (!json_read_text(r, f, m))
		return false;
	r->out->args = empty_to_absent(r->out->args);
	return !r->out->args.data || args_check(r, f, r->out->args);
}

static bool json_read_ms(struct reading *r, const struct request_field *f, const struct json_member *m)
{
	int64_t *ms = field_at(r, f);
	struct slice text;

	if (m->kind == JSON_KIND_NUMBER && json_int(m->value, ms) && *ms >= 0)
		return true;
	r->codec->text.len = 0;
	if (f->want == WANT_TIME && m->kind == JSON_KIND_STRING && json_text(m->value, &r->codec->text, &text) &&
		isotime_read(text, ms))
		return true;
	if (m->kind != JSON_KIND_NUMBER && m->kind != JSON_KIND_STRING)
		return json_wrong(r, f, m);
	return field_fault(r, f, "'%s' must be %s; found another %s", f->name, want_words[f->want],
		m->kind == JSON_KIND_NUMBER ? "number" : "string");
}

static bool json_read_flag(struct reading *r, const struct request_field *f, const struct json_member *m)
{
	if (m->kind != JSON_KIND_BOOL)
		return json_wrong(r, f, m);
	*(bool *)field_at(r, f) = slice_is(m->value, "true");
	return true;
}

static bool json_read_pair(void *ctx, struct slice key, struct slice value, enum json_kind kind)
{
	const struct request_field *f = &request_fields[REQUEST_FIELDS - 1];
	struct slice quoted = {(const char *)key.data - 1, key.len + 2}, name, text;
	struct reading *r = ctx;

	r->codec->text.len = 0;
	r->codec->text2.len = 0;
	if (kind != JSON_KIND_STRING)
		return field_fault(r, f, "'attributes' must be %s; found %s in it", want_words[WANT_PAIRS], json_kind_name(kind));
	if (!json_text(quoted, &r->codec->text, &name) || !json_text(value, &r->codec->text2, &text))
		return field_fault(r, f, "'attributes' has an escape that is no character (half of a surrogate pair)");
	return pairs_add(r->scratch, name, text) || reading_full(r);
}

/* Comes before all else that adds to scratch; its slice is made when scratch has its final size. */
static bool json_read_pairs(struct reading *r, const struct request_field *f, const struct json_member *m)
{
	if (m->kind == JSON_KIND_NONE || m->kind == JSON_KIND_NULL)
		return true;
	if (m->kind != JSON_KIND_OBJECT)
		return json_wrong(r, f, m);
	return json_each(m->value, json_read_pair, r);
}

static bool json_read_field(struct reading *r, const struct request_field *f, const struct json_member *m)
{
	if (m->kind == JSON_KIND_NONE || m->kind == JSON_KIND_NULL)
		return true;
	switch (f->want) {
	case WANT_TEXT: return json_read_text(r, f, m);
	case WANT_ARGS: return json_read_args(r, f, m);
	case WANT_MS:
	case WANT_TIME: return json_read_ms(r, f, m);
	case WANT_FLAG: return json_read_flag(r, f, m);
	case WANT_PAIRS: break; /* read before the others */
	}
	return true;
}

static bool json_read_fields(struct reading *r, const struct json_member *m, size_t doc_len)
{
	enum { LAST = REQUEST_FIELDS - 1 };
	size_t before = r->scratch->len;

	if (!json_read_pairs(r, &request_fields[LAST], &m[LAST]))
		return false;
	r->out->attributes.len = r->scratch->len - before;
	/* No text is longer unescaped than escaped: with this room scratch stays where it is. */
	if (!buf_room(r->scratch, doc_len))
		return reading_full(r);
	if (r->out->attributes.len)
		r->out->attributes.data = r->scratch->data + before;
	for (int i = 0; i < LAST; i++) {
		if (!json_read_field(r, &request_fields[i], &m[i]))
			return false;
	}
	return request_finish(r);
}

/* A broken request is still told by its name, if that much could be read. */
static struct slice json_fault_id(const struct json_member *m)
{
	struct slice id = m->kind == JSON_KIND_STRING ? unquoted(m->value) : (struct slice){NULL, 0};

	return id.len && slice_is_utf8(id) && !memchr(id.data, '\\', id.len) ? id : (struct slice){NULL, 0};
}

bool request_read_json(struct codec *c, struct slice bytes, struct buf *scratch, struct request_fields *out, struct fault *why)
{
	struct reading r = {c, scratch, out, why};
	struct json_member m[REQUEST_FIELDS];
	char errstr[128];
	bool good;

	request_clear(out, ENCODING_JSON);
	for (int i = 0; i < REQUEST_FIELDS; i++)
		m[i].name = request_fields[i].name;
	if (json_read_object(bytes, m, REQUEST_FIELDS, c->max_depth + 1, errstr, sizeof(errstr)))
		good = json_read_fields(&r, m, bytes.len);
	else
		good = fault_set(why, "INVALID_RECORD", "the value is not valid JSON: %s", errstr);
	if (!good)
		why->request_id = json_fault_id(&m[0]);
	return good;
}

/* ---- Avro ---- */

static bool avro_broken(struct reading *r, const struct request_field *f, const struct binary *b)
{
	return fault_set(r->why, "INVALID_RECORD", "the Avro record is damaged%s%s: %s", f ? " at " : "", f ? f->name : "",
		b->fault);
}

static bool avro_wrong(struct reading *r, const struct request_field *f, const struct schema_type *t)
{
	return field_fault(r, f, "'%s' must be %s; the writer's schema has %s", f->name, want_words[f->want],
		schema_kind_name(t->kind));
}

static bool avro_read_text(struct reading *r, const struct request_field *f, const struct schema_type *t, struct binary *b)
{
	struct slice *text = field_at(r, f);

	if (t->kind != SCHEMA_STRING && t->kind != SCHEMA_BYTES)
		return avro_wrong(r, f, t);
	return binary_string(b, text) || avro_broken(r, f, b);
}

static bool avro_read_args(struct reading *r, const struct request_field *f, const struct schema_type *t, struct binary *b)
{
	if (!avro_read_text(r, f, t, b))
		return false;
	r->out->args = empty_to_absent(r->out->args);
	return !r->out->args.data || args_check(r, f, r->out->args);
}

static bool avro_read_ms(struct reading *r, const struct request_field *f, const struct schema_type *t, struct binary *b)
{
	int64_t *ms = field_at(r, f);

	if (t->kind != SCHEMA_INT && t->kind != SCHEMA_LONG)
		return avro_wrong(r, f, t);
	if (!(t->kind == SCHEMA_INT ? binary_int : binary_long)(b, ms))
		return avro_broken(r, f, b);
	return *ms >= 0 || field_fault(r, f, "'%s' must be %s; found a negative number", f->name, want_words[f->want]);
}

static bool avro_read_flag(struct reading *r, const struct request_field *f, const struct schema_type *t, struct binary *b)
{
	if (t->kind != SCHEMA_BOOLEAN)
		return avro_wrong(r, f, t);
	return binary_bool(b, field_at(r, f)) || avro_broken(r, f, b);
}

static bool avro_read_pair(struct reading *r, const struct request_field *f, const struct schema_type *t, struct binary *b)
{
	struct slice key, value;

	if (!binary_string(b, &key) || !binary_branch(b, &t))
		return avro_broken(r, f, b);
	if (t->kind != SCHEMA_STRING)
		return avro_wrong(r, f, t);
	if (!binary_string(b, &value))
		return avro_broken(r, f, b);
	return pairs_add(r->scratch, key, value) || reading_full(r);
}

static bool avro_read_pairs(struct reading *r, const struct request_field *f, const struct schema_type *t, struct binary *b)
{
	size_t before = r->scratch->len;
	uint64_t items;

	if (t->kind != SCHEMA_MAP)
		return avro_wrong(r, f, t);
	do {
		if (!binary_block(b, &items))
			return avro_broken(r, f, b);
		for (uint64_t i = 0; i < items; i++) {
			if (!avro_read_pair(r, f, t->inner[0], b))
				return false;
		}
	} while (items);
	/* Only these are in scratch: all other texts of an Avro request stay where they are in its bytes. */
	if (r->scratch->len > before)
		r->out->attributes = (struct slice){r->scratch->data + before, r->scratch->len - before};
	return true;
}

static bool avro_read_field(struct reading *r, const struct request_field *f, const struct schema_type *t, struct binary *b)
{
	if (!binary_branch(b, &t))
		return avro_broken(r, f, b);
	if (t->kind == SCHEMA_NULL)
		return true;
	switch (f->want) {
	case WANT_TEXT: return avro_read_text(r, f, t, b);
	case WANT_ARGS: return avro_read_args(r, f, t, b);
	case WANT_MS:
	case WANT_TIME: return avro_read_ms(r, f, t, b);
	case WANT_FLAG: return avro_read_flag(r, f, t, b);
	case WANT_PAIRS: return avro_read_pairs(r, f, t, b);
	}
	return false;
}

static bool avro_read_fields(struct reading *r, const struct writer *w, struct binary *b)
{
	const struct schema_type *top = w->schema->top;

	for (size_t i = 0; i < top->n; i++) {
		const struct request_field *f = w->field[i] < 0 ? NULL : &request_fields[w->field[i]];

		if (f && !avro_read_field(r, f, top->inner[i], b))
			return false;
		if (!f && !binary_skip(b, top->inner[i], BINARY_MAX_DEPTH))
			return avro_broken(r, NULL, b);
	}
	if (b->p != b->end)
		return fault_set(r->why, "INVALID_RECORD", "the Avro record is damaged: %zu bytes follow its end",
			(size_t)(b->end - b->p));
	return request_finish(r);
}

bool request_read_avro(struct codec *c, const struct writer *w, struct slice body, struct buf *scratch,
	struct request_fields *out, struct fault *why)
{
	struct reading r = {c, scratch, out, why};
	struct binary b = binary_of(body);

	request_clear(out, ENCODING_AVRO);
	if (avro_read_fields(&r, w, &b))
		return true;
	why->request_id = empty_to_absent(out->request_id);
	return false;
}
