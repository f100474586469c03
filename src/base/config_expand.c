/* config_expand.c: ${NAME} and ${file:PATH} in a string. */
#include "config_inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"

enum { TEXT_LIMIT = 1024 * 1024, SECRET_LIMIT = 64 * 1024, NAME_LIMIT = 1024 };

/* A secret file usually ends with a newline that is not part of the secret. */
static bool add_file(const char *path, struct buf *out, char *why, size_t size)
{
	FILE *f = fopen(path, "re");
	char text[SECRET_LIMIT];
	size_t n;

	if (!f) {
		snprintf(why, size, "${file:%s} cannot be opened: %s", path, strerror(errno));
		return false;
	}
	errno = 0;
	n = fread(text, 1, sizeof text, f);
	if (ferror(f) || n == sizeof text || memchr(text, '\0', n)) {
		snprintf(why, size, "${file:%s} cannot be used: %s", path,
			ferror(f)          ? strerror(errno)
			: n == sizeof text ? "it has 64 KiB or more"
					   : "it has a NUL byte");
		fclose(f);
		return false;
	}
	fclose(f);
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		n--;
	return buf_append(out, text, n);
}

static bool add_variable(const char *name, struct buf *out, char *why, size_t size)
{
	const char *value = getenv(name);

	if (!value) {
		snprintf(why, size, "the environment variable %s is not set; set it, or write $${%s} for the text itself", name,
			name);
		return false;
	}
	return buf_text(out, value);
}

/* text points behind "${". Returns what follows the closing brace, or NULL. */
static const char *expand_one(const char *text, struct buf *out, char *why, size_t size)
{
	const char *end = strchr(text, '}');
	char name[NAME_LIMIT];
	bool good;

	if (!end || end == text || (size_t)(end - text) >= sizeof name) {
		snprintf(why, size, "\"${\" without a name and \"}\"; write ${NAME} or ${file:PATH}, or $${ for the text itself");
		return NULL;
	}
	memcpy(name, text, (size_t)(end - text));
	name[end - text] = '\0';
	good = strncmp(name, "file:", 5) == 0 ? add_file(name + 5, out, why, size) : add_variable(name, out, why, size);
	return good ? end + 1 : NULL;
}

char *config_expand(const char *text, char *why, size_t size)
{
	struct buf out;
	size_t n;

	buf_init(&out, TEXT_LIMIT);
	snprintf(why, size, "more than 1 MiB of text");
	while (text && *text) {
		if (strncmp(text, "$${", 3) == 0) {
			buf_text(&out, "${");
			text += 3;
		} else if (strncmp(text, "${", 2) == 0) {
			text = expand_one(text + 2, &out, why, size);
		} else {
			buf_append(&out, text++, 1);
		}
	}
	if (!text || !buf_append(&out, "", 1) || out.overflow) {
		buf_free(&out);
		return NULL;
	}
	return buf_take(&out, &n);
}
