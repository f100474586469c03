/* kafka_producer_test.c: a producer whose brokers are slow or away: what waits, for how long, and how much of it. */
#include "kafka_cluster.h"

enum { SLOW_BROKER = 1, QUICK_BROKER, SLOW_MS = 60000, FEW = 5, TICK_MS = 1000, BEFORE_MS = 60, STEP_MS = 10 };
static const uint64_t last_serial = 1000;

static void create(const char *topic, int32_t leader)
{
	ck_assert_int_eq(rd_kafka_mock_topic_create(cluster, topic, 1, 1), 0);
	ck_assert_int_eq(rd_kafka_mock_partition_set_leader(cluster, topic, 0, leader), 0);
}

static void setup(void)
{
	cluster_open(2);
	create("slow", SLOW_BROKER);
	create("quick", QUICK_BROKER);
}

static struct member *open_producer(void)
{
	const struct producer_config k = {.brokers = rd_kafka_mock_cluster_bootstraps(cluster)};

	return member_producer(&loop, &k);
}

/* ---- a record that is held while a broker does not answer ---- */

struct knock {
	struct member *p;
	uv_timer_t before, step;
	unsigned steps;
};

static bool both_known(void *ctx)
{
	return ((struct member *)ctx)->delivered == 2;
}

static bool last_delivered(void *ctx)
{
	return ((struct member *)ctx)->last_serial == last_serial;
}

static void on_step(uv_timer_t *timer)
{
	((struct knock *)timer->data)->steps++;
}

/* Shortly before the tick of each second, with as many under way as make others wait: the first begins a wave, the second waits
 * for it. */
static void on_before(uv_timer_t *timer)
{
	struct knock *k = timer->data;

	if (producer_pending(k->p->producer) < FEW)
		return;
	uv_timer_stop(timer);
	member_send(k->p, "quick", last_serial - 1, "k", "v");
	member_send(k->p, "quick", last_serial, "k", "v");
	uv_timer_start(&k->step, on_step, STEP_MS, STEP_MS);
}

/* Counted by a timer of the same loop: a loop that stands still does not count. */
START_TEST(a_record_that_is_held_goes_when_its_patience_is_over_whatever_ticks_between)
{
	struct knock k = {.p = open_producer()};

	uv_timer_init(&loop, &k.before);
	uv_timer_init(&loop, &k.step);
	k.before.data = k.step.data = &k;
	uv_timer_start(&k.before, on_before, TICK_MS - BEFORE_MS, TICK_MS);
	member_send(k.p, "slow", 1, "k", "v");
	member_send(k.p, "quick", 2, "k", "v");
	AWAIT(&loop, both_known, k.p);
	rd_kafka_mock_broker_set_rtt(cluster, SLOW_BROKER, SLOW_MS);
	for (uint64_t i = 0; i < FEW; i++)
		member_send(k.p, "slow", 10 + i, "k", "v");
	AWAIT(&loop, last_delivered, k.p);
	ck_assert_uint_lt(k.steps, TICK_MS / 2 / STEP_MS);
	uv_close((uv_handle_t *)&k.before, NULL);
	uv_close((uv_handle_t *)&k.step, NULL);
	member_close_producer(k.p);
}
END_TEST

/* ---- many reports at once ---- */

enum { MANY = 5000, A_TURN = 256 };

struct turns {
	struct member *p;
	uv_check_t check; /* runs once a turn */
	uint64_t before, most;
};

static void on_turn(uv_check_t *check)
{
	struct turns *t = check->data;

	if (t->p->delivered - t->before > t->most)
		t->most = t->p->delivered - t->before;
	t->before = t->p->delivered;
}

static bool all_delivered(void *ctx)
{
	return ((struct member *)ctx)->delivered == MANY;
}

/* They come from librdkafka as one; the loop has others to serve. */
START_TEST(reports_are_taken_a_few_hundred_a_turn)
{
	struct turns t = {.p = open_producer()};

	uv_check_init(&loop, &t.check);
	t.check.data = &t;
	uv_check_start(&t.check, on_turn);
	for (uint64_t i = 1; i <= MANY; i++)
		member_send(t.p, "quick", i, "k", "v");
	AWAIT(&loop, all_delivered, t.p);
	ck_assert_uint_le(t.most, 2 * A_TURN); /* the tick of each second may fall into the same turn */
	uv_close((uv_handle_t *)&t.check, NULL);
	member_close_producer(t.p);
}
END_TEST

START_TEST(a_producer_closes_with_half_of_its_reports_taken)
{
	struct member *p = open_producer();

	for (uint64_t i = 1; i <= MANY; i++)
		member_send(p, "quick", i, "k", "v");
	while (p->delivered == 0)
		uv_run(&loop, UV_RUN_ONCE);
	member_close_producer(p);
}
END_TEST

/* ---- records that nobody waits for ---- */

static bool send_unawaited(struct member *p, struct slice value)
{
	return producer_send(p->producer, "quick", &(struct record){.key = SLICE("k"), .value = value});
}

static size_t send_all(struct member *p, struct slice value, size_t most)
{
	size_t n = 0;

	while (n < most && send_unawaited(p, value))
		n++;
	return n;
}

static bool has_room(void *ctx)
{
	return ((struct member *)ctx)->rooms == 1;
}

START_TEST(only_a_few_of_those_that_nobody_waits_for_are_taken_while_no_broker_answers)
{
	const struct producer_config k = {.brokers = "127.0.0.1:1"};
	struct member *p = member_producer(&loop, &k);
	static char value[100000];

	ck_assert_uint_eq(send_all(p, SLICE("v"), 5000), 256);
	member_send(p, "quick", 1, "k", "v"); /* others are not held up by them */
	member_close_producer(p);
	p = member_producer(&loop, &k);
	ck_assert_uint_eq(send_all(p, (struct slice){value, sizeof value}, 5000), 10);
	member_close_producer(p);
}
END_TEST

START_TEST(one_larger_than_what_may_wait_goes_alone)
{
	static char value[2 << 20];
	struct member *p = open_producer();

	ck_assert_uint_eq(send_all(p, (struct slice){value, sizeof value}, 2), 1);
	member_close_producer(p);
}
END_TEST

START_TEST(that_there_is_room_again_is_told_when_a_broker_has_taken_them)
{
	struct member *p = open_producer();

	rd_kafka_mock_broker_set_down(cluster, QUICK_BROKER);
	ck_assert_uint_eq(send_all(p, SLICE("v"), 5000), 256);
	ck_assert_uint_eq(p->rooms, 0);
	rd_kafka_mock_broker_set_up(cluster, QUICK_BROKER);
	AWAIT(&loop, has_room, p);
	ck_assert(send_unawaited(p, SLICE("v")));
	member_close_producer(p);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("kafka producer");
	TCase *t = tcase_create("all");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 100);
	tcase_add_checked_fixture(t, setup, cluster_close);
	tcase_add_test(t, a_record_that_is_held_goes_when_its_patience_is_over_whatever_ticks_between);
	tcase_add_test(t, reports_are_taken_a_few_hundred_a_turn);
	tcase_add_test(t, a_producer_closes_with_half_of_its_reports_taken);
	tcase_add_test(t, only_a_few_of_those_that_nobody_waits_for_are_taken_while_no_broker_answers);
	tcase_add_test(t, one_larger_than_what_may_wait_goes_alone);
	tcase_add_test(t, that_there_is_room_again_is_told_when_a_broker_has_taken_them);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
