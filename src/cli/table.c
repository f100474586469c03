/* table.c: see table.h. */
#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "bridgepool/base/buf.h"

enum { BETWEEN = 1 };

/* Of a character: 2 for what East Asia writes, 0 for what is set upon the one before; 1 where the locale does not say. */
static size_t columns_of(const char *at, size_t bytes)
{
	mbstate_t state = {0};
	wchar_t wide;
	int width = bytes > 1 && mbrtowc(&wide, at, bytes, &state) == bytes ? wcwidth(wide) : 1;

	return width < 0 ? 1 : (size_t)width;
}

size_t table_fit(const char *text, size_t columns, size_t *used)
{
	size_t n = 0, width = 0, bytes, more;

	for (; text[n]; n += bytes, width += more) {
		bytes = slice_character(slice_of(text + n));
		bytes += bytes == 0;
		more = columns_of(text + n, bytes);
		if (width + more > columns)
			break;
	}
	if (used)
		*used = width;
	return n;
}

size_t table_cut(const char *text, size_t columns, const char **more)
{
	static const char dots[] = "...";
	size_t n = table_fit(text, columns, NULL);

	*more = "";
	if (!text[n] || columns <= strlen(dots))
		return n;
	*more = dots;
	return table_fit(text, columns - strlen(dots), NULL);
}

void table_open(struct table *t, const struct column *columns, size_t n, size_t first_width, size_t width)
{
	*t = (struct table){.n = n};
	memcpy(t->columns, columns, n * sizeof *columns);
	t->columns[0].width = first_width;
	for (int rank = 0; rank < TABLE_COLUMNS; rank++)
		for (size_t i = 0; i < n; i++) {
			size_t with = t->used + t->columns[i].width + (t->used ? BETWEEN : 0);

			if (columns[i].rank != rank || (rank && width && with > width))
				continue;
			t->shown[i] = true;
			t->used = with;
		}
}

void table_cell(struct table *t, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(t->cells[t->next++], TABLE_CELL, format, args);
	va_end(args);
}

/* What does not fit into its column is cut if it is a name; a number is shown whole. */
static void add_cell(struct buf *out, const struct column *c, const char *text)
{
	size_t used, n = table_fit(text, c->left ? c->width : TABLE_CELL, &used);
	int pad = used < c->width ? (int)(c->width - used) : 0;

	buf_printf(out, "%s%*s%.*s%*s", out->len ? " " : "", c->left ? 0 : pad, "", (int)n, text, c->left ? pad : 0, "");
}

size_t table_row(struct table *t, char *out, size_t size)
{
	struct buf row;

	buf_init(&row, size - 1);
	for (size_t i = 0; i < t->n; i++)
		if (t->shown[i])
			add_cell(&row, &t->columns[i], i < t->next ? t->cells[i] : "-");
	snprintf(out, size, "%.*s", (int)row.len, (const char *)row.data);
	buf_free(&row);
	t->next = 0;
	return t->used;
}
