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
	ck_assert_msg(waits_for ? s.waits_for && strcmp(waits_for, s.waits_for) == 0 : !s.waits_for, "%s",
		s.waits_for ? s.waits_for : "nothing");
	return s;
}

static enum circuit_state circuit_of(struct world *w)
{
	struct snapshot s;
	enum circuit_state state;

	engine_snapshot(w->e, w->now, &s);
	state = s.pools[0].circuit;
	snapshot_free(&s);
	return state;
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
	world_ack(w);
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
		(struct answer){
			.kind = ANSWER_ERROR,
			.code = SLICE("BUSY"),
			.message = SLICE("later"),
			.retriable = true,
			.retry_after_ms = 5000,
		});
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
	check_request(w, "r", "running", "its worker to open the session", 0);
	check_session(w, "s", "running", "its worker to open the session");
	world_answer_as(w, world_last(w, CALL_OPEN_SESSION), (struct answer){.kind = ANSWER_OK, .retry_after_ms = TIME_NONE});
	check_request(w, "r", "running", "the answer of its worker", 0);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_send(w, "s", "{\"request_id\":\"e\",\"command\":\"end_session\"}");
	check_request(w, "e", "running", "its worker to end the session", 0);
	world_free(w);
}
END_TEST

START_TEST(for_the_circuit)
{
	struct world *w = open_world((struct pool_config){.circuit_failures = 1, .circuit_pause_us = 10 * SECOND_US}, usual);

	ck_assert_int_eq(circuit_of(w), CIRCUIT_CLOSED);
	ask(w, "s", "r");
	world_die(w, world_last(w, CALL_REQUEST)->w);
	ck_assert_int_eq(circuit_of(w), CIRCUIT_OPEN);
	world_pass(w, SECOND_US);
	check_request(w, "r", "waiting", "the commit that tells the group that it killed a worker", 1000);
	world_committed(w);
	world_pass(w, 4 * SECOND_US);
	world_workers_up(w);
	check_request(w, "r", "queued", "the circuit of its pool, which is open because workers fail", 4000);
	ask(w, "t", "next");
	check_request(w, "next", "queued", "the circuit of its pool, which is open because workers fail", 0);
	world_pass(w, 10 * SECOND_US);
	check_request(w, "next", "running", "the answer of its worker", 5000);
	check_request(w, "r", "queued", "the one request that the circuit of its pool tries", 14000);
	ck_assert_int_eq(circuit_of(w), CIRCUIT_PROBING);
	world_free(w);
}
END_TEST

START_TEST(for_others_to_be_tried)
{
	struct world *w = open_world((struct pool_config){.circuit_failures = 1, .circuit_pause_us = 10 * SECOND_US}, usual);

	ask(w, "s", "r");
	for (int i = 0; i < 2; i++) { /* it opens the circuit, and fails when it is tried */
		world_die(w, world_last(w, CALL_REQUEST)->w);
		world_committed(w);
		world_pass(w, SECOND_US);
		world_workers_up(w);
		world_pass(w, 9 * SECOND_US);
	}
	world_pass(w, 15 * SECOND_US);
	check_request(w, "r", "queued", "the circuit of its pool, which tries others before what has lost a worker", 25000);
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

/* A session is told with the partition that it came from, and whether that is here. */
START_TEST(for_its_partition)
{
	struct world *w = open_world(plain, usual);
	struct session_view s;
	uint16_t pool = 0;

	world_assign_at(w, 2, 0, "");
	world_send_to(w, 2, "s", "{\"request_id\":\"r\",\"command\":\"x\"}");
	world_ok(w, world_last(w, CALL_REQUEST));
	world_ack(w);
	s = check_session(w, "s", "idle", NULL);
	ck_assert_str_eq(s.topic, "requests");
	ck_assert_int_eq(s.partition, 2);
	engine_revoked(w->e, &w->tp[2], 1, false, w->now);
	world_pass(w, 300 * MS_US);
	engine_committed(w->e, w->commits[w->ncommits - 1].id, NULL, 0, w->now);
	ck_assert_uint_eq(w->releases, 1);
	s = check_session(w, "s", "suspended", "its partition to come back to this instance");
	ck_assert(s.alive && s.partition == 2);
	world_assign_at(w, 2, w->commits[w->ncommits - 1].base, w->commits[w->ncommits - 1].metadata);
	check_session(w, "s", "idle", NULL);
	engine_revoked(w->e, &w->tp[2], 1, true, w->now);
	world_pass(w, SECOND_US);
	world_ok(w, world_last(w, CALL_CLEANUP_SESSION));
	ck_assert(!engine_view_session(w->e, SLICE("s"), &pool, w->now, &s)); /* it has ended with it */
	world_free(w);
}
END_TEST

/* What is over the window waits as it came: it is decoded for who asks, and only what may be meant. */
START_TEST(for_room_in_the_window)
{
	static const char *const texts[] = {
		"{\"request_id\":\"plain-1\",\"command\":\"x\"}",
		"{\"request_id\":\"caf\\u00e9\",\"command\":\"x\"}",
		"{\"command\":\"x\"}",
		"{\"request_id\":\"other\",\"command\":\"x\",\"args\":{\"text\":\"plain-2\"}}",
		"{\"request_id\":\"refused\",\"command\":5}",
	};
	struct request_fields avro = {
		.request_id = SLICE("avro-1"),
		.command = SLICE("x"),
		.timeout_ms = TIME_NONE,
		.deadline_ms = TIME_NONE,
	};
	struct world *w = open_world(plain, (struct engine_config){.window_cap = 16});
	struct request_view r;
	struct buf value;

	for (int i = 0; i < 16; i++)
		ask(w, "s", i ? "behind" : "first");
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		world_send(w, "s", texts[i]);
	buf_init(&value, 1000);
	ck_assert(codec_write_request(w->codec, &avro, ENCODING_AVRO, &value));
	engine_receive(w->e,
		&(struct message){
			.source = {w->tp[0], w->next_offset[0]++},
			.key = SLICE("s"),
			.value = buf_slice(&value),
			.headers = {"", 0},
		},
		w->now);
	buf_free(&value);
	world_pass(w, 200 * MS_US);
	check_request(w, "first", "running", "the answer of its worker", 200);
	check_request(w, "plain-1", "parked", "room in the window of its partition", 200);
	check_request(w, "caf\u00e9", "parked", "room in the window of its partition", 200);
	check_request(w, "requests-0-18", "parked", "room in the window of its partition", 200);
	check_request(w, "refused", "parked", "room in the window of its partition", 200);
	check_request(w, "avro-1", "parked", "room in the window of its partition", 200);
	ck_assert(!engine_view_request(w->e, SLICE("plain-2"), w->now, &r)); /* a word of another's */
	ck_assert(!engine_view_request(w->e, SLICE("plain"), w->now, &r));
	ck_assert(!engine_view_request(w->e, SLICE("requests-0-16"), w->now, &r)); /* that one has a name of its own */
	ck_assert(!engine_view_request(w->e, SLICE("requests-1-18"), w->now, &r));
	world_free(w);
}
END_TEST

START_TEST(for_the_broker)
{
	struct world *w = open_world(plain, usual);
	struct request_view r;

	ask(w, "the \xc3\xa9lite", "r");
	world_pass(w, 100 * MS_US);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_pass(w, 50 * MS_US);
	check_request(w, "r", "answered", "the broker to acknowledge its result", 50);
	ck_assert(engine_view_request(w->e, SLICE("r"), w->now, &r));
	ck_assert(slice_is(r.session, "the \xc3\xa9lite"));
	ck_assert_str_eq(r.worker, "default/0.1");
	ck_assert_str_eq(r.topic, "requests");
	ck_assert_uint_eq(r.attempts, 1);
	ck_assert_uint_eq(r.same_id, 1);
	world_ack(w);
	ck_assert(!engine_view_request(w->e, SLICE("r"), w->now, &r));
	w->full = true; /* nor when the producer has not taken it yet */
	world_send(w, "s", "{\"request_id\":\"bad\",\"command\":\"x\",\"args\":5}");
	check_request(w, "bad", "answered", "the broker to acknowledge its result", 0);
	world_free(w);
}
END_TEST

START_TEST(for_the_broker_and_a_dead_letter)
{
	struct world *w = open_world(plain, usual);
	struct request_view r;
	size_t dead;

	world_send(w, "s", "{\"request_id\":\"r\",\"command\":\"x\""); /* cannot be read as a request */
	check_request(w, "r", "answered", "the broker to acknowledge its result", 0);
	ck_assert(engine_view_request(w->e, SLICE("r"), w->now, &r));
	ck_assert_uint_eq(r.same_id, 1); /* two records, one request */
	ck_assert_uint_eq(w->nrecords, 2);
	dead = w->kinds[0] == RECORD_DEAD_LETTER ? 0 : 1;
	engine_delivered(w->e, w->records[1 - dead].serial, DELIVERY_OK, w->now);
	check_request(w, "r", "answered", "the broker to acknowledge its dead letter", TIME_NONE);
	engine_delivered(w->e, w->records[dead].serial, DELIVERY_OK, w->now);
	ck_assert(!engine_view_request(w->e, SLICE("r"), w->now, &r));
	world_free(w);
}
END_TEST

/* An ID may come again; the one nearest to its answer is told, and how many there are. */
START_TEST(several_of_one_id)
{
	struct world *w = open_world(plain, usual);
	struct request_view r;

	ask(w, "a", "r");
	world_ok(w, world_last(w, CALL_REQUEST));
	ask(w, "a", "q");
	ask(w, "a", "r");
	ask(w, "b", "r");
	ck_assert(engine_view_request(w->e, SLICE("r"), w->now, &r));
	ck_assert_uint_eq(r.same_id, 3);
	ck_assert_str_eq(r.place, "running");
	ck_assert_int_eq(r.source.offset, 3);
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

/* What /metrics tells of these is what has happened. */
START_TEST(late_answers_commits_and_violations_are_counted)
{
	struct world *w = open_world(plain, usual);
	struct told_call *late;
	struct snapshot s;

	world_assign_at(w, 1, 0, "");
	world_send(w, "s", "{\"request_id\":\"r\",\"command\":\"x\"}");
	late = world_last(w, CALL_REQUEST);
	world_ok(w, late);
	world_ok(w, late); /* again: nobody waits for it any more */
	world_send_to(w, 1, "s", "{\"request_id\":\"q\",\"command\":\"x\"}");
	world_send_to(w, 1, "s", "{\"request_id\":\"q\",\"command\":\"x\"}");
	world_ack(w);
	world_pass(w, SECOND_US);
	engine_committed(w->e, w->commits[0].id, NULL, 0, w->now);
	world_pass(w, 2 * SECOND_US);
	engine_snapshot(w->e, w->now, &s);
	ck_assert_uint_eq(s.late_answers, 1);
	ck_assert_uint_eq(s.affinity_violations, 2);
	ck_assert_uint_eq(s.commits, 1);
	ck_assert_int_eq(s.last_commit_ms, 2000);
	snapshot_free(&s);
	world_free(w);
}
END_TEST

/* It becomes a string of a JSON document. */
START_TEST(a_long_version_is_cut_between_characters)
{
	struct world *w = world_new(plain, usual);
	struct worker_view v;
	char version[100] = "12";

	for (int i = 0; i < 40; i++)
		strcat(version, "\xc3\xa9");
	engine_started(w->e, w->started[0], 1, w->now);
	world_answer_as(w, world_last(w, CALL_PING),
		(struct answer){.kind = ANSWER_OK, .concurrency = 1, .version = slice_of(version), .retry_after_ms = TIME_NONE});
	ck_assert_uint_eq(engine_view_workers(w->e, 0, w->now, &v), 1);
	ck_assert_uint_eq(strlen(v.version), 62);
	ck_assert(strncmp(v.version, version, 62) == 0 && slice_is_utf8(slice_of(v.version)));
	world_free(w);
}
END_TEST

/* What the engine calls it, the log and the worker itself call it too. */
START_TEST(a_long_name_of_a_pool_names_its_workers_whole)
{
	static const char name[] = "0123456789-123456789-123456789-123456789-123456789-123456789-123";
	struct world *w = open_world((struct pool_config){.name = name}, usual);
	struct worker_view v;
	char text[WORKER_ID_MAX];

	slot_ref_text(text, name, w->started[0]);
	ck_assert_str_eq(text, "0123456789-123456789-123456789-123456789-123456789-123456789-123/0.1");
	ck_assert_uint_eq(engine_view_workers(w->e, 0, w->now, &v), 1);
	ck_assert_str_eq(v.id, text);
	slot_ref_text(text, "0123456789-123456789-123456789-123456789-123456789-123456789-123456789",
		(struct slot_ref){0, UINT16_MAX, UINT32_MAX});
	ck_assert_str_eq(text, "0123456789-123456789-123456789-123456789-123456789-123456789-123/65535.4294967295");
	slot_ref_text(text, NULL, w->started[0]);
	ck_assert_str_eq(text, "/0.1");
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
		world_answer_as(w, world_last(w, CALL_REQUEST),
			(struct answer){
				.kind = ANSWER_ERROR,
				.code = slice_of(code),
				.message = SLICE("no"),
				.retry_after_ms = TIME_NONE,
			});
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
	tcase_add_test(t, for_others_to_be_tried);
	tcase_add_test(t, to_run_alone);
	tcase_add_test(t, for_its_partition);
	tcase_add_test(t, for_room_in_the_window);
	tcase_add_test(t, for_the_broker);
	tcase_add_test(t, for_the_broker_and_a_dead_letter);
	tcase_add_test(t, several_of_one_id);
	tcase_add_test(t, nobody_knows_what_is_not_there);
	tcase_add_test(t, late_answers_commits_and_violations_are_counted);
	tcase_add_test(t, a_long_version_is_cut_between_characters);
	tcase_add_test(t, a_long_name_of_a_pool_names_its_workers_whole);
	tcase_add_test(t, what_no_worker_knows_is_one_label);
	tcase_add_test(t, nonsense_takes_no_place_from_what_works);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
