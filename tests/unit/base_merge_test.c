/* base_merge_test.c: what is different in a later reading of a configuration, and what of it stands. */
#include <check.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/config.h"

struct dish {
	char *name;
	int64_t price, time;
	struct config_strings parts;
};

struct menu {
	char *title;
	int64_t size, weight;
	bool open;
	int taste;
	struct config_strings words;
	struct config_list dishes;
};

static const struct config_key keys[] = {
	{"title", CONFIG_STRING, offsetof(struct menu, title), 0, "\"t\"", NULL, RELOAD_LIVE, "Title.", NULL},
	{"room.size", CONFIG_SIZE, offsetof(struct menu, size), 0, "\"1MiB\"", NULL, RELOAD_LIVE, "Size.", NULL},
	{"room.weight", CONFIG_INT, offsetof(struct menu, weight), 0, "5", NULL, RELOAD_RESTART, "Weight.", NULL},
	{"open", CONFIG_BOOL, offsetof(struct menu, open), 0, "true", NULL, RELOAD_LIVE, "Open.", NULL},
	{"taste", CONFIG_ENUM, offsetof(struct menu, taste), 0, "\"sweet\"", "sweet|sour|hot", RELOAD_LIVE, "Taste.", NULL},
	{"words", CONFIG_STRINGS, offsetof(struct menu, words), 0, "[ ]", NULL, RELOAD_LIVE, "Words.", NULL},
	{"later", CONFIG_RESERVED, 0, 0, "0", NULL, RELOAD_RESTART, "something later", NULL},
	{"dishes[]", CONFIG_LIST, offsetof(struct menu, dishes), sizeof(struct dish), "( )", NULL, RELOAD_RESTART, "Dishes.",
		NULL},
	{"dishes[].name", CONFIG_STRING, offsetof(struct dish, name), 0, "\"soup\"", NULL, RELOAD_RESTART, "Name.", NULL},
	{"dishes[].price", CONFIG_INT, offsetof(struct dish, price), 0, "1", NULL, RELOAD_LIVE, "Price.", NULL},
	{"dishes[].time", CONFIG_DURATION, offsetof(struct dish, time), 0, "\"1s\"", NULL, RELOAD_RESTART, "Time.", NULL},
	{"dishes[].parts", CONFIG_STRINGS, offsetof(struct dish, parts), 0, "[ ]", NULL, RELOAD_LIVE, "Parts.", NULL},
};

enum { KEYS = sizeof keys / sizeof *keys };

static struct menu before, after;
static struct buf told;

static void load(const char *text, struct menu *out)
{
	char path[] = "/tmp/bridgepool-merge-XXXXXX";
	FILE *f = fdopen(mkstemp(path), "w");
	struct buf errors;

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	ck_assert_int_eq(fclose(f), 0);
	buf_init(&errors, 4096);
	ck_assert_msg(config_load(path, NULL, 0, keys, KEYS, out, &errors), "%.*s", (int)errors.len, (const char *)errors.data);
	buf_free(&errors);
	remove(path);
}

/* Takes what the table calls live. */
static bool take(void *ctx, const struct config_change *c)
{
	static const char *const words[] = {"", " added", " removed"};
	char from[64] = "?", to[64] = "?";

	(void)ctx;
	if (c->before) {
		config_show(c->key, c->before, from, sizeof from);
		config_show(c->key, c->after, to, sizeof to);
		buf_printf(&told, "%s(%s/%zu): %s -> %s\n", c->place, c->item ? c->item : "", c->index, from, to);
	} else {
		buf_printf(&told, "%s(%s)%s\n", c->place, c->item, words[c->what]);
	}
	return c->key->reload == RELOAD_LIVE;
}

static void merge(const char *one, const char *two, const char *expected)
{
	load(one, &before);
	load(two, &after);
	buf_init(&told, 4096);
	config_merge(keys, KEYS, &before, &after, take, NULL);
	buf_append(&told, "", 1);
	ck_assert_str_eq((const char *)told.data, expected);
	buf_free(&told);
}

static void teardown(void)
{
	config_free(keys, KEYS, &before);
	config_free(keys, KEYS, &after);
}

static const struct dish *dish(size_t i)
{
	ck_assert_uint_lt(i, after.dishes.n);
	return (const struct dish *)after.dishes.items + i;
}

START_TEST(the_same_is_no_change)
{
	merge("title = \"a\"; words = [ \"x\" ];", "words = [ \"x\" ]; title = \"a\"; room = { size = 1048576; };", "");
}
END_TEST

START_TEST(each_kind_of_value_is_compared_and_shown)
{
	merge("", "title = \"b\"; room = { size = 1536; weight = 6; }; open = false; taste = \"hot\"; words = [ \"x\" ];",
		"title(/0): ? -> ?\nroom.size(/0): \"1MiB\" -> \"1536B\"\nroom.weight(/0): 5 -> 6\nopen(/0): true -> false\n"
		"taste(/0): \"sweet\" -> \"hot\"\nwords(/0): ? -> ?\n");
	ck_assert_str_eq(after.title, "b");
	ck_assert_int_eq(after.size, 1536);
	ck_assert_int_eq(after.weight, 5); /* kept as it was */
	ck_assert(!after.open);
	ck_assert_int_eq(after.taste, 2);
	ck_assert_str_eq(after.words.items[0], "x");
}
END_TEST

START_TEST(items_are_known_by_their_name)
{
	merge("dishes = ( { name = \"a\"; price = 2; parts = [ \"p\" ]; }, { name = \"b\"; time = \"90s\"; } );",
		"dishes = ( { name = \"b\"; time = \"2h\"; price = 7; }, { name = \"a\"; price = 3; parts = [ \"p\" ]; } );",
		"dishes[0].price(a/0): 2 -> 3\ndishes[1].price(b/1): 1 -> 7\ndishes[1].time(b/1): \"90s\" -> \"2h\"\n");
	ck_assert_uint_eq(after.dishes.n, 2);
	ck_assert_str_eq(dish(0)->name, "a");
	ck_assert_int_eq(dish(0)->price, 3);
	ck_assert_str_eq(dish(0)->parts.items[0], "p");
	ck_assert_int_eq(dish(1)->price, 7);
	ck_assert_int_eq(dish(1)->time, 90 * INT64_C(1000000));
}
END_TEST

START_TEST(items_neither_come_nor_go)
{
	merge("dishes = ( { name = \"a\"; parts = [ \"p\", \"q\" ]; price = 4; }, { name = \"b\"; } );",
		"dishes = ( { name = \"c\"; parts = [ \"r\" ]; }, { name = \"b\"; price = 9; } );",
		"dishes[0](a) removed\ndishes[0](c) added\ndishes[1].price(b/1): 1 -> 9\n");
	ck_assert_uint_eq(after.dishes.n, 2);
	ck_assert_str_eq(dish(0)->name, "a");
	ck_assert_int_eq(dish(0)->price, 4);
	ck_assert_uint_eq(dish(0)->parts.n, 2);
	ck_assert_str_eq(dish(0)->parts.items[1], "q");
	ck_assert_ptr_null(dish(0)->parts.items[2]);
	ck_assert_ptr_ne(dish(0)->name, ((const struct dish *)before.dishes.items)->name);
	ck_assert_int_eq(dish(1)->price, 9);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("base_merge");
	TCase *t = tcase_create("merge");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, the_same_is_no_change);
	tcase_add_test(t, each_kind_of_value_is_compared_and_shown);
	tcase_add_test(t, items_are_known_by_their_name);
	tcase_add_test(t, items_neither_come_nor_go);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
