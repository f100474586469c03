/* config_report.c: errors with their place, and the nearest name to one that is not known. */
#include "config_inside.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/spelling.h"

static void say_place(struct config_report *r, const config_setting_t *at)
{
	const char *file = at && at->file ? at->file : r->file;

	if (at && at->hook)
		buf_printf(r->errors, "--set '%s': ", (const char *)at->hook);
	else if (file && at && at->line)
		buf_printf(r->errors, "%s:%u: ", file, at->line);
	else if (file)
		buf_printf(r->errors, "%s: ", file);
}

void config_say(struct config_report *r, const config_setting_t *at, const char *key, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	say_place(r, at);
	buf_printf(r->errors, "%s%s%s\n", key, *key ? ": " : "", text);
	r->count++;
}

bool config_said(const struct config_report *r, const char *path)
{
	char text[CONFIG_PATH_MAX + 2];
	int n = snprintf(text, sizeof text, "%s: ", path);

	return r->single > 0 && memmem(r->errors->data, r->single, text, (size_t)n) != NULL;
}

bool config_schematic(const char *path, char out[CONFIG_PATH_MAX])
{
	size_t n = 0;

	for (; *path; path++) {
		if (n + 2 > CONFIG_PATH_MAX)
			return false;
		out[n++] = *path;
		if (*path == '[')
			while (isdigit((unsigned char)path[1]))
				path++;
	}
	out[n] = '\0';
	return true;
}

const struct config_key *config_find(const struct config_keys *keys, const char *schematic)
{
	for (size_t i = 0; i < keys->n; i++)
		if (strcmp(keys->rows[i].path, schematic) == 0)
			return &keys->rows[i];
	return NULL;
}

bool config_is_group(const struct config_keys *keys, const char *schematic)
{
	size_t n = strlen(schematic);

	for (size_t i = 0; i < keys->n; i++)
		if (strncmp(keys->rows[i].path, schematic, n) == 0 && keys->rows[i].path[n] == '.')
			return true;
	return false;
}

static const char *last_name(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot ? dot + 1 : path;
}

/* A list is named in the file without its []. */
static const char *written(const struct config_key *key, const char *schematic, char name[CONFIG_PATH_MAX])
{
	size_t n = strlen(key->path);

	if (key->type != CONFIG_LIST || strchr(schematic, '['))
		return key->path;
	snprintf(name, CONFIG_PATH_MAX, "%.*s", (int)(n - strlen("[]")), key->path);
	return name;
}

/* The nearest name so far, as it is in the table, or that of a group there. */
struct guess {
	size_t distance;
	char path[CONFIG_PATH_MAX];
};

/* name: as the file has it. */
static void guess_try(struct guess *g, const char *schematic, const char *name, const char *path)
{
	const char *last = last_name(schematic);
	size_t d = spelling_distance(name, schematic);

	if (d >= g->distance || spelling_distance(last_name(name), last) > strlen(last) / 2)
		return;
	g->distance = d;
	snprintf(g->path, sizeof g->path, "%s", path);
}

/* The groups that a key is in. */
static void guess_groups(struct guess *g, const char *schematic, const char *path)
{
	char group[CONFIG_PATH_MAX];

	for (const char *dot = strchr(path, '.'); dot; dot = strchr(dot + 1, '.')) {
		snprintf(group, sizeof group, "%.*s", (int)(dot - path), path);
		if (dot[-1] != ']') /* a list is a key of its own */
			guess_try(g, schematic, group, group);
	}
}

/* A misspelt name, else the same name in another place. */
static const char *nearest(const struct config_keys *keys, const char *schematic, char path[CONFIG_PATH_MAX])
{
	struct guess g = {spelling_near(schematic) + 1, ""};
	char name[CONFIG_PATH_MAX];

	for (size_t i = 0; i < keys->n; i++) {
		guess_try(&g, schematic, written(&keys->rows[i], schematic, name), keys->rows[i].path);
		guess_groups(&g, schematic, keys->rows[i].path);
	}
	if (*g.path)
		return memcpy(path, g.path, sizeof g.path);
	for (size_t i = 0; i < keys->n; i++)
		if (strcmp(last_name(keys->rows[i].path), last_name(schematic)) == 0)
			return keys->rows[i].path;
	return NULL;
}

static const struct config_key *reserved(const struct config_keys *keys, const char *schematic)
{
	for (size_t i = 0; i < keys->n; i++) {
		size_t n = strlen(keys->rows[i].path);

		if (keys->rows[i].type == CONFIG_RESERVED && strncmp(schematic, keys->rows[i].path, n) == 0 &&
			strchr(".[", schematic[n]))
			return &keys->rows[i];
	}
	return NULL;
}

/* The key as one writes it there: a list by its name alone, and in a --set pools[].size as pools[0].size, or with the index that
 * was tried. */
static void spell(const char *meant, const char *path, bool set, char *out, size_t size)
{
	const char *bracket = strstr(meant, "[]"), *tried = strchr(path, '[');
	long index = tried && isdigit((unsigned char)tried[1]) ? strtol(tried + 1, NULL, 10) : 0;

	if (bracket && !bracket[2])
		snprintf(out, size, "%.*s", (int)(bracket - meant), meant);
	else if (bracket && set)
		snprintf(out, size, "%.*s[%ld]%s", (int)(bracket - meant), meant, index, bracket + 2);
	else
		snprintf(out, size, "%s", meant);
}

void config_unknown(struct config_report *r, const config_setting_t *at, const char *path)
{
	char schematic[CONFIG_PATH_MAX], near[CONFIG_PATH_MAX], spelt[CONFIG_PATH_MAX + 32];
	const struct config_key *later;
	const char *meant;

	if (!config_schematic(path, schematic)) {
		config_say(r, at, "", "a key of %zu bytes: no key is that long", strlen(path));
		return;
	}
	later = reserved(&r->keys, schematic);
	meant = nearest(&r->keys, schematic, near);
	if (later) {
		config_say(r, at, path, "not supported in this version: %s; remove it", later->help);
	} else if (meant) {
		spell(meant, path, at && at->hook, spelt, sizeof spelt);
		config_say(r, at, path, "there is no such key; did you mean %s?", spelt);
	} else {
		config_say(r, at, path, "there is no such key; remove it (bridgepool help lists all keys)");
	}
}
