/* config.c: see config.h. The file becomes libconfig's tree, --set changes the tree, the table then reads it. */
#include "config_inside.h"

#include <errno.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"

enum { FILE_LIMIT = 4 * 1024 * 1024, DEFAULT_LIMIT = 4096 };

/* ---- the file ---- */

/* Not config_read_file: libconfig ends the process when the path is a directory. */
static bool read_text(const char *path, struct buf *text, char *why, size_t size)
{
	FILE *f = fopen(path, "re");
	char part[8192];
	size_t n;
	bool good;

	if (!f) {
		snprintf(why, size, "cannot be opened: %s", strerror(errno));
		return false;
	}
	while ((n = fread(part, 1, sizeof part, f)) > 0 && buf_append(text, part, n))
		;
	good = !ferror(f) && !text->overflow && !(text->len && memchr(text->data, '\0', text->len)) && buf_append(text, "", 1);
	if (!good)
		snprintf(why, size, "cannot be read: %s",
			ferror(f)        ? strerror(errno)
			: text->overflow ? "it has more than 4 MiB"
					 : "it has a NUL byte, so it is not text");
	fclose(f);
	return good;
}

/* What libconfig says, and what to do about it. */
static const char *hint_of(const char *error)
{
	static const struct {
		const char *error, *hint;
	} rows[] = {
		{"duplicate setting name", "the key stands twice in its group; remove one of them"},
		{"cannot open include file", "a file to include is looked for from the folder of the configuration on"},
		{"include file nesting too deep", "files that include each other; remove one of these lines"},
		{"mismatched element type in array", "all that stands between [ and ] must be of one kind; quote all of it"},
		{"memory exhausted", "groups or lists are nested too deep; close them"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(rows[i].error, error) == 0)
			return rows[i].hint;
	return "look for a missing quote, bracket, = or ; here or in the line before";
}

static bool has_byte_order_mark(const struct buf *text)
{
	return text->len >= 3 && memcmp(text->data, "\xEF\xBB\xBF", 3) == 0;
}

static void read_file(struct config_report *r)
{
	const config_setting_t place = {.file = r->file};
	char *folder = xstrdup(r->file), why[256];
	struct buf text;

	buf_init(&text, FILE_LIMIT);
	config_set_include_dir(r->tree, dirname(folder));
	if (!read_text(r->file, &text, why, sizeof why)) {
		config_say(r, &place, "", "%s", why);
	} else if (has_byte_order_mark(&text)) {
		config_say(r, &place, "", "begins with a byte order mark (EF BB BF); save it as UTF-8 without one");
	} else if (!config_read_string(r->tree, (const char *)text.data)) {
		const config_setting_t line = {.file = config_error_file(r->tree), .line = (unsigned)config_error_line(r->tree)};

		config_say(r, &line, "", "%s; %s", config_error_text(r->tree), hint_of(config_error_text(r->tree)));
	}
	buf_free(&text);
	free(folder);
}

/* ---- keys that the table does not have ---- */

static void look_group(struct config_report *r, const config_setting_t *group, const char *prefix);

static void look_list(struct config_report *r, const config_setting_t *list, const char *path)
{
	char item[CONFIG_PATH_MAX];

	for (int i = 0; i < config_setting_length(list); i++) {
		const config_setting_t *group = config_setting_get_elem(list, (unsigned)i);

		if (snprintf(item, sizeof item, "%s[%d]", path, i) < (int)sizeof item && config_setting_is_group(group))
			look_group(r, group, item);
	}
}

static void look_member(struct config_report *r, const config_setting_t *s, const char *path)
{
	char schematic[CONFIG_PATH_MAX], list[CONFIG_PATH_MAX + 2];

	if (!config_schematic(path, schematic)) {
		config_unknown(r, s, path);
		return;
	}
	snprintf(list, sizeof list, "%s[]", schematic);
	if (config_find(&r->keys, list)) {
		if (config_setting_is_list(s))
			look_list(r, s, path);
	} else if (config_is_group(&r->keys, schematic)) {
		if (config_setting_is_group(s))
			look_group(r, s, path);
		else
			config_say(r, s, path, "this is a group: write %s = { ... };", path);
	} else if (!config_find(&r->keys, schematic)) {
		config_unknown(r, s, path);
	}
}

static void look_group(struct config_report *r, const config_setting_t *group, const char *prefix)
{
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
		size_t room = strlen(prefix) + strlen(config_setting_name(s)) + 2;
		char *path = xmalloc(room);

		snprintf(path, room, "%s%s%s", prefix, *prefix ? "." : "", config_setting_name(s));
		look_member(r, s, path);
		free(path);
	}
}

/* ---- the table's fields ---- */

const char *config_in_level(const struct config_key *key, const char *level)
{
	size_t n = strlen(level);
	const char *rest = key->path + n, *deeper;

	if (strncmp(key->path, level, n) != 0 || (n && *rest++ != '.'))
		return NULL;
	deeper = strstr(rest, "[].");
	return deeper ? NULL : rest;
}

/* The setting "a.b" or "a[]" under `base`; NULL: not there. *nearest is the last that was. */
static config_setting_t *lookup(const config_setting_t *base, const char *rest, const config_setting_t **nearest)
{
	config_setting_t *s = NULL;
	char name[CONFIG_PATH_MAX];

	*nearest = base;
	while (*rest) {
		size_t n = strcspn(rest, ".[");

		snprintf(name, sizeof name, "%.*s", (int)n, rest);
		s = config_setting_get_member(s ? s : base, name);
		if (!s)
			return NULL;
		*nearest = s;
		rest += n + strspn(rest + n, ".[]");
	}
	return s;
}

/* ---- freeing ---- */

void config_free_field(const struct config_keys *keys, const struct config_key *key, void *field)
{
	if (key->type == CONFIG_STRING) {
		free(*(char **)field);
	} else if (key->type == CONFIG_STRINGS) {
		struct config_strings *strings = field;

		for (size_t i = 0; i < strings->n; i++)
			free(strings->items[i]);
		free(strings->items);
	} else if (key->type == CONFIG_LIST) {
		struct config_list *list = field;

		for (size_t i = 0; i < list->n; i++)
			config_free_level(keys, key->path, (char *)list->items + i * list->stride);
		free(list->items);
	}
	memset(field, 0, config_value_size(key->type));
}

void config_free_level(const struct config_keys *keys, const char *level, void *out)
{
	for (size_t i = 0; i < keys->n; i++)
		if (config_in_level(&keys->rows[i], level))
			config_free_field(keys, &keys->rows[i], (char *)out + keys->rows[i].offset);
}

/* ---- filling ---- */

static void fill(struct config_report *r, const config_setting_t *base, const char *level, const char *prefix, char *out);
static void fill_default(struct config_report *r, const struct config_key *key, const config_setting_t *near, const char *path,
	void *field);

static void fill_list(struct config_report *r, const struct config_key *key, const config_setting_t *s, const char *path,
	struct config_list *out)
{
	size_t n = config_setting_is_list(s) ? (size_t)config_setting_length(s) : 0;
	char item[CONFIG_PATH_MAX];

	if (!config_setting_is_list(s))
		config_say(r, s, path, "allowed is a list of groups; write %s = ( { ... }, { ... } );", path);
	*out = (struct config_list){.items = xcalloc(n + 1, key->stride), .n = n, .stride = key->stride};
	for (size_t i = 0; i < n; i++) {
		const config_setting_t *group = config_setting_get_elem(s, (unsigned)i);

		snprintf(item, sizeof item, "%s[%zu]", path, i);
		if (config_setting_is_group(group)) {
			fill(r, group, key->path, item, (char *)out->items + i * key->stride);
		} else {
			r->hollow = true;
			config_say(r, group, item, "allowed is a group; write { ... } and separate groups by commas");
		}
	}
}

static void fill_reserved(struct config_report *r, const struct config_key *key, const config_setting_t *s, const char *path)
{
	bool idle = key->dflt && (config_setting_type(s) == CONFIG_TYPE_INT && config_setting_get_int(s) == atoi(key->dflt));

	if (!idle)
		config_say(r, s, path, "not supported in this version: %s; remove it", key->help);
}

/* After an error: a value to go on with, so that all other errors are found too. */
static void fill_instead(struct config_report *r, const struct config_key *key, const config_setting_t *s, const char *path,
	void *field)
{
	config_free_field(&r->keys, key, field);
	if (key->dflt)
		fill_default(r, key, s, path, field);
	else
		r->hollow = true;
}

static void fill_one(struct config_report *r, const struct config_key *key, const config_setting_t *s, const char *path,
	void *field)
{
	if (key->type == CONFIG_LIST)
		fill_list(r, key, s, path, field);
	else if (key->type == CONFIG_RESERVED)
		fill_reserved(r, key, s, path);
	else if (!config_value(r, key, s, path, field))
		fill_instead(r, key, s, path, field);
}

static void fill_default(struct config_report *r, const struct config_key *key, const config_setting_t *near, const char *path,
	void *field)
{
	char text[DEFAULT_LIMIT];
	config_setting_t *s;
	config_t tree;

	if (key->type == CONFIG_RESERVED)
		return;
	if (!key->dflt) {
		r->hollow = true;
		config_say(r, near, path, "must be given: %s%s%s", key->help, key->example ? " For example: " : "",
			key->example ? key->example : "");
		return;
	}
	CHECK((size_t)snprintf(text, sizeof text, "v = %s;", key->dflt) < sizeof text);
	config_init(&tree);
	CHECK(config_read_string(&tree, text));
	s = config_lookup(&tree, "v");
	/* A default stands in no line: what is missing in a list's default group is missing in the file. */
	for (int i = 0; config_setting_is_list(s) && i < config_setting_length(s); i++)
		config_setting_get_elem(s, (unsigned)i)->line = 0;
	fill_one(r, key, s, path, field);
	config_destroy(&tree);
}

static void fill(struct config_report *r, const config_setting_t *base, const char *level, const char *prefix, char *out)
{
	char path[CONFIG_PATH_MAX];

	for (size_t i = 0; i < r->keys.n; i++) {
		const struct config_key *key = &r->keys.rows[i];
		const char *rest = config_in_level(key, level);
		const config_setting_t *near;
		config_setting_t *s;

		if (!rest)
			continue;
		snprintf(path, sizeof path, "%s%s%.*s", prefix, *prefix ? "." : "", (int)strcspn(rest, "["), rest);
		s = lookup(base, rest, &near);
		if (s)
			fill_one(r, key, s, path, out + key->offset);
		else
			fill_default(r, key, near, path, out + key->offset);
	}
}

static void zero(const struct config_keys *keys, char *out)
{
	for (size_t i = 0; i < keys->n; i++)
		if (config_in_level(&keys->rows[i], ""))
			memset(out + keys->rows[i].offset, 0, config_value_size(keys->rows[i].type));
}

/* ---- the door ---- */

void config_fault(struct config_report *r, const char *key, const char *format, ...)
{
	const config_setting_t *s = config_root_setting(r->tree);
	const char *rest = key;
	char name[CONFIG_PATH_MAX], text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	while (*rest) {
		size_t n = *rest == '[' ? strcspn(rest, "]") : strcspn(rest, ".[");
		const config_setting_t *next;

		snprintf(name, sizeof name, "%.*s", (int)n, rest);
		next = *name == '[' ? config_setting_get_elem(s, (unsigned)atoi(name + 1)) : config_setting_get_member(s, name);
		if (!next)
			break;
		s = next;
		rest += n + strspn(rest + n, "].");
	}
	if (!config_said(r, key)) /* its value is not the one that was written */
		config_say(r, s, key, "%s", text);
}

bool config_load_checked(const char *path, const char *const *sets, size_t nsets, const struct config_key *keys, size_t n,
	void *out, void (*check)(const void *out, struct config_report *r), struct buf *errors)
{
	config_t tree;
	struct config_report r = {.keys = {keys, n}, .file = path, .tree = &tree, .errors = errors};

	config_init(&tree);
	zero(&r.keys, out);
	if (path)
		read_file(&r);
	if (r.count == 0) {
		for (size_t i = 0; i < nsets; i++)
			config_set(&r, sets[i]);
		look_group(&r, config_root_setting(&tree), "");
		fill(&r, config_root_setting(&tree), "", "", out);
		r.single = errors->len;
		if (!r.hollow && check)
			check(out, &r);
	}
	if (r.count > 0)
		config_free(keys, n, out);
	config_destroy(&tree);
	return r.count == 0;
}

bool config_judge(const struct config_key *keys, size_t n, const void *values,
	void (*check)(const void *values, struct config_report *r), struct buf *errors)
{
	config_t tree;
	struct config_report r = {.keys = {keys, n}, .tree = &tree, .errors = errors};

	config_init(&tree);
	check(values, &r);
	config_destroy(&tree);
	return r.count == 0;
}

bool config_load(const char *path, const char *const *sets, size_t nsets, const struct config_key *keys, size_t n, void *out,
	struct buf *errors)
{
	return config_load_checked(path, sets, nsets, keys, n, out, NULL, errors);
}

void config_free(const struct config_key *keys, size_t n, void *out)
{
	config_free_level(&(struct config_keys){keys, n}, "", out);
}
