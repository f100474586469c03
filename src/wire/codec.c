/* codec.c: knows the schemas, and tells encodings apart by the first bytes.
 *
 * Records are read and written by this room's own code, guided by the writer's schema: that is what lets a length be checked
 * before anything is allocated for it, and a field stay where it is in the record's bytes. */
#include "inside.h"
#include "bridgepool/base/check.h"
#include "bridgepool/wire/json.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA_FILE_MAX = 1 << 20, CODEC_REQUEST_MAX = 1 << 30 };

/* ---- schemas ---- */

static void writer_bind(struct writer *w)
{
	const struct schema_type *top = w->schema->top;

	w->is_request = top->kind == SCHEMA_RECORD && !strcmp(schema_short_name(top), "ProgramRequest");
	if (!w->is_request)
		return;
	w->field = xcalloc(top->n + 1, sizeof(*w->field));
	for (size_t i = 0; i < top->n; i++)
		w->field[i] = request_field_index(top->names[i]);
}

const struct writer *codec_writer(const struct codec *c, uint64_t fingerprint)
{
	for (size_t i = 0; i < c->nwriters; i++) {
		if (c->writers[i].schema->fingerprint == fingerprint)
			return &c->writers[i];
	}
	return NULL;
}

static bool codec_add(struct codec *c, const char *json, char *errstr, size_t size)
{
	struct schema *s = schema_new(json, errstr, size);
	struct writer *w;

	if (!s)
		return false;
	if (codec_writer(c, s->fingerprint)) {
		schema_free(s); /* the same again, such as a copy of one of ours */
		return true;
	}
	c->writers = xrealloc(c->writers, (c->nwriters + 1) * sizeof(*c->writers));
	w = &c->writers[c->nwriters++];
	*w = (struct writer){.schema = s};
	writer_bind(w);
	return true;
}

/* Returns new: the text of a file with a NUL, or NULL. */
static char *file_text(const char *path, char *errstr, size_t size)
{
	FILE *file = fopen(path, "re");
	char *text;
	size_t n;

	if (!file) {
		snprintf(errstr, size, "%s: %s", path, strerror(errno));
		return NULL;
	}
	text = xmalloc(SCHEMA_FILE_MAX + 1);
	n = fread(text, 1, SCHEMA_FILE_MAX + 1, file);
	if (ferror(file) || n > SCHEMA_FILE_MAX) {
		snprintf(errstr, size, "%s: %s", path, n > SCHEMA_FILE_MAX ? "larger than a schema may be" : "cannot be read");
		free(text);
		text = NULL;
	} else {
		text[n] = '\0';
	}
	fclose(file);
	return text;
}

static bool codec_add_file(struct codec *c, const char *dir, const char *name, char *errstr, size_t size)
{
	char path[4096], why[256];
	char *text;
	bool good;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	text = file_text(path, errstr, size);
	if (!text)
		return false;
	good = codec_add(c, text, why, sizeof(why));
	if (!good)
		snprintf(errstr, size, "%s: %s", path, why);
	free(text);
	return good;
}

static int name_is_schema(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && !strcmp(dot, ".avsc");
}

/* In the order of their names, so that messages and look-ups are the same every time. */
static bool codec_add_dir(struct codec *c, const char *dir, char *errstr, size_t size)
{
	struct dirent **entries;
	int n = scandir(dir, &entries, name_is_schema, alphasort);
	bool good = n >= 0;

	if (!good) {
		snprintf(errstr, size, "directory of schemas %s: %s", dir, strerror(errno));
		return false;
	}
	for (int i = 0; i < n; i++) {
		good = good && codec_add_file(c, dir, entries[i]->d_name, errstr, size);
		free(entries[i]);
	}
	free(entries);
	return good;
}

/* ---- life ---- */

static bool codec_fill(struct codec *c, const struct codec_config *config, char *errstr, size_t size)
{
	for (size_t i = 0; i < SCHEMA_TEXTS; i++)
		CHECK(codec_add(c, schema_texts[i].text, errstr, size));
	for (size_t i = 0; i < config->nextra_dirs; i++) {
		if (!codec_add_dir(c, config->extra_dirs[i], errstr, size))
			return false;
	}
	return true;
}

struct codec *codec_new(const struct codec_config *config, char *errstr, size_t size)
{
	struct codec *c = xcalloc(1, sizeof(*c));

	c->max_request = config->max_request < CODEC_REQUEST_MAX ? config->max_request : CODEC_REQUEST_MAX;
	c->max_depth = config->max_depth ? config->max_depth : JSON_MAX_DEPTH;
	buf_init(&c->text, c->max_request);
	buf_init(&c->text2, c->max_request);
	if (codec_fill(c, config, errstr, size))
		return c;
	codec_free(c);
	return NULL;
}

void codec_free(struct codec *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->nwriters; i++) {
		schema_free(c->writers[i].schema);
		free(c->writers[i].field);
	}
	free(c->writers);
	buf_free(&c->text);
	buf_free(&c->text2);
	free(c);
}

/* ---- encodings ---- */

bool codec_is_avro(struct slice bytes, uint64_t *fingerprint)
{
	const uint8_t *p = bytes.data;

	if (bytes.len < AVRO_HEAD || p[0] != 0xc3 || p[1] != 0x01)
		return false;
	*fingerprint = 0;
	for (int i = 7; i >= 0; i--)
		*fingerprint = *fingerprint << 8 | p[2 + i];
	return true;
}

struct slice codec_avro_body(struct slice bytes)
{
	return (struct slice){(const uint8_t *)bytes.data + AVRO_HEAD, bytes.len - AVRO_HEAD};
}

static enum encoding encoding_of(struct slice bytes)
{
	const uint8_t *p = bytes.data;

	if (bytes.len && p[0] == 0x00)
		return ENCODING_CONFLUENT;
	return bytes.len > 1 && p[0] == 0xc3 && p[1] == 0x01 ? ENCODING_AVRO : ENCODING_JSON;
}

static bool looks_like_json(struct slice bytes)
{
	const char *p = bytes.data, *end = p + bytes.len;

	while (p < end && *p && strchr(" \t\r\n", *p))
		p++;
	return p < end && *p == '{';
}

static bool read_avro(struct codec *c, struct slice bytes, struct buf *scratch, struct request_fields *out, struct fault *why)
{
	const struct writer *w;
	uint64_t fingerprint;

	if (!codec_is_avro(bytes, &fingerprint))
		return fault_set(why, "INVALID_ENCODING",
			"the value begins like an Avro record (C3 01) but is too short to name its schema");
	w = codec_writer(c, fingerprint);
	if (!w)
		return fault_set(why, "UNKNOWN_SCHEMA",
			"the schema with fingerprint %016" PRIx64
			" is not known; put its .avsc into a directory that schemas.extra names",
			fingerprint);
	if (!w->is_request)
		return fault_set(why, "INVALID_RECORD", "the value is a %.100s, not a ProgramRequest",
			schema_short_name(w->schema->top));
	return request_read_avro(c, w, codec_avro_body(bytes), scratch, out, why);
}

bool codec_read_request(struct codec *c, struct slice bytes, struct buf *scratch, struct request_fields *out, struct fault *why)
{
	memset(why, 0, sizeof(*why));
	why->encoding = encoding_of(bytes);
	if (!bytes.len)
		return fault_set(why, "INVALID_ENCODING",
			"the value is empty; send a JSON object, or Avro in single-object encoding (C3 01)");
	if (bytes.len > c->max_request)
		return fault_set(why, "TOO_LARGE",
			"the value has %zu bytes, and %zu are allowed; send less, or raise limits.request", bytes.len,
			c->max_request);
	if (why->encoding == ENCODING_AVRO)
		return read_avro(c, bytes, scratch, out, why);
	if (looks_like_json(bytes))
		return request_read_json(c, bytes, scratch, out, why);
	if (why->encoding == ENCODING_CONFLUENT)
		return fault_set(why, "UNSUPPORTED_ENCODING",
			"the value begins with 00, as records with a schema registry's id do; send JSON, or Avro in "
			"single-object encoding (C3 01)");
	return fault_set(why, "INVALID_ENCODING",
		"the value begins with byte %02X; send a JSON object (begins with {), or Avro in single-object encoding (C3 01)",
		*(const uint8_t *)bytes.data);
}

const char *codec_content_type(enum encoding as)
{
	return as == ENCODING_JSON ? "application/json" : "avro/binary";
}

const char *codec_schema(const char *name)
{
	for (size_t i = 0; i < SCHEMA_TEXTS; i++) {
		if (!strcmp(schema_texts[i].name, name))
			return schema_texts[i].text;
	}
	return NULL;
}

uint64_t codec_fingerprint(const char *schema_json, bool *ok)
{
	struct buf canonical;
	char errstr[128];
	uint64_t fingerprint;

	buf_init(&canonical, SIZE_MAX / 2);
	*ok = schema_canonical(schema_json, &canonical, errstr, sizeof(errstr));
	fingerprint = *ok ? schema_crc64(buf_slice(&canonical)) : 0;
	buf_free(&canonical);
	return fingerprint;
}
