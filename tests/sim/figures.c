/* figures.c: see figures.h. */
#include "figures.h"

#include <inttypes.h>
#ifdef BRIDGEPOOL_JEMALLOC
#include <jemalloc/jemalloc.h>
#else
#include <malloc.h>
#endif
#include <stdio.h>
#include <stdlib.h>

#include "bare.h"
#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/base/heap.h"

enum { FEW_SESSIONS = 1000, SESSION_BYTES_MOST = 250, ROUNDS = 9, ROUND_REQUESTS = 50000 };

/* Nanoseconds per request over so many, of so many sessions in turn. */
static double cost(struct bare *b, uint64_t first, uint64_t requests, uint64_t sessions, int encoding)
{
	uint64_t before = bare_finished(b), n = 0;
	int64_t since = bare_cpu_ns();

	while (n < requests)
		n += bare_turn(b, first + n, sessions, encoding);
	bare_settle(b);
	return (double)(bare_cpu_ns() - since) / (double)(bare_finished(b) - before);
}

/* Nanoseconds that reading such a request and writing such a result take by themselves. */
static double codec_cost(struct bare *b, uint64_t requests, int encoding)
{
	struct result_fields result = {
		.session_id = SLICE("session-0000000"),
		.pool = SLICE("pool"),
		.status = STATUS_OK,
		.result = SLICE("{\"answer\": 42}"),
		.error = {.retry_after_ms = TIME_NONE},
		.session_epoch = SLICE("0123456789abcdef"),
		.instance_id = SLICE("bare"),
		.worker_id = SLICE("pool/0.1"),
		.attempts = 1,
		.timings = {1, 12, 123, 0, 12345},
		.source_topic = SLICE("requests"),
		.source_offset = 123456,
		.final = true,
		.completed_at_ms = 0,
	};
	struct buf scratch, out;
	int64_t since = bare_cpu_ns();

	buf_init(&out, SIZE_MAX);
	for (uint64_t n = 0; n < requests; n++) {
		struct request_fields f = {.timeout_ms = TIME_NONE};
		struct fault why;

		buf_init(&scratch, SIZE_MAX);
		CHECK(codec_read_request(bare_codec(b), bare_value(b, encoding), &scratch, &f, &why));
		result.request_id = f.request_id;
		result.command = f.command;
		buf_reset(&out);
		CHECK(codec_write_result(bare_codec(b), &result, (enum encoding)encoding, &out));
		buf_free(&scratch);
	}
	buf_free(&out);
	return (double)(bare_cpu_ns() - since) / (double)requests;
}

int figures_rate(uint64_t requests)
{
	static const char *const names[] = {[ENCODING_AVRO] = "avro", [ENCODING_JSON] = "json"};

	for (int encoding = 0; encoding < 2; encoding++) {
		struct bare *b = bare_new(false);
		double ns, codec;

		cost(b, 0, requests / 10, FEW_SESSIONS, encoding); /* warm */
		ns = cost(b, 0, requests, FEW_SESSIONS, encoding);
		codec = codec_cost(b, requests, encoding);
		printf("%s_ns=%.0f %s_codec_ns=%.0f %s_per_second=%.0f %s_engine_per_second=%.0f\n", names[encoding], ns,
			names[encoding], codec, names[encoding], 1e9 / ns, names[encoding], 1e9 / (ns - codec));
		bare_free(b);
	}
	return 0;
}

/* ---- many sessions ---- */

#ifdef BRIDGEPOOL_JEMALLOC
/* With what rounding wastes. */
static double used_bytes(void)
{
	uint64_t allocated, freed;
	size_t len = sizeof(allocated);

	CHECK(mallctl("thread.allocated", &allocated, &len, NULL, 0) == 0);
	CHECK(mallctl("thread.deallocated", &freed, &len, NULL, 0) == 0);
	return (double)(allocated - freed);
}
#else
static double used_bytes(void)
{
	struct mallinfo2 m = mallinfo2();

	return (double)(m.uordblks + m.hblkhd);
}
#endif

static int by_value(const void *a, const void *b)
{
	return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), by_value);
	return values[ROUNDS / 2];
}

/* Of two engines side by side, so that a busy host slows both; medians of the rounds. Reading requests and writing results costs
 * the same in both: the last ratio is without it. */
static void tell_ratios(struct bare *few, struct bare *many, uint64_t sessions, int encoding, const char *name)
{
	double ratios[ROUNDS], costs[ROUNDS], without[ROUNDS];

	for (uint64_t i = 0; i < ROUNDS; i++) {
		double floor = cost(few, i * ROUND_REQUESTS, ROUND_REQUESTS, FEW_SESSIONS, encoding), codec;

		costs[i] = cost(many, i * ROUND_REQUESTS, ROUND_REQUESTS, sessions, encoding);
		codec = codec_cost(few, ROUND_REQUESTS, encoding);
		ratios[i] = costs[i] / floor;
		without[i] = (costs[i] - codec) / (floor - codec);
	}
	printf("%s_request_ns=%.0f\n%s_request_ratio=%.2f\n%s_engine_ratio=%.2f\n", name, median(costs), name, median(ratios),
		name, median(without));
}

static void until_live(struct bare *b, uint64_t sessions)
{
	while (bare_live(b) > sessions)
		for (int i = 0; i < 256; i++)
			bare_idle_turn(b);
}

static void stall(struct bare *b, const char *when)
{
	printf("stall_ms_%s=%.2f\n", when, bare_longest_ms(b));
}

static void measure_events(struct bare *b, uint64_t sessions)
{
	struct snapshot s;

	bare_longest_ms(b);
	bare_snapshot(b, &s);
	snapshot_free(&s);
	stall(b, "snapshot");
	bare_revoke(b, 0);
	bare_assign(b, 0);
	CHECK(bare_live(b) == sessions);
	stall(b, "rebalance");
	bare_revoke(b, 1);
	bare_assign_nothing(b);
	until_live(b, sessions - sessions / BARE_PARTITIONS);
	stall(b, "partition_moved");
	bare_assign(b, 1);
	bare_kill(b, 0);
	bare_pass_time(b, 10 * SECOND_US);
	bare_idle_turn(b);
	stall(b, "worker_died");
	cost(b, 0, ROUND_REQUESTS, sessions, ENCODING_JSON);
	stall(b, "lost_sessions_begin_again");
	bare_pass_time(b, BARE_TTL_US);
	until_live(b, 0);
	stall(b, "all_sessions_expire");
}

static void measure_ends(struct bare *b, uint64_t sessions)
{
	cost(b, 0, sessions, sessions, ENCODING_AVRO);
	bare_longest_ms(b);
	bare_roll(b);
	until_live(b, 0);
	stall(b, "workers_replaced");
	cost(b, 0, sessions, sessions, ENCODING_AVRO);
	bare_longest_ms(b);
	bare_drain(b);
	stall(b, "drain");
}

int figures_sessions(uint64_t sessions)
{
	struct bare *few, *many;
	double before, bytes;

	heap_keep(); /* as the daemon does */
	few = bare_new(true);
	many = bare_new(true);
	cost(few, 0, 4 * FEW_SESSIONS, FEW_SESSIONS, ENCODING_JSON);
	cost(many, 0, 4 * FEW_SESSIONS, FEW_SESSIONS, ENCODING_JSON);
	before = used_bytes();
	bare_longest_ms(many);
	cost(many, 0, sessions, sessions, ENCODING_JSON);
	CHECK(bare_live(many) == sessions);
	printf("sessions=%" PRIu64 "\n", sessions);
	stall(many, "sessions_come");
	bytes = (used_bytes() - before) / (double)(sessions - FEW_SESSIONS);
	printf("session_bytes=%.0f\n", bytes);
	tell_ratios(few, many, sessions, ENCODING_JSON, "json");
	tell_ratios(few, many, sessions, ENCODING_AVRO, "avro");
	stall(many, "requests");
	measure_events(many, sessions);
	measure_ends(many, sessions);
	bare_free(few);
	bare_free(many);
	if (bytes > SESSION_BYTES_MOST)
		fprintf(stderr, "sim: a live session may take %d bytes\n", SESSION_BYTES_MOST);
	return bytes > SESSION_BYTES_MOST;
}
