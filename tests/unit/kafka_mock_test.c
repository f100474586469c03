/* Consumer, producer and client against the embedded broker, as far as it is a fair judge: the way of a message, commit metadata,
 * credit, hold, the end of a member. Rebalances, loss and outages are tested on a real broker (tests/kafka). */
#include <unistd.h>

#include "bridgepool/kafka/client.h"
#include "bridgepool/kafka/embedded.h"
#include "bridgepool/wire/pairs.h"
#include "inside.h"
#include "kafka_member.h"

enum { RECORDS = 500, PARTITIONS = 2 };

/* One broker for all, and a topic for each test: to end a broker can take a second. */
static const char *const topics[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", NULL};
static const char *const *in; /* the test's own */
/* Who joins a group that somebody has just left waits here until nearly a session timeout is over; below 4 s no group forms at
 * all. */
static const char *const quick[] = {"session.timeout.ms=6000", "heartbeat.interval.ms=500", "fetch.wait.max.ms=5", NULL};

static struct embedded *broker;
static uv_loop_t *loop;

static void begin(void)
{
	char why[256];

	broker = embedded_start(topics, PARTITIONS, why, sizeof why);
	ck_assert_msg(broker != NULL, "%s", why);
}

static void end(void)
{
	embedded_stop(broker);
}

static void setup(void)
{
	in = in ? in + 1 : topics;
	ck_assert_ptr_nonnull(*in);
	loop = xmalloc(sizeof *loop);
	ck_assert_int_eq(uv_loop_init(loop), 0);
}

static void teardown(void)
{
	ck_assert_int_eq(uv_loop_close(loop), 0);
	free(loop);
}

/* For a member that must not be thrown out on a busy machine. */
static const char *const patient[] = {"session.timeout.ms=60000", "fetch.wait.max.ms=5", NULL};

static struct member *join_with(const char *group, const char *const *properties)
{
	const struct consumer_config k = {
		.brokers = embedded_brokers(broker),
		.group = group,
		.topics = in,
		.ntopics = 1,
		.properties = properties,
	};
	struct member *m = member_consumer(loop, &k);

	consumer_subscribe(m->consumer);
	return m;
}

static struct member *join(const char *group)
{
	return join_with(group, quick);
}

static bool all_delivered(void *ctx)
{
	return ((struct member *)ctx)->delivered == RECORDS;
}

static void fill(void)
{
	static const char value[] = "value";
	/* they stay until the reports */
	static const char *const keys[] = {"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9"};
	const struct producer_config k = {.brokers = embedded_brokers(broker), .linger_us = 1500};
	uv_loop_t own; /* of its own, so that nobody else's events are awaited at the end */
	struct member *p;
	struct buf headers;

	ck_assert_int_eq(uv_loop_init(&own), 0);
	p = member_producer(&own, &k);
	buf_init(&headers, 1024);
	pairs_add(&headers, SLICE("a"), SLICE("1"));
	pairs_add(&headers, SLICE("gone"), (struct slice){NULL, 0});
	for (uint64_t i = 1; i <= RECORDS; i++)
		ck_assert(producer_send(p->producer, *in,
			&(struct record){
				.serial = i,
				.key = slice_of(keys[i % 10]),
				.value = slice_of(value),
				.headers = buf_slice(&headers),
			}));
	ck_assert_uint_gt(producer_pending(p->producer), 0);
	AWAIT(&own, all_delivered, p);
	ck_assert_uint_eq(p->deliveries[DELIVERY_OK], RECORDS);
	ck_assert_uint_eq(producer_pending(p->producer), 0);
	member_close_producer(p);
	ck_assert_int_eq(uv_loop_close(&own), 0);
	buf_free(&headers);
}

static size_t awaited;

static bool got_awaited(void *ctx)
{
	return ((struct member *)ctx)->nmessages == awaited;
}

static bool has_commit(void *ctx)
{
	return ((struct member *)ctx)->committed == 1;
}

static bool all_have_offsets(void *ctx)
{
	struct member *m = ctx;
	size_t n = 0;

	for (size_t i = 0; i < m->nparts; i++)
		n += m->parts[i].has_offset;
	return n == PARTITIONS;
}

static void check_messages(struct member *m)
{
	for (size_t i = 0; i < m->nmessages; i++) {
		const struct seen_message *s = &m->messages[i];
		ck_assert_str_eq(s->value, "value");
		ck_assert_int_eq(s->key[0], 'k');
		ck_assert_uint_gt(s->headers_len, 0);
		ck_assert_int_gt(s->timestamp_ms, 1600000000000);
		for (size_t k = 0; k < i; k++) /* a key stays in one partition */
			ck_assert(strcmp(m->messages[k].key, s->key) != 0 || m->messages[k].tp.partition == s->tp.partition);
	}
}

START_TEST(a_message_comes_once_and_its_commit_with_the_map_is_found_again)
{
	struct member *m, *again;
	int64_t end;
	struct tp tp;

	fill();
	m = join("g1");
	awaited = RECORDS;
	AWAIT(loop, got_awaited, m);
	check_messages(m);
	tp = m->parts[0].tp;
	end = m->parts[0].next;
	member_commit(m, 7, tp, end - 3, "map of partition 0");
	AWAIT(loop, has_commit, m);
	ck_assert_uint_eq(m->last_commit, 7);
	ck_assert_uint_eq(m->faulty_commits, 0);
	member_close_consumer(m);

	again = join("g1");
	AWAIT(loop, all_have_offsets, again);
	for (size_t i = 0; i < again->nparts; i++) {
		bool same = again->parts[i].tp.partition == tp.partition;
		ck_assert_int_eq(again->parts[i].offset, same ? end - 3 : 0);
		ck_assert_str_eq(again->parts[i].metadata, same ? "map of partition 0" : "");
	}
	awaited = (size_t)(RECORDS - end + 3);
	AWAIT(loop, got_awaited, again);
	member_close_consumer(again);
}
END_TEST

static void on_pause(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

static bool is_true(void *ctx)
{
	return *(bool *)ctx;
}

/* Lets the loop turn for a while: what must not come has its chance. */
static void turn_for(uint64_t ms)
{
	bool over = false;
	uv_timer_t timer;

	uv_timer_init(loop, &timer);
	timer.data = &over;
	uv_timer_start(&timer, on_pause, ms, 0);
	AWAIT(loop, is_true, &over);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(loop, UV_RUN_NOWAIT);
}

START_TEST(no_message_without_credit_and_all_after_a_kick)
{
	struct member *m;

	fill();
	m = join("g2");
	m->credit = 0;
	AWAIT(loop, all_have_offsets, m);
	turn_for(1500);
	ck_assert_uint_eq(m->nmessages, 0);
	m->credit = awaited = 10;
	consumer_kick(m->consumer);
	AWAIT(loop, got_awaited, m);
	turn_for(300);
	ck_assert_uint_eq(m->nmessages, 10);
	m->credit = SIZE_MAX;
	awaited = RECORDS;
	consumer_kick(m->consumer);
	AWAIT(loop, got_awaited, m);
	ck_assert_uint_eq(m->revoked, 0);
	member_close_consumer(m);
}
END_TEST

static size_t count_of(const struct member *m, int32_t partition)
{
	size_t n = 0;

	for (size_t i = 0; i < m->nmessages; i++)
		n += m->messages[i].tp.partition == partition;
	return n;
}

static bool other_complete(void *ctx)
{
	struct member *m = ctx;

	return count_of(m, m->parts[1].tp.partition) == awaited;
}

/* The first message of it says that more were fetched with it. */
START_TEST(a_held_partition_stands_with_what_was_fetched_of_it_while_others_flow)
{
	struct member *m;
	int32_t held;
	size_t first;

	fill();
	m = join_with("g3", patient);
	awaited = RECORDS;
	AWAIT(loop, got_awaited, m);
	m->credit = 0;
	fill();
	m->credit = 1;
	consumer_kick(m->consumer);
	awaited = RECORDS + 1;
	AWAIT(loop, got_awaited, m);
	held = m->messages[RECORDS].tp.partition;
	if (m->parts[0].tp.partition != held) { /* other_complete looks at the second */
		struct seen_part p = m->parts[0];
		m->parts[0] = m->parts[1];
		m->parts[1] = p;
	}
	first = count_of(m, held);
	awaited = 2 * count_of(m, m->parts[1].tp.partition);
	m->inside = true;
	consumer_hold(m->consumer, m->parts[0].tp, true);
	m->inside = false;
	m->credit = SIZE_MAX;
	consumer_kick(m->consumer);
	AWAIT(loop, other_complete, m);
	turn_for(300);
	ck_assert_uint_eq(count_of(m, held), first);
	ck_assert_uint_eq(m->assigned, 1);
	consumer_hold(m->consumer, m->parts[0].tp, false);
	awaited = 2 * RECORDS;
	AWAIT(loop, got_awaited, m);
	member_close_consumer(m);
}
END_TEST

static bool fetched_ahead(void *ctx)
{
	struct member *m = ctx;

	return rd_kafka_queue_length(parts_find(m->consumer->parts, m->parts[0].tp)->queue) > 0;
}

static bool paused(void *ctx)
{
	struct member *m = ctx;

	return parts_find(m->consumer->parts, m->parts[0].tp)->paused;
}

/* Not for its whole life, and all of it comes when it is read again. */
START_TEST(for_a_partition_that_is_held_for_long_nothing_is_fetched)
{
	struct member *m;

	fill();
	m = join_with("g5", patient);
	awaited = RECORDS;
	AWAIT(loop, got_awaited, m);
	consumer_hold(m->consumer, m->parts[0].tp, true);
	fill();
	AWAIT(loop, fetched_ahead, m);
	AWAIT(loop, paused, m);
	ck_assert_uint_eq(rd_kafka_queue_length(parts_find(m->consumer->parts, m->parts[0].tp)->queue), 0);
	fill();
	turn_for(300);
	ck_assert_uint_eq(rd_kafka_queue_length(parts_find(m->consumer->parts, m->parts[0].tp)->queue), 0);
	consumer_hold(m->consumer, m->parts[0].tp, false);
	awaited = 3 * RECORDS;
	AWAIT(loop, got_awaited, m);
	turn_for(300);
	ck_assert_uint_eq(m->nmessages, 3 * RECORDS); /* none twice */
	ck_assert_uint_eq(m->assigned, 1);
	consumer_hold(m->consumer, m->parts[0].tp, true); /* and once more, until it is given back */
	AWAIT(loop, paused, m);
	member_close_consumer(m);
}
END_TEST

START_TEST(a_consumer_that_never_subscribed_closes)
{
	const struct consumer_config k = {.brokers = embedded_brokers(broker), .group = "g4", .topics = in, .ntopics = 1};

	member_close_consumer(member_consumer(loop, &k));
}
END_TEST

static bool one_delivered(void *ctx)
{
	return ((struct member *)ctx)->delivered == 1;
}

START_TEST(a_record_over_the_limit_is_reported_and_not_called_back_from_inside)
{
	const char *const small[] = {"message.max.bytes=1000", NULL};
	const struct producer_config k = {.brokers = embedded_brokers(broker), .properties = small};
	struct member *p = member_producer(loop, &k);
	char value[2001];

	memset(value, 'x', sizeof value - 1);
	value[sizeof value - 1] = '\0';
	member_send(p, *in, 42, "k", value);
	ck_assert_uint_eq(p->delivered, 0);
	AWAIT(loop, one_delivered, p);
	ck_assert_uint_eq(p->last_serial, 42);
	ck_assert_uint_eq(p->deliveries[DELIVERY_TOO_LARGE], 1);
	member_close_producer(p);
}
END_TEST

enum { WAVE = 500 };

static bool wave_delivered(void *ctx)
{
	return ((struct member *)ctx)->deliveries[DELIVERY_OK] == WAVE;
}

/* Most of them are held back while the first are under way. */
START_TEST(all_of_many_records_are_delivered)
{
	const struct producer_config k = {.brokers = embedded_brokers(broker), .linger_us = 0};
	struct member *p = member_producer(loop, &k);

	for (uint64_t i = 1; i <= WAVE; i++)
		member_send(p, *in, i, "k", "v");
	ck_assert_uint_eq(producer_pending(p->producer), WAVE);
	AWAIT(loop, wave_delivered, p);
	ck_assert_uint_eq(producer_pending(p->producer), 0);
	ck_assert_uint_eq(p->last_serial, WAVE);
	member_close_producer(p);
}
END_TEST

START_TEST(a_producer_closes_with_records_that_it_holds_back)
{
	const struct producer_config k = {.brokers = embedded_brokers(broker), .linger_us = 0};
	struct member *p = member_producer(loop, &k);

	for (uint64_t i = 1; i <= WAVE; i++)
		member_send(p, *in, i, "k", "v");
	member_close_producer(p);
}
END_TEST

START_TEST(a_full_queue_says_so)
{
	const char *const small[] = {"queue.buffering.max.messages=1", NULL};
	const struct producer_config k = {.brokers = embedded_brokers(broker), .properties = small, .linger_us = 200000};
	struct member *p = member_producer(loop, &k);
	const struct record r = {.serial = 2, .value = SLICE("b")};

	member_send(p, *in, 1, NULL, "a");
	ck_assert(!producer_send(p->producer, *in, &r));
	AWAIT(loop, one_delivered, p);
	ck_assert(producer_send(p->producer, *in, &r));
	member_close_producer(p);
}
END_TEST

START_TEST(the_client_reads_what_it_wrote_and_knows_the_end)
{
	const struct client_config k = {.brokers = embedded_brokers(broker)};
	char why[512];
	struct client *c = client_new(&k, why, sizeof why), *late;
	struct client_record r;
	size_t n = 0;

	ck_assert(client_follow(c, *in, false, 10000, why, sizeof why));
	for (int i = 0; i < 100; i++)
		ck_assert(client_send(c, *in, SLICE("k"), SLICE("v"), (struct slice){NULL, 0}, why, sizeof why));
	ck_assert_msg(client_flush(c, 10000, why, sizeof why), "%s", why);
	while (n < 100 && client_read(c, 10000, &r, why, sizeof why)) {
		ck_assert(slice_is(r.key, "k") && slice_is(r.value, "v"));
		n++;
	}
	ck_assert_uint_eq(n, 100);
	late = client_new(&k, why, sizeof why);
	ck_assert(client_follow(late, *in, true, 10000, why, sizeof why));
	for (n = 0; !client_at_end(late);)
		n += client_read(late, 1000, &r, why, sizeof why);
	ck_assert_uint_eq(n, 100);
	ck_assert(!client_read(late, 200, &r, why, sizeof why));
	ck_assert_str_eq(why, "");
	client_free(late);
	client_free(c);
}
END_TEST

/* What was not taken out of the queues yet; the library looks into them now and then only, one time of three to ten. */
START_TEST(what_the_library_says_at_the_end_is_in_our_log_as_all_else)
{
	const struct consumer_config k = {.brokers = "127.0.0.1:1", .group = "g", .topics = in, .ntopics = 1};
	struct member *m;
	int ours = dup(STDERR_FILENO);
	static char text[1 << 16];
	FILE *f = tmpfile();
	size_t n;

	ck_assert(f && ours >= 0 && dup2(fileno(f), STDERR_FILENO) >= 0);
	for (int i = 0; i < 40; i++) {
		m = member_consumer(loop, &k);
		usleep(30 * 1000); /* so long no loop turns */
		member_close_consumer(m);
	}
	dup2(ours, STDERR_FILENO);
	close(ours);
	rewind(f);
	n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	fclose(f);
	ck_assert_msg(strstr(text, "%3|") == NULL, "%s", text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("kafka mock");
	TCase *t = tcase_create("embedded broker");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_set_timeout(t, 100);
	tcase_add_unchecked_fixture(t, begin, end);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_message_comes_once_and_its_commit_with_the_map_is_found_again);
	tcase_add_test(t, no_message_without_credit_and_all_after_a_kick);
	tcase_add_test(t, a_held_partition_stands_with_what_was_fetched_of_it_while_others_flow);
	tcase_add_test(t, for_a_partition_that_is_held_for_long_nothing_is_fetched);
	tcase_add_test(t, a_consumer_that_never_subscribed_closes);
	tcase_add_test(t, what_the_library_says_at_the_end_is_in_our_log_as_all_else);
	tcase_add_test(t, a_record_over_the_limit_is_reported_and_not_called_back_from_inside);
	tcase_add_test(t, all_of_many_records_are_delivered);
	tcase_add_test(t, a_producer_closes_with_records_that_it_holds_back);
	tcase_add_test(t, a_full_queue_says_so);
	tcase_add_test(t, the_client_reads_what_it_wrote_and_knows_the_end);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
