/* config_value.c: one setting becomes the value of one field. */
#include "config_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"

enum { SHOWN_MAX = 80, WHY_MAX = 400 };

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit durations[] = {{"", SECOND_US}, {"us", 1}, {"ms", MS_US}, {"s", SECOND_US}, {"m", 60 * SECOND_US},
	{"h", 3600 * SECOND_US}, {"d", 86400 * SECOND_US}, {NULL, 0}};
static const struct unit sizes[] = {{"", 1}, {"B", 1}, {"KiB", INT64_C(1) << 10}, {"MiB", INT64_C(1) << 20},
	{"GiB", INT64_C(1) << 30}, {"TiB", INT64_C(1) << 40}, {NULL, 0}};
static const struct unit plain[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum config_type type)
{
	return type == CONFIG_DURATION ? durations : type == CONFIG_SIZE ? sizes : plain;
}

static bool scale(double number, int64_t factor, int64_t *out)
{
	double value = number * (double)factor;

	if (!(fabs(value) < 9.2e18))
		return false;
	*out = (int64_t)(value < 0 ? value - 0.5 : value + 0.5);
	return true;
}

/* Whole numbers stay exact; only one with a point goes through a double. */
static bool number(const char *text, const char **end, int64_t factor_of_one, bool *whole, int64_t *i, double *d)
{
	char *stop;

	errno = 0;
	*i = strtoll(text, &stop, 10);
	*whole = *stop != '.';
	if (stop == text || errno || strchr(" \t\n+", *text))
		return false;
	if (!*whole) {
		*d = strtod(text, &stop);
		if (factor_of_one == 0 || stop[-1] == '.')
			return false;
	}
	*end = stop;
	return true;
}

/* A number with its unit. */
static bool quantity(enum config_type type, const char *text, int64_t *out)
{
	const struct unit *units = units_of(type);
	const char *end;
	int64_t i;
	double d = 0;
	bool whole;

	if (!number(text, &end, units != plain, &whole, &i, &d))
		return false;
	for (; units->name; units++)
		if (strcmp(end, units->name) == 0)
			return whole ? !__builtin_mul_overflow(i, units->factor, out) : scale(d, units->factor, out);
	return false;
}

/* What may stand there, in words. */
static void say_allowed(const struct config_key *key, struct buf *out)
{
	static const char *const words[] = {
		[CONFIG_STRING] = "a string in quotes",
		[CONFIG_INT] = "a whole number",
		[CONFIG_BOOL] = "true or false",
		[CONFIG_DURATION] = "a number of seconds, or \"250ms\", \"30s\", \"5m\", \"1h\", \"2d\"",
		[CONFIG_SIZE] = "a number of bytes, or \"64KiB\", \"256MiB\", \"1GiB\"",
		[CONFIG_ENUM] = "one of ",
		[CONFIG_STRINGS] = "a list of strings, like [ \"a\", \"b\" ]",
		[CONFIG_LIST] = "a list of groups, like ( { ... }, { ... } )",
		[CONFIG_RESERVED] = "nothing yet",
	};
	const char *dots = key->range ? strstr(key->range, "..") : NULL;

	buf_text(out, words[key->type]);
	if (key->type == CONFIG_ENUM) {
		for (const char *c = key->range; *c; c++)
			buf_append(out, *c == '|' ? ", " : c, *c == '|' ? 2 : 1);
	} else if (dots && dots[2]) {
		buf_printf(out, ", from %.*s to %s", (int)(dots - key->range), key->range, dots + 2);
	} else if (dots) {
		buf_printf(out, ", at least %.*s", (int)(dots - key->range), key->range);
	}
}

size_t config_value_size(enum config_type type)
{
	static const size_t bytes[] = {
		[CONFIG_STRING] = sizeof(char *),
		[CONFIG_INT] = sizeof(int64_t),
		[CONFIG_BOOL] = sizeof(bool),
		[CONFIG_DURATION] = sizeof(int64_t),
		[CONFIG_SIZE] = sizeof(int64_t),
		[CONFIG_ENUM] = sizeof(int),
		[CONFIG_STRINGS] = sizeof(struct config_strings),
		[CONFIG_LIST] = sizeof(struct config_list),
		[CONFIG_RESERVED] = 0,
	};

	return bytes[type];
}

/* What stands in the file, as it stands there: an expanded string may be a secret. */
static void show(const config_setting_t *s, char out[SHOWN_MAX])
{
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64: snprintf(out, SHOWN_MAX, "%lld", config_setting_get_int64(s)); break;
	case CONFIG_TYPE_FLOAT: snprintf(out, SHOWN_MAX, "%g", config_setting_get_float(s)); break;
	case CONFIG_TYPE_BOOL: snprintf(out, SHOWN_MAX, "%s", config_setting_get_bool(s) ? "true" : "false"); break;
	case CONFIG_TYPE_STRING: snprintf(out, SHOWN_MAX, "\"%.60s\"", config_setting_get_string(s)); break;
	case CONFIG_TYPE_GROUP: snprintf(out, SHOWN_MAX, "a group { }"); break;
	default: snprintf(out, SHOWN_MAX, "a list of %d", config_setting_length(s));
	}
}

static bool refuse(struct config_report *r, const struct config_key *key, const config_setting_t *s, const char *path)
{
	bool shown = key->type == CONFIG_STRING || key->type == CONFIG_INT; /* the other kinds are told with an example */
	const char *good = !shown ? NULL : key->example ? key->example : key->dflt;
	struct buf allowed;
	char found[SHOWN_MAX];

	buf_init(&allowed, WHY_MAX);
	say_allowed(key, &allowed);
	show(s, found);
	config_say(r, s, path, "found %s; allowed is %.*s%s%s", found, (int)allowed.len, (const char *)allowed.data,
		good ? "; for example: " : "", good ? good : "");
	buf_free(&allowed);
	return false;
}

/* The setting as text: strings are expanded, numbers are printed. NULL: said. The caller frees. */
static char *text_of(struct config_report *r, const struct config_key *key, const config_setting_t *s, const char *path)
{
	char why[WHY_MAX], *text = NULL;

	switch (config_setting_type(s)) {
	case CONFIG_TYPE_STRING:
		text = config_expand(config_setting_get_string(s), why, sizeof why);
		if (!text)
			config_say(r, s, path, "%s", why);
		break;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		snprintf(why, sizeof why, "%lld", config_setting_get_int64(s));
		text = xstrdup(why);
		break;
	case CONFIG_TYPE_FLOAT:
		snprintf(why, sizeof why, "%.9f", config_setting_get_float(s));
		text = xstrdup(why);
		break;
	case CONFIG_TYPE_BOOL: text = xstrdup(config_setting_get_bool(s) ? "true" : "false"); break;
	default: refuse(r, key, s, path);
	}
	return text;
}

static bool in_range(const struct config_key *key, int64_t value)
{
	const char *dots = key->range ? strstr(key->range, "..") : NULL;
	char low[32];
	int64_t bound;

	if (!dots)
		return key->type == CONFIG_INT || value >= 0;
	snprintf(low, sizeof low, "%.*s", (int)(dots - key->range), key->range);
	CHECK(quantity(key->type, low, &bound));
	if (value < bound)
		return false;
	if (!dots[2])
		return true;
	CHECK(quantity(key->type, dots + 2, &bound));
	return value <= bound;
}

static bool word_index(const char *range, const char *word, int *out)
{
	size_t n = strlen(word);

	for (int i = 0; range; i++) {
		size_t len = strcspn(range, "|");

		if (len == n && strncmp(range, word, n) == 0) {
			*out = i;
			return true;
		}
		range = range[len] ? range + len + 1 : NULL;
	}
	return false;
}

static bool is_kind(const config_setting_t *s, enum config_type type)
{
	int kind = config_setting_type(s);

	if (kind == CONFIG_TYPE_STRING)
		return true;
	if (type == CONFIG_BOOL)
		return kind == CONFIG_TYPE_BOOL;
	if (type == CONFIG_INT || type == CONFIG_SIZE)
		return kind == CONFIG_TYPE_INT || kind == CONFIG_TYPE_INT64;
	return type == CONFIG_DURATION && (kind == CONFIG_TYPE_INT || kind == CONFIG_TYPE_INT64 || kind == CONFIG_TYPE_FLOAT);
}

static bool parse(const struct config_key *key, const char *text, void *field)
{
	switch (key->type) {
	case CONFIG_BOOL: *(bool *)field = strcmp(text, "true") == 0; return *(bool *)field || strcmp(text, "false") == 0;
	case CONFIG_ENUM: return word_index(key->range, text, field);
	default: return quantity(key->type, text, field) && in_range(key, *(int64_t *)field);
	}
}

static bool scalar(struct config_report *r, const struct config_key *key, const config_setting_t *s, const char *path,
	void *field)
{
	char *text;
	bool good;

	if (!is_kind(s, key->type))
		return refuse(r, key, s, path);
	text = text_of(r, key, s, path);
	if (!text)
		return false;
	if (key->type == CONFIG_STRING) {
		*(char **)field = text;
		return true;
	}
	good = parse(key, text, field);
	free(text);
	if (!good)
		memset(field, 0, config_value_size(key->type));
	return good || refuse(r, key, s, path);
}

static bool strings(struct config_report *r, const struct config_key *key, const config_setting_t *s, const char *path,
	struct config_strings *out)
{
	size_t n = config_setting_is_aggregate(s) ? (size_t)config_setting_length(s) : 0;
	char *text = NULL;

	if (!config_setting_is_list(s) && !config_setting_is_array(s))
		return refuse(r, key, s, path);
	out->items = xcalloc(n + 1, sizeof *out->items);
	for (size_t i = 0; i < n; i++) {
		config_setting_t *item = config_setting_get_elem(s, (unsigned)i);

		if (config_setting_type(item) == CONFIG_TYPE_STRING)
			text = text_of(r, key, item, path);
		else
			refuse(r, key, item, path);
		if (!text)
			return false;
		out->items[out->n++] = text;
		text = NULL;
	}
	return true;
}

/* In the largest unit that leaves a whole number. */
static void show_quantity(enum config_type type, int64_t value, char *out, size_t size)
{
	const struct unit *units = units_of(type), *best = NULL;

	for (; units->name; units++)
		if (*units->name && value && value % units->factor == 0 && (!best || units->factor > best->factor))
			best = units;
	if (best)
		snprintf(out, size, "\"%" PRId64 "%s\"", value / best->factor, best->name);
	else
		snprintf(out, size, "%" PRId64, value);
}

bool config_show(const struct config_key *key, const void *field, char *out, size_t size)
{
	const char *word = key->range;

	switch (key->type) {
	case CONFIG_BOOL: snprintf(out, size, "%s", *(const bool *)field ? "true" : "false"); return true;
	case CONFIG_INT:
	case CONFIG_DURATION:
	case CONFIG_SIZE: show_quantity(key->type, *(const int64_t *)field, out, size); return true;
	case CONFIG_ENUM:
		for (int i = *(const int *)field; i > 0; i--)
			word = strchr(word, '|') + 1;
		snprintf(out, size, "\"%.*s\"", (int)strcspn(word, "|"), word);
		return true;
	default: return false;
	}
}

bool config_value(struct config_report *r, const struct config_key *key, const config_setting_t *s, const char *path, void *field)
{
	CHECK(key->type != CONFIG_LIST && key->type != CONFIG_RESERVED);
	return key->type == CONFIG_STRINGS ? strings(r, key, s, path, field) : scalar(r, key, s, path, field);
}
