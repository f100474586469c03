/* bridge.c: writes calls to workers and reads their answers. */
#include "bridgepool/wire/bridge.h"
#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/wire/frame.h"
#include "bridgepool/wire/json.h"
#include "bridgepool/wire/pairs.h"
#include "bridgepool/wire/record.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* ---- calls ---- */

static const char *const call_commands[] = {
	[CALL_PING] = "ping",
	[CALL_OPEN_SESSION] = "open_session",
	[CALL_CLEANUP_SESSION] = "cleanup_session",
	[CALL_CANCEL] = "cancel",
	[CALL_SHUTDOWN] = "shutdown",
};

/* ,"name": with the comma only where a member stands before. */
static bool write_name(struct buf *out, const char *name)
{
	uint8_t last = out->data[out->len - 1];

	return (last == '{' || buf_append(out, ",", 1)) && buf_append(out, "\"", 1) && buf_text(out, name) &&
	       buf_append(out, "\":", 2);
}

static bool write_text(struct buf *out, const char *name, struct slice text)
{
	return !text.data || (write_name(out, name) && json_quote(out, text));
}

static bool write_int(struct buf *out, const char *name, int64_t v)
{
	return write_name(out, name) && buf_printf(out, "%" PRId64, v);
}

static bool write_true(struct buf *out, const char *name, bool v)
{
	return !v || (write_name(out, name) && buf_text(out, "true"));
}

/* Without what is not text: a worker could not tell it from what it is not. */
static bool write_pairs(struct buf *out, const char *name, struct slice list)
{
	struct slice key, value;
	bool good = write_name(out, name) && buf_append(out, "{", 1);

	while (good && pairs_next(&list, &key, &value)) {
		if (!slice_is_utf8(key) || !slice_is_utf8(value))
			continue;
		good = (out->data[out->len - 1] == '{' || buf_append(out, ",", 1)) && json_quote(out, key) &&
		       buf_append(out, ":", 1) && (value.data ? json_quote(out, value) : buf_text(out, "null"));
	}
	return good && buf_append(out, "}", 1);
}

/* The client's bytes as they are, with session_id as the last member. If the client sent one too, ours wins: of two members of
 * one name every reader that workers use takes the last. */
static bool write_request_args(struct buf *out, const struct call *c)
{
	struct slice args = c->args.data && c->args.len ? c->args : SLICE("{}");
	const char *p = args.data, *end = p + args.len;
	bool empty;

	if (!c->session_id.data)
		return buf_add(out, args);
	while (end > p && end[-1] != '}')
		end--;
	CHECK(end > p);
	end--;
	for (p = memchr(p, '{', (size_t)(end - p)); p && ++p < end && strchr(" \t\r\n", *p);)
		;
	empty = p == end;
	return buf_append(out, args.data, (size_t)(end - (const char *)args.data)) && (empty || buf_append(out, ",", 1)) &&
	       buf_text(out, "\"session_id\":") && json_quote(out, c->session_id) && buf_append(out, "}", 1);
}

static bool write_own_args(struct buf *out, const struct call *c)
{
	bool good = buf_append(out, "{", 1);

	if (c->kind == CALL_PING)
		good = good && write_true(out, "initialization", c->initialization);
	else if (c->kind == CALL_CANCEL)
		good = good && write_int(out, "id", (int64_t)c->target);
	else if (c->kind != CALL_SHUTDOWN)
		good = good && write_text(out, "session_id", c->session_id);
	if (c->kind == CALL_CANCEL || c->kind == CALL_CLEANUP_SESSION)
		good = good && write_text(out, "reason", c->reason);
	return good && buf_append(out, "}", 1);
}

static bool write_session(struct buf *out, const struct call *c)
{
	if (!c->session_id.data)
		return true;
	return write_name(out, "session") && buf_append(out, "{", 1) && write_text(out, "id", c->session_id) &&
	       write_text(out, "epoch", c->session_epoch) && write_name(out, "new") &&
	       buf_text(out, c->session_new ? "true" : "false") && buf_append(out, "}", 1);
}

static bool write_source(struct buf *out, const struct call *c)
{
	if (!c->source_topic.data)
		return true;
	return write_name(out, "source") && buf_append(out, "{", 1) && write_text(out, "topic", c->source_topic) &&
	       write_int(out, "partition", c->source_partition) && write_int(out, "offset", c->source_offset) &&
	       buf_append(out, "}", 1);
}

static bool write_request_meta(struct buf *out, const struct call *c)
{
	return write_text(out, "request_id", c->request_id) && write_int(out, "attempt", c->attempt) &&
	       (c->remaining_ms == TIME_NONE || write_int(out, "remaining_ms", c->remaining_ms)) &&
	       write_true(out, "stream", c->stream) && write_pairs(out, "headers", c->headers) &&
	       write_pairs(out, "attributes", c->attributes);
}

static bool write_meta(struct buf *out, const struct call *c)
{
	bool request = c->kind == CALL_REQUEST;

	if (!request && c->kind != CALL_OPEN_SESSION && c->kind != CALL_CLEANUP_SESSION)
		return true;
	return write_name(out, "meta") && buf_append(out, "{", 1) && (!request || write_request_meta(out, c)) &&
	       write_session(out, c) && (!request || write_source(out, c)) && buf_append(out, "}", 1);
}

static bool write_body(struct buf *out, const struct call *c)
{
	bool request = c->kind == CALL_REQUEST;
	char when[25];

	clock_format_ms(c->sent_wall_ms, when);
	return buf_append(out, "{", 1) && write_int(out, "id", (int64_t)c->id) &&
	       write_text(out, "command", request ? c->command : slice_of(call_commands[c->kind])) && write_name(out, "args") &&
	       (request ? write_request_args : write_own_args)(out, c) && write_text(out, "timestamp", slice_of(when)) &&
	       write_meta(out, c) && buf_append(out, "}", 1);
}

bool bridge_write(struct buf *out, const struct call *c)
{
	static const uint8_t no_length[FRAME_HEAD];
	bool overflow = out->overflow;
	size_t before = out->len;

	if (buf_append(out, no_length, FRAME_HEAD) && write_body(out, c)) {
		frame_head(out->data + before, out->len - before - FRAME_HEAD);
		return true;
	}
	out->len = before;
	out->overflow = overflow;
	return false;
}

/* ---- answers ---- */

enum { M_ID, M_SUCCESS, M_RESULT, M_ERROR, M_PARTIAL, M_USAGE, M_VERSION, M_PROTOCOL, M_CONCURRENCY, M_CAPABILITIES, M_COUNT };

static const struct json_member answer_members[M_COUNT] = {
	[M_ID] = {.name = "id"},
	[M_SUCCESS] = {.name = "success"},
	[M_RESULT] = {.name = "result"},
	[M_ERROR] = {.name = "error"},
	[M_PARTIAL] = {.name = "partial"},
	[M_USAGE] = {.name = "usage"},
	[M_VERSION] = {.name = "version"},
	[M_PROTOCOL] = {.name = "protocol"},
	[M_CONCURRENCY] = {.name = "concurrency"},
	[M_CAPABILITIES] = {.name = "capabilities"},
};

static const struct {
	const char *name;
	enum capability bit;
} capability_names[] = {
	{"partial", CAPABILITY_PARTIAL},
	{"cancel", CAPABILITY_CANCEL},
	{"ping_busy", CAPABILITY_PING_BUSY},
	{"sessions", CAPABILITY_SESSIONS},
};

/* A result this large is no answer to a ping; it is not searched for the members of one. */
enum { HELLO_MAX = 64 << 10 };

/* A text may borrow scratch, so nothing may be added to scratch after it unless the room was reserved. */
static struct slice read_text(struct buf *scratch, const struct json_member *m)
{
	struct slice inner;
	size_t before = scratch->len;

	if (m->kind != JSON_KIND_STRING)
		return (struct slice){NULL, 0};
	inner = (struct slice){(const char *)m->value.data + 1, m->value.len - 2};
	/* Without escapes the bytes in the frame are the text. A lone surrogate has no text: its escape is shown instead. */
	if (!memchr(inner.data, '\\', inner.len) || !json_unescape(m->value, scratch)) {
		scratch->len = before;
		return inner;
	}
	return (struct slice){scratch->data + before, scratch->len - before};
}

static uint32_t read_count(const struct json_member *m)
{
	int64_t v;

	return m->kind == JSON_KIND_NUMBER && json_int(m->value, &v) && v > 0 && v <= UINT32_MAX ? (uint32_t)v : 0;
}

static uint32_t read_capabilities(const struct json_member *m)
{
	json_t *list = m->kind == JSON_KIND_ARRAY ? json_loadb(m->value.data, m->value.len, 0, NULL) : NULL, *item;
	uint32_t bits = 0;
	size_t i;

	json_array_foreach (list, i, item) {
		for (size_t k = 0; k < sizeof(capability_names) / sizeof(capability_names[0]); k++) {
			if (json_is_string(item) && !strcmp(json_string_value(item), capability_names[k].name))
				bits |= capability_names[k].bit;
		}
	}
	json_decref(list);
	return bits;
}

static void read_hello_members(const struct json_member *m, struct buf *scratch, struct answer *a)
{
	if (!a->version.data)
		a->version = read_text(scratch, &m[M_VERSION]);
	if (!a->protocol)
		a->protocol = read_count(&m[M_PROTOCOL]);
	if (!a->concurrency)
		a->concurrency = read_count(&m[M_CONCURRENCY]);
	if (!a->capabilities)
		a->capabilities = read_capabilities(&m[M_CAPABILITIES]);
}

static bool slice_has(struct slice s, const char *word)
{
	return memmem(s.data, s.len, word, strlen(word)) != NULL;
}

/* The members of a first ping's answer. Any result may hold such words; only the reader of a ping looks at them. */
static void read_hello(const struct json_member *m, struct buf *scratch, struct answer *a)
{
	struct json_member inner[M_COUNT];
	struct slice result = m[M_RESULT].value;
	char errstr[64];

	read_hello_members(m, scratch, a);
	if (m[M_RESULT].kind != JSON_KIND_OBJECT || result.len > HELLO_MAX)
		return;
	if (!slice_has(result, "\"protocol\"") && !slice_has(result, "\"concurrency\"") &&
		!slice_has(result, "\"capabilities\"") && !slice_has(result, "\"version\""))
		return;
	memcpy(inner, answer_members, sizeof(inner));
	if (json_read_object(result, inner, M_COUNT, JSON_MAX_DEPTH, errstr, sizeof(errstr)))
		read_hello_members(inner, scratch, a);
}

static bool usage_is_number(void *ctx, struct slice key, struct slice value, enum json_kind kind)
{
	double ignored;

	(void)key;
	*(bool *)ctx = kind == JSON_KIND_NUMBER && json_double(value, &ignored);
	return *(bool *)ctx;
}

/* What is no object of numbers says nothing about the answer itself: it is left out. */
static struct slice read_usage(const struct json_member *m)
{
	bool numbers = true;

	if (m->kind == JSON_KIND_OBJECT && json_each(m->value, usage_is_number, &numbers) && numbers)
		return m->value;
	return (struct slice){NULL, 0};
}

enum { E_CODE, E_MESSAGE, E_RETRIABLE, E_RETRY_AFTER, E_DETAILS, E_COUNT };

static void read_error_object(struct slice error, struct buf *scratch, struct answer *a)
{
	struct json_member m[E_COUNT] = {
		[E_CODE] = {.name = "code"},
		[E_MESSAGE] = {.name = "message"},
		[E_RETRIABLE] = {.name = "retriable"},
		[E_RETRY_AFTER] = {.name = "retry_after_ms"},
		[E_DETAILS] = {.name = "details"},
	};
	char errstr[64];
	int64_t after;

	/* Code and message are never longer unescaped than escaped: with this room scratch stays where it is. */
	if (!buf_room(scratch, error.len)) {
		a->message = error;
		return;
	}
	if (!json_read_object(error, m, E_COUNT, JSON_MAX_DEPTH, errstr, sizeof(errstr)))
		return;
	if (m[E_CODE].kind == JSON_KIND_STRING && m[E_CODE].value.len > 2)
		a->code = read_text(scratch, &m[E_CODE]);
	if (m[E_MESSAGE].kind == JSON_KIND_STRING)
		a->message = read_text(scratch, &m[E_MESSAGE]);
	a->retriable = m[E_RETRIABLE].kind == JSON_KIND_BOOL && slice_is(m[E_RETRIABLE].value, "true");
	if (m[E_RETRY_AFTER].kind == JSON_KIND_NUMBER && json_int(m[E_RETRY_AFTER].value, &after) && after >= 0)
		a->retry_after_ms = after;
	if (m[E_DETAILS].kind != JSON_KIND_NONE && m[E_DETAILS].kind != JSON_KIND_NULL)
		a->details = m[E_DETAILS].value;
}

static void read_error(const struct json_member *m, struct buf *scratch, struct answer *a)
{
	a->kind = ANSWER_ERROR;
	a->code = SLICE("PROGRAM_ERROR");
	a->message = SLICE("the worker gave no message");
	if (m->kind == JSON_KIND_STRING)
		a->message = read_text(scratch, m);
	else if (m->kind == JSON_KIND_OBJECT)
		read_error_object(m->value, scratch, a);
	else if (m->kind != JSON_KIND_NONE && m->kind != JSON_KIND_NULL)
		a->message = m->value;
}

static void read_unreadable(struct buf *scratch, struct answer *a, const char *why)
{
	size_t before = scratch->len;

	a->kind = ANSWER_UNREADABLE;
	a->code = SLICE("INVALID_RESULT");
	a->message = SLICE("the answer is not valid");
	if (buf_printf(scratch, "the worker's answer is not valid: %s", why))
		a->message = (struct slice){scratch->data + before, scratch->len - before};
}

static void read_answer(const struct json_member *m, struct buf *scratch, struct answer *a)
{
	if (!a->has_id) {
		read_unreadable(scratch, a, "it has no id that is a whole number");
	} else if (m[M_SUCCESS].kind == JSON_KIND_BOOL && slice_is(m[M_SUCCESS].value, "true")) {
		a->kind = ANSWER_OK;
		a->payload = m[M_RESULT].value;
		a->usage = read_usage(&m[M_USAGE]);
		read_hello(m, scratch, a);
	} else if (m[M_SUCCESS].kind == JSON_KIND_BOOL) {
		read_error(&m[M_ERROR], scratch, a);
		a->usage = read_usage(&m[M_USAGE]);
	} else if (m[M_SUCCESS].kind == JSON_KIND_NONE && m[M_PARTIAL].kind != JSON_KIND_NONE) {
		a->kind = ANSWER_PARTIAL;
		a->payload = m[M_PARTIAL].value;
	} else {
		read_unreadable(scratch, a, "'success' is missing or is not a boolean");
	}
}

void bridge_read(struct slice body, struct buf *scratch, struct answer *a)
{
	struct json_member m[M_COUNT];
	char errstr[128];
	int64_t id;
	bool good;

	buf_reset(scratch);
	memset(a, 0, sizeof(*a));
	a->retry_after_ms = TIME_NONE;
	memcpy(m, answer_members, sizeof(m));
	good = json_read_object(body, m, M_COUNT, JSON_MAX_DEPTH, errstr, sizeof(errstr));
	if (m[M_ID].kind == JSON_KIND_NUMBER && json_int(m[M_ID].value, &id) && id >= 0) {
		a->id = (uint64_t)id;
		a->has_id = true;
	}
	if (good)
		read_answer(m, scratch, a);
	else
		read_unreadable(scratch, a, errstr);
}
