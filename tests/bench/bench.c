/* bench.c: see bench.h. */
#include "bench.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bridgepool/base/check.h"
#include "props.h"

enum { PARTITIONS_MAX = 256, ASK_MS = 10000 };

volatile sig_atomic_t bench_ended;

void bench_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

/* ---- options ---- */

static long number(const char *text)
{
	char *end;
	long v = strtol(text, &end, 10);

	if (*end || end == text || v < 0)
		bench_die("\"%s\" is not a count", text);
	return v;
}

int bench_options(struct bench *b, int argc, char **argv)
{
	static const struct option options[] = {
		{"brokers", required_argument, NULL, 'b'},
		{"from", required_argument, NULL, 'f'},
		{"to", required_argument, NULL, 't'},
		{"count", required_argument, NULL, 'n'},
		{"sessions", required_argument, NULL, 's'},
		{"warmup", required_argument, NULL, 'w'},
		{"workers", required_argument, NULL, 'k'},
		{"depth", required_argument, NULL, 'd'},
		{"linger", required_argument, NULL, 'l'},
		{NULL, 0, NULL, 0},
	};
	int c;

	*b = (struct bench){
		.brokers = "localhost:9092",
		.from = "",
		.to = "",
		.count = 1000,
		.sessions = 1000,
		.workers = 4,
		.depth = 16,
		.linger = "1",
	};
	/* "+": what follows the first operand is not ours. */
	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (c) {
		case 'b': b->brokers = optarg; break;
		case 'f': b->from = optarg; break;
		case 't': b->to = optarg; break;
		case 'n': b->count = number(optarg); break;
		case 's': b->sessions = number(optarg); break;
		case 'w': b->warmup = number(optarg); break;
		case 'k': b->workers = number(optarg); break;
		case 'd': b->depth = number(optarg); break;
		case 'l': b->linger = optarg; break;
		default: exit(64);
		}
	}
	return optind;
}

/* ---- clocks and figures ---- */

static int64_t read_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t bench_now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t bench_cpu_ns(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_percentile(double *samples, size_t n, double p)
{
	CHECK(n > 0);
	qsort(samples, n, sizeof *samples, by_size);
	return samples[(size_t)(p * (double)(n - 1))];
}

/* ---- Kafka ---- */

static rd_kafka_t *open_client(rd_kafka_type_t type, const struct props *props, const struct property *given, int events)
{
	char why[512];
	rd_kafka_conf_t *conf = props_make(props, given, NULL, 0, why, sizeof why);
	rd_kafka_t *rk;

	if (!conf)
		bench_die("%s", why);
	rd_kafka_conf_set(conf, "log.queue", "false", why, sizeof why); /* nobody serves one here */
	rd_kafka_conf_set_events(conf, events);
	rk = rd_kafka_new(type, conf, why, sizeof why);
	if (!rk)
		bench_die("%s", why);
	return rk;
}

rd_kafka_t *bench_producer(const struct bench *b, bool reports)
{
	const struct property given[] = {{"bootstrap.servers", b->brokers, NULL}, {"linger.ms", b->linger, NULL},
		{NULL, NULL, NULL}};

	return open_client(RD_KAFKA_PRODUCER, &props_producer, given, reports ? RD_KAFKA_EVENT_DR : 0);
}

int bench_partitions(rd_kafka_t *rk, const char *topic, int *ids, int most)
{
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
	const struct rd_kafka_metadata *metadata;
	rd_kafka_resp_err_t err = rd_kafka_metadata(rk, 0, rkt, &metadata, ASK_MS);
	int n;

	if (err || metadata->topic_cnt != 1 || metadata->topics[0].err)
		bench_die("topic \"%s\": %s", topic, rd_kafka_err2str(err ? err : metadata->topics[0].err));
	n = metadata->topics[0].partition_cnt;
	CHECK(n <= most);
	for (int i = 0; i < n; i++)
		ids[i] = metadata->topics[0].partitions[i].id;
	rd_kafka_metadata_destroy(metadata);
	rd_kafka_topic_destroy(rkt);
	return n;
}

static int64_t end_of(rd_kafka_t *rk, const char *topic, int partition)
{
	int64_t low, high;
	rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(rk, topic, partition, &low, &high, ASK_MS);

	if (err)
		bench_die("topic \"%s\": %s", topic, rd_kafka_err2str(err));
	return high;
}

/* No group: a rebalance is no part of what is measured. */
rd_kafka_t *bench_consumer(const struct bench *b, bool from_now)
{
	const struct property given[] = {{"bootstrap.servers", b->brokers, NULL}, {"group.id", "bench", NULL},
		{NULL, NULL, NULL}};
	rd_kafka_t *rk = open_client(RD_KAFKA_CONSUMER, &props_consumer, given, 0);
	rd_kafka_topic_partition_list_t *list;
	int ids[PARTITIONS_MAX], n;

	rd_kafka_poll_set_consumer(rk);
	n = bench_partitions(rk, b->from, ids, PARTITIONS_MAX);
	list = rd_kafka_topic_partition_list_new(n);
	for (int i = 0; i < n; i++)
		rd_kafka_topic_partition_list_add(list, b->from, ids[i])->offset = from_now ? end_of(rk, b->from, ids[i]) : 0;
	if (rd_kafka_assign(rk, list))
		bench_die("the partitions of \"%s\" cannot be assigned", b->from);
	rd_kafka_topic_partition_list_destroy(list);
	return rk;
}

/* ---- requests ---- */

/* {"text":"xx...","n":7} */
void bench_args(char out[BENCH_ARGS + 1], long n)
{
	char tail[40];
	int tail_len = snprintf(tail, sizeof tail, "\",\"n\":%ld}", n);

	memset(out, 'x', BENCH_ARGS);
	memcpy(out, "{\"text\":\"", 9);
	memcpy(out + BENCH_ARGS - tail_len, tail, (size_t)tail_len + 1);
}

int bench_key(char *out, size_t size, long n, long sessions)
{
	return snprintf(out, size, "session-%ld", n % sessions);
}

/* ---- signals ---- */

static void on_term(int number_ignored)
{
	(void)number_ignored;
	bench_ended = 1;
}

void bench_end_on_term(void)
{
	struct sigaction a = {.sa_handler = on_term};

	sigaction(SIGTERM, &a, NULL);
}
