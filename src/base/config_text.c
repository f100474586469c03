/* config_text.c: the table of keys as a reference, a man page and an example file. */
#include "config_inside.h"

#include <stdio.h>
#include <string.h>

#include "bridgepool/base/check.h"

enum { WIDTH = 100 };

static const char *value_of(const struct config_key *key)
{
	return key->example ? key->example : key->dflt ? key->dflt : "";
}

static void allowed_of(const struct config_key *key, struct buf *out)
{
	buf_text(out, "Allowed: ");
	config_allowed(key, out);
	buf_text(out, ".");
}

void config_reference(const struct config_key *keys, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		const struct config_key *key = &keys[i];

		if (key->type == CONFIG_RESERVED)
			continue;
		if (key->type == CONFIG_LIST || !key->dflt)
			buf_printf(out, "  %s\n      %s ", key->path, key->help);
		else
			buf_printf(out, "  %s = %s\n      %s ", key->path, key->dflt, key->help);
		allowed_of(key, out);
		buf_text(out, "\n");
	}
}

/* A line of man(7): backslashes, dashes and a leading dot mean something else there. */
static void man_text(const char *text, struct buf *out)
{
	if (*text == '.' || *text == '\'')
		buf_text(out, "\\&");
	for (; *text; text++) {
		if (*text == '\\')
			buf_text(out, "\\e");
		else if (*text == '-')
			buf_text(out, "\\-");
		else
			buf_append(out, text, 1);
	}
}

void config_man(const struct config_key *keys, size_t n, struct buf *out)
{
	struct buf allowed;

	buf_init(&allowed, 1024);
	for (size_t i = 0; i < n; i++) {
		const struct config_key *key = &keys[i];

		if (key->type == CONFIG_RESERVED)
			continue;
		buf_text(out, ".TP\n.B ");
		man_text(key->path, out);
		if (key->dflt && key->type != CONFIG_LIST) {
			buf_text(out, " = ");
			man_text(key->dflt, out);
		}
		buf_text(out, "\n");
		man_text(key->help, out);
		buf_reset(&allowed);
		allowed_of(key, &allowed);
		buf_append(&allowed, "", 1);
		buf_text(out, "\n");
		man_text((const char *)allowed.data, out);
		buf_text(out, "\n");
	}
	buf_free(&allowed);
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
	buf_printf(&text, "%s ", key->help);
	allowed_of(key, &text);
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

void config_example(const struct config_key *keys, size_t n, struct buf *out)
{
	char group[CONFIG_PATH_MAX] = "", next[CONFIG_PATH_MAX];

	for (size_t i = 0; i < n; i++) {
		const struct config_key *key = &keys[i];
		const char *dot = strrchr(key->path, '.'), *indent;

		if (key->type == CONFIG_RESERVED)
			continue;
		snprintf(next, sizeof next, "%.*s", dot ? (int)(dot - key->path) : 0, key->path);
		CHECK(!strchr(next, '.'));
		if (strcmp(next, group) != 0) {
			close_group(group, out);
			strcpy(group, next);
			if (!is_list(group))
				open_group(group, out);
		}
		if (key->type == CONFIG_LIST) {
			comment(key->help, "", out);
			open_group(key->path, out);
			snprintf(group, sizeof group, "%s", key->path);
			continue;
		}
		indent = !*group ? "" : is_list(group) ? "\t\t" : "\t";
		example_comment(key, indent, out);
		buf_printf(out, "%s%s = %s;\n", indent, dot ? dot + 1 : key->path, value_of(key));
	}
	close_group(group, out);
}
