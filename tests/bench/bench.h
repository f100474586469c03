/* bench.h: what the programs of the benchmark share: clocks, Kafka clients with the daemon's settings, figures of many
 * samples. */
#ifndef BENCH_H
#define BENCH_H

#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench {
	const char *brokers, *from, *to;
	long count, sessions, warmup, workers, depth;
	const char *linger; /* ms */
};

_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* --brokers, --from, --to, --count, --sessions, --warmup, --workers, --depth, --linger; the index of the first operand. */
int bench_options(struct bench *b, int argc, char **argv);

int64_t bench_now_ns(void);
int64_t bench_cpu_ns(void); /* of this process, all threads */
/* Sorts. p from 0 to 1. */
double bench_percentile(double *samples, size_t n, double p);

/* What the daemon sets, from the daemon's own tables. reports: delivery reports come as events of its main queue. */
rd_kafka_t *bench_producer(const struct bench *b, bool reports);
/* Reads all partitions of b->from; from their beginnings, or only what comes from now on. */
rd_kafka_t *bench_consumer(const struct bench *b, bool from_now);
int bench_partitions(rd_kafka_t *rk, const char *topic, int *ids, int most); /* how many */
/* 200 bytes of arguments, the same in every figure: a JSON object with `text` and the number n. */
enum { BENCH_ARGS = 200 };
void bench_args(char out[BENCH_ARGS + 1], long n);
int bench_key(char *out, size_t size, long n, long sessions); /* length */

/* SIGTERM ends what would go on for ever. */
extern volatile sig_atomic_t bench_ended;
void bench_end_on_term(void);

#endif
