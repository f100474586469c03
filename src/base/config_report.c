/* config_report.c: errors with their place, and the nearest name to one that is not known. */
#include "config_inside.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bridgepool/base/check.h"

enum { NAME_LEN_MAX = 96, NEAR = 3 /* one wrong letter in so many may be meant */ };

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

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Levenshtein's distance. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NAME_LEN_MAX + 1], na = strlen(a), nb = strlen(b);

	if (na > NAME_LEN_MAX || nb > NAME_LEN_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t next = least(least(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] != b[j - 1]));

			diagonal = row[j];
			row[j] = next;
		}
	}
	return row[nb];
}

static const char *last_name(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot ? dot + 1 : path;
}

/* A misspelt name, else the same name in another place. */
static const char *nearest(const struct config_keys *keys, const char *schematic)
{
	const char *found = NULL;
	size_t best = strlen(schematic) / NEAR + 1;

	for (size_t i = 0; i < keys->n; i++) {
		size_t d = distance(keys->rows[i].path, schematic);

		if (d < best) {
			best = d;
			found = keys->rows[i].path;
		}
	}
	if (found && distance(last_name(found), last_name(schematic)) <= strlen(last_name(schematic)) / 2)
		return found;
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

void config_unknown(struct config_report *r, const config_setting_t *at, const char *path)
{
	char schematic[CONFIG_PATH_MAX];
	const struct config_key *later;
	const char *meant;

	if (!config_schematic(path, schematic)) {
		config_say(r, at, "", "a key of %zu bytes: no key is that long", strlen(path));
		return;
	}
	later = reserved(&r->keys, schematic);
	meant = nearest(&r->keys, schematic);
	if (later)
		config_say(r, at, path, "not supported in this version: %s; remove it", later->help);
	else if (meant)
		config_say(r, at, path, "there is no such key; did you mean %s?", meant);
	else
		config_say(r, at, path, "there is no such key; remove it (bridgepool help lists all keys)");
}
