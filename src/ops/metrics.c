/* metrics.c: see metrics.h. Families are said in the order of this file; each has its help and its type once. */
#include "bridgepool/ops/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"

const char metrics_content_type[] = "text/plain; version=0.0.4; charset=utf-8";

enum { LABELS_MAX = 512 };

static void family(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP bridgepool_%s %s\n# TYPE bridgepool_%s %s\n", name, help, name, type);
}

/* A label's value: backslash, quote and line feed are escaped. */
static void quoted(struct buf *out, struct slice text)
{
	const char *at = text.data;

	for (size_t i = 0; i < text.len; i++) {
		if (at[i] == '\n')
			buf_text(out, "\\n");
		else if (at[i] == '"' || at[i] == '\\')
			buf_printf(out, "\\%c", at[i]);
		else
			buf_append(out, &at[i], 1);
	}
}

/* Labels of one line. */
struct label {
	const char *name;
	struct slice value;
};
#define LABELS_END              \
	{                       \
		NULL,           \
		{               \
			NULL, 0 \
		}               \
	}

static void sample(struct buf *out, const char *name, const struct label *labels, double value)
{
	const char *before = "{";

	buf_printf(out, "bridgepool_%s", name);
	for (; labels && labels->name; labels++) {
		buf_printf(out, "%s%s=\"", before, labels->name);
		quoted(out, labels->value);
		buf_text(out, "\"");
		before = ",";
	}
	buf_printf(out, "%s %.17g\n", *before == ',' ? "}" : "", value);
}

/* ---- of the process ---- */

static void process(struct buf *out, const struct process_facts *p)
{
	family(out, "build_info", "gauge", "Always 1; versions are in the labels.");
	sample(out, "build_info",
		(const struct label[]){{"version", slice_of(p->version)}, {"librdkafka", slice_of(p->library)}, LABELS_END}, 1);
	family(out, "instance_state", "gauge", "1 for the state that this instance is in.");
	for (int i = HEALTH_UNKNOWN + 1; i < HEALTH_STATE_COUNT; i++)
		sample(out, "instance_state",
			(const struct label[]){{"state", slice_of(health_state_name((enum health_state)i))}, LABELS_END},
			(int)p->state == i);
	buf_printf(out,
		"# HELP process_start_time_seconds Start of the process, since the epoch.\n# TYPE process_start_time_seconds gauge\n"
		"process_start_time_seconds %.3f\n",
		p->started_s);
	buf_printf(out,
		"# HELP process_cpu_seconds_total User and system time.\n# TYPE process_cpu_seconds_total counter\n"
		"process_cpu_seconds_total %.6f\n",
		p->cpu_s);
	buf_printf(out,
		"# HELP process_resident_memory_bytes Resident size.\n# TYPE process_resident_memory_bytes gauge\n"
		"process_resident_memory_bytes %" PRIu64 "\n",
		p->resident_bytes);
	buf_printf(out, "# HELP process_open_fds Open files.\n# TYPE process_open_fds gauge\nprocess_open_fds %" PRIu64 "\n",
		p->open_files);
}

/* ---- of the instance ---- */

static void instance(struct buf *out, const struct snapshot *s, const struct process_facts *p)
{
	const struct {
		const char *name, *type, *help;
		double value;
	} rows[] = {
		{"memory_limit_bytes", "gauge", "limits.memory.", (double)s->memory_limit},
		{"records_pending", "gauge", "Results and dead letters that the broker has not acknowledged yet.",
			(double)s->records_pending},
		{"rebalances_total", "counter", "Assignments that the group gave to this instance.", (double)s->rebalances},
		{"commits_total", "counter", "Commits that the broker has accepted, one for each partition.", (double)s->commits},
		{"late_answers_total", "counter", "Answers of workers that nobody waited for any more.", (double)s->late_answers},
		{"dropped_stale_total", "counter", "Events about what is gone.", (double)s->dropped_stale},
		{"affinity_violations_total", "counter", "Requests of sessions that were found in two partitions.",
			(double)s->affinity_violations},
		{"health_events_dropped_total", "counter",
			"Health events that were lost while the broker was away, or were too large for a record.",
			(double)p->health_dropped},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		family(out, rows[i].name, rows[i].type, rows[i].help);
		sample(out, rows[i].name, NULL, rows[i].value);
	}
	family(out, "memory_bytes", "gauge", "Memory of requests and records by what holds it.");
	for (size_t i = 0; i < s->nmemory; i++)
		sample(out, "memory_bytes", (const struct label[]){{"kind", slice_of(s->memory[i].name)}, LABELS_END},
			(double)s->memory[i].n);
	if (s->last_commit_ms != TIME_NONE) {
		family(out, "last_commit_timestamp_seconds", "gauge",
			"When the broker accepted the last commit, since the epoch.");
		sample(out, "last_commit_timestamp_seconds", NULL, p->now_s - (double)s->last_commit_ms / 1000);
	}
	family(out, "dead_letters_total", "counter", "Dead letters by error code; worker: the worker named it.");
	for (size_t i = 0; i < s->ndead_letters; i++)
		sample(out, "dead_letters_total", (const struct label[]){{"code", slice_of(s->dead_letters[i].name)}, LABELS_END},
			(double)s->dead_letters[i].requests[0]);
}

/* ---- of the partitions ---- */

static double of_base(const struct partition_snapshot *p)
{
	return (double)p->base;
}
static double of_backlog(const struct partition_snapshot *p)
{
	return (double)p->backlog;
}
static double of_oldest(const struct partition_snapshot *p)
{
	return (double)p->oldest_ms / 1000;
}
static double of_window(const struct partition_snapshot *p)
{
	return (double)p->window;
}
static double of_metadata(const struct partition_snapshot *p)
{
	return (double)p->metadata_bytes;
}
static double of_held(const struct partition_snapshot *p)
{
	return p->held;
}

static const struct {
	const char *name, *help;
	double (*value)(const struct partition_snapshot *p);
} partition_rows[] = {
	{"partition_offset", "Below this offset all requests are done.", of_base},
	{"partition_backlog_requests", "Requests that were taken and are not finished.", of_backlog},
	{"partition_oldest_request_seconds", "Age of the oldest unfinished request.", of_oldest},
	{"partition_window_offsets", "Offsets between the oldest unfinished request and the newest taken.", of_window},
	{"partition_commit_metadata_bytes", "Size of the done map in the last commit.", of_metadata},
	{"partition_held", "1 while reading is held because too much of it is in memory.", of_held},
};

static void partitions(struct buf *out, const struct snapshot *s)
{
	char number[16];

	for (size_t row = 0; row < sizeof partition_rows / sizeof *partition_rows; row++) {
		family(out, partition_rows[row].name, "gauge", partition_rows[row].help);
		for (size_t i = 0; i < s->npartitions; i++) {
			const struct partition_snapshot *p = &s->partitions[i];

			snprintf(number, sizeof number, "%" PRId32, p->partition);
			sample(out, partition_rows[row].name,
				(const struct label[]){{"topic", p->topic}, {"partition", slice_of(number)}, LABELS_END},
				partition_rows[row].value(p));
		}
	}
}

/* ---- of the pools ---- */

static double of_busy(const struct pool_snapshot *p)
{
	return p->busy;
}
static double of_used(const struct pool_snapshot *p)
{
	return p->slots_used;
}
static double of_total(const struct pool_snapshot *p)
{
	return p->slots_total;
}
static double of_queued(const struct pool_snapshot *p)
{
	return (double)p->queued;
}
static double of_sessions(const struct pool_snapshot *p)
{
	return (double)p->sessions;
}
static double of_created(const struct pool_snapshot *p)
{
	return (double)p->sessions_created;
}
static double of_lost(const struct pool_snapshot *p)
{
	return (double)p->sessions_lost;
}
static double of_parts(const struct pool_snapshot *p)
{
	return (double)p->parts;
}
static double of_dropped(const struct pool_snapshot *p)
{
	return (double)p->partials_dropped;
}
static double of_starts(const struct pool_snapshot *p)
{
	return (double)p->starts;
}

static const struct {
	const char *name, *type, *help;
	double (*value)(const struct pool_snapshot *p);
} pool_rows[] = {
	{"pool_busy_workers", "gauge", "Workers with calls in flight.", of_busy},
	{"pool_places_used", "gauge", "Calls in flight that take a place.", of_used},
	{"pool_places", "gauge", "Calls that the workers can take at once.", of_total},
	{"pool_queued_requests", "gauge", "Requests that wait for their turn.", of_queued},
	{"sessions", "gauge", "Live sessions.", of_sessions},
	{"sessions_created_total", "counter", "Sessions whose state began.", of_created},
	{"sessions_lost_total", "counter", "Sessions whose state died with their worker.", of_lost},
	{"result_parts_total", "counter", "Results that were not final: what was said before the answer.", of_parts},
	{"partials_dropped_total", "counter",
		"What workers said before their answer and no part has told: partial_max, partial_bytes_max, limits.result.",
		of_dropped},
	{"worker_starts_total", "counter", "Starts of workers.", of_starts},
};

static void pool_numbers(struct buf *out, const struct snapshot *s)
{
	for (size_t row = 0; row < sizeof pool_rows / sizeof *pool_rows; row++) {
		family(out, pool_rows[row].name, pool_rows[row].type, pool_rows[row].help);
		for (size_t i = 0; i < s->npools; i++)
			sample(out, pool_rows[row].name, (const struct label[]){{"pool", s->pools[i].name}, LABELS_END},
				pool_rows[row].value(&s->pools[i]));
	}
}

static void states(struct buf *out, const struct snapshot *s)
{
	family(out, "pool_state", "gauge", "1 for the state that the pool is in.");
	for (size_t i = 0; i < s->npools; i++)
		for (int k = HEALTH_UNKNOWN + 1; k < HEALTH_STATE_COUNT; k++)
			sample(out, "pool_state",
				(const struct label[]){{"pool", s->pools[i].name},
					{"state", slice_of(health_state_name((enum health_state)k))}, LABELS_END},
				(int)s->pools[i].state == k);
	family(out, "pool_circuit_state", "gauge",
		"1 for the state of the pool's circuit: closed, all is well; open, nothing is run; probing, one request is tried.");
	for (size_t i = 0; i < s->npools; i++)
		for (int k = 0; k < CIRCUIT_STATES; k++)
			sample(out, "pool_circuit_state",
				(const struct label[]){{"pool", s->pools[i].name},
					{"state", slice_of(circuit_name((enum circuit_state)k))}, LABELS_END},
				(int)s->pools[i].circuit == k);
	family(out, "workers", "gauge", "Workers by state.");
	for (size_t i = 0; i < s->npools; i++)
		for (int k = HEALTH_UNKNOWN + 1; k < HEALTH_STATE_COUNT; k++)
			sample(out, "workers",
				(const struct label[]){{"pool", s->pools[i].name},
					{"state", slice_of(health_state_name((enum health_state)k))}, LABELS_END},
				s->pools[i].workers[k]);
}

static void by_reason(struct buf *out, const char *name, struct slice pool, const struct named_count *counts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sample(out, name, (const struct label[]){{"pool", pool}, {"reason", slice_of(counts[i].name)}, LABELS_END},
			(double)counts[i].n);
}

static void reasons(struct buf *out, const struct snapshot *s)
{
	family(out, "worker_exits_total", "counter",
		"Ends of workers by reason; crash: it ended by itself, start_failed: before it was READY.");
	for (size_t i = 0; i < s->npools; i++)
		by_reason(out, "worker_exits_total", s->pools[i].name, s->pools[i].exited, s->pools[i].nexited);
	family(out, "sessions_ended_total", "counter", "Sessions that ended, but for the lost ones, by reason.");
	for (size_t i = 0; i < s->npools; i++)
		by_reason(out, "sessions_ended_total", s->pools[i].name, s->pools[i].ended, s->pools[i].nended);
}

static void requests_of(struct buf *out, struct slice pool, const struct command_count *c)
{
	for (int k = STATUS_UNKNOWN + 1; k < STATUS_COUNT; k++)
		if (c->requests[k])
			sample(out, "requests_total",
				(const struct label[]){{"pool", pool}, {"command", slice_of(c->name)},
					{"status", slice_of(status_name((enum status)k))}, LABELS_END},
				(double)c->requests[k]);
}

static void requests(struct buf *out, const struct snapshot *s)
{
	family(out, "requests_total", "counter", "Finished requests.");
	for (size_t i = 0; i < s->npools; i++)
		for (size_t k = 0; k < s->pools[i].ncommands; k++)
			requests_of(out, s->pools[i].name, &s->pools[i].commands[k]);
}

static void usage(struct buf *out, const struct snapshot *s)
{
	family(out, "tokens_total", "counter",
		"Tokens that runs said they used; other: in a total, but neither in the input nor in the output.");
	for (size_t i = 0; i < s->npools; i++)
		for (int k = 0; k < TOKEN_KINDS; k++)
			sample(out, "tokens_total",
				(const struct label[]){{"pool", s->pools[i].name},
					{"kind", slice_of(token_kind_name((enum token_kind)k))}, LABELS_END},
				s->pools[i].used.tokens[k]);
	family(out, "cost_dollars_total", "counter", "What runs said they cost, in US dollars.");
	for (size_t i = 0; i < s->npools; i++)
		sample(out, "cost_dollars_total", (const struct label[]){{"pool", s->pools[i].name}, LABELS_END},
			s->pools[i].used.cost);
}

static void histogram(struct buf *out, struct slice pool, enum phase phase, const struct phase_times *t)
{
	struct label labels[] = {{"pool", pool}, {"phase", slice_of(phase_name(phase))}, {"le", {NULL, 0}}, {NULL, {NULL, 0}}};
	const struct label plain[] = {labels[0], labels[1], {NULL, {NULL, 0}}};
	uint64_t sum = 0;
	char edge[32];

	for (int i = 0; i < DURATION_BUCKETS; i++) {
		sum += t->bucket[i];
		if (i < DURATION_BUCKETS - 1)
			snprintf(edge, sizeof edge, "%g", (double)duration_edge_ms[i] / 1000);
		labels[2].value = i < DURATION_BUCKETS - 1 ? slice_of(edge) : SLICE("+Inf");
		sample(out, "request_duration_seconds_bucket", labels, (double)sum);
	}
	sample(out, "request_duration_seconds_sum", plain, t->sum_s);
	sample(out, "request_duration_seconds_count", plain, (double)t->count);
}

static void durations(struct buf *out, const struct snapshot *s)
{
	family(out, "request_duration_seconds", "histogram", "Where the time of finished requests went.");
	for (size_t i = 0; i < s->npools; i++)
		for (int k = 0; k < PHASES; k++)
			histogram(out, s->pools[i].name, (enum phase)k, &s->pools[i].times[k]);
}

void metrics_write(const struct snapshot *s, const struct process_facts *p, struct buf *out)
{
	process(out, p);
	instance(out, s, p);
	partitions(out, s);
	pool_numbers(out, s);
	states(out, s);
	reasons(out, s);
	requests(out, s);
	usage(out, s);
	durations(out, s);
}

/* ---- of single workers ---- */

/* The slot of "pool/slot.generation": there is a bounded number of them, other than of generations. */
static struct slice slot_of(const char *id)
{
	const char *slot = strrchr(id, '/');

	return slot ? (struct slice){slot + 1, strcspn(slot + 1, ".")} : slice_of(id);
}

static void pool_roles(const struct engine *e, uint16_t pool, const struct worker_view *views, size_t n, struct buf *out)
{
	static const char *const roles[] = {"serving", "spare", "leaving"};

	for (size_t k = 0; k < sizeof roles / sizeof *roles; k++) {
		double slots = 0;

		for (size_t i = 0; i < n; i++)
			slots += strcmp(views[i].role, roles[k]) == 0;
		sample(out, "slots",
			(const struct label[]){{"pool", slice_of(engine_pool_name(e, pool))}, {"role", slice_of(roles[k])},
				LABELS_END},
			slots);
	}
}

static void pool_resident(const struct engine *e, uint16_t pool, const struct worker_view *views, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++)
		if (views[i].resident)
			sample(out, "worker_resident_memory_bytes",
				(const struct label[]){{"pool", slice_of(engine_pool_name(e, pool))},
					{"slot", slot_of(views[i].id)}, LABELS_END},
				(double)views[i].resident);
}

static const struct {
	const char *name, *help;
	void (*write)(const struct engine *e, uint16_t pool, const struct worker_view *views, size_t n, struct buf *out);
} worker_rows[] = {
	{"slots", "Places for a worker by what they are there for.", pool_roles},
	{"worker_resident_memory_bytes", "Memory that a worker holds, with all that it started, pages of files not counted.",
		pool_resident},
};

void metrics_write_workers(const struct engine *e, size_t npools, int64_t now, struct buf *out)
{
	for (size_t row = 0; row < sizeof worker_rows / sizeof *worker_rows; row++) {
		family(out, worker_rows[row].name, "gauge", worker_rows[row].help);
		for (size_t i = 0; i < npools; i++) {
			struct worker_view *views = xcalloc(engine_workers_most(e, (uint16_t)i), sizeof *views);

			worker_rows[row].write(e, (uint16_t)i, views, engine_view_workers(e, (uint16_t)i, now, views), out);
			free(views);
		}
	}
}

/* ---- facts of this process ---- */

static uint64_t resident_bytes(void)
{
	unsigned long long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file)
		return 0;
	if (fscanf(file, "%*u %llu", &pages) != 1)
		pages = 0;
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t open_files(void)
{
	DIR *directory = opendir("/proc/self/fd");
	uint64_t n = 0;

	if (!directory)
		return 0;
	while (readdir(directory))
		n++;
	closedir(directory);
	return n > 3 ? n - 3 : 0; /* ".", ".." and the directory's own */
}

void metrics_process(struct process_facts *p)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	p->cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	p->resident_bytes = resident_bytes();
	p->open_files = open_files();
}
