/* core_spent_test.c: what runs say that they used up: whose names count, and that every run counts. */
#include "spent.h"

#include "core_world.h"

static struct used_up total;

static void says(double input, double output, double other, double cost)
{
	ck_assert_double_eq(total.tokens[TOKENS_INPUT], input);
	ck_assert_double_eq(total.tokens[TOKENS_OUTPUT], output);
	ck_assert_double_eq(total.tokens[TOKENS_OTHER], other);
	ck_assert_double_eq(total.cost, cost);
}

START_TEST(known_names_add_up_and_each_token_counts_once)
{
	total = (struct used_up){0};
	spent_add(&total, SLICE("{\"prompt_tokens\":10,\"completion_tokens\":4,\"total_tokens\":14,\"cost\":0.25}"));
	says(10, 4, 0, 0.25);
	spent_add(&total, SLICE("{\"input_tokens\":1,\"output_tokens\":2,\"total_tokens\":8}")); /* 5 of reasoning */
	says(11, 6, 5, 0.25);
	spent_add(&total, SLICE("{\"tokens\":100}"));
	says(11, 6, 105, 0.25);
	spent_add(&total, SLICE("{\"prompt_tokens\":3,\"input_tokens\":3}"));
	says(14, 6, 105, 0.25);
}
END_TEST

START_TEST(anything_else_counts_nothing)
{
	total = (struct used_up){0};
	spent_add(&total, (struct slice){NULL, 0});
	spent_add(&total, SLICE("{}"));
	spent_add(&total, SLICE("{\"pages\":3,\"prompt_tokens\":-5,\"cost\":-1,\"tokens\":1e999,\"m.prompt_tokens\":7}"));
	says(0, 0, 0, 0);
}
END_TEST

static void look(struct world *w)
{
	struct snapshot s;

	engine_snapshot(w->e, w->now, &s);
	total = s.pools[0].used;
	snapshot_free(&s);
}

START_TEST(every_run_counts_and_the_result_has_its_last_ones)
{
	struct world *w = world_new((struct pool_config){0}, (struct engine_config){0});
	const struct answer busy = {
		.kind = ANSWER_ERROR,
		.code = SLICE("BUSY"),
		.retriable = true,
		.retry_after_ms = TIME_NONE,
		.usage = SLICE("{\"tokens\":5}"),
	};
	const struct answer good = {
		.kind = ANSWER_OK,
		.payload = SLICE("1"),
		.retry_after_ms = TIME_NONE,
		.usage = SLICE("{\"tokens\":7}"),
	};
	const json_t *usage;

	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	world_send(w, "a", "{\"command\":\"say\"}");
	world_answer_as(w, world_last(w, CALL_REQUEST), busy);
	world_pass(w, SECOND_US);
	world_answer_as(w, world_last(w, CALL_REQUEST), good);
	look(w);
	says(0, 0, 12, 0);
	usage = json_object_get(w->results[0], "usage");
	ck_assert_double_eq(json_number_value(json_object_get(usage, "tokens")), 7);
	world_send(w, "a", "{\"command\":\"say\",\"timeout_ms\":3000}");
	world_pass(w, 5 * SECOND_US);
	ck_assert_str_eq(world_text(w, 1, "status"), "TIMEOUT");
	world_answer_as(w, world_last(w, CALL_REQUEST), good); /* late, but paid for */
	look(w);
	says(0, 0, 19, 0);
	world_free(w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("spent");
	TCase *t = tcase_create("spent");
	SRunner *runner;
	int failed;

	tcase_add_test(t, known_names_add_up_and_each_token_counts_once);
	tcase_add_test(t, anything_else_counts_nothing);
	tcase_add_test(t, every_run_counts_and_the_result_has_its_last_ones);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
