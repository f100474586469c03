/* core_window_test.c: the window against one byte per offset, in random order, with gaps, put-backs and rewinds. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/random.h"
#include "window.h"

enum { LOG = 120000, FIRST = 7 };
enum state { UNSEEN, TAKEN, DONE };

/* libcheck notes each of its assertions in a file: too slow for millions. */
#define must(expression)                           \
	do {                                       \
		if (!(expression))                 \
			ck_abort_msg(#expression); \
	} while (0)

struct model {
	struct window w;
	uint8_t state[LOG]; /* of each offset, as its owner knows it */
	bool in_log[LOG];   /* others are gaps */
	int64_t next;       /* to be read */
	struct random random;
};

static int64_t below(struct model *m, int64_t bound)
{
	return (int64_t)random_below(&m->random, (uint64_t)bound);
}

/* From here on the first that is not done, and was in the log or may still be: nothing behind it was read. */
static int64_t base_of(const struct model *m, int64_t from)
{
	int64_t at = from;

	while (at < m->next && (m->state[at] == DONE || (!m->in_log[at] && m->state[at] != TAKEN)))
		at++;
	return at;
}

static void read_one(struct model *m)
{
	int64_t at = m->next;
	enum window_verdict verdict;

	while (at < LOG && !m->in_log[at])
		at++;
	if (at == LOG || (at >= m->w.base && !window_fits(&m->w, at)))
		return;
	verdict = window_admit(&m->w, at);
	must(verdict == (m->state[at] == DONE ? WINDOW_DONE : m->state[at] == TAKEN ? WINDOW_AGAIN : WINDOW_NEW));
	if (m->state[at] == UNSEEN)
		m->state[at] = TAKEN;
	m->next = at + 1;
}

/* A random one of those that are taken; -1: none. */
static int64_t taken(struct model *m)
{
	int64_t span = m->w.top - m->w.base, at;

	for (int tries = 0; span > 0 && tries < 50; tries++) {
		at = m->w.base + below(m, span);
		if (m->state[at] == TAKEN)
			return at;
	}
	return -1;
}

static void finish_one(struct model *m)
{
	int64_t at = taken(m), base = m->w.base;

	if (at < 0)
		return;
	m->state[at] = DONE;
	must(window_finish(&m->w, at) == (m->w.base != base));
}

/* A revoke: some are put back, and the log is read again from the base. */
static void come_back(struct model *m)
{
	for (int64_t at = m->w.base; at < m->w.top; at++) {
		if (m->state[at] != TAKEN || below(m, 2))
			continue;
		m->state[at] = UNSEEN;
		window_put_back(&m->w, at);
	}
	window_rewind(&m->w);
	m->next = m->w.base;
}

static void check_map(struct model *m)
{
	struct offsetmap map;

	window_map(&m->w, &map);
	must(map.base == m->w.base && map.span <= OFFSETMAP_SPAN_MAX);
	for (int64_t at = map.base; at < m->w.top; at++) {
		bool said = offsetmap_bit(&map, (uint32_t)(at - map.base));

		must(!m->in_log[at] || said == (m->state[at] == DONE));
		must(!said || m->state[at] != TAKEN);
	}
}

static void start_from_map(struct model *m, uint32_t cap)
{
	struct offsetmap map;

	window_map(&m->w, &map);
	for (int64_t at = m->w.base; at < m->w.top; at++)
		if (m->state[at] == TAKEN)
			m->state[at] = UNSEEN;
	window_start(&m->w, map.base, &map, cap);
	m->next = map.base;
}

static void run(uint64_t seed, uint32_t cap)
{
	struct model *m = calloc(1, sizeof(*m));
	struct offsetmap none = {.base = FIRST};
	int gaps;

	random_seed(&m->random, seed);
	gaps = (int)below(m, 4);
	for (int64_t at = FIRST; at < LOG; at++)
		m->in_log[at] = gaps == 0 || below(m, 1 << gaps) > 0;
	for (int64_t at = below(m, LOG - 60000), n = gaps == 3 ? 50000 : 0; n > 0; n--, at++)
		m->in_log[at] = false; /* one that is longer than any window */
	window_start(&m->w, FIRST, &none, cap);
	m->next = FIRST;
	for (int step = 0; step < 200000 && m->next < LOG - 1; step++) {
		int64_t dice = below(m, 10000);

		if (dice < 5500)
			read_one(m);
		else if (dice < 9990)
			finish_one(m);
		else if (dice < 9996)
			come_back(m);
		else if (dice < 9997)
			start_from_map(m, cap);
		else
			check_map(m);
		if (step % 1000 == 0)
			window_check(&m->w);
		must(m->w.base == base_of(m, m->w.base));
	}
	check_map(m);
	free(m);
}

START_TEST(the_window_knows_what_one_byte_per_offset_knows)
{
	static const uint32_t caps[] = {16, 17, 64, 1000, OFFSETMAP_SPAN_MAX};

	for (uint64_t seed = 1; seed <= 20; seed++)
		run(seed, caps[seed % 5]);
}
END_TEST

START_TEST(a_gap_before_what_was_not_read_does_not_move_the_base)
{
	struct offsetmap none = {.base = 10};
	struct window w;

	window_start(&w, 10, &none, 16);
	ck_assert_int_eq(window_admit(&w, 10), WINDOW_NEW);
	ck_assert_int_eq(window_admit(&w, 14), WINDOW_NEW); /* 11 to 13 are missing */
	ck_assert(!window_finish(&w, 14));
	ck_assert(window_finish(&w, 10));
	ck_assert_int_eq(w.base, 15);
	ck_assert_int_eq(window_admit(&w, 1000000), WINDOW_NEW); /* nothing lives below */
	ck_assert_int_eq(w.base, 1000000);
	ck_assert(!window_fits(&w, 1000016));
	ck_assert(window_fits(&w, 1000015));
	ck_assert_int_eq(window_admit(&w, 14), WINDOW_DONE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("window");
	TCase *t = tcase_create("window");
	SRunner *runner;
	int failed;

	tcase_set_timeout(t, 100);
	tcase_add_test(t, the_window_knows_what_one_byte_per_offset_knows);
	tcase_add_test(t, a_gap_before_what_was_not_read_does_not_move_the_base);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
