/* config_merge.c: what is different in a later reading of the same table, and which of it stands. */
#include "config_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"

struct merge {
	struct config_keys keys;
	bool (*take)(void *ctx, const struct config_change *c);
	void *ctx;
};

/* ---- fields ---- */

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_strings(const struct config_strings *a, const struct config_strings *b)
{
	bool same = a->n == b->n;

	for (size_t i = 0; same && i < a->n; i++)
		same = same_text(a->items[i], b->items[i]);
	return same;
}

static bool same_field(const struct config_key *key, const void *a, const void *b)
{
	switch (key->type) {
	case CONFIG_STRING: return same_text(*(char *const *)a, *(char *const *)b);
	case CONFIG_STRINGS: return same_strings(a, b);
	default: return memcmp(a, b, config_value_size(key->type)) == 0;
	}
}

/* to is empty. */
static void copy_field(const struct config_key *key, const void *from, void *to)
{
	const struct config_strings *strings = from;
	struct config_strings *copy = to;

	CHECK(key->type != CONFIG_LIST); /* lists in lists: no table has them */
	if (key->type == CONFIG_STRING) {
		*(char **)to = *(char *const *)from ? xstrdup(*(char *const *)from) : NULL;
	} else if (key->type == CONFIG_STRINGS) {
		copy->items = xcalloc(strings->n + 1, sizeof *copy->items);
		for (copy->n = 0; copy->n < strings->n; copy->n++)
			copy->items[copy->n] = xstrdup(strings->items[copy->n]);
	} else {
		memcpy(to, from, config_value_size(key->type));
	}
}

static void copy_level(const struct merge *m, const char *level, const char *from, char *to)
{
	for (size_t i = 0; i < m->keys.n; i++)
		if (config_in_level(&m->keys.rows[i], level))
			copy_field(&m->keys.rows[i], from + m->keys.rows[i].offset, to + m->keys.rows[i].offset);
}

/* ---- lists ---- */

static char *item_at(const struct config_list *list, size_t i)
{
	return (char *)list->items + i * list->stride;
}

/* The first member names an item. */
static const char *item_name(const struct merge *m, const struct config_key *list, const char *item)
{
	for (size_t i = 0; i < m->keys.n; i++)
		if (config_in_level(&m->keys.rows[i], list->path)) {
			CHECK(m->keys.rows[i].type == CONFIG_STRING);
			return *(char *const *)(item + m->keys.rows[i].offset);
		}
	CHECK(!"a list without members");
	return NULL;
}

static size_t item_find(const struct merge *m, const struct config_key *list, const struct config_list *in, const char *name)
{
	size_t i = 0;

	while (i < in->n && !same_text(item_name(m, list, item_at(in, i)), name))
		i++;
	return i;
}

static void tell_item(const struct merge *m, const struct config_key *list, const struct config_list *in, size_t i, bool added)
{
	char place[CONFIG_PATH_MAX];

	snprintf(place, sizeof place, "%.*s[%zu]", (int)strcspn(list->path, "["), list->path, i);
	m->take(m->ctx, &(struct config_change){
				.key = list,
				.what = added ? CONFIG_ADDED : CONFIG_REMOVED,
				.place = place,
				.item = item_name(m, list, item_at(in, i)),
				.index = i,
			});
}

/* after gets the items of before, each with its later values if it has any. */
static void align(const struct merge *m, const struct config_key *list, const struct config_list *before,
	struct config_list *after)
{
	char *items = xcalloc(before->n + 1, before->stride);

	for (size_t i = 0; i < before->n; i++) {
		size_t k = item_find(m, list, after, item_name(m, list, item_at(before, i)));

		if (k == after->n) {
			tell_item(m, list, before, i, false);
			copy_level(m, list->path, item_at(before, i), items + i * before->stride);
		} else {
			memcpy(items + i * before->stride, item_at(after, k), before->stride);
		}
	}
	for (size_t k = 0; k < after->n; k++)
		if (item_find(m, list, before, item_name(m, list, item_at(after, k))) == before->n) {
			tell_item(m, list, after, k, true);
			config_free_level(&m->keys, list->path, item_at(after, k));
		}
	free(after->items);
	*after = (struct config_list){.items = items, .n = before->n, .stride = before->stride};
}

/* ---- levels ---- */

/* Of an item of a list: its place, name and number; else "", NULL and 0. */
struct where {
	const char *level, *prefix, *item;
	size_t index;
};

static void merge_level(const struct merge *m, const struct where *w, const char *before, char *after);

static void merge_list(const struct merge *m, const struct config_key *key, const struct config_list *before,
	struct config_list *after)
{
	char prefix[CONFIG_PATH_MAX];

	align(m, key, before, after);
	for (size_t i = 0; i < before->n; i++) {
		struct where w = {key->path, prefix, item_name(m, key, item_at(before, i)), i};

		snprintf(prefix, sizeof prefix, "%.*s[%zu]", (int)strcspn(key->path, "["), key->path, i);
		merge_level(m, &w, item_at(before, i), item_at(after, i));
	}
}

static void merge_field(const struct merge *m, const struct where *w, const struct config_key *key, const void *before,
	void *after)
{
	char place[2 * CONFIG_PATH_MAX];

	if (same_field(key, before, after))
		return;
	snprintf(place, sizeof place, "%s%s%s", w->prefix, *w->prefix ? "." : "", config_in_level(key, w->level));
	if (m->take(m->ctx, &(struct config_change){
				    .key = key,
				    .what = CONFIG_CHANGED,
				    .place = place,
				    .item = w->item,
				    .index = w->index,
				    .before = before,
				    .after = after,
			    }))
		return;
	config_free_field(&m->keys, key, after);
	copy_field(key, before, after);
}

static void merge_level(const struct merge *m, const struct where *w, const char *before, char *after)
{
	for (size_t i = 0; i < m->keys.n; i++) {
		const struct config_key *key = &m->keys.rows[i];

		if (!config_in_level(key, w->level))
			continue;
		if (key->type == CONFIG_LIST)
			merge_list(m, key, (const struct config_list *)(before + key->offset),
				(struct config_list *)(after + key->offset));
		else
			merge_field(m, w, key, before + key->offset, after + key->offset);
	}
}

void config_merge(const struct config_key *keys, size_t n, const void *before, void *after,
	bool (*take)(void *ctx, const struct config_change *c), void *ctx)
{
	const struct merge m = {{keys, n}, take, ctx};

	merge_level(&m, &(struct where){"", "", NULL, 0}, before, after);
}
