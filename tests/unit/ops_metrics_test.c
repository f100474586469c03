/* ops_metrics_test.c: a snapshot as Prometheus text: what is said, and that no client's word breaks the format. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/ops/metrics.h"

static struct buf text;
static char command[] = "ask \"x\"\\\n";
static struct command_count counts[] = {{command, {[STATUS_OK] = 3, [STATUS_ERROR] = 1}}};
static struct named_count exited[] = {{"crash", 2}}, ended[] = {{"ttl", 5}}, memory[] = {{"requests", 77}};
static struct pool_snapshot pool = {.state = HEALTH_READY,
	.busy = 1,
	.slots_used = 2,
	.slots_total = 8,
	.sessions = 4,
	.sessions_created = 11,
	.sessions_lost = 2,
	.starts = 6,
	.commands = counts,
	.ncommands = 1,
	.ended = ended,
	.nended = 1,
	.exited = exited,
	.nexited = 1,
	.used = {.tokens = {[TOKENS_INPUT] = 120, [TOKENS_OTHER] = 5}, .cost = 0.25}};
static struct partition_snapshot partition = {
	.partition = 3,
	.base = 100,
	.next = 110,
	.backlog = 7,
	.window = 10,
	.oldest_ms = 1500,
	.metadata_bytes = 40,
};
static struct snapshot snapshot = {
	.npools = 1,
	.npartitions = 1,
	.pools = &pool,
	.partitions = &partition,
	.memory_limit = 1000,
	.memory = memory,
	.nmemory = 1,
	.rebalances = 2,
	.last_commit_ms = 250,
	.commits = 12,
	.late_answers = 4,
	.dropped_stale = 6,
	.affinity_violations = 8,
	.records_pending = 9,
};
static const struct process_facts facts = {
	.version = "1.2.3",
	.library = "2.0",
	.instance_id = "i",
	.started_s = 1767225600.25,
	.now_s = 1767225700.5,
	.health_dropped = 3,
	.cpu_s = 1.5,
	.resident_bytes = 4096,
	.open_files = 9,
	.state = HEALTH_READY,
};

static void write_all(void)
{
	buf_init(&text, 1 << 20);
	pool.name = SLICE("default");
	partition.topic = SLICE("bridgepool.requests");
	pool.times[PHASE_RUN].bucket[0] = 2;
	pool.times[PHASE_RUN].bucket[3] = 1;
	pool.times[PHASE_RUN].count = 3;
	pool.times[PHASE_RUN].sum_s = 0.025;
	metrics_write(&snapshot, &facts, &text);
	buf_append(&text, "", 1);
}

static void free_text(void)
{
	buf_free(&text);
}

static void says(const char *line)
{
	char whole[512] = "\n";

	strcat(strcat(whole, line), "\n");
	ck_assert_msg(strstr((const char *)text.data, whole) != NULL, "no line %s in:\n%s", line, (const char *)text.data);
}

START_TEST(everything_is_said)
{
	says("bridgepool_build_info{version=\"1.2.3\",librdkafka=\"2.0\"} 1");
	says("bridgepool_instance_state{state=\"READY\"} 1");
	says("bridgepool_instance_state{state=\"DRAINING\"} 0");
	says("process_start_time_seconds 1767225600.250");
	says("process_cpu_seconds_total 1.500000");
	says("bridgepool_memory_bytes{kind=\"requests\"} 77");
	says("bridgepool_rebalances_total 2");
	says("bridgepool_last_commit_timestamp_seconds 1767225700.25");
	says("bridgepool_health_events_dropped_total 3");
	says("bridgepool_commits_total 12");
	says("bridgepool_late_answers_total 4");
	says("bridgepool_dropped_stale_total 6");
	says("bridgepool_affinity_violations_total 8");
	says("bridgepool_records_pending 9");
	says("bridgepool_partition_backlog_requests{topic=\"bridgepool.requests\",partition=\"3\"} 7");
	says("bridgepool_partition_oldest_request_seconds{topic=\"bridgepool.requests\",partition=\"3\"} 1.5");
	says("bridgepool_partition_commit_metadata_bytes{topic=\"bridgepool.requests\",partition=\"3\"} 40");
	says("bridgepool_pool_places{pool=\"default\"} 8");
	says("bridgepool_sessions_lost_total{pool=\"default\"} 2");
	says("bridgepool_worker_exits_total{pool=\"default\",reason=\"crash\"} 2");
	says("bridgepool_sessions_ended_total{pool=\"default\",reason=\"ttl\"} 5");
	says("bridgepool_tokens_total{pool=\"default\",kind=\"input\"} 120");
	says("bridgepool_tokens_total{pool=\"default\",kind=\"output\"} 0");
	says("bridgepool_tokens_total{pool=\"default\",kind=\"other\"} 5");
	says("bridgepool_cost_dollars_total{pool=\"default\"} 0.25");
}
END_TEST

START_TEST(histograms_count_upwards)
{
	says("bridgepool_request_duration_seconds_bucket{pool=\"default\",phase=\"run\",le=\"0.001\"} 2");
	says("bridgepool_request_duration_seconds_bucket{pool=\"default\",phase=\"run\",le=\"0.01\"} 2");
	says("bridgepool_request_duration_seconds_bucket{pool=\"default\",phase=\"run\",le=\"0.03\"} 3");
	says("bridgepool_request_duration_seconds_bucket{pool=\"default\",phase=\"run\",le=\"+Inf\"} 3");
	says("bridgepool_request_duration_seconds_sum{pool=\"default\",phase=\"run\"} 0.025000000000000001");
	says("bridgepool_request_duration_seconds_count{pool=\"default\",phase=\"run\"} 3");
}
END_TEST

START_TEST(labels_are_escaped)
{
	says("bridgepool_requests_total{pool=\"default\",command=\"ask \\\"x\\\"\\\\\\n\",status=\"OK\"} 3");
}
END_TEST

START_TEST(what_never_happened_is_not_said)
{
	ck_assert_ptr_null(strstr((const char *)text.data, "status=\"TIMEOUT\""));
	snapshot.last_commit_ms = TIME_NONE;
	buf_reset(&text);
	metrics_write(&snapshot, &facts, &text);
	buf_append(&text, "", 1);
	ck_assert_ptr_null(strstr((const char *)text.data, "last_commit_timestamp"));
	snapshot.last_commit_ms = 250;
}
END_TEST

/* For each state of the circuit, and for a partition that is held: what is told is told of that alone. */
START_TEST(each_state_has_its_line)
{
	static const char *const states[] = {"closed", "open", "probing"};
	char line[128];

	for (int now = 0; now < CIRCUIT_STATES; now++) {
		pool.circuit = (enum circuit_state)now;
		partition.held = now == 1;
		buf_reset(&text);
		metrics_write(&snapshot, &facts, &text);
		buf_append(&text, "", 1);
		for (int k = 0; k < CIRCUIT_STATES; k++) {
			snprintf(line, sizeof line, "bridgepool_pool_circuit_state{pool=\"default\",state=\"%s\"} %d", states[k],
				k == now);
			says(line);
		}
		snprintf(line, sizeof line, "bridgepool_partition_held{topic=\"bridgepool.requests\",partition=\"3\"} %d",
			now == 1);
		says(line);
	}
	pool.circuit = CIRCUIT_CLOSED;
	partition.held = false;
}
END_TEST

START_TEST(a_process_knows_itself)
{
	struct process_facts mine = {0};

	metrics_process(&mine);
	ck_assert(mine.cpu_s >= 0 && mine.resident_bytes > 100000 && mine.open_files >= 3);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("metrics");
	TCase *cases = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, write_all, free_text);
	tcase_add_test(cases, everything_is_said);
	tcase_add_test(cases, histograms_count_upwards);
	tcase_add_test(cases, labels_are_escaped);
	tcase_add_test(cases, what_never_happened_is_not_said);
	tcase_add_test(cases, each_state_has_its_line);
	tcase_add_test(cases, a_process_knows_itself);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
