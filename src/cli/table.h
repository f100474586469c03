/* table.h: rows of text in columns as wide as a terminal has them, where a character may take two columns or none. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>

enum { TABLE_COLUMNS = 16, TABLE_CELL = 96 /* bytes */ };

/* Those that a narrow screen has no room for are left out, the less important ones first. */
struct column {
	const char *head;
	size_t width;
	bool left;
	int rank; /* below TABLE_COLUMNS; 0: always there; the lower the more important */
};

struct table {
	struct column columns[TABLE_COLUMNS];
	size_t n, used; /* used: width of those that are shown */
	bool shown[TABLE_COLUMNS];
	char cells[TABLE_COLUMNS][TABLE_CELL]; /* of the row in the making */
	size_t next;
};

/* Copies columns. first_width: of the first one, which holds names; width: to fit into, 0: any. */
void table_open(struct table *t, const struct column *columns, size_t n, size_t first_width, size_t width);
void table_cell(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3))); /* the row's next */
/* ends the row; cells that were not given are "-". Returns its width */
size_t table_row(struct table *t, char *out, size_t size);

/* How many bytes of a text take at most so many columns; no character in part. used: how many they take; may be NULL. */
size_t table_fit(const char *text, size_t columns, size_t *used);
/* The same for a line of a screen. *more: it does not end there, and the last columns are left for the dots that say so. */
size_t table_cut(const char *text, size_t columns, const char **more);

#endif
