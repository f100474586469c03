/* ops_health_test.c: health events: whole, in order, kept while they cannot be sent, counted when they are lost. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/ops/health.h"
#include "bridgepool/wire/json.h"

enum { RING = 4, WALL_MS = 1767225600, MANY = 20000, LONG = 800 * 1024 };

/* The producer's side: what it took, and whether it takes anything. */
struct outlet {
	bool open;
	unsigned taken, refused;
	char key[64];
	enum encoding encoding;
	struct buf last, sequences; /* the last event as JSON; the sequence numbers of all, joined by spaces */
};

static struct codec *codec;
static struct outlet outlet;
static struct health *health;

static int64_t member_number(struct slice doc, const char *name)
{
	struct json_member m = {.name = name};
	char why[128];
	int64_t number;

	ck_assert_msg(json_read_object(doc, &m, 1, JSON_MAX_DEPTH, why, sizeof why), "%s", why);
	ck_assert(json_int(m.value, &number));
	return number;
}

static bool take(void *ctx, struct slice key, struct slice value, enum encoding encoding)
{
	struct outlet *o = ctx;
	char why[128];

	if (!o->open) {
		o->refused++;
		return false;
	}
	o->taken++;
	snprintf(o->key, sizeof o->key, "%.*s", (int)key.len, (const char *)key.data);
	o->encoding = encoding;
	buf_reset(&o->last);
	ck_assert_msg(codec_to_json(codec, value, &o->last, why, sizeof why), "%s", why);
	buf_printf(&o->sequences, "%lld ", (long long)member_number(buf_slice(&o->last), "sequence"));
	return true;
}

static void begin(enum encoding encoding, size_t ring)
{
	const struct codec_config codec_config = {.max_request = 1 << 20};
	const struct health_config config = {"node-1", "cafe", "host-a", encoding, ring};
	char why[128];

	codec = codec_new(&codec_config, why, sizeof why);
	ck_assert_msg(codec != NULL, "%s", why);
	outlet = (struct outlet){.open = true};
	buf_init(&outlet.last, 1 << 20);
	buf_init(&outlet.sequences, 4096);
	health = health_new(&config, codec, take, &outlet);
}

static void end(void)
{
	health_free(health);
	buf_free(&outlet.last);
	buf_free(&outlet.sequences);
	codec_free(codec);
}

static void say(const char *reason)
{
	health_event(health,
		&(struct health_fields){
			.kind = KIND_WORKER_EXIT,
			.severity = SEVERITY_WARN,
			.pool = SLICE("default"),
			.worker_id = SLICE("default/3.7"),
			.from_state = HEALTH_READY,
			.to_state = HEALTH_TERMINATED,
			.reason = slice_of(reason),
			.count = 12,
		},
		WALL_MS);
}

static bool last_has(const char *text)
{
	return memmem(outlet.last.data, outlet.last.len, text, strlen(text)) != NULL;
}

static bool sequences_are(const char *expected)
{
	return slice_is(buf_slice(&outlet.sequences), expected);
}

static void expect_whole(void)
{
	static const char *const members[] = {"\"event_id\":\"node-1-cafe-1\"", "\"instance_id\":\"node-1\"",
		"\"incarnation\":\"cafe\"", "\"host\":\"host-a\"", "\"kind\":\"WORKER_EXIT\"", "\"severity\":\"WARN\"",
		"\"pool\":\"default\"", "\"worker_id\":\"default/3.7\"", "\"from_state\":\"READY\"",
		"\"to_state\":\"TERMINATED\"", "\"reason\":\"signal 9\""};

	ck_assert_uint_eq(outlet.taken, 1);
	ck_assert_str_eq(outlet.key, "node-1");
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		ck_assert_msg(last_has(members[i]), "%s is not in %.*s", members[i], (int)outlet.last.len,
			(const char *)outlet.last.data);
	ck_assert_int_eq(member_number(buf_slice(&outlet.last), "sequence"), 1);
	ck_assert_int_eq(member_number(buf_slice(&outlet.last), "count"), 12);
	ck_assert(last_has("\"snapshot\":null"));
}

START_TEST(an_event_is_whole_in_avro)
{
	begin(ENCODING_AVRO, RING);
	say("signal 9");
	expect_whole();
	ck_assert_int_eq(outlet.encoding, ENCODING_AVRO);
	end();
}
END_TEST

START_TEST(an_event_is_whole_in_json)
{
	begin(ENCODING_JSON, RING);
	say("signal 9");
	expect_whole();
	ck_assert_int_eq(outlet.encoding, ENCODING_JSON);
	end();
}
END_TEST

START_TEST(a_heartbeat_carries_the_snapshot)
{
	struct pool_snapshot pool = {.name = SLICE("qa"), .state = HEALTH_DEGRADED, .queued = 5};
	struct partition_snapshot partition = {.topic = SLICE("bridgepool.requests"), .partition = 2, .base = 100, .next = 107};
	const struct snapshot s = {
		.state = HEALTH_READY,
		.npools = 1,
		.npartitions = 1,
		.pools = &pool,
		.partitions = &partition,
	};

	pool.workers[HEALTH_READY] = 3;
	begin(ENCODING_AVRO, RING);
	health_beat(health, &s, WALL_MS);
	ck_assert(last_has("\"kind\":\"HEARTBEAT\""));
	ck_assert(last_has("\"severity\":\"INFO\""));
	ck_assert(last_has("\"name\":\"qa\""));
	ck_assert(last_has("\"DEGRADED\""));
	ck_assert(last_has("\"queued\":5"));
	ck_assert(last_has("\"workers\":{\"READY\":3}"));
	ck_assert(last_has("\"base\":100"));
	end();
}
END_TEST

START_TEST(what_cannot_be_sent_waits_and_keeps_its_order)
{
	begin(ENCODING_AVRO, RING);
	outlet.open = false;
	say("a");
	say("b");
	ck_assert_uint_eq(outlet.taken, 0);
	ck_assert_uint_ge(outlet.refused, 1);
	outlet.open = true;
	say("c");
	ck_assert(sequences_are("1 2 3 "));
	ck_assert_uint_eq(health_dropped(health), 0);
	end();
}
END_TEST

START_TEST(a_retry_sends_what_waits)
{
	begin(ENCODING_AVRO, RING);
	health_retry(health);
	ck_assert_uint_eq(outlet.taken, 0);
	outlet.open = false;
	say("a");
	health_retry(health);
	ck_assert_uint_eq(outlet.taken, 0);
	outlet.open = true;
	health_retry(health);
	health_retry(health);
	ck_assert(sequences_are("1 "));
	end();
}
END_TEST

START_TEST(a_full_ring_drops_the_oldest_and_counts)
{
	begin(ENCODING_AVRO, RING);
	say("sent");
	outlet.open = false;
	for (int i = 0; i < RING + 3; i++)
		say("kept or lost");
	ck_assert_uint_eq(health_dropped(health), 3);
	outlet.open = true;
	health_retry(health);
	ck_assert(sequences_are("1 5 6 7 8 "));
	end();
}
END_TEST

START_TEST(the_ring_turns_many_times)
{
	begin(ENCODING_AVRO, RING);
	for (int round = 0; round < 10; round++) {
		outlet.open = false;
		for (int i = 0; i < 3; i++)
			say("again");
		outlet.open = true;
		health_retry(health);
	}
	ck_assert_uint_eq(outlet.taken, 30);
	ck_assert_uint_eq(health_dropped(health), 0);
	end();
}
END_TEST

START_TEST(without_a_ring_nothing_waits)
{
	begin(ENCODING_JSON, 0);
	outlet.open = false;
	say("lost");
	outlet.open = true;
	say("sent");
	ck_assert_uint_eq(health_dropped(health), 1);
	ck_assert(sequences_are("2 "));
	end();
}
END_TEST

/* Topics take records of about 1 MB; a heartbeat must not be lost just because it knows much. */
START_TEST(too_many_partitions_are_left_out)
{
	struct partition_snapshot *partitions = calloc(MANY, sizeof *partitions);
	struct pool_snapshot pool = {.name = SLICE("qa"), .state = HEALTH_READY};
	const struct snapshot s = {
		.state = HEALTH_READY,
		.npools = 1,
		.npartitions = MANY,
		.pools = &pool,
		.partitions = partitions,
	};

	for (size_t i = 0; i < MANY; i++)
		partitions[i].topic = SLICE("a-topic-with-a-name-that-is-somewhat-longer-than-most");
	begin(_i ? ENCODING_JSON : ENCODING_AVRO, RING);
	health_beat(health, &s, WALL_MS);
	ck_assert_uint_eq(outlet.taken, 1);
	ck_assert(last_has("\"reason\":\"partitions are left out: too many for one record\""));
	ck_assert(last_has("\"name\":\"qa\""));
	ck_assert(last_has("\"partitions\":[]"));
	ck_assert_uint_eq(health_dropped(health), 0);
	free(partitions);
	end();
}
END_TEST

START_TEST(an_event_too_large_for_a_record_is_counted)
{
	char *reason = calloc(1, 1 << 20);

	memset(reason, 'x', (1 << 20) - 1);
	begin(ENCODING_AVRO, RING);
	say(reason);
	ck_assert_uint_eq(outlet.taken, 0);
	ck_assert_uint_eq(health_dropped(health), 1);
	say("fine");
	ck_assert(sequences_are("2 "));
	free(reason);
	end();
}
END_TEST

START_TEST(the_ring_is_bounded_in_bytes_too)
{
	char *reason = calloc(1, LONG + 1);

	memset(reason, 'x', LONG);
	begin(ENCODING_AVRO, 1000);
	outlet.open = false;
	for (int i = 0; i < 30; i++)
		say(reason);
	ck_assert_uint_eq(health_dropped(health), 20);
	outlet.open = true;
	health_retry(health);
	ck_assert(sequences_are("21 22 23 24 25 26 27 28 29 30 "));
	free(reason);
	end();
}
END_TEST

/* Nor because a pool is large. */
START_TEST(too_many_workers_are_left_out_too)
{
	struct worker_snapshot *workers = calloc(MANY, sizeof *workers);
	struct pool_snapshot pool = {
		.name = SLICE("qa"),
		.state = HEALTH_READY,
		.worker_list = workers,
		.nworker_list = MANY,
		.starts = 77,
	};
	const struct snapshot s = {.state = HEALTH_READY, .npools = 1, .pools = &pool};

	for (size_t i = 0; i < MANY; i++)
		workers[i] = (struct worker_snapshot){
			.id = "a-pool-with-a-name-that-is-somewhat-longer-than-most/1.1",
			.role = "serving",
			.state = HEALTH_READY,
		};
	begin(_i ? ENCODING_JSON : ENCODING_AVRO, RING);
	health_beat(health, &s, WALL_MS);
	ck_assert_uint_eq(outlet.taken, 1);
	ck_assert(last_has("\"reason\":\"partitions and single workers are left out: too many for one record\""));
	ck_assert(last_has("\"starts\":77"));
	pool.nworker_list = 1;
	health_beat(health, &s, WALL_MS);
	ck_assert(last_has("\"worker_list\":[{\"worker_id\":\"a-pool"));
	free(workers);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ops health");
	TCase *tc = tcase_create("health");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, an_event_is_whole_in_avro);
	tcase_add_test(tc, an_event_is_whole_in_json);
	tcase_add_test(tc, a_heartbeat_carries_the_snapshot);
	tcase_add_test(tc, what_cannot_be_sent_waits_and_keeps_its_order);
	tcase_add_test(tc, a_retry_sends_what_waits);
	tcase_add_test(tc, a_full_ring_drops_the_oldest_and_counts);
	tcase_add_test(tc, the_ring_turns_many_times);
	tcase_add_test(tc, without_a_ring_nothing_waits);
	tcase_add_loop_test(tc, too_many_partitions_are_left_out, 0, 2);
	tcase_add_loop_test(tc, too_many_workers_are_left_out_too, 0, 2);
	tcase_add_test(tc, an_event_too_large_for_a_record_is_counted);
	tcase_add_test(tc, the_ring_is_bounded_in_bytes_too);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
