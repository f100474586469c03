/* config_text.c: the table of keys as a reference, a man page and an example file. */
#include "config_inside.h"

#include <stdio.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/man.h"

enum { WIDTH = 100 };

static const char *value_of(const struct config_key *key)
{
	return key->example ? key->example : key->dflt ? key->dflt : "";
}

static const char kinds[] =
	"Durations are seconds, or \"250ms\", \"30s\", \"5m\", \"1h\", \"2d\"; sizes are bytes, or \"64KiB\", \"256MiB\", \"1GiB\".";
static const char variables[] =
	"In strings ${NAME} is an environment variable and ${file:PATH} the text of a file, such as a secret; $${ is a plain ${.";

/* " One of a, b." or " From 1 to 1000."; nothing where the value's form tells enough. */
static void range_of(const struct config_key *key, struct buf *out)
{
	const char *range = key->range, *dots = range ? strstr(range, "..") : NULL;

	if (key->type == CONFIG_ENUM) {
		buf_text(out, " One of ");
		for (; *range; range++)
			buf_append(out, *range == '|' ? ", " : range, *range == '|' ? 2 : 1);
		buf_text(out, ".");
	} else if (dots && dots[2]) {
		buf_printf(out, " From %.*s to %s.", (int)(dots - range), range, dots + 2);
	} else if (dots) {
		buf_printf(out, " At least %.*s.", (int)(dots - range), range);
	}
}

void config_reference(const struct config_key *keys, size_t n, struct buf *out)
{
	buf_printf(out, "  %s\n  %s\n\n", kinds, variables);
	for (size_t i = 0; i < n; i++) {
		const struct config_key *key = &keys[i];

		if (key->type == CONFIG_RESERVED)
			continue;
		if (key->type == CONFIG_LIST || !key->dflt)
			buf_printf(out, "  %s\n      %s", key->path, key->help);
		else
			buf_printf(out, "  %s = %s\n      %s", key->path, key->dflt, key->help);
		range_of(key, out);
		buf_text(out, "\n");
	}
}

static void man_key(const struct config_key *key, struct buf *out)
{
	struct buf range;

	buf_init(&range, 1024);
	range_of(key, &range);
	buf_append(&range, "", 1);
	buf_text(out, ".TP\n.B ");
	man_text(key->path, out);
	if (key->dflt && key->type != CONFIG_LIST) {
		buf_text(out, " = ");
		man_text(key->dflt, out);
	}
	buf_text(out, "\n");
	man_text(key->help, out);
	man_text((const char *)range.data, out);
	buf_text(out, "\n");
	buf_free(&range);
}

void config_man(const struct config_key *keys, size_t n, struct buf *out)
{
	man_text(kinds, out);
	buf_text(out, "\n");
	man_text(variables, out);
	buf_text(out, "\n");
	for (size_t i = 0; i < n; i++)
		if (keys[i].type != CONFIG_RESERVED)
			man_key(&keys[i], out);
}

/* Comment lines of at most WIDTH bytes, broken at spaces. */
static void comment(const char *text, const char *indent, struct buf *out)
{
	while (*text) {
		size_t n = strlen(text);

		if (n > WIDTH)
			for (n = WIDTH; n > 0 && text[n] != ' ';)
				n--;
		if (n == 0)
			n = strlen(text);
		buf_printf(out, "%s# %.*s\n", indent, (int)n, text);
		text += n + strspn(text + n, " ");
	}
}

static void example_comment(const struct config_key *key, const char *indent, struct buf *out)
{
	struct buf text;

	buf_init(&text, 4096);
	buf_text(&text, key->help);
	range_of(key, &text);
	if (key->example)
		buf_printf(&text, " Here an example; the default is %s.", key->dflt);
	buf_append(&text, "", 1);
	comment((const char *)text.data, indent, out);
	buf_free(&text);
}

static bool is_list(const char *group)
{
	return strchr(group, '[') != NULL;
}

static void close_group(const char *group, struct buf *out)
{
	if (*group)
		buf_text(out, is_list(group) ? "\t}\n);\n\n" : "};\n\n");
}

static void open_group(const char *group, struct buf *out)
{
	int n = (int)strcspn(group, "[");

	if (*group)
		buf_printf(out, is_list(group) ? "%.*s = (\n\t{\n" : "%.*s = {\n", n, group);
}

/* The group that the key stands in: "", "kafka" or "pools[]"; a list's own row opens its first item. */
static void group_of(const struct config_key *key, char out[CONFIG_PATH_MAX])
{
	const char *dot = strrchr(key->path, '.');

	snprintf(out, CONFIG_PATH_MAX, "%.*s", dot ? (int)(dot - key->path) : 0, key->path);
	if (key->type == CONFIG_LIST)
		snprintf(out, CONFIG_PATH_MAX, "%s", key->path);
	CHECK(!strchr(out, '.'));
}

static void example_key(const struct config_key *key, const char *group, struct buf *out)
{
	const char *indent = !*group ? "" : is_list(group) ? "\t\t" : "\t", *dot = strrchr(key->path, '.');

	example_comment(key, indent, out);
	buf_printf(out, "%s%s = %s;\n", indent, dot ? dot + 1 : key->path, value_of(key));
}

void config_example(const struct config_key *keys, size_t n, struct buf *out)
{
	char group[CONFIG_PATH_MAX] = "", next[CONFIG_PATH_MAX];

	comment("Every key with its default, or with an example where it says so.", "", out);
	comment(kinds, "", out);
	comment(variables, "", out);
	buf_text(out, "\n");
	for (size_t i = 0; i < n; i++) {
		if (keys[i].type == CONFIG_RESERVED)
			continue;
		group_of(&keys[i], next);
		if (strcmp(next, group) != 0) {
			close_group(group, out);
			if (keys[i].type == CONFIG_LIST)
				example_comment(&keys[i], "", out);
			open_group(next, out);
			strcpy(group, next);
		}
		if (keys[i].type != CONFIG_LIST)
			example_key(&keys[i], group, out);
	}
	close_group(group, out);
}
