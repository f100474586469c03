/* core_view_test.c: where a request or a session is, since when, and what it waits for, in each place that it can be in. */
#include "bridgepool/core/view.h"
#include "core_world.h"

static const struct pool_config plain = {0};
static const struct engine_config usual = {0};

static struct world *open_world(struct pool_config pool, struct engine_config more)
{
	struct world *w = world_new(pool, more);

	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	return w;
}

static void ask(struct world *w, const char *session, const char *id)
{
	char json[128];

	snprintf(json, sizeof(json), "{\"request_id\":\"%s\",\"command\":\"x\"}", id);
	world_send(w, session, json);
}

static void check_request(struct world *w, const char *id, const char *place, const char *waits_for, int64_t since_ms)
{
	struct request_view r;

	ck_assert_msg(engine_view_request(w->e, slice_of(id), w->now, &r), "%s", id);
	ck_assert_str_eq(r.place, place);
	ck_assert_str_eq(r.waits_for, waits_for);
	ck_assert_int_eq(r.since_ms, since_ms);
}

/* waits_for NULL: nothing. */
static struct session_view check_session(struct world *w, const char *id, const char *state, const char *waits_for)
{
	struct session_view s;
	uint16_t pool = 0;

	ck_assert_msg(engine_view_session(w->e, slice_of(id), &pool, w->now, &s), "%s", id);
	ck_assert_str_eq(s.state, state);
	ck_assert_msg(waits_for ? s.waits_for && strcmp(waits_for, s.waits_for) == 0 : !s.waits_for, "%s", s.waits_for ? s.waits_for : "nothing");
	return s;
}

START_TEST(running_behind_it_and_over)
{
	struct world *w = open_world(plain, usual);
	struct session_view s;
	struct request_view r;

	ask(w, "s", "first");
	ask(w, "s", "second");
	world_pass(w, 1500 * MS_US);
	check_request(w, "first", "running", "the answer of its worker", 1500);
	check_request(w, "second", "queued", "earlier requests of its session", 1500);
	s = check_session(w, "s", "running", "the answer of its worker");
	ck_assert_uint_eq(s.requests, 2);
	ck_assert(slice_is(s.head, "first"));
	ck_assert_int_eq(s.head_ms, 1500);
	ck_assert_str_eq(s.worker, "default/0.1");
	world_ok(w, world_last(w, CALL_REQUEST));
	world_pass(w, 100 * MS_US);
	ck_assert(!engine_view_request(w->e, SLICE("first"), w->now, &r));
	check_request(w, "second", "running", "the answer of its worker", 100);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_pass(w, 200 * MS_US);
	s = check_session(w, "s", "idle", NULL);
	ck_assert_int_eq(s.idle_ms, 200);
	ck_assert_int_eq(s.head_ms, TIME_NONE);
	ck_assert(s.alive);
	world_free(w);
}
END_TEST

START_TEST(for_a_place_and_for_a_worker)
{
	struct world *w = world_new(plain, usual);

	w->concurrency = 1;
	world_assign_at(w, 0, 0, "");
	ask(w, "a", "early");
	check_request(w, "early", "queued", "a worker that is READY", 0);
	check_session(w, "a", "ready", "a worker that is READY");
	world_workers_up(w);
	check_request(w, "early", "running", "the answer of its worker", 0);
	ask(w, "b", "other");
	check_request(w, "other", "queued", "a place on any worker", 0);
	world_ok(w, world_last(w, CALL_REQUEST)); /* of a; b runs */
	ask(w, "a", "again");
	check_request(w, "again", "queued", "a place on its session's worker", 0);
	world_free(w);
}
END_TEST

START_TEST(between_its_runs)
{
	struct world *w = open_world(plain, usual);

	ask(w, "s", "r");
	world_answer_as(w, world_last(w, CALL_REQUEST),
		(struct answer){.kind = ANSWER_ERROR, .code = SLICE("BUSY"), .message = SLICE("later"), .retriable = true, .retry_after_ms = 5000});
	world_pass(w, SECOND_US);
	check_request(w, "r", "waiting", "its next run", 1000);
	check_session(w, "s", "waiting", "its next run");
	world_free(w);
}
END_TEST

START_TEST(for_the_hooks_of_its_session)
{
	struct world *w = world_new(plain, usual);

	w->capabilities = CAPABILITY_SESSIONS;
	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	ask(w, "s", "r");
	ck_assert_uint_eq(world_count(w, CALL_OPEN_SESSION), 1);
	check_request(w, "r", "running", "the answer of its worker", 0);
	world_free(w);
}
END_TEST

START_TEST(for_the_circuit)
{
	struct world *w = open_world((struct pool_config){.circuit_failures = 1, .circuit_pause_us = 10 * SECOND_US}, usual);

	ask(w, "s", "r");
	world_die(w, world_last(w, CALL_REQUEST)->w);
	world_pass(w, 4 * SECOND_US);
	world_workers_up(w);
	check_request(w, "r", "queued", "the circuit of its pool, which is open because workers fail", 4000);
	ask(w, "t", "next");
	check_request(w, "next", "queued", "the circuit of its pool, which is open because workers fail", 0);
	world_pass(w, 10 * SECOND_US);
	check_request(w, "next", "queued", "the one request that the circuit of its pool tries", 10000);
	world_free(w);
}
END_TEST

START_TEST(to_run_alone)
{
	struct world *w = open_world((struct pool_config){.size = 2}, usual);
	struct request_view r;

	ask(w, "a", "one");
	ask(w, "b", "two");
	ask(w, "c", "three"); /* beside the first: one of them may have killed their worker */
	world_die(w, world_last(w, CALL_REQUEST)->w);
	world_pass(w, SECOND_US);
	ck_assert(engine_view_request(w->e, SLICE("three"), w->now, &r)); /* its pause was the shorter one */
	check_request(w, "three", "queued", "its worker to have nothing else to do: it runs alone", r.since_ms);
	check_session(w, "c", "ready", "its worker to have nothing else to do: it runs alone");
	world_free(w);
}
END_TEST

START_TEST(nobody_knows_what_is_not_there)
{
	struct world *w = open_world(plain, usual);
	struct session_view s;
	struct request_view r;
	uint16_t pool = 0;

	ck_assert(!engine_view_request(w->e, SLICE("r"), w->now, &r));
	ck_assert(!engine_view_session(w->e, SLICE("s"), &pool, w->now, &s));
	world_free(w);
}
END_TEST

/* ---- commands as labels ---- */

static uint64_t counted(struct world *w, const char *command, enum status status, size_t *names)
{
	struct snapshot s;
	uint64_t n = 0;

	engine_snapshot(w->e, w->now, &s);
	for (size_t i = 0; i < s.pools[0].ncommands; i++)
		if (strcmp(s.pools[0].commands[i].name, command) == 0)
			n = s.pools[0].commands[i].requests[status];
	if (names)
		*names = s.pools[0].ncommands;
	snapshot_free(&s);
	return n;
}

static void run_command(struct world *w, const char *command, const char *code)
{
	char json[256];

	snprintf(json, sizeof(json), "{\"command\":\"%s\"}", command);
	world_send(w, NULL, json);
	if (code)
		world_answer_as(w, world_last(w, CALL_REQUEST), (struct answer){.kind = ANSWER_ERROR, .code = slice_of(code), .message = SLICE("no"), .retry_after_ms = TIME_NONE});
	else
		world_ok(w, world_last(w, CALL_REQUEST));
	world_ack(w);
}

START_TEST(what_no_worker_knows_is_one_label)
{
	struct world *w = open_world(plain, usual);
	char name[32];
	size_t names;

	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "nonsense%d", i);
		run_command(w, name, "UNKNOWN_COMMAND");
	}
	ck_assert_uint_eq(counted(w, "(unknown)", STATUS_ERROR, &names), 200);
	ck_assert_uint_eq(names, 1);
	run_command(w, "ask", NULL);
	run_command(w, "ask", "UNKNOWN_COMMAND"); /* of a worker that is older, say */
	ck_assert_uint_eq(counted(w, "ask", STATUS_OK, NULL), 1);
	ck_assert_uint_eq(counted(w, "ask", STATUS_ERROR, NULL), 1);
	world_send(w, NULL, "{\"command\":\"ping\"}");
	ck_assert_uint_eq(counted(w, "(rejected)", STATUS_REJECTED, NULL), 1);
	world_free(w);
}
END_TEST

/* A bridge that says it in words of its own: half of the names stay for what works. */
START_TEST(nonsense_takes_no_place_from_what_works)
{
	struct world *w = open_world(plain, usual);
	char name[32];
	size_t names;

	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "nonsense%d", i);
		run_command(w, name, "PROGRAM_ERROR");
	}
	counted(w, "other", STATUS_ERROR, &names);
	ck_assert_uint_eq(names, 51);
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "works%d", i);
		run_command(w, name, NULL);
		ck_assert_uint_eq(counted(w, name, STATUS_OK, NULL), 1);
	}
	ck_assert_uint_eq(counted(w, "other", STATUS_ERROR, NULL), 150);
	world_free(w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_view");
	TCase *t = tcase_create("view");
	SRunner *runner;
	int failed;

	tcase_add_test(t, running_behind_it_and_over);
	tcase_add_test(t, for_a_place_and_for_a_worker);
	tcase_add_test(t, between_its_runs);
	tcase_add_test(t, for_the_hooks_of_its_session);
	tcase_add_test(t, for_the_circuit);
	tcase_add_test(t, to_run_alone);
	tcase_add_test(t, nobody_knows_what_is_not_there);
	tcase_add_test(t, what_no_worker_knows_is_one_label);
	tcase_add_test(t, nonsense_takes_no_place_from_what_works);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
