/* schema.c: from the text of an Avro schema to its fingerprint and its tree of types.
 *
 * avro-c judges whether a text is a schema, but gives neither canonical form nor fingerprint, and its own reading of records is
 * not safe on foreign bytes. So the canonical form is made here, and the tree is built from it: there every name is full and
 * nothing is left but what decides how bytes are read. */
#include "schema.h"
#include "bridgepool/base/check.h"
#include "bridgepool/wire/json.h"

#include <avro/basics.h>
#include <avro/errors.h>
#include <avro/schema.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA_NAME_MAX = 512, SCHEMA_CANONICAL_MAX = 4 << 20 };

static const char *const schema_kind_names[] = {
	[SCHEMA_NULL] = "null",
	[SCHEMA_BOOLEAN] = "boolean",
	[SCHEMA_INT] = "int",
	[SCHEMA_LONG] = "long",
	[SCHEMA_FLOAT] = "float",
	[SCHEMA_DOUBLE] = "double",
	[SCHEMA_BYTES] = "bytes",
	[SCHEMA_STRING] = "string",
	[SCHEMA_RECORD] = "record",
	[SCHEMA_ENUM] = "enum",
	[SCHEMA_ARRAY] = "array",
	[SCHEMA_MAP] = "map",
	[SCHEMA_UNION] = "union",
	[SCHEMA_FIXED] = "fixed",
};

const char *schema_kind_name(enum schema_kind k)
{
	return schema_kind_names[k];
}

static bool kind_find(const char *name, enum schema_kind *kind)
{
	for (size_t i = 0; i < sizeof(schema_kind_names) / sizeof(schema_kind_names[0]); i++) {
		if (!strcmp(name, schema_kind_names[i])) {
			*kind = (enum schema_kind)i;
			return true;
		}
	}
	return false;
}

static bool kind_is_primitive(enum schema_kind k)
{
	return k <= SCHEMA_STRING;
}

const char *schema_short_name(const struct schema_type *t)
{
	const char *dot = t->name ? strrchr(t->name, '.') : NULL;

	return dot ? dot + 1 : t->name ? t->name : "";
}

/* ---- canonical form ---- */

struct canon {
	struct buf *out;
	char *errstr;
	size_t size;
};

static bool canon_fail(struct canon *c, const char *what)
{
	snprintf(c->errstr, c->size, "not an Avro schema: %s", what);
	return false;
}

static bool canon_quote(struct canon *c, const char *text)
{
	return json_quote(c->out, slice_of(text));
}

/* namespace may be "". False: longer than any sane name. */
static bool canon_full_name(const char *name, const char *space, char out[SCHEMA_NAME_MAX])
{
	bool bare = !strchr(name, '.') && *space;
	int n = snprintf(out, SCHEMA_NAME_MAX, "%s%s%s", bare ? space : "", bare ? "." : "", name);

	return n > 0 && n < SCHEMA_NAME_MAX;
}

static bool canon_type(struct canon *c, json_t *type, const char *space);

static bool canon_reference(struct canon *c, const char *name, const char *space)
{
	char full[SCHEMA_NAME_MAX];
	enum schema_kind kind;

	if (kind_find(name, &kind) && kind_is_primitive(kind))
		return canon_quote(c, name);
	return canon_full_name(name, space, full) ? canon_quote(c, full) : canon_fail(c, "a name is too long");
}

static bool canon_union(struct canon *c, json_t *branches, const char *space)
{
	json_t *branch;
	size_t i;

	buf_text(c->out, "[");
	json_array_foreach (branches, i, branch) {
		if (i)
			buf_text(c->out, ",");
		if (!canon_type(c, branch, space))
			return false;
	}
	return buf_text(c->out, "]");
}

static bool canon_fields(struct canon *c, json_t *type, const char *space)
{
	json_t *fields = json_object_get(type, "fields"), *field;
	size_t i;

	if (!json_is_array(fields))
		return canon_fail(c, "a record has no fields");
	buf_text(c->out, ",\"fields\":[");
	json_array_foreach (fields, i, field) {
		const char *name = json_string_value(json_object_get(field, "name"));

		if (!name)
			return canon_fail(c, "a field has no name");
		buf_text(c->out, i ? ",{\"name\":" : "{\"name\":");
		canon_quote(c, name);
		buf_text(c->out, ",\"type\":");
		if (!canon_type(c, json_object_get(field, "type"), space))
			return false;
		buf_text(c->out, "}");
	}
	return buf_text(c->out, "]");
}

static bool canon_symbols(struct canon *c, json_t *type)
{
	json_t *symbols = json_object_get(type, "symbols"), *symbol;
	size_t i;

	if (!json_is_array(symbols))
		return canon_fail(c, "an enum has no symbols");
	buf_text(c->out, ",\"symbols\":[");
	json_array_foreach (symbols, i, symbol) {
		if (!json_is_string(symbol))
			return canon_fail(c, "a symbol of an enum is not a string");
		if (i)
			buf_text(c->out, ",");
		canon_quote(c, json_string_value(symbol));
	}
	return buf_text(c->out, "]");
}

static bool canon_size(struct canon *c, json_t *type)
{
	json_t *size = json_object_get(type, "size");
	json_int_t n = json_is_string(size) ? atoll(json_string_value(size)) : json_integer_value(size);

	return n >= 0 && size ? buf_printf(c->out, ",\"size\":%lld", (long long)n) : canon_fail(c, "a fixed has no size");
}

static bool canon_content(struct canon *c, json_t *type, enum schema_kind kind, const char *space)
{
	if (kind == SCHEMA_RECORD)
		return canon_fields(c, type, space);
	return kind == SCHEMA_ENUM ? canon_symbols(c, type) : canon_size(c, type);
}

static bool canon_named(struct canon *c, json_t *type, enum schema_kind kind, const char *space)
{
	const char *name = json_string_value(json_object_get(type, "name"));
	const char *own = json_string_value(json_object_get(type, "namespace"));
	char full[SCHEMA_NAME_MAX], inner[SCHEMA_NAME_MAX] = "", *dot;

	if (!name || !canon_full_name(name, own ? own : space, full))
		return canon_fail(c, "a record, enum or fixed has no name, or one that is too long");
	dot = strrchr(full, '.');
	if (dot)
		snprintf(inner, sizeof(inner), "%.*s", (int)(dot - full), full);
	buf_text(c->out, "{\"name\":");
	canon_quote(c, full);
	buf_printf(c->out, ",\"type\":\"%s\"", schema_kind_name(kind));
	if (!canon_content(c, type, kind, inner))
		return false;
	return buf_text(c->out, "}");
}

static bool canon_container(struct canon *c, json_t *type, enum schema_kind kind, const char *space)
{
	const char *inner = kind == SCHEMA_ARRAY ? "items" : "values";

	buf_printf(c->out, "{\"type\":\"%s\",\"%s\":", schema_kind_name(kind), inner);
	return canon_type(c, json_object_get(type, inner), space) && buf_text(c->out, "}");
}

static bool canon_type(struct canon *c, json_t *type, const char *space)
{
	json_t *inner = json_object_get(type, "type");
	enum schema_kind kind;

	if (json_is_string(type))
		return canon_reference(c, json_string_value(type), space);
	if (json_is_array(type))
		return canon_union(c, type, space);
	if (!inner)
		return canon_fail(c, "a type is missing");
	if (!json_is_string(inner))
		return canon_type(c, inner, space);
	if (!strcmp(json_string_value(inner), "error"))
		return canon_named(c, type, SCHEMA_RECORD, space);
	if (!kind_find(json_string_value(inner), &kind) || kind_is_primitive(kind))
		return canon_reference(c, json_string_value(inner), space);
	if (kind == SCHEMA_ARRAY || kind == SCHEMA_MAP)
		return canon_container(c, type, kind, space);
	return kind == SCHEMA_UNION ? canon_fail(c, "'union' is no type; write a list") : canon_named(c, type, kind, space);
}

bool schema_canonical(const char *json, struct buf *out, char *errstr, size_t size)
{
	struct canon c = {out, errstr, size};
	json_error_t error;
	json_t *root = json_loads(json, JSON_DECODE_ANY, &error);
	bool good;

	if (!root) {
		snprintf(errstr, size, "not JSON: %s at line %d", error.text, error.line);
		return false;
	}
	good = canon_type(&c, root, "");
	json_decref(root);
	if (good && out->overflow)
		return canon_fail(&c, "it is too large");
	return good;
}

/* ---- fingerprint ---- */

static const uint64_t CRC64_EMPTY = UINT64_C(0xc15d213aa4d7a795);

uint64_t schema_crc64(struct slice bytes)
{
	const uint8_t *p = bytes.data;
	uint64_t crc = CRC64_EMPTY;

	for (size_t i = 0; i < bytes.len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? CRC64_EMPTY : 0);
	}
	return crc;
}

/* ---- tree ---- */

static struct schema_type *tree_add(struct schema *s, enum schema_kind kind, size_t n)
{
	struct schema_type *t = xcalloc(1, sizeof(*t));

	t->kind = kind;
	t->n = n;
	if (kind != SCHEMA_FIXED && n) {
		t->names = xcalloc(n, sizeof(char *));
		t->inner = xcalloc(n, sizeof(struct schema_type *));
	}
	s->all = xrealloc(s->all, (s->nall + 1) * sizeof(struct schema_type *));
	s->all[s->nall++] = t;
	return t;
}

static struct schema_type *tree_named(const struct schema *s, const char *name)
{
	for (size_t i = 0; i < s->nall; i++) {
		if (s->all[i]->name && !strcmp(s->all[i]->name, name))
			return s->all[i];
	}
	return NULL;
}

static struct schema_type *tree_type(struct schema *s, json_t *type);

static bool tree_inner(struct schema *s, struct schema_type *t, size_t i, json_t *type)
{
	t->inner[i] = tree_type(s, type);
	return t->inner[i] != NULL;
}

static struct schema_type *tree_union(struct schema *s, json_t *branches)
{
	struct schema_type *t = tree_add(s, SCHEMA_UNION, json_array_size(branches));
	json_t *branch;
	size_t i;

	json_array_foreach (branches, i, branch) {
		if (!tree_inner(s, t, i, branch))
			return NULL;
	}
	return t;
}

static struct schema_type *tree_record(struct schema *s, json_t *type, const char *name)
{
	json_t *fields = json_object_get(type, "fields"), *field;
	struct schema_type *t = tree_add(s, SCHEMA_RECORD, json_array_size(fields));
	size_t i;

	t->name = xstrdup(name); /* known before its fields are: they may contain it */
	json_array_foreach (fields, i, field) {
		t->names[i] = xstrdup(json_string_value(json_object_get(field, "name")));
		if (!tree_inner(s, t, i, json_object_get(field, "type")))
			return NULL;
	}
	return t;
}

static struct schema_type *tree_enum(struct schema *s, json_t *type, const char *name)
{
	json_t *symbols = json_object_get(type, "symbols"), *symbol;
	struct schema_type *t = tree_add(s, SCHEMA_ENUM, json_array_size(symbols));
	size_t i;

	t->name = xstrdup(name);
	json_array_foreach (symbols, i, symbol)
		t->names[i] = xstrdup(json_string_value(symbol));
	return t;
}

/* A type of the canonical form, where an object always has a type that is one of our words. */
static struct schema_type *tree_type(struct schema *s, json_t *type)
{
	const char *word = json_string_value(json_is_string(type) ? type : json_object_get(type, "type"));
	const char *name = json_string_value(json_object_get(type, "name"));
	enum schema_kind kind;
	struct schema_type *t;

	if (json_is_array(type))
		return tree_union(s, type);
	if (!kind_find(word, &kind) || (json_is_string(type) && !kind_is_primitive(kind)))
		return tree_named(s, word);
	if (name && tree_named(s, name))
		return NULL;
	if (kind == SCHEMA_RECORD)
		return tree_record(s, type, name);
	if (kind == SCHEMA_ENUM)
		return tree_enum(s, type, name);
	if (kind == SCHEMA_FIXED) {
		t = tree_add(s, kind, (size_t)json_integer_value(json_object_get(type, "size")));
		t->name = xstrdup(name);
		return t;
	}
	if (kind_is_primitive(kind))
		return tree_add(s, kind, 0);
	t = tree_add(s, kind, 1);
	return tree_inner(s, t, 0, json_object_get(type, kind == SCHEMA_ARRAY ? "items" : "values")) ? t : NULL;
}

static struct schema *schema_from_canonical(const struct buf *text, char *errstr, size_t size)
{
	json_t *root = json_loadb((const char *)text->data, text->len, JSON_DECODE_ANY, NULL);
	struct schema *s = xcalloc(1, sizeof(*s));

	CHECK(root); /* we wrote it */
	s->fingerprint = schema_crc64(buf_slice(text));
	s->top = tree_type(s, root);
	json_decref(root);
	if (s->top)
		return s;
	snprintf(errstr, size, "not an Avro schema: a name is used that is not defined, or is defined twice");
	schema_free(s);
	return NULL;
}

static bool schema_judge(const char *json, char *errstr, size_t size)
{
	avro_schema_t judged = NULL;

	if (avro_schema_from_json_length(json, strlen(json), &judged)) {
		snprintf(errstr, size, "not an Avro schema: %s", avro_strerror());
		return false;
	}
	avro_schema_decref(judged);
	return true;
}

struct schema *schema_new(const char *json, char *errstr, size_t size)
{
	struct schema *s = NULL;
	struct buf canonical;

	buf_init(&canonical, SCHEMA_CANONICAL_MAX);
	if (schema_judge(json, errstr, size) && schema_canonical(json, &canonical, errstr, size))
		s = schema_from_canonical(&canonical, errstr, size);
	buf_free(&canonical);
	return s;
}

static void tree_free(struct schema_type *t)
{
	for (size_t i = 0; t->names && i < t->n; i++)
		free(t->names[i]);
	free(t->name);
	free(t->names);
	free(t->inner);
	free(t);
}

void schema_free(struct schema *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->nall; i++)
		tree_free(s->all[i]);
	free(s->all);
	free(s);
}
