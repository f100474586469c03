/* json.c: looks into JSON texts without changing a byte of them.
 *
 * libyajl reads; where a value begins and ends is told by its count of consumed bytes. Three things it lets pass are refused
 * here, because the next reader in line (a worker, a client) would fail over them: bytes that are not UTF-8, vertical tab and
 * form feed between tokens, and half a token after the end. An escaped lone surrogate is grammatical and passes; only
 * json_unescape refuses it. */
#include "bridgepool/wire/json.h"

#include <stdio.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "scratch.h"

/* What is known in the middle of one reading. */
struct json_scan {
	yajl_handle yajl;
	struct slice doc;
	unsigned depth, max_depth;
	bool want_object;
	bool ending; /* libyajl has seen all bytes, and counts anew */
	enum json_kind top;
	size_t top_end;
	/* the member of the top object that is being read */
	size_t cursor;    /* where the text after the last token of the top object begins */
	struct slice key; /* as it stands, without quotes */
	struct json_member *member;
	size_t value_at;
	enum json_kind kind;
	/* who wants to know */
	struct json_member *members;
	size_t nmembers;
	bool (*each)(void *ctx, struct slice key, struct slice value, enum json_kind kind);
	void *each_ctx;
	/* why it was stopped, when not by libyajl */
	const char *stopped;
};

static const char *const json_kind_names[] = {"nothing", "null", "a boolean", "a number", "a string", "an object", "an array"};

const char *json_kind_name(enum json_kind k)
{
	return json_kind_names[k];
}

static const char *scan_byte(const struct json_scan *s, size_t at)
{
	return (const char *)s->doc.data + at;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static size_t scan_blank(const struct json_scan *s, size_t at)
{
	while (at < s->doc.len && is_blank(*scan_byte(s, at)))
		at++;
	return at;
}

static bool is_between(char c)
{
	return is_blank(c) || c == ':' || c == ',';
}

/* Skips white space and the one separator that stands between the tokens of an object. */
static size_t scan_skip(const struct json_scan *s, size_t at)
{
	while (at < s->doc.len && is_between(*scan_byte(s, at)))
		at++;
	return at;
}

static int scan_stop(struct json_scan *s, const char *why)
{
	s->stopped = why;
	return 0;
}

static int scan_begin(struct json_scan *s, enum json_kind kind)
{
	if (s->depth == 0) {
		s->top = kind;
		if (s->want_object && kind != JSON_KIND_OBJECT)
			return scan_stop(s, "not an object");
	} else if (s->depth == 1) {
		s->kind = kind;
		s->value_at = scan_skip(s, s->cursor);
	}
	return 1;
}

static size_t scan_at(const struct json_scan *s)
{
	return s->ending ? s->doc.len : yajl_get_bytes_consumed(s->yajl);
}

static int scan_end(struct json_scan *s)
{
	size_t end;

	if (s->depth == 0)
		s->top_end = scan_at(s);
	if (s->depth != 1 || s->top != JSON_KIND_OBJECT)
		return 1;
	end = scan_at(s);
	s->cursor = end;
	if (s->member) {
		s->member->kind = s->kind;
		s->member->value = (struct slice){scan_byte(s, s->value_at), end - s->value_at};
	}
	if (s->each && !s->each(s->each_ctx, s->key, (struct slice){scan_byte(s, s->value_at), end - s->value_at}, s->kind))
		return scan_stop(s, "stopped by the reader");
	return 1;
}

static int scan_scalar(struct json_scan *s, enum json_kind kind)
{
	return scan_begin(s, kind) && scan_end(s);
}

static int scan_open(struct json_scan *s, enum json_kind kind)
{
	if (!scan_begin(s, kind))
		return 0;
	if (s->depth == s->max_depth)
		return scan_stop(s, "nested deeper than the limit");
	if (s->depth++ == 0)
		s->cursor = scan_at(s);
	return 1;
}

static int scan_close(struct json_scan *s)
{
	s->depth--;
	return scan_end(s);
}

static struct json_member *scan_find(struct json_scan *s, const char *key, size_t len)
{
	for (size_t i = 0; i < s->nmembers; i++) {
		struct json_member *m = &s->members[i];

		if (!strncmp(m->name, key, len) && !m->name[len])
			return m;
	}
	return NULL;
}

static int on_key(void *ctx, const unsigned char *key, size_t len)
{
	struct json_scan *s = ctx;
	size_t at, end;

	if (s->depth != 1)
		return 1;
	at = scan_skip(s, s->cursor) + 1;
	end = scan_at(s);
	s->key = (struct slice){scan_byte(s, at), end - 1 - at};
	s->cursor = end;
	/* A NUL in the key would end the comparison early. */
	s->member = memchr(key, 0, len) ? NULL : scan_find(s, (const char *)key, len);
	return 1;
}

static int on_null(void *ctx)
{
	return scan_scalar(ctx, JSON_KIND_NULL);
}

static int on_boolean(void *ctx, int value)
{
	(void)value;
	return scan_scalar(ctx, JSON_KIND_BOOL);
}

static int on_number(void *ctx, const char *text, size_t len)
{
	(void)text;
	(void)len;
	return scan_scalar(ctx, JSON_KIND_NUMBER);
}

static int on_string(void *ctx, const unsigned char *text, size_t len)
{
	(void)text;
	(void)len;
	return scan_scalar(ctx, JSON_KIND_STRING);
}

static int on_object(void *ctx)
{
	return scan_open(ctx, JSON_KIND_OBJECT);
}

static int on_array(void *ctx)
{
	return scan_open(ctx, JSON_KIND_ARRAY);
}

static int on_close(void *ctx)
{
	return scan_close(ctx);
}

static const yajl_callbacks json_callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_start_map = on_object,
	.yajl_map_key = on_key,
	.yajl_end_map = on_close,
	.yajl_start_array = on_array,
	.yajl_end_array = on_close,
};

static void scan_explain(struct json_scan *s, char *errstr, size_t size)
{
	size_t at = scan_at(s);
	unsigned char *why;

	if (s->want_object && s->top != JSON_KIND_OBJECT && s->top != JSON_KIND_NONE) {
		snprintf(errstr, size, "is %s, not an object", json_kind_name(s->top));
		return;
	}
	if (s->stopped) {
		snprintf(errstr, size, "%s at byte %zu", s->stopped, at);
		return;
	}
	why = yajl_get_error(s->yajl, 0, s->doc.data, s->doc.len);
	if (why)
		why[strcspn((char *)why, "\n")] = '\0';
	snprintf(errstr, size, "%s at byte %zu", why ? (char *)why : "not JSON", at);
	yajl_free_error(s->yajl, why);
}

static bool scan_text(struct json_scan *s, char *errstr, size_t size)
{
	bool good = yajl_parse(s->yajl, s->doc.data, s->doc.len) == yajl_status_ok;

	if (good) {
		s->ending = true;
		good = yajl_complete_parse(s->yajl) == yajl_status_ok;
	}
	if (!good)
		scan_explain(s, errstr, size);
	return good;
}

/* The whole text, besides what libyajl looks at. */
static bool scan_bytes(const struct json_scan *s, char *errstr, size_t size)
{
	if (!slice_is_utf8(s->doc))
		snprintf(errstr, size, "the text is not valid UTF-8");
	else if (memchr(s->doc.data, '\v', s->doc.len) || memchr(s->doc.data, '\f', s->doc.len))
		snprintf(errstr, size, "the text has a vertical tab or form feed, which JSON does not allow");
	else if (scan_blank(s, s->top_end) < s->doc.len)
		snprintf(errstr, size, "more text follows the value at byte %zu", s->top_end);
	else
		return true;
	return false;
}

static bool scan_run(struct json_scan *s, char *errstr, size_t size)
{
	struct scratch scratch;
	yajl_alloc_funcs memory = scratch_funcs(&scratch);
	bool good;

	if (!s->doc.data || !s->doc.len) {
		snprintf(errstr, size, "is empty");
		return false;
	}
	s->yajl = yajl_alloc(&json_callbacks, &memory, s);
	yajl_config(s->yajl, yajl_dont_validate_strings, 1);
	good = scan_text(s, errstr, size) && scan_bytes(s, errstr, size);
	yajl_free(s->yajl);
	return good;
}

bool json_read_object(struct slice doc, struct json_member *members, size_t n, unsigned max_depth, char *errstr, size_t size)
{
	struct json_scan s = {.doc = doc, .members = members, .nmembers = n, .max_depth = max_depth, .want_object = true};

	for (size_t i = 0; i < n; i++) {
		members[i].kind = JSON_KIND_NONE;
		members[i].value = (struct slice){NULL, 0};
	}
	return scan_run(&s, errstr, size);
}

bool json_read_value(struct slice doc, enum json_kind *kind, unsigned max_depth, char *errstr, size_t size)
{
	struct json_scan s = {.doc = doc, .max_depth = max_depth};
	bool good = scan_run(&s, errstr, size);

	*kind = good ? s.top : JSON_KIND_NONE;
	return good;
}

bool json_each(struct slice object, bool (*each)(void *ctx, struct slice key, struct slice value, enum json_kind kind), void *ctx)
{
	struct json_scan s = {.doc = object, .max_depth = UINT32_MAX, .want_object = true, .each = each, .each_ctx = ctx};
	char errstr[64];

	return scan_run(&s, errstr, sizeof(errstr));
}
