/* config_set.c: one "path=value" of the command line goes into the tree as if it stood in the file. What is missing on the way is
 * made. A value that begins like one of the file's (a quote, [, ( or {) is read as one; any other is a string, from which
 * config_value reads numbers too. */
#include "config_inside.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"

enum { VALUE_LIMIT = 1024 * 1024 };

struct step {
	char name[CONFIG_PATH_MAX]; /* "" for an index */
	int index;
	bool last, before_index;
};

static void mark(config_setting_t *s, const char *set)
{
	/* The tree never changes the text, it is only shown. */
	config_setting_set_hook(s, (void *)(uintptr_t)set);
}

/* Takes the next "name", ".name" or "[3]" off *path. */
static bool next_step(const char **path, struct step *step)
{
	const char *p = *path;
	size_t n;

	*step = (struct step){0};
	if (*p == '[') {
		char *end;

		if (!isdigit((unsigned char)p[1]))
			return false;
		step->index = (int)strtol(p + 1, &end, 10);
		if (*end != ']' || end - p > 6)
			return false;
		p = end + 1;
	} else {
		p += *p == '.';
		n = strcspn(p, ".[");
		if (n == 0 || n >= sizeof step->name)
			return false;
		memcpy(step->name, p, n);
		p += n;
	}
	step->last = *p == '\0';
	step->before_index = *p == '[';
	*path = p;
	return step->last || *p == '.' || *p == '[';
}

static config_setting_t *copy(config_setting_t *parent, const char *name, const config_setting_t *from, const char *set)
{
	config_setting_t *to = config_setting_add(parent, name, config_setting_type(from));

	CHECK(to);
	mark(to, set);
	switch (config_setting_type(from)) {
	case CONFIG_TYPE_INT: config_setting_set_int(to, config_setting_get_int(from)); break;
	case CONFIG_TYPE_INT64: config_setting_set_int64(to, config_setting_get_int64(from)); break;
	case CONFIG_TYPE_FLOAT: config_setting_set_float(to, config_setting_get_float(from)); break;
	case CONFIG_TYPE_BOOL: config_setting_set_bool(to, config_setting_get_bool(from)); break;
	case CONFIG_TYPE_STRING: config_setting_set_string(to, config_setting_get_string(from)); break;
	default:
		for (int i = 0; i < config_setting_length(from); i++) {
			const config_setting_t *item = config_setting_get_elem(from, (unsigned)i);

			copy(to, config_setting_name(item), item, set);
		}
	}
	return to;
}

/* A bare value is a string, or the one item of a list (none if it is empty). */
static void take_bare(config_setting_t *root, const char *value, bool as_list)
{
	config_setting_t *s = config_setting_add(root, "v", as_list ? CONFIG_TYPE_ARRAY : CONFIG_TYPE_STRING);

	if (!as_list)
		config_setting_set_string(s, value);
	else if (*value)
		config_setting_set_string_elem(s, -1, value);
}

/* The value as a tree of its own: "v = <value>;". False: it does not read. */
static bool read_value(const char *value, bool as_list, config_t *tree)
{
	struct buf text;
	bool good;

	config_init(tree);
	if (!*value || !strchr("\"[({", *value)) {
		take_bare(config_root_setting(tree), value, as_list);
		return true;
	}
	buf_init(&text, VALUE_LIMIT);
	good = buf_printf(&text, "v = %s;", value) && buf_append(&text, "", 1) &&
	       config_read_string(tree, (const char *)text.data) && config_setting_length(config_root_setting(tree)) == 1;
	buf_free(&text);
	return good;
}

static bool put_member(config_setting_t *at, const char *name, const config_setting_t *value, const char *set)
{
	if (!config_setting_is_group(at))
		return false;
	config_setting_remove(at, name);
	copy(at, name, value, set);
	return true;
}

/* Replaces the item, or adds one after the last. Only strings: groups are reached through their members. */
static bool put_item(config_setting_t *at, int index, const config_setting_t *value, const char *set)
{
	config_setting_t *item;

	if (!config_setting_is_aggregate(at) || config_setting_is_group(at) || index > config_setting_length(at) ||
		config_setting_type(value) != CONFIG_TYPE_STRING)
		return false;
	item = config_setting_set_string_elem(at, index < config_setting_length(at) ? index : -1,
		config_setting_get_string(value));
	if (item)
		mark(item, set);
	return item != NULL;
}

/* The group or list below `at` that the step names; made if it is not there. NULL: something else is in the way. */
static config_setting_t *descend(config_setting_t *at, const struct step *step, bool items_are_groups, const char *set)
{
	int type = step->before_index ? (items_are_groups ? CONFIG_TYPE_LIST : CONFIG_TYPE_ARRAY) : CONFIG_TYPE_GROUP;
	config_setting_t *found;

	if (*step->name) {
		found = config_setting_get_member(at, step->name);
	} else {
		if (!config_setting_is_list(at) || step->index > config_setting_length(at))
			return NULL;
		found = config_setting_get_elem(at, (unsigned)step->index);
	}
	if (found)
		return config_setting_is_aggregate(found) ? found : NULL;
	found = config_setting_add(at, *step->name ? step->name : NULL, type);
	if (found)
		mark(found, set);
	return found;
}

static const struct config_key *key_of(const struct config_keys *keys, const char *path)
{
	char schematic[CONFIG_PATH_MAX], list[CONFIG_PATH_MAX + 2];
	const struct config_key *key;
	size_t n;

	if (!config_schematic(path, schematic))
		return NULL;
	snprintf(list, sizeof list, "%s[]", schematic);
	key = config_find(keys, schematic);
	if (!key)
		key = config_find(keys, list);
	n = strlen(schematic);
	if (!key && n > 2 && strcmp(schematic + n - 2, "[]") == 0) {
		schematic[n - 2] = '\0';
		key = config_find(keys, schematic);
		key = key && key->type == CONFIG_STRINGS ? key : NULL;
	}
	return key && (key->type != CONFIG_LIST || !strchr(path, '[')) ? key : NULL;
}

static bool walk(config_t *tree, const char *path, bool items_are_groups, const config_setting_t *value, const char *set)
{
	config_setting_t *at = config_root_setting(tree);
	struct step step;

	while (at && next_step(&path, &step)) {
		if (step.last)
			return *step.name ? put_member(at, step.name, value, set) : put_item(at, step.index, value, set);
		at = descend(at, &step, items_are_groups, set);
	}
	return false;
}

void config_set(struct config_report *r, const char *set)
{
	const config_setting_t place = {.hook = (void *)(uintptr_t)set};
	const char *equals = strchr(set, '=');
	char path[CONFIG_PATH_MAX];
	const struct config_key *key;
	config_t value;

	if (!equals || equals == set || (size_t)(equals - set) >= sizeof path) {
		config_say(r, &place, "", "write it as KEY=VALUE, like pools[0].size=8");
		return;
	}
	snprintf(path, sizeof path, "%.*s", (int)(equals - set), set);
	key = key_of(&r->keys, path);
	if (!key) {
		config_unknown(r, &place, path);
		return;
	}
	if (!read_value(equals + 1, key->type == CONFIG_STRINGS && equals[-1] != ']', &value))
		config_say(r, &place, path, "the value does not read like one in the file: %s",
			config_error_text(&value) ? config_error_text(&value) : "it is more than one");
	else if (!walk(r->tree, path, strchr(key->path, '[') != NULL, config_setting_get_elem(config_root_setting(&value), 0),
			 set))
		config_say(r, &place, path,
			"there is no such place; an index counts from 0 and may be one after the last at most");
	config_destroy(&value);
}
