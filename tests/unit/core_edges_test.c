/* core_edges_test.c: what seldom happens to the engine, one scene each. */
#include "core_world.h"

static const struct pool_config plain = {0};
static const struct engine_config usual = {0};
#define SAY "{\"command\":\"say\"}"

static struct world *ready(struct pool_config pool, struct engine_config more)
{
	struct world *w = world_new(pool, more);

	world_workers_up(w);
	world_assign_at(w, 0, 0, "");
	return w;
}

static uint64_t dropped_stale(struct world *w)
{
	struct snapshot s;
	uint64_t n;

	engine_snapshot(w->e, w->now, &s);
	n = s.dropped_stale;
	snapshot_free(&s);
	return n;
}

START_TEST(what_names_something_that_never_was_is_counted_and_changes_nothing)
{
	static const struct slot_ref nowhere[] = {{7, 0, 1}, {0, 9, 1}, {0, 0, 99}};
	struct world *w = ready(plain, usual);
	struct answer a = {.kind = ANSWER_OK, .id = 1, .has_id = true, .payload = SLICE("{}"), .retry_after_ms = TIME_NONE};
	struct exit_report x = {.signal = 9};
	struct tp past = {0, 0, 77}, other = {0, 3, 1};
	struct tp_fault fault = {past, COMMIT_UNKNOWN, "refused"};
	uint64_t n = 0;

	for (size_t i = 0; i < 3; i++) {
		engine_started(w->e, nowhere[i], 1, w->now);
		engine_answer(w->e, nowhere[i], &a, w->now);
		engine_fault(w->e, nowhere[i], FAULT_EOF, SLICE(""), w->now);
		engine_gone(w->e, nowhere[i], &x, w->now);
		ck_assert_uint_eq(dropped_stale(w), n += 4);
	}
	engine_delivered(w->e, 4711, DELIVERY_OK, w->now);
	engine_committed(w->e, 4711, &fault, 1, w->now);
	ck_assert_uint_eq(dropped_stale(w), n += 2);
	engine_revoked(w->e, &past, 1, false, w->now);
	engine_revoked(w->e, &other, 1, false, w->now);
	ck_assert_uint_eq(dropped_stale(w), n += 2);
	ck_assert_uint_eq(w->releases, 2);
	ck_assert_uint_eq(w->nstops, 0);
	world_send(w, "a", SAY);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 1);
	ck_assert_str_eq(engine_pool_name(w->e, 0), "default");
	ck_assert_str_eq(engine_pool_name(w->e, 7), "?");
	world_free(w);
	engine_free(NULL);
}
END_TEST

START_TEST(the_instance_is_ready_when_its_pools_are_and_tells_which_one_is_not_and_why)
{
	struct world *w = world_new(plain, usual);
	char why[128];

	ck_assert(!engine_ready_why(w->e, w->now, why, sizeof(why)));
	ck_assert_str_eq(why, "pool default: 0 of 1 workers are READY");
	ck_assert(!engine_ready(w->e));
	world_workers_up(w);
	ck_assert(engine_ready_why(w->e, w->now, why, sizeof(why)));
	ck_assert(engine_ready(w->e));
	world_free(w);
}
END_TEST

START_TEST(words_that_cannot_be_served_are_refused_by_name)
{
	struct world *w = ready(plain, usual);
	char long_command[400], long_session[400], x[300];

	memset(x, 'x', sizeof(x));
	snprintf(long_command, sizeof(long_command), "{\"command\":\"%.300s\"}", x);
	snprintf(long_session, sizeof(long_session), "{\"command\":\"say\",\"session_id\":\"%.300s\"}", x);
	world_send(w, "a", "{\"command\":\"\"}");
	world_send(w, "a", long_command);
	world_send(w, "a", long_session);
	world_send(w, NULL, "{\"command\":\"end_session\"}");
	ck_assert_uint_eq(w->nrecords, 4);
	ck_assert_str_eq(world_code(w, 0), "INVALID_COMMAND");
	ck_assert_str_eq(world_code(w, 1), "INVALID_COMMAND");
	ck_assert_str_eq(world_code(w, 2), "INVALID_SESSION_ID");
	ck_assert_str_eq(world_code(w, 3), "SESSION_REQUIRED");
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 0);
	x[299] = '\0';
	world_send(w, x, "{\"command\":\"say\",\"pool\":\"default\"}"); /* a key too long to name a session */
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 1);
	ck_assert_str_eq(world_last(w, CALL_REQUEST)->session, "");
	world_free(w);
}
END_TEST

static void send_with_header(struct world *w, struct slice name, struct slice value)
{
	struct message m = {
		.source = {w->tp[0], w->next_offset[0]++},
		.timestamp_ms = -1,
		.key = SLICE("a"),
		.value = SLICE(SAY),
	};
	struct buf headers;

	buf_init(&headers, SIZE_MAX);
	pairs_add(&headers, name, value);
	m.headers = buf_slice(&headers);
	engine_receive(w->e, &m, w->now);
	engine_check(w->e);
	buf_free(&headers);
}

START_TEST(a_header_with_a_name_too_long_stays_behind_and_one_with_a_value_too_long_refuses_the_request)
{
	struct world *w = ready(plain, usual);
	static char x[400000];

	memset(x, 'x', sizeof(x));
	send_with_header(w, (struct slice){x, 300}, SLICE("1"));
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 1);
	ck_assert_uint_eq(world_last(w, CALL_REQUEST)->call.headers.len, 0);
	send_with_header(w, SLICE("baggage"), (struct slice){x, sizeof(x)});
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 1);
	ck_assert_uint_eq(w->nrecords, 2); /* the result and the dead letter */
	ck_assert_uint_lt(w->records[0].headers.len + w->records[1].headers.len, sizeof(x) + 2000);
	world_free(w);
}
END_TEST

START_TEST(a_revoke_is_answered_although_its_commit_never_is)
{
	struct world *w = ready(plain, usual);
	struct tp_fault fault = {w->tp[0], COMMIT_STALE, "too late"};

	world_send(w, "a", SAY);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_ack(w);
	engine_revoked(w->e, &w->tp[0], 1, false, w->now);
	ck_assert_uint_eq(w->ncommits, 1);
	world_pass(w, 6 * SECOND_US);
	ck_assert_uint_eq(w->releases, 0);
	world_pass(w, 2 * SECOND_US);
	ck_assert_uint_eq(w->releases, 1);
	world_pass(w, 10 * SECOND_US);
	ck_assert_uint_eq(w->releases, 1);
	engine_committed(w->e, w->commits[0].id, &fault, 1, w->now);
	ck_assert_uint_eq(w->notes[NOTE_COMMIT_REFUSED], 0); /* of what was given back nothing is told */
	world_free(w);
}
END_TEST

START_TEST(a_second_drain_only_moves_its_end)
{
	struct world *w = ready(plain, usual);
	struct exit_report x = {.exited = true};

	world_send(w, "a", SAY);
	engine_drain(w->e, w->now + 3600 * SECOND_US, w->now);
	world_pass(w, SECOND_US);
	ck_assert(!engine_drained(w->e) && !engine_idle(w->e));
	engine_drain(w->e, w->now, w->now);
	ck_assert(engine_drained(w->e)); /* nothing was acknowledged, so nothing is committed */
	ck_assert_uint_eq(w->nrecords, 0);
	ck_assert_uint_eq(w->ncommits, 0);
	ck_assert(!engine_idle(w->e));
	engine_gone(w->e, world_last(w, CALL_SHUTDOWN)->w, &x, w->now);
	ck_assert(engine_idle(w->e));
	world_free(w);
}
END_TEST

START_TEST(an_assignment_without_a_revoke_before_it_begins_anew)
{
	struct world *w = ready(plain, usual);

	world_send(w, "a", SAY);
	world_send(w, "a", SAY);
	world_assign_at(w, 0, 0, "");
	world_pass(w, MS_US);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_uint_eq(w->nrecords, 0);
	world_ok(w, world_last(w, CALL_CLEANUP_SESSION));
	world_send(w, "a", SAY);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_uint_eq(w->nrecords, 1);
	world_free(w);
}
END_TEST

/* So that its loss can be seen: commits go with their topic. */
START_TEST(a_partition_without_a_commit_has_one_before_anything_is_done)
{
	struct world *w = ready(plain, usual);
	struct committed none = {.metadata = SLICE(""), .none = true};

	world_pass(w, SECOND_US);
	ck_assert_uint_eq(w->ncommits, 0);
	none.tp = (struct tp){0, 5, ++w->epoch};
	engine_assigned(w->e, &none.tp, 1, w->now);
	engine_offsets(w->e, &none, 1, w->now);
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(w->ncommits, 1);
	engine_committed(w->e, w->commits[0].id, NULL, 0, w->now);
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(w->ncommits, 1);
	world_free(w);
}
END_TEST

START_TEST(a_partition_revoked_again_before_its_position_was_read_keeps_its_sessions)
{
	struct world *w = ready(plain, usual);
	struct committed c;

	world_send(w, "a", SAY);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_ack(w);
	engine_revoked(w->e, &w->tp[0], 1, false, w->now);
	engine_committed(w->e, w->commits[0].id, NULL, 0, w->now);
	w->tp[0].epoch = ++w->epoch;
	engine_assigned(w->e, w->tp, 1, w->now);
	engine_revoked(w->e, w->tp, 1, false, w->now);
	engine_check(w->e);
	ck_assert_uint_eq(w->releases, 2);
	w->tp[0].epoch = ++w->epoch;
	engine_assigned(w->e, w->tp, 1, w->now);
	c = (struct committed){.tp = w->tp[0], .offset = 1, .metadata = SLICE("")};
	engine_offsets(w->e, &c, 1, w->now);
	world_send(w, "a", SAY);
	ck_assert(!world_last(w, CALL_REQUEST)->call.session_new);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 0);
	world_free(w);
}
END_TEST

static void give_back(struct world *w, int partition)
{
	engine_revoked(w->e, &w->tp[partition], 1, false, w->now);
	if (w->ncommits > 0)
		engine_committed(w->e, w->commits[w->ncommits - 1].id, NULL, 0, w->now);
}

START_TEST(a_partition_of_which_nothing_is_heard_is_given_up_sooner_when_memory_is_short)
{
	struct world *w = ready(plain, (struct engine_config){.memory_limit = 4096});

	world_assign_at(w, 1, 0, "");
	world_send_to(w, 0, "a", SAY);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_ack(w);
	give_back(w, 0);
	world_pass(w, 299 * SECOND_US);
	ck_assert_uint_eq(w->notes[NOTE_PARTITION_LOST], 0);
	world_pass(w, 2 * SECOND_US);
	ck_assert_uint_eq(w->notes[NOTE_PARTITION_LOST], 1);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 1);
	w->full = true;
	for (int i = 0; i < 8; i++) {
		world_send_to(w, 1, "b", SAY);
		world_ok(w, world_last(w, CALL_REQUEST));
	}
	ck_assert(!engine_takes(w->e));
	give_back(w, 1);
	world_pass(w, 11 * SECOND_US); /* the drain of the revoke is among them */
	ck_assert(!engine_takes(w->e));
	world_pass(w, 3 * SECOND_US);
	ck_assert(engine_takes(w->e));
	ck_assert_uint_eq(w->notes[NOTE_PARTITION_LOST], 2);
	world_free(w);
}
END_TEST

START_TEST(what_is_adopted_is_held_by_its_share)
{
	struct world *w = ready(plain, (struct engine_config){.memory_limit = 4096});
	static char json[4000];

	snprintf(json, sizeof(json), "{\"command\":\"say\",\"args\":{\"x\":\"%03800d\"}}", 1);
	world_send(w, "a", json);
	engine_revoked(w->e, &w->tp[0], 1, false, w->now);
	world_pass(w, 10 * SECOND_US);
	ck_assert_uint_eq(w->releases, 1);
	w->held[0] = false;
	world_assign_at(w, 0, 0, "");
	ck_assert(w->held[0]);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert(!w->held[0]);
	world_free(w);
}
END_TEST

/* Each takes what it may, until none takes any more. */
static void fill(struct world *w, const char *json)
{
	bool some = true;

	while (some) {
		some = false;
		for (int i = 0; i < WORLD_OTHERS; i++)
			if (!w->held[i] && engine_takes(w->e)) {
				world_send_to(w, i, NULL, json);
				some = true;
			}
	}
}

START_TEST(a_pool_whose_requests_wait_leaves_the_others_their_share)
{
	struct world *w = ready(plain, (struct engine_config){.npools = 2, .memory_limit = 64 << 20});
	static char json[900000];

	snprintf(json, sizeof(json), "{\"command\":\"say\",\"args\":{\"x\":\"%0890000d\"}}", 1);
	for (int i = 1; i < WORLD_PARTITIONS; i++)
		world_assign_at(w, i, 0, "");
	fill(w, json);
	for (int i = 0; i < WORLD_OTHERS; i++)
		ck_assert(w->held[i]);
	for (int round = 0; round < 8; round++)
		for (int i = WORLD_OTHERS; i < WORLD_PARTITIONS; i++) {
			ck_assert(engine_takes(w->e));
			ck_assert(!w->held[i]);
			world_send_to(w, i, NULL, json);
			ck_assert_uint_eq(world_last(w, CALL_REQUEST)->w.pool, 1);
			world_ok(w, world_last(w, CALL_REQUEST));
			world_ack(w);
		}
	for (size_t i = 0; i < w->ncalls; i++)
		if (w->calls[i].call.kind == CALL_REQUEST && !w->calls[i].answered)
			world_ok(w, &w->calls[i]);
	for (int i = 0; i < WORLD_OTHERS; i++)
		ck_assert(!w->held[i]);
	world_free(w);
}
END_TEST

START_TEST(a_pool_that_has_filled_the_memory_alone_leaves_their_share_to_those_that_come_later)
{
	struct world *w = ready(plain, (struct engine_config){.npools = 2, .memory_limit = 64 << 20});
	static char json[900000];

	snprintf(json, sizeof(json), "{\"command\":\"say\",\"args\":{\"x\":\"%0890000d\"}}", 1);
	fill(w, json);
	ck_assert(!engine_takes(w->e));
	world_assign_at(w, WORLD_OTHERS, 0, "");
	ck_assert(w->held[0] && !w->held[WORLD_OTHERS]);
	ck_assert(engine_takes(w->e));
	for (int n = 0; n < 1000 && !w->held[WORLD_OTHERS] && engine_takes(w->e); n++)
		world_send_to(w, WORLD_OTHERS, NULL, json);
	ck_assert(w->held[WORLD_OTHERS]); /* at its share: it does not take what the first has too much */
	world_free(w);
}
END_TEST

START_TEST(a_map_wider_than_the_window_lets_what_is_done_pass_when_its_place_comes)
{
	struct world *w = world_new(plain, (struct engine_config){.window_cap = 16});
	struct offsetmap map = {.base = 0, .span = 21};
	char text[OFFSETMAP_TEXT_MAX + 1];

	map.bits[20 / 8] |= 1 << (20 % 8);
	offsetmap_encode(&map, text);
	world_workers_up(w);
	world_assign_at(w, 0, 0, text);
	for (int i = 0; i < 22; i++)
		world_send(w, NULL, SAY);
	ck_assert(w->held[0]);
	for (size_t i = 0; i < w->ncalls; i++) {
		if (w->calls[i].call.kind == CALL_REQUEST)
			world_ok(w, &w->calls[i]);
		world_ack(w);
	}
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 21);
	world_pass(w, SECOND_US);
	ck_assert_int_eq(w->commits[w->ncommits - 1].base, 22);
	world_free(w);
}
END_TEST

START_TEST(a_session_of_two_partitions_that_waits_is_ended_when_its_home_goes)
{
	struct world *w = ready(plain, usual);

	world_assign_at(w, 1, 0, "");
	world_send_to(w, 0, "a", SAY);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_send_to(w, 1, "a", SAY);
	ck_assert_uint_eq(w->notes[NOTE_AFFINITY_VIOLATION], 1);
	world_answer_as(w, world_last(w, CALL_REQUEST),
		(struct answer){
			.kind = ANSWER_ERROR,
			.code = SLICE("busy"),
			.message = SLICE("later"),
			.retriable = true,
			.retry_after_ms = 5000,
		});
	engine_revoked(w->e, &w->tp[0], 1, true, w->now);
	world_pass(w, MS_US);
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 1);
	world_pass(w, 6 * SECOND_US); /* the next run is due while its worker cleans up */
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 2);
	world_ok(w, world_last(w, CALL_CLEANUP_SESSION));
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 3);
	ck_assert(world_last(w, CALL_REQUEST)->call.session_new);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_pass(w, 3601 * SECOND_US); /* nobody's session now: its time to live ends it */
	ck_assert_uint_eq(world_count(w, CALL_CLEANUP_SESSION), 2);
	world_free(w);
}
END_TEST

START_TEST(a_ping_answered_while_its_worker_is_being_stopped_changes_nothing)
{
	struct world *w = ready(plain, usual);
	struct told_call *ping;

	world_pass(w, 3600 * SECOND_US);
	ping = world_last(w, CALL_PING);
	ck_assert(!ping->call.initialization);
	engine_fault(w->e, ping->w, FAULT_WRITE, SLICE(""), w->now);
	ck_assert_uint_eq(w->nstops, 1);
	world_ok(w, ping);
	world_pass(w, 2 * SECOND_US);
	ck_assert_uint_eq(w->nstops, 2);
	ck_assert_int_eq(w->stops[1].step, STOP_KILL);
	world_free(w);
}
END_TEST

START_TEST(a_partition_without_progress_is_told_once_in_a_row)
{
	struct world *w = ready(plain, usual);

	world_send(w, "a", SAY);
	world_ok(w, world_last(w, CALL_REQUEST)); /* and its result is never acknowledged */
	world_pass(w, 299 * SECOND_US);
	ck_assert_uint_eq(w->notes[NOTE_PARTITION_STUCK], 0);
	world_pass(w, 100 * SECOND_US);
	ck_assert_uint_eq(w->notes[NOTE_PARTITION_STUCK], 1);
	world_ack(w);
	world_pass(w, 10 * SECOND_US);
	world_send(w, "a", SAY);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_pass(w, 310 * SECOND_US);
	ck_assert_uint_eq(w->notes[NOTE_PARTITION_STUCK], 2);
	world_free(w);
}
END_TEST

static const char *last_metadata(struct world *w)
{
	return w->commits[w->ncommits - 1].metadata;
}

START_TEST(of_more_suspects_than_fit_the_oldest_is_forgotten)
{
	struct world *w = ready(plain, usual);
	struct offsetmap map;
	char id[16];

	for (int i = 0; i <= OFFSETMAP_SUSPECTS; i++) {
		snprintf(id, sizeof(id), "s%d", i);
		world_send(w, id, SAY);
		world_die(w, world_last(w, CALL_REQUEST)->w);
		while (world_last(w, CALL_REQUEST)->call.attempt == 1) {
			world_pass(w, SECOND_US);
			world_workers_up(w);
		}
		world_ok(w, world_last(w, CALL_REQUEST));
		if (w->ncommits > 0)
			engine_committed(w->e, w->commits[w->ncommits - 1].id, NULL, 0, w->now);
	}
	world_pass(w, SECOND_US);
	ck_assert(offsetmap_decode(slice_of(last_metadata(w)), w->commits[w->ncommits - 1].base, &map));
	ck_assert_uint_eq(map.nsuspects, OFFSETMAP_SUSPECTS);
	ck_assert_uint_eq(map.suspects[0].delta, 1);
	ck_assert_uint_eq(map.suspects[OFFSETMAP_SUSPECTS - 1].delta, OFFSETMAP_SUSPECTS);
	world_free(w);
}
END_TEST

START_TEST(a_suspect_is_committed_as_soon_as_the_commit_in_flight_is_answered)
{
	struct world *w = ready(plain, usual);

	world_send(w, "a", SAY);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_ack(w);
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(w->ncommits, 1);
	world_send(w, "b", SAY);
	world_die(w, world_last(w, CALL_REQUEST)->w);
	ck_assert_uint_eq(w->ncommits, 1);
	engine_committed(w->e, w->commits[0].id, NULL, 0, w->now);
	ck_assert_uint_eq(w->ncommits, 2);
	ck_assert_str_ne(last_metadata(w), "");
	world_free(w);
}
END_TEST

START_TEST(a_suspect_runs_again_when_the_group_knows_of_it)
{
	struct world *w = ready(plain, usual);
	struct tp_fault fault = {w->tp[0], COMMIT_UNKNOWN, "the coordinator is away"};

	world_send(w, "a", SAY);
	world_die(w, world_last(w, CALL_REQUEST)->w);
	world_pass(w, SECOND_US);
	world_workers_up(w);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 1);
	engine_committed(w->e, w->commits[0].id, &fault, 1, w->now);
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(w->ncommits, 2);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 1);
	world_committed(w);
	world_pass(w, 0);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 2);
	world_free(w);
}
END_TEST

START_TEST(a_suspect_of_which_the_group_cannot_be_told_waits_five_seconds)
{
	struct world *w = ready(plain, usual);

	world_send(w, "a", SAY);
	world_die(w, world_last(w, CALL_REQUEST)->w);
	world_pass(w, 4 * SECOND_US);
	world_workers_up(w);
	world_pass(w, SECOND_US - 1);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 1);
	world_pass(w, 1);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 2);
	world_free(w);
}
END_TEST

/* Its first request has killed so many workers elsewhere. */
static struct world *taken_over(uint8_t kills)
{
	struct world *w = world_new(plain, usual);
	struct offsetmap map = {.base = 0, .nsuspects = 1, .suspects = {{0, kills}}};
	char text[OFFSETMAP_TEXT_MAX + 1];

	offsetmap_encode(&map, text);
	world_workers_up(w);
	world_assign_at(w, 0, 0, text);
	world_send(w, "a", SAY);
	return w;
}

static void check_poison(struct world *w)
{
	size_t results = 0, dead = 0;

	for (size_t i = 0; i < w->nrecords; i++) {
		results += w->kinds[i] == RECORD_RESULT;
		dead += w->kinds[i] == RECORD_DEAD_LETTER;
		if (w->kinds[i] == RECORD_RESULT)
			ck_assert_str_eq(world_code(w, i), "POISON");
	}
	ck_assert_uint_eq(results, 1);
	ck_assert_uint_eq(dead, 1);
}

START_TEST(a_request_that_killed_a_worker_elsewhere_and_kills_one_here_is_poison)
{
	struct world *w = taken_over(1);

	world_send(w, "b", SAY);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 1); /* it runs alone */
	world_die(w, world_last(w, CALL_REQUEST)->w);
	check_poison(w);
	world_pass(w, SECOND_US);
	world_workers_up(w);
	ck_assert_str_eq(world_last(w, CALL_REQUEST)->session, "b");
	world_pass(w, 10 * SECOND_US);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 2);
	check_poison(w);
	world_free(w);
}
END_TEST

START_TEST(a_request_that_killed_two_workers_elsewhere_does_not_run)
{
	struct world *w = taken_over(2);

	check_poison(w);
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 0);
	world_free(w);
}
END_TEST

START_TEST(who_was_in_flight_at_the_fault_is_not_alone_when_others_are_answered_after_it)
{
	struct world *w = ready(plain, usual);
	struct exit_report x = {.signal = 15};
	struct slot_ref ref;
	struct offsetmap map;

	for (const char *s = "abd"; *s; s++)
		world_send(w, (char[]){*s, 0}, SAY);
	ref = world_last(w, CALL_REQUEST)->w;
	engine_fault(w->e, ref, FAULT_FRAME, SLICE("garbage of b"), w->now);
	world_ok(w, &w->calls[1]);
	world_ok(w, &w->calls[2]);
	world_ack(w);
	engine_gone(w->e, ref, &x, w->now);
	world_pass(w, SECOND_US);
	world_workers_up(w);
	ck_assert(offsetmap_decode(slice_of(last_metadata(w)), w->commits[w->ncommits - 1].base, &map));
	ck_assert_uint_eq(map.nsuspects, 0);
	ck_assert_str_eq(world_last(w, CALL_REQUEST)->session, "d");
	ck_assert_int_eq(world_last(w, CALL_REQUEST)->call.attempt, 2);
	world_free(w);
}
END_TEST

START_TEST(records_that_come_back_in_any_order_go_out_in_that_of_their_birth)
{
	static const size_t back[] = {2, 0, 4, 1, 3};
	struct world *w = world_new((struct pool_config){0}, (struct engine_config){0});

	world_assign_at(w, 0, 0, "");
	for (size_t i = 0; i < 5; i++)
		world_send(w, "s1", "{\"command\":\"ping\"}"); /* refused at once: a result for each */
	w->full = true;
	for (size_t i = 0; i < 5; i++) {
		engine_delivered(w->e, w->records[back[i]].serial, DELIVERY_AGAIN, w->now);
		engine_check(w->e);
		w->acked[i] = true;
	}
	w->full = false;
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(w->nrecords, 10);
	for (size_t i = 0; i < 5; i++)
		ck_assert_uint_eq(w->records[5 + i].serial, w->records[i].serial);
	world_ack(w);
	world_free(w);
}
END_TEST

static void receive_bytes(struct world *w, struct slice value)
{
	struct message m = {
		.source = {w->tp[0], w->next_offset[0]++},
		.timestamp_ms = -1,
		.key = SLICE("a"),
		.value = value,
		.headers = {"", 0},
	};

	engine_receive(w->e, &m, w->now);
	engine_check(w->e);
}

/* Whoever watches their increase sees also the first. */
START_TEST(dead_letters_are_counted_under_codes_that_are_there_from_the_beginning)
{
	static const uint8_t confluent[] = {0, 0, 0, 0, 7, 1}, unknown[] = {0xC3, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9};
	struct world *w = ready(plain, usual);
	struct snapshot first, last;
	static char large[2 << 20];
	uint64_t n = 0;

	engine_snapshot(w->e, w->now, &first);
	ck_assert_uint_gt(first.ndead_letters, 0);
	receive_bytes(w, SLICE("hello"));
	receive_bytes(w, SLICE("{\"command\":"));
	receive_bytes(w, (struct slice){confluent, sizeof(confluent)});
	receive_bytes(w, (struct slice){unknown, sizeof(unknown)});
	receive_bytes(w, (struct slice){large, sizeof(large)});
	engine_snapshot(w->e, w->now, &last);
	ck_assert_uint_eq(last.ndead_letters, first.ndead_letters);
	for (size_t i = 0; i < last.ndead_letters; i++) {
		ck_assert_str_eq(last.dead_letters[i].name, first.dead_letters[i].name);
		ck_assert_uint_eq(first.dead_letters[i].requests[0], 0);
		n += last.dead_letters[i].requests[0];
	}
	ck_assert_uint_eq(n, 5);
	ck_assert_uint_eq(w->notes[NOTE_REQUEST_REJECTED], 5);
	snapshot_free(&first);
	snapshot_free(&last);
	world_free(w);
}
END_TEST

/* Brokers take any time from a producer, by default. */
START_TEST(a_record_from_the_end_of_time_has_no_end_of_its_own)
{
	struct world *w = ready(plain, usual);
	struct message m = {
		.timestamp_ms = INT64_MAX - 1,
		.key = SLICE("a"),
		.value = SLICE("{\"command\":\"say\",\"timeout_ms\":1000}"),
		.headers = {"", 0},
	};

	m.source = (struct source){w->tp[0], w->next_offset[0]++};
	engine_receive(w->e, &m, w->now);
	engine_check(w->e);
	world_pass(w, 10 * SECOND_US);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_str_eq(world_text(w, 0, "status"), "OK");
	world_free(w);
}
END_TEST

START_TEST(a_record_that_comes_back_at_once_is_not_sent_at_once)
{
	struct world *w = world_new((struct pool_config){0}, (struct engine_config){0});
	size_t sent = 1;

	world_assign_at(w, 0, 0, "");
	world_send(w, "s1", "{\"command\":\"ping\"}");
	for (int i = 0; i < 100; i++) {
		if (w->acked[sent - 1] || w->nrecords > sent)
			sent = w->nrecords;
		if (!w->acked[sent - 1])
			engine_delivered(w->e, w->records[sent - 1].serial, DELIVERY_AGAIN, w->now);
		w->acked[sent - 1] = true;
		world_pass(w, 10 * MS_US);
	}
	ck_assert_uint_gt(w->nrecords, 3);  /* it is tried again.. */
	ck_assert_uint_lt(w->nrecords, 12); /* ..with pauses that grow */
	world_ack(w);
	world_free(w);
}
END_TEST

START_TEST(a_refused_commit_is_made_again_and_one_too_large_without_its_map)
{
	struct world *w = ready(plain, usual);
	struct tp_fault fault = {w->tp[0], COMMIT_UNKNOWN, "the coordinator is away"},
			foreign = {{0, 3, 1}, COMMIT_STALE, "whose?"};

	world_send(w, "a", SAY);
	world_send(w, "b", SAY);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_ack(w);
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(w->ncommits, 1);
	engine_committed(w->e, w->commits[0].id, &fault, 1, w->now);
	ck_assert_uint_eq(w->notes[NOTE_COMMIT_REFUSED], 0);
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(w->ncommits, 2);
	engine_committed(w->e, w->commits[1].id, &foreign, 1, w->now);
	ck_assert_uint_eq(dropped_stale(w), 1);
	world_send(w, "c", SAY);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_ack(w);
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(w->ncommits, 3);
	ck_assert_str_ne(last_metadata(w), "");
	fault.verdict = COMMIT_TOO_LARGE;
	engine_committed(w->e, w->commits[2].id, &fault, 1, w->now);
	ck_assert_uint_eq(w->notes[NOTE_COMMIT_REFUSED], 1);
	world_pass(w, SECOND_US);
	ck_assert_uint_eq(w->ncommits, 4);
	ck_assert_str_eq(last_metadata(w), "");
	fault.verdict = COMMIT_STALE;
	engine_committed(w->e, w->commits[3].id, &fault, 1, w->now);
	world_pass(w, 10 * SECOND_US);
	ck_assert_uint_eq(w->ncommits, 4); /* the group has moved on */
	world_free(w);
}
END_TEST

static const char *code_of(struct world *w, size_t record)
{
	return world_code(w, record) ? world_code(w, record) : world_text(w, record, "status");
}

START_TEST(a_result_too_large_for_its_topic_is_told_as_such_and_one_that_never_fits_waits_for_people)
{
	struct world *w = ready(plain, usual);
	static char large[65100];

	memset(large, 'x', sizeof(large));
	memcpy(large, "{\"x\":\"", 6);
	memcpy(large + sizeof(large) - 2, "\"}", 2);
	world_send(w, "a", SAY);
	world_answer_as(w, world_last(w, CALL_REQUEST),
		(struct answer){.kind = ANSWER_OK, .payload = {large, sizeof(large)}, .retry_after_ms = TIME_NONE});
	ck_assert_str_eq(code_of(w, 0), "OK");
	engine_delivered(w->e, w->records[0].serial, DELIVERY_TOO_LARGE, w->now);
	world_pass(w, MS_US);
	ck_assert_uint_eq(w->nrecords, 2);
	ck_assert_uint_eq(w->records[1].serial, w->records[0].serial);
	ck_assert_str_eq(code_of(w, 1), "RESULT_TOO_LARGE");
	engine_delivered(w->e, w->records[1].serial, DELIVERY_TOO_LARGE, w->now);
	ck_assert_uint_eq(w->notes[NOTE_DELIVERY_REFUSED], 1);
	ck_assert_uint_eq(w->nrecords, 2);
	world_pass(w, 2 * SECOND_US);
	ck_assert_uint_eq(w->nrecords, 3);
	engine_delivered(w->e, w->records[2].serial, DELIVERY_OK, w->now);
	world_pass(w, SECOND_US);
	ck_assert_int_eq(w->commits[w->ncommits - 1].base, 1);
	world_send(w, "a", SAY);
	world_ok(w, world_last(w, CALL_REQUEST));
	ck_assert_str_eq(code_of(w, 3), "OK");
	world_free(w);
}
END_TEST

START_TEST(a_result_over_the_limit_is_an_error_and_a_dead_letter_tells_only_the_beginning_of_a_long_word)
{
	struct world *w = ready(plain, usual);
	static char word[9000], large[1 << 17];
	struct slice code;

	memset(word, 0xc3, sizeof(word)); /* two bytes each, the first at an odd place: a cut in the middle would show */
	word[0] = 'x';
	for (size_t i = 2; i < sizeof(word); i += 2)
		word[i] = (char)0xa9;
	memset(large, ' ', sizeof(large));
	memcpy(large, "{}", 2);
	world_send(w, "a", SAY);
	world_answer_as(w, world_last(w, CALL_REQUEST),
		(struct answer){.kind = ANSWER_OK, .payload = {large, sizeof(large)}, .retry_after_ms = TIME_NONE});
	ck_assert_str_eq(code_of(w, 0), "RESULT_TOO_LARGE");
	world_send(w, "a", SAY);
	for (int attempt = 1; attempt <= 3; attempt++) {
		world_answer_as(w, world_last(w, CALL_REQUEST),
			(struct answer){
				.kind = ANSWER_ERROR,
				.code = {word, 5001},
				.message = {word, 8999},
				.retriable = true,
				.retry_after_ms = TIME_NONE,
			});
		world_pass(w, SECOND_US);
	}
	ck_assert_uint_eq(w->nrecords, 3);
	for (size_t i = 1; i < 3; i++) {
		if (w->kinds[i] != RECORD_DEAD_LETTER)
			continue;
		ck_assert(pairs_find(w->records[i].headers, "bridgepool.error.code", &code));
		ck_assert_uint_eq(code.len, 4095);
		ck_assert(slice_is_utf8(code));
	}
	world_free(w);
}
END_TEST

/* The newest records of the world, from `first` on, all reported alike. */
static void report_from(struct world *w, size_t first, enum delivery d)
{
	size_t n = w->nrecords;

	for (size_t i = first; i < n; i++) {
		w->acked[i] = true;
		engine_delivered(w->e, w->records[i].serial, d, w->now);
	}
	engine_check(w->e);
}

static void send_three(struct world *w, const char *middle_key)
{
	world_send(w, "a", "{\"command\":\"ping\"}"); /* refused at once: a result for each */
	world_send(w, middle_key, "{\"command\":\"ping\"}");
	world_send(w, "c", "{\"command\":\"ping\"}");
	ck_assert_uint_eq(w->nrecords, 3);
}

/* A broker says of a batch what it may mean of one record, or of none. */
START_TEST(records_of_a_batch_that_is_too_large_are_sent_alone_and_then_less_at_a_time)
{
	struct world *w = ready(plain, usual);

	send_three(w, "b");
	report_from(w, 0, DELIVERY_TOO_LARGE);
	ck_assert_uint_eq(w->nrecords, 4); /* the first, alone */
	ck_assert_uint_eq(w->records[3].serial, w->records[0].serial);
	ck_assert_uint_eq(w->notes[NOTE_BATCHES_SMALLER], 0);
	report_from(w, 3, DELIVERY_OK);
	ck_assert_uint_eq(w->notes[NOTE_BATCHES_SMALLER], 1);
	ck_assert_int_eq(w->note_count[NOTE_BATCHES_SMALLER], 131072);
	ck_assert_uint_eq(w->nrecords, 6); /* the others together: so much is less than before */
	report_from(w, 4, DELIVERY_TOO_LARGE);
	ck_assert_uint_eq(w->nrecords, 7);
	report_from(w, 6, DELIVERY_OK);
	ck_assert_int_eq(w->note_count[NOTE_BATCHES_SMALLER], 65536);
	ck_assert_uint_eq(w->nrecords, 8);
	report_from(w, 7, DELIVERY_OK);
	for (size_t i = 0; i < w->nrecords; i++)
		ck_assert_str_eq(world_code(w, i), "RESERVED_COMMAND");
	world_free(w);
}
END_TEST

START_TEST(a_record_that_no_topic_takes_without_a_key_gets_one_and_those_of_its_batch_go_on)
{
	struct world *w = ready(plain, usual);

	send_three(w, NULL);
	report_from(w, 0, DELIVERY_INVALID);
	report_from(w, 3, DELIVERY_OK);
	report_from(w, 4, DELIVERY_INVALID);
	ck_assert_uint_eq(w->nrecords, 6); /* one after the other */
	ck_assert_uint_eq(w->records[5].serial, w->records[1].serial);
	ck_assert_msg(slice_is(w->records[5].key, "requests-0-1"), "%.*s", (int)w->records[5].key.len,
		(const char *)w->records[5].key.data);
	report_from(w, 5, DELIVERY_OK);
	ck_assert_uint_eq(w->nrecords, 7);
	report_from(w, 6, DELIVERY_OK);
	world_pass(w, SECOND_US);
	ck_assert_int_eq(w->commits[w->ncommits - 1].base, 3);
	ck_assert_uint_eq(w->notes[NOTE_DELIVERY_REFUSED], 0);
	world_free(w);
}
END_TEST

START_TEST(a_record_that_is_refused_alone_is_laid_aside_and_holds_nobody_up)
{
	struct world *w = ready(plain, usual);

	send_three(w, "b");
	report_from(w, 0, DELIVERY_INVALID);
	report_from(w, 3, DELIVERY_INVALID); /* the first is not taken, alone */
	ck_assert_uint_eq(w->notes[NOTE_DELIVERY_REFUSED], 1);
	report_from(w, 4, DELIVERY_OK);
	report_from(w, 5, DELIVERY_OK);
	world_send(w, "d", "{\"command\":\"ping\"}");
	ck_assert_uint_eq(w->nrecords, 7);
	report_from(w, 6, DELIVERY_OK);
	ck_assert_uint_eq(w->nrecords, 7);
	world_pass(w, 2 * SECOND_US);
	ck_assert_uint_eq(w->nrecords, 8); /* tried again */
	ck_assert_uint_eq(w->records[7].serial, w->records[0].serial);
	report_from(w, 7, DELIVERY_INVALID);
	world_pass(w, 5 * SECOND_US);
	ck_assert_uint_eq(w->nrecords, 9);
	report_from(w, 8, DELIVERY_OK); /* mended */
	world_committed(w);             /* what was asked for meanwhile */
	world_pass(w, SECOND_US);
	ck_assert_int_eq(w->commits[w->ncommits - 1].base, 4);
	engine_revoked(w->e, &w->tp[0], 1, true, w->now);
	engine_check(w->e);
	world_free(w);
}
END_TEST

static void too_large(struct world *w, enum record_kind kind)
{
	size_t i = w->nrecords;

	while (i-- > 0)
		if (w->kinds[i] == kind)
			break;
	engine_delivered(w->e, w->records[i].serial, DELIVERY_TOO_LARGE, w->now);
	world_pass(w, 0);
}

START_TEST(a_dead_letter_that_does_not_fit_loses_its_body_then_its_key_and_headers_and_tells_the_rest)
{
	struct world *w = ready(plain, usual);
	struct slice value;
	char key[2001];

	memset(key, 'k', sizeof(key));
	key[2000] = '\0';
	world_send(w, key, "no json");
	ck_assert_uint_eq(w->nrecords, 2);
	too_large(w, RECORD_DEAD_LETTER);
	ck_assert_uint_eq(w->nrecords, 3);
	ck_assert_ptr_null(w->records[2].value.data);
	ck_assert_uint_eq(w->records[2].key.len, 2000);
	ck_assert(pairs_find(w->records[2].headers, "bridgepool.truncated", &value));
	too_large(w, RECORD_DEAD_LETTER);
	ck_assert_uint_eq(w->nrecords, 4);
	ck_assert_ptr_null(w->records[3].key.data);
	ck_assert(pairs_find(w->records[3].headers, "bridgepool.original.offset", &value));
	too_large(w, RECORD_DEAD_LETTER);
	ck_assert_uint_eq(w->nrecords, 4);
	ck_assert_uint_eq(w->notes[NOTE_DELIVERY_REFUSED], 1);
	too_large(w, RECORD_RESULT); /* a small one has nothing to lose */
	ck_assert_uint_eq(w->notes[NOTE_DELIVERY_REFUSED], 2);
	world_free(w);
}
END_TEST

START_TEST(a_log_that_begins_above_the_committed_base_passes_what_is_missing_and_forgets_its_suspects)
{
	struct world *w = world_new(plain, usual);
	struct offsetmap map = {.base = 0, .span = 9, .nsuspects = 1, .suspects = {{0, 1}}};
	char text[OFFSETMAP_TEXT_MAX + 1];

	map.bits[1] = 1; /* offset 8 is done */
	offsetmap_encode(&map, text);
	world_workers_up(w);
	world_assign_at(w, 0, 0, text);
	w->next_offset[0] = 5;
	world_send(w, "a", SAY);
	world_send(w, "b", SAY);
	w->next_offset[0]--;
	world_send(w, "b", SAY); /* the same once more */
	ck_assert_uint_eq(world_count(w, CALL_REQUEST), 2);
	world_ok(w, world_last(w, CALL_REQUEST));
	world_ok(w, &w->calls[1]);
	world_ack(w);
	world_pass(w, SECOND_US);
	ck_assert_int_eq(w->commits[w->ncommits - 1].base, 7);
	ck_assert(offsetmap_decode(slice_of(last_metadata(w)), 7, &map));
	ck_assert_uint_eq(map.span, 2);
	ck_assert_uint_eq(map.nsuspects, 0);
	world_free(w);
}
END_TEST

START_TEST(an_exit_tells_how_and_what_the_worker_said_last)
{
	struct world *w = ready(plain, usual);
	struct exit_report x = {.signal = 9, .by_limit = true};
	char last[301], expected[400];

	memset(last, 'e', sizeof(last));
	x.last = (struct slice){last, 300};
	engine_gone(w->e, (struct slot_ref){0, 0, 1}, &x, w->now);
	snprintf(expected, sizeof(expected), "signal 9 (over its memory limit); last line: \"%.200s\"", last);
	ck_assert_str_eq(w->note_reason[NOTE_WORKER_EXIT], expected);
	world_pass(w, SECOND_US);
	world_workers_up(w);
	x = (struct exit_report){.exited = true, .last = SLICE("bye")};
	engine_gone(w->e, (struct slot_ref){0, 0, 2}, &x, w->now);
	ck_assert_str_eq(w->note_reason[NOTE_WORKER_EXIT], "exit 0");
	world_pass(w, SECOND_US);
	world_workers_up(w);
	x = (struct exit_report){.exited = true, .code = 9, .last = SLICE("end partition"), .last_age_ms = 3540};
	engine_gone(w->e, (struct slot_ref){0, 0, 3}, &x, w->now);
	ck_assert_str_eq(w->note_reason[NOTE_WORKER_EXIT], "exit 9; last line: \"end partition\" (3.5 s before)");
	world_free(w);
}
END_TEST

START_TEST(a_worker_that_does_not_get_ready_is_told_with_the_time_until_its_next_start)
{
	struct world *w = world_new(plain, usual);
	struct exit_report x = {.exited = true, .code = 1, .last = SLICE("ModuleNotFoundError: app")};
	struct slot_ref first = w->started[0];
	int64_t wait;

	engine_fault(w->e, first, FAULT_EXEC, SLICE("no such file"), w->now);
	engine_gone(w->e, first, &x, w->now);
	ck_assert_uint_eq(w->notes[NOTE_WORKER_BACKOFF], 1);
	wait = w->note_count[NOTE_WORKER_BACKOFF] * MS_US;
	ck_assert_int_ge(wait, 49 * MS_US);
	world_pass(w, wait - 2 * MS_US);
	ck_assert_uint_eq(w->nstarted, 1);
	world_pass(w, 3 * MS_US);
	ck_assert_uint_eq(w->nstarted, 2);
	world_free(w);
}
END_TEST

START_TEST(a_worker_that_is_silent_at_its_start_is_stopped_at_start_timeout_and_not_before)
{
	struct world *w = world_new(plain, usual);

	world_pass(w, SECOND_US);
	if (_i > 0) /* else it has not even begun */
		engine_started(w->e, w->started[0], 1, w->now);
	world_pass(w, 59 * SECOND_US - 1);
	ck_assert_uint_eq(w->nstops, 0);
	world_pass(w, 1);
	ck_assert_uint_eq(w->nstops, 1);
	ck_assert_int_eq(w->stops[0].step, STOP_TERM);
	ck_assert_str_eq(w->note_reason[NOTE_WORKER_STATE], "no answer to its first ping within start_timeout");
	world_free(w);
}
END_TEST

START_TEST(the_first_answer_of_a_worker_that_is_an_error_ends_it_and_parts_of_it_are_no_answer)
{
	struct world *w = world_new(plain, usual);
	struct told_call *ping;

	engine_started(w->e, w->started[0], 1, w->now);
	ping = world_last(w, CALL_PING);
	world_answer_as(w, ping, (struct answer){.kind = ANSWER_PARTIAL, .retry_after_ms = TIME_NONE});
	ck_assert_uint_eq(w->nstops, 0);
	world_answer_as(w, ping,
		(struct answer){
			.kind = ANSWER_ERROR,
			.code = SLICE("ImportError"),
			.message = SLICE("no app"),
			.retry_after_ms = TIME_NONE,
		});
	ck_assert_uint_eq(w->nstops, 1);
	ck_assert_int_eq(w->stops[0].step, STOP_TERM);
	world_free(w);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("edges");
	TCase *t = tcase_create("scenes");
	SRunner *runner;
	int failed;

	tcase_add_test(t, what_names_something_that_never_was_is_counted_and_changes_nothing);
	tcase_add_test(t, the_instance_is_ready_when_its_pools_are_and_tells_which_one_is_not_and_why);
	tcase_add_test(t, words_that_cannot_be_served_are_refused_by_name);
	tcase_add_test(t, a_header_with_a_name_too_long_stays_behind_and_one_with_a_value_too_long_refuses_the_request);
	tcase_add_test(t, a_revoke_is_answered_although_its_commit_never_is);
	tcase_add_test(t, a_second_drain_only_moves_its_end);
	tcase_add_test(t, an_assignment_without_a_revoke_before_it_begins_anew);
	tcase_add_test(t, a_partition_without_a_commit_has_one_before_anything_is_done);
	tcase_add_test(t, a_partition_revoked_again_before_its_position_was_read_keeps_its_sessions);
	tcase_add_test(t, what_is_adopted_is_held_by_its_share);
	tcase_add_test(t, a_pool_whose_requests_wait_leaves_the_others_their_share);
	tcase_add_test(t, a_pool_that_has_filled_the_memory_alone_leaves_their_share_to_those_that_come_later);
	tcase_add_test(t, a_map_wider_than_the_window_lets_what_is_done_pass_when_its_place_comes);
	tcase_add_test(t, a_session_of_two_partitions_that_waits_is_ended_when_its_home_goes);
	tcase_add_test(t, a_ping_answered_while_its_worker_is_being_stopped_changes_nothing);
	tcase_add_test(t, a_partition_without_progress_is_told_once_in_a_row);
	tcase_add_test(t, of_more_suspects_than_fit_the_oldest_is_forgotten);
	tcase_add_test(t, a_suspect_is_committed_as_soon_as_the_commit_in_flight_is_answered);
	tcase_add_test(t, a_suspect_runs_again_when_the_group_knows_of_it);
	tcase_add_test(t, a_suspect_of_which_the_group_cannot_be_told_waits_five_seconds);
	tcase_add_test(t, a_request_that_killed_a_worker_elsewhere_and_kills_one_here_is_poison);
	tcase_add_test(t, a_request_that_killed_two_workers_elsewhere_does_not_run);
	tcase_add_test(t, who_was_in_flight_at_the_fault_is_not_alone_when_others_are_answered_after_it);
	tcase_add_test(t, dead_letters_are_counted_under_codes_that_are_there_from_the_beginning);
	tcase_add_test(t, records_of_a_batch_that_is_too_large_are_sent_alone_and_then_less_at_a_time);
	tcase_add_test(t, a_record_that_no_topic_takes_without_a_key_gets_one_and_those_of_its_batch_go_on);
	tcase_add_test(t, a_record_that_is_refused_alone_is_laid_aside_and_holds_nobody_up);
	tcase_add_test(t, a_record_from_the_end_of_time_has_no_end_of_its_own);
	tcase_add_test(t, a_record_that_comes_back_at_once_is_not_sent_at_once);
	tcase_add_test(t, records_that_come_back_in_any_order_go_out_in_that_of_their_birth);
	tcase_add_test(t, a_refused_commit_is_made_again_and_one_too_large_without_its_map);
	tcase_add_test(t, a_result_too_large_for_its_topic_is_told_as_such_and_one_that_never_fits_waits_for_people);
	tcase_add_test(t, a_result_over_the_limit_is_an_error_and_a_dead_letter_tells_only_the_beginning_of_a_long_word);
	tcase_add_test(t, a_worker_that_does_not_get_ready_is_told_with_the_time_until_its_next_start);
	tcase_add_loop_test(t, a_worker_that_is_silent_at_its_start_is_stopped_at_start_timeout_and_not_before, 0, 2);
	tcase_add_test(t, the_first_answer_of_a_worker_that_is_an_error_ends_it_and_parts_of_it_are_no_answer);
	tcase_add_test(t, a_dead_letter_that_does_not_fit_loses_its_body_then_its_key_and_headers_and_tells_the_rest);
	tcase_add_test(t, a_log_that_begins_above_the_committed_base_passes_what_is_missing_and_forgets_its_suspects);
	tcase_add_test(t, an_exit_tells_how_and_what_the_worker_said_last);
	tcase_add_test(t, a_partition_of_which_nothing_is_heard_is_given_up_sooner_when_memory_is_short);
	suite_add_tcase(suite, t);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
