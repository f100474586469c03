/* tally.c: see tally.h. */
#include "tally.h"

#include <stdlib.h>
#include <string.h>

#include "uthash_setup.h"

struct tally_row {
	UT_hash_handle hh;
	uint64_t n[STATUS_COUNT];
	size_t len;
	char name[];
};

static struct tally_row *find(const struct tally *t, struct slice name)
{
	struct tally_row *row;

	HASH_FIND(hh, t->rows, name.data, name.len, row);
	return row;
}

static struct tally_row *add(struct tally *t, struct slice name)
{
	struct tally_row *row = xcalloc(1, sizeof(*row) + name.len + 1);

	memcpy(row->name, name.data, name.len);
	row->len = name.len;
	HASH_ADD_KEYPTR(hh, t->rows, row->name, row->len, row);
	t->n++;
	return row;
}

void tally_begin(struct tally *t, struct slice name)
{
	CHECK(find(t, name) == NULL);
	add(t, name);
}

bool tally_knows(const struct tally *t, struct slice name)
{
	return name.data != NULL && find(t, name) != NULL;
}

void tally_add(struct tally *t, struct slice name, enum status status)
{
	struct tally_row *row;

	if (name.data == NULL)
		name = SLICE("");
	row = find(t, name);
	if (row == NULL && (t->n >= (status == STATUS_OK ? TALLY_NAMES : TALLY_NAMES / 2) || name.len > TALLY_NAME_BYTES)) {
		name = SLICE("other");
		row = find(t, name);
	}
	if (row == NULL)
		row = add(t, name);
	row->n[status]++;
}

struct command_count *tally_view(const struct tally *t, size_t *n)
{
	struct command_count *out = xcalloc(t->n + 1, sizeof(*out));
	const struct tally_row *row;

	*n = 0;
	for (row = t->rows; row != NULL; row = row->hh.next) {
		out[*n].name = xstrdup(row->name);
		memcpy(out[*n].requests, row->n, sizeof(row->n));
		(*n)++;
	}
	return out;
}

void tally_cleanup(struct tally *t)
{
	struct tally_row *row, *next;

	HASH_ITER (hh, t->rows, row, next) {
		HASH_DEL(t->rows, row);
		free(row);
	}
}
