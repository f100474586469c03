/* app_notes_test.c: what each note means to people. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/app/settings.h"
#include "notes.h"

static char pool_word[] = "qa", topic_word[] = "requests";
static struct pool_settings pools[] = {{.name = pool_word}};
static struct source_settings sources[] = {{.topic = topic_word}};
static const struct settings settings = {
	.pools = {.items = pools, .n = 1, .stride = sizeof pools[0]},
	.sources = {.items = sources, .n = 1, .stride = sizeof sources[0]},
};

static const char *text_of(const struct note *n, char out[1024])
{
	struct note_line line;
	struct buf text;

	buf_init(&text, 1023);
	notes_line(&settings, n, false, &line);
	log_text(&line.entry, &text);
	memcpy(out, text.data, text.len);
	out[text.len] = '\0';
	buf_free(&text);
	return out;
}

START_TEST(every_note_has_a_row)
{
	for (int kind = 0; kind < NOTE_KINDS; kind++) {
		const struct note_row *row = notes_row((enum note_kind)kind);
		ck_assert_ptr_nonnull(row->sentence);
		ck_assert_int_gt((int)strlen(row->sentence), 10);
		for (int other = 0; other < kind; other++)
			ck_assert_str_ne(row->event, notes_row((enum note_kind)other)->event);
	}
}
END_TEST

START_TEST(a_worker_is_named_with_its_generation)
{
	const struct note n = {
		.kind = NOTE_WORKER_STATE,
		.worker = {0, 3, 7},
		.has_pool = true,
		.from = HEALTH_INITIALIZING,
		.to = HEALTH_READY,
		.reason = SLICE("first ping answered"),
	};
	char text[1024];

	text_of(&n, text);
	ck_assert_ptr_nonnull(strstr(text, " worker=qa/3.7"));
	ck_assert_ptr_nonnull(strstr(text, " from=INITIALIZING to=READY"));
	ck_assert_ptr_nonnull(strstr(text, " reason=\"first ping answered\""));
	ck_assert_ptr_null(strstr(text, "topic="));
}
END_TEST

START_TEST(a_reason_with_quotes_in_it_is_one_token)
{
	const struct note n = {
		.kind = NOTE_INSTANCE_STATE,
		.to = HEALTH_STOPPED,
		.reason = SLICE("the workers of \"qa\" say C:\\x"),
	};
	char text[1024];

	text_of(&n, text);
	ck_assert_ptr_nonnull(strstr(text, " reason=\"the workers of \\\"qa\\\" say C:\\\\x\""));
}
END_TEST

START_TEST(a_partition_is_named_with_its_topic)
{
	const struct note n = {.kind = NOTE_PARTITION_ASSIGNED, .tp = {0, 5, 1}, .count = 42};
	char text[1024];

	text_of(&n, text);
	ck_assert_ptr_nonnull(strstr(text, " topic=requests partition=5"));
	ck_assert_ptr_nonnull(strstr(text, " count=42"));
	ck_assert_ptr_null(strstr(text, "worker="));
}
END_TEST

START_TEST(what_a_count_is_stands_beside_it_and_not_without)
{
	struct note exit = {.kind = NOTE_WORKER_EXIT, .worker = {0, 3, 7}, .count = 2},
		    rejected = {.kind = NOTE_REQUEST_REJECTED, .tp = {0, 5, 1}};
	char text[1024];

	ck_assert_str_eq(text_of(&exit, text),
		"a worker ended; count says how many sessions ended with it worker=qa/3.7 count=2");
	exit.count = 0;
	ck_assert_str_eq(text_of(&exit, text), "a worker ended worker=qa/3.7");
	/* An offset is one also when it is 0. */
	ck_assert_str_eq(text_of(&rejected, text),
		"a request was refused; count is its offset topic=requests partition=5 count=0");
}
END_TEST

START_TEST(a_circuit_says_what_it_did)
{
	struct note n = {.kind = NOTE_CIRCUIT, .has_pool = true, .from = HEALTH_READY, .to = HEALTH_UNAVAILABLE, .count = 5};
	char text[1024];

	ck_assert_str_eq(text_of(&n, text),
		"a pool's circuit opened; count says how many failures of workers came in a row pool=qa from=READY "
		"to=UNAVAILABLE count=5");
	n = (struct note){.kind = NOTE_CIRCUIT, .has_pool = true, .from = HEALTH_UNAVAILABLE, .to = HEALTH_DEGRADED};
	ck_assert_str_eq(text_of(&n, text), "a pool's circuit tries one request pool=qa from=UNAVAILABLE to=DEGRADED");
	n = (struct note){.kind = NOTE_CIRCUIT, .has_pool = true, .from = HEALTH_DEGRADED, .to = HEALTH_READY};
	ck_assert_str_eq(text_of(&n, text), "a pool's circuit closed pool=qa from=DEGRADED to=READY");
}
END_TEST

START_TEST(the_state_it_goes_to_decides_how_loud_it_is)
{
	struct note n = {.kind = NOTE_POOL_STATE, .has_pool = true, .from = HEALTH_READY, .to = HEALTH_UNAVAILABLE};

	ck_assert_int_eq(notes_level(&n, false), LOG_ERROR);
	ck_assert_int_eq(notes_severity(&n, false), SEVERITY_ERROR);
	n.to = HEALTH_DEGRADED;
	ck_assert_int_eq(notes_severity(&n, false), SEVERITY_WARN);
	n.to = HEALTH_READY;
	ck_assert_int_eq(notes_severity(&n, false), SEVERITY_INFO);
}
END_TEST

START_TEST(an_ordered_exit_is_no_warning_unless_sessions_went_with_it)
{
	struct note n = {
		.kind = NOTE_WORKER_EXIT,
		.worker = {0, 0, 1},
		.has_pool = true,
		.from = HEALTH_TERMINATING,
		.to = HEALTH_TERMINATED,
	};

	ck_assert_int_eq(notes_level(&n, false), LOG_INFO);
	n.count = 2;
	ck_assert_int_eq(notes_level(&n, false), LOG_WARN);
	ck_assert_int_eq(notes_level(&n, true), LOG_INFO);
	n.count = 0;
	n.from = HEALTH_READY;
	ck_assert_int_eq(notes_level(&n, false), LOG_WARN);
}
END_TEST

START_TEST(a_note_becomes_a_health_event)
{
	const struct note n = {
		.kind = NOTE_WORKER_EXIT,
		.worker = {0, 1, 2},
		.has_pool = true,
		.from = HEALTH_READY,
		.to = HEALTH_TERMINATED,
		.count = 9,
		.reason = SLICE("signal 11"),
	};
	struct health_fields event;
	struct note_words words;

	notes_event(&settings, &n, false, &words, &event);
	ck_assert_int_eq(event.kind, KIND_WORKER_EXIT);
	ck_assert_int_eq(event.severity, SEVERITY_WARN);
	ck_assert(slice_is(event.pool, "qa"));
	ck_assert(slice_is(event.worker_id, "qa/1.2"));
	ck_assert(slice_is(event.reason, "signal 11"));
	ck_assert_int_eq(event.count, 9);
	ck_assert_int_eq(event.from_state, HEALTH_READY);
	ck_assert_int_eq(event.to_state, HEALTH_TERMINATED);
}
END_TEST

START_TEST(an_event_names_its_partition_in_the_reason)
{
	const struct note n = {
		.kind = NOTE_BACKPRESSURE,
		.tp = {0, 4, 9},
		.from = HEALTH_READY,
		.to = HEALTH_DEGRADED,
		.reason = SLICE("share"),
	};
	struct health_fields event;
	struct note_words words;

	notes_event(&settings, &n, false, &words, &event);
	ck_assert(slice_is(event.reason, "requests[4]: share"));
	ck_assert_int_eq(event.severity, SEVERITY_WARN);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("app_notes");
	TCase *tests = tcase_create("notes");
	SRunner *runner;
	int failed;

	tcase_add_test(tests, every_note_has_a_row);
	tcase_add_test(tests, a_worker_is_named_with_its_generation);
	tcase_add_test(tests, a_reason_with_quotes_in_it_is_one_token);
	tcase_add_test(tests, a_partition_is_named_with_its_topic);
	tcase_add_test(tests, what_a_count_is_stands_beside_it_and_not_without);
	tcase_add_test(tests, a_circuit_says_what_it_did);
	tcase_add_test(tests, the_state_it_goes_to_decides_how_loud_it_is);
	tcase_add_test(tests, an_ordered_exit_is_no_warning_unless_sessions_went_with_it);
	tcase_add_test(tests, a_note_becomes_a_health_event);
	tcase_add_test(tests, an_event_names_its_partition_in_the_reason);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
