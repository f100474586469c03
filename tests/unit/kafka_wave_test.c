/* kafka_wave_test.c: which records go at once, and which wait for those before them. */
#include <check.h>
#include <stdlib.h>

#include "bridgepool/base/clock.h"
#include "wave.h"

static const int64_t start = 1000 * SECOND_US;

START_TEST(few_records_never_wait)
{
	struct wave w = {.linger_us = 0};

	for (size_t i = 0; i < WAVE_FEW; i++)
		ck_assert(wave_takes(&w, i, start));
	ck_assert(!wave_takes(&w, WAVE_FEW, start));
}
END_TEST

START_TEST(a_wave_takes_what_comes_while_it_lingers)
{
	struct wave w = {.linger_us = MS_US};

	ck_assert(wave_takes(&w, 0, start));
	ck_assert(wave_takes(&w, 1000, start + MS_US - 1));
	ck_assert(!wave_takes(&w, 1001, start + MS_US));
	ck_assert(!wave_takes(&w, WAVE_FEW, start + 2 * MS_US));
	ck_assert(wave_takes(&w, WAVE_FEW - 1, start + 2 * MS_US));
	ck_assert(wave_takes(&w, 1000, start + 3 * MS_US - 1));
	ck_assert(!wave_takes(&w, 1000, start + 3 * MS_US));
}
END_TEST

START_TEST(a_broker_that_does_not_answer_is_waited_for_only_so_long)
{
	struct wave w = {.linger_us = MS_US};
	const int64_t over = start + WAVE_PATIENCE_MS * MS_US;

	ck_assert(wave_takes(&w, 0, start));
	ck_assert(!wave_takes(&w, 1000, over - 1));
	ck_assert(wave_takes(&w, 1000, over));
	ck_assert(wave_takes(&w, 1000, over + MS_US - 1));
	ck_assert(!wave_takes(&w, 1000, over + MS_US));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wave");
	TCase *tcase = tcase_create("wave");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, few_records_never_wait);
	tcase_add_test(tcase, a_wave_takes_what_comes_while_it_lingers);
	tcase_add_test(tcase, a_broker_that_does_not_answer_is_waited_for_only_so_long);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
