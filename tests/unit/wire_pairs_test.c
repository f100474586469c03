/* wire_pairs_test.c: lists of names and values keep every byte and refuse what is no list. */
#include "bridgepool/wire/pairs.h"
#include "wire_check.h"

START_TEST(walk_gives_back_what_was_added)
{
	struct slice rest, name, value;
	struct buf b;

	buf_init(&b, 1024);
	ck_assert(pairs_add(&b, SLICE("a"), SLICE("1")));
	ck_assert(pairs_add(&b, SLICE(""), SLICE("")));
	ck_assert(pairs_add(&b, SLICE("n\0l"), (struct slice){NULL, 0}));
	rest = buf_slice(&b);
	ck_assert_uint_eq(pairs_count(rest), 3);
	ck_assert(pairs_next(&rest, &name, &value));
	ck_slice_is(name, "a");
	ck_slice_is(value, "1");
	ck_assert(pairs_next(&rest, &name, &value));
	ck_slice_is(name, "");
	ck_slice_is(value, "");
	ck_assert(pairs_next(&rest, &name, &value));
	ck_assert(slice_equal(name, SLICE("n\0l")));
	ck_absent(value);
	ck_assert(!pairs_next(&rest, &name, &value));
	buf_free(&b);
}
END_TEST

START_TEST(find_takes_the_last)
{
	struct slice value = SLICE("untouched");
	struct buf b;

	buf_init(&b, 1024);
	pairs_add(&b, SLICE("a"), SLICE("1"));
	pairs_add(&b, SLICE("ab"), SLICE("2"));
	pairs_add(&b, SLICE("a"), SLICE("3"));
	ck_assert(pairs_find(buf_slice(&b), "a", &value));
	ck_slice_is(value, "3");
	ck_assert(!pairs_find(buf_slice(&b), "b", &value));
	ck_slice_is(value, "3");
	ck_assert(!pairs_find((struct slice){NULL, 0}, "a", &value));
	buf_free(&b);
}
END_TEST

START_TEST(over_the_limit_adds_nothing)
{
	struct slice rest, name, value;
	struct buf b;

	buf_init(&b, 24);
	ck_assert(pairs_add(&b, SLICE("ab"), SLICE("cd")));
	ck_assert(!pairs_add(&b, SLICE("ab"), SLICE("cdefg")));
	rest = buf_slice(&b);
	ck_assert_uint_eq(pairs_count(rest), 1);
	ck_assert(pairs_next(&rest, &name, &value));
	ck_assert_uint_eq(rest.len, 0);
	buf_free(&b);
}
END_TEST

START_TEST(every_truncation_ends_the_walk)
{
	struct buf b;

	buf_init(&b, 1024);
	pairs_add(&b, SLICE("name"), SLICE("value"));
	for (size_t n = 0; n < b.len; n++) {
		struct slice cut = wire_exact(b.data, n);

		ck_assert_uint_eq(pairs_count(cut), 0);
		free((void *)(uintptr_t)cut.data);
	}
	buf_free(&b);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("pairs");

	tcase_add_test(t, walk_gives_back_what_was_added);
	tcase_add_test(t, find_takes_the_last);
	tcase_add_test(t, over_the_limit_adds_nothing);
	tcase_add_test(t, every_truncation_ends_the_walk);
	return wire_run("wire.pairs", t);
}
