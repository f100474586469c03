/* bench_client.c: the other side of the daemon: loads a request topic, waits until all is answered, asks one request at a time.
 *
 *   bench_client load  --brokers B --to T --count N [--sessions S]   N requests with 200-byte arguments, of S sessions
 *   bench_client await --brokers B --from T --count N                until T has N records; prints when they came, by the
 *                                                                    broker's clock
 *   bench_client ping  --brokers B --to T --from T2 --count N [--warmup W]
 *                                                                    one at a time; prints p50 and p99 from request to record
 *                                                                    in T2
 *
 * Prints one line of name=value. Topics have to stamp records with LogAppendTime. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "bridgepool/base/check.h"

enum { VALUE_MAX = 512, POLL_MS = 20, ANSWER_MS = 30000, SETTLE_MS = 1500, PARTITIONS_MAX = 256 };

static size_t write_request(char out[VALUE_MAX], const char *run, long n)
{
	char args[BENCH_ARGS + 1];

	bench_args(args, n);
	return (size_t)snprintf(out, VALUE_MAX, "{\"request_id\":\"%s-%ld\",\"command\":\"echo\",\"args\":%s}", run, n, args);
}

static void send_request(rd_kafka_t *rk, rd_kafka_topic_t *topic, const char *run, long n, long sessions)
{
	char value[VALUE_MAX], key[32];
	size_t len = write_request(value, run, n), key_len = (size_t)bench_key(key, sizeof key, n, sessions);

	while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, len, key, key_len, NULL) < 0) {
		if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			bench_die("produce: %s", rd_kafka_err2str(rd_kafka_last_error()));
		rd_kafka_poll(rk, 10);
	}
}

/* ---- load ---- */

static int load(struct bench *b)
{
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;

	b->linger = "50";
	rk = bench_producer(b, false);
	topic = rd_kafka_topic_new(rk, b->to, NULL);
	for (long i = 0; i < b->count; i++) {
		send_request(rk, topic, "load", i, b->sessions);
		if (i % 1000 == 0)
			rd_kafka_poll(rk, 0);
	}
	if (rd_kafka_flush(rk, 120000))
		bench_die("the requests could not be written to \"%s\"", b->to);
	rd_kafka_topic_destroy(topic);
	rd_kafka_destroy(rk);
	return 0;
}

/* ---- await ---- */

static long records_in(rd_kafka_t *rk, const char *topic, const int *ids, int n)
{
	long sum = 0;

	for (int i = 0; i < n; i++) {
		int64_t low, high;
		if (rd_kafka_query_watermark_offsets(rk, topic, ids[i], &low, &high, 10000))
			bench_die("topic \"%s\": its end is not known", topic);
		sum += (long)high;
	}
	return sum;
}

/* The broker's time of one record. */
static int64_t stamp_at(rd_kafka_t *rk, const char *topic, int partition, int64_t offset)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_timestamp_type_t type;
	rd_kafka_message_t *m;
	int64_t stamp;

	rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
	rd_kafka_assign(rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	m = rd_kafka_consumer_poll(rk, ANSWER_MS);
	if (!m || m->err)
		bench_die("topic \"%s\": record %" PRId64 " of partition %d cannot be read", topic, offset, partition);
	stamp = rd_kafka_message_timestamp(m, &type);
	if (type != RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME)
		bench_die("topic \"%s\" does not stamp its records with LogAppendTime", topic);
	rd_kafka_message_destroy(m);
	return stamp;
}

static void span(rd_kafka_t *rk, const struct bench *b, const int *ids, int n)
{
	int64_t first = INT64_MAX, last = 0;

	for (int i = 0; i < n; i++) {
		int64_t low, high, stamp;
		rd_kafka_query_watermark_offsets(rk, b->from, ids[i], &low, &high, 10000);
		if (high == 0)
			continue;
		stamp = stamp_at(rk, b->from, ids[i], 0);
		first = stamp < first ? stamp : first;
		stamp = stamp_at(rk, b->from, ids[i], high - 1);
		last = stamp > last ? stamp : last;
	}
	printf("records=%ld first_ms=%" PRId64 " last_ms=%" PRId64 "\n", records_in(rk, b->from, ids, n), first, last);
}

static int await(struct bench *b)
{
	rd_kafka_t *rk = bench_consumer(b, true);
	int ids[PARTITIONS_MAX], n = bench_partitions(rk, b->from, ids, PARTITIONS_MAX);

	bench_end_on_term();
	while (records_in(rk, b->from, ids, n) < b->count && !bench_ended)
		usleep(POLL_MS * 1000);
	span(rk, b, ids, n);
	rd_kafka_destroy(rk);
	return bench_ended;
}

/* ---- ping ---- */

/* The record that holds request n, and nothing else: an answer of a request before would be a fault of this program. */
static void await_answer(rd_kafka_t *consumer, const char *run, long n)
{
	char value[VALUE_MAX], id[64];
	rd_kafka_message_t *m = rd_kafka_consumer_poll(consumer, ANSWER_MS);

	snprintf(id, sizeof id, "\"%s-%ld\"", run, n);
	if (!m || m->err)
		bench_die("no answer to request %ld: %s", n, m ? rd_kafka_message_errstr(m) : "none came");
	if (!memmem(m->payload, m->len, id, strlen(id)))
		bench_die("another record came than the answer to request %ld: %.*s", n,
			(int)(m->len < sizeof value ? m->len : sizeof value), (const char *)m->payload);
	rd_kafka_message_destroy(m);
}

static int ping(struct bench *b)
{
	rd_kafka_t *producer, *consumer;
	rd_kafka_topic_t *topic;
	double *us = calloc((size_t)b->count, sizeof *us);
	char run[32];

	b->linger = "0";
	producer = bench_producer(b, false);
	consumer = bench_consumer(b, true);
	topic = rd_kafka_topic_new(producer, b->to, NULL);
	rd_kafka_consumer_poll(consumer, SETTLE_MS); /* until the fetches stand; nothing comes */
	snprintf(run, sizeof run, "ping%d", (int)getpid());
	for (long i = -b->warmup; i < b->count; i++) {
		int64_t began = bench_now_ns();
		send_request(producer, topic, run, i + b->warmup, b->sessions);
		await_answer(consumer, run, i + b->warmup);
		if (i >= 0)
			us[i] = (double)(bench_now_ns() - began) / 1000;
		rd_kafka_poll(producer, 0);
	}
	printf("p50_us=%.0f p99_us=%.0f\n", bench_percentile(us, (size_t)b->count, 0.5),
		bench_percentile(us, (size_t)b->count, 0.99));
	fflush(stdout);
	rd_kafka_topic_destroy(topic);
	rd_kafka_destroy(producer);
	rd_kafka_consumer_close(consumer);
	rd_kafka_destroy(consumer);
	free(us);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct bench *b);
	} actions[] = {{"load", load}, {"await", await}, {"ping", ping}};
	struct bench b;

	for (size_t i = 0; argc > 1 && i < sizeof actions / sizeof *actions; i++)
		if (strcmp(argv[1], actions[i].name) == 0) {
			bench_options(&b, argc - 1, argv + 1);
			return actions[i].run(&b);
		}
	bench_die("usage: bench_client load|await|ping [option]..");
}
