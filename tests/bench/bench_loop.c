/* bench_loop.c: the floor on Kafka: a bare loop of librdkafka that copies records from one topic to another, with the daemon's
 * own settings.
 *
 *   bench_loop --brokers B --from T --to T2 --count N      from the beginning; ends when N are acknowledged
 *   bench_loop --brokers B --from T --to T2 --count 0      what comes from now on, until SIGTERM; says "ready" first
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"
#include "bridgepool/base/check.h"

enum { BATCH = 1000, WAIT_MS = 100 };

struct loop {
	struct bench options;
	rd_kafka_t *producer, *consumer;
	rd_kafka_queue_t *messages, *reports;
	rd_kafka_topic_t *to;
	long sent, acknowledged;
};

/* A record is destroyed when its copy is acknowledged: its bytes are not copied, as the daemon does not copy a result. */
static void take_reports(struct loop *l, int wait_ms)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(l->reports, wait_ms);
	const rd_kafka_message_t *m;

	while (event && (m = rd_kafka_event_message_next(event))) {
		if (m->err)
			bench_die("a record was not written: %s", rd_kafka_err2str(m->err));
		rd_kafka_message_destroy(m->_private);
		l->acknowledged++;
	}
	if (event)
		rd_kafka_event_destroy(event);
}

static void pass(struct loop *l, rd_kafka_message_t *m)
{
	if (m->err)
		bench_die("%s", rd_kafka_message_errstr(m));
	while (rd_kafka_produce(l->to, RD_KAFKA_PARTITION_UA, 0, m->payload, m->len, m->key, m->key_len, m) < 0) {
		if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			bench_die("produce: %s", rd_kafka_err2str(rd_kafka_last_error()));
		take_reports(l, 10);
	}
	l->sent++;
}

static bool is_over(const struct loop *l)
{
	return bench_ended || (l->options.count && l->sent >= l->options.count);
}

/* A batch call waits until it has as many as it is asked for, so the wait is for the first one. */
static void run(struct loop *l)
{
	static rd_kafka_message_t *batch[BATCH];

	while (!is_over(l)) {
		rd_kafka_message_t *first = rd_kafka_consume_queue(l->messages, WAIT_MS);
		ssize_t n = first ? rd_kafka_consume_batch_queue(l->messages, 0, batch, BATCH) : 0;
		if (first)
			pass(l, first);
		for (ssize_t i = 0; i < n; i++)
			pass(l, batch[i]);
		take_reports(l, 0);
	}
	while (l->acknowledged < l->sent)
		take_reports(l, 100);
}

static void open_loop(struct loop *l)
{
	l->consumer = bench_consumer(&l->options, l->options.count == 0);
	l->producer = bench_producer(&l->options, true);
	l->messages = rd_kafka_queue_get_consumer(l->consumer);
	l->reports = rd_kafka_queue_get_main(l->producer);
	l->to = rd_kafka_topic_new(l->producer, l->options.to, NULL);
}

static void close_loop(struct loop *l)
{
	rd_kafka_queue_destroy(l->messages);
	rd_kafka_queue_destroy(l->reports);
	rd_kafka_topic_destroy(l->to);
	rd_kafka_destroy(l->producer);
	rd_kafka_consumer_close(l->consumer);
	rd_kafka_destroy(l->consumer);
}

int main(int argc, char **argv)
{
	struct loop l = {.sent = 0};
	int64_t cpu;

	bench_options(&l.options, argc, argv);
	bench_end_on_term();
	open_loop(&l);
	if (l.options.count == 0) {
		puts("ready");
		fflush(stdout);
	}
	cpu = bench_cpu_ns();
	run(&l);
	cpu = bench_cpu_ns() - cpu;
	if (l.acknowledged)
		printf("records=%ld cpu_us=%.3f\n", l.acknowledged, (double)cpu / 1000 / (double)l.acknowledged);
	fflush(stdout);
	close_loop(&l);
	return 0;
}
