/* lines.c: cuts what a worker writes to stderr into lines, each at most STDERR_LINE_MAX long. */
#include "lines.h"

#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"

static bool is_blank(struct slice line)
{
	const char *p = line.data;

	for (size_t i = 0; i < line.len; i++) {
		if (p[i] != ' ' && p[i] != '\t')
			return false;
	}
	return true;
}

static void say(struct lines *l, const char *data, size_t n, lines_fn *each, void *ctx)
{
	struct slice line = {data, n};

	if (n > 0 && data[n - 1] == '\r')
		line.len--;
	if (!is_blank(line)) {
		l->last_len = line.len < STDERR_LAST_MAX ? line.len : STDERR_LAST_MAX;
		memcpy(l->last, line.data, l->last_len);
		l->last_at = clock_mono_us();
	}
	each(ctx, line);
}

/* Part of a line whose end is not here. When it gets too long it is said as it is, once. */
static void keep(struct lines *l, const char *data, size_t n, lines_fn *each, void *ctx)
{
	size_t room = STDERR_LINE_MAX - l->len;

	if (l->skipping || n == 0)
		return;
	if (!l->part)
		l->part = xmalloc(STDERR_LINE_MAX);
	memcpy(l->part + l->len, data, n < room ? n : room);
	l->len += n < room ? n : room;
	if (n <= room)
		return;
	l->skipping = true;
	say(l, l->part, l->len, each, ctx);
	l->len = 0;
}

static void finish(struct lines *l, const char *data, size_t n, lines_fn *each, void *ctx)
{
	if (l->len == 0 && !l->skipping && n <= STDERR_LINE_MAX) {
		say(l, data, n, each, ctx);
		return;
	}
	keep(l, data, n, each, ctx);
	if (!l->skipping)
		say(l, l->part, l->len, each, ctx);
	l->skipping = false;
	l->len = 0;
}

void lines_feed(struct lines *l, const char *data, size_t n, lines_fn *each, void *ctx)
{
	const char *end = data + n, *newline;

	for (; data < end && (newline = memchr(data, '\n', (size_t)(end - data))); data = newline + 1)
		finish(l, data, (size_t)(newline - data), each, ctx);
	keep(l, data, (size_t)(end - data), each, ctx);
}

void lines_end(struct lines *l, lines_fn *each, void *ctx)
{
	if (l->len)
		finish(l, "", 0, each, ctx);
}

void lines_free(struct lines *l)
{
	free(l->part);
	*l = (struct lines){0};
}
