/* record.c: the words of the records. */
#include "bridgepool/wire/record.h"

#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const status_names[STATUS_COUNT] = {
	[STATUS_UNKNOWN] = "UNKNOWN",
	[STATUS_OK] = "OK",
	[STATUS_ERROR] = "ERROR",
	[STATUS_TIMEOUT] = "TIMEOUT",
	[STATUS_EXPIRED] = "EXPIRED",
	[STATUS_WORKER_LOST] = "WORKER_LOST",
	[STATUS_SESSION_LOST] = "SESSION_LOST",
	[STATUS_REJECTED] = "REJECTED",
	[STATUS_CANCELLED] = "CANCELLED",
};

static const char *const state_names[HEALTH_STATE_COUNT] = {
	[HEALTH_UNKNOWN] = "UNKNOWN",
	[HEALTH_INITIALIZING] = "INITIALIZING",
	[HEALTH_STARTING] = "STARTING",
	[HEALTH_READY] = "READY",
	[HEALTH_DEGRADED] = "DEGRADED",
	[HEALTH_UNAVAILABLE] = "UNAVAILABLE",
	[HEALTH_DRAINING] = "DRAINING",
	[HEALTH_TERMINATING] = "TERMINATING",
	[HEALTH_TERMINATED] = "TERMINATED",
	[HEALTH_STOPPED] = "STOPPED",
};

static const char *const kind_names[KIND_COUNT] = {
	[KIND_UNKNOWN] = "UNKNOWN",
	[KIND_INSTANCE_STATE] = "INSTANCE_STATE",
	[KIND_WORKER_STATE] = "WORKER_STATE",
	[KIND_WORKER_EXIT] = "WORKER_EXIT",
	[KIND_POOL_STATE] = "POOL_STATE",
	[KIND_SESSIONS_LOST] = "SESSIONS_LOST",
	[KIND_SESSION] = "SESSION",
	[KIND_PARTITIONS_ASSIGNED] = "PARTITIONS_ASSIGNED",
	[KIND_PARTITIONS_REVOKED] = "PARTITIONS_REVOKED",
	[KIND_PARTITION_STUCK] = "PARTITION_STUCK",
	[KIND_BACKPRESSURE] = "BACKPRESSURE",
	[KIND_CIRCUIT] = "CIRCUIT",
	[KIND_AFFINITY_VIOLATION] = "AFFINITY_VIOLATION",
	[KIND_HEARTBEAT] = "HEARTBEAT",
};

static const char *const circuit_names[CIRCUIT_STATES] = {
	[CIRCUIT_CLOSED] = "closed",
	[CIRCUIT_OPEN] = "open",
	[CIRCUIT_PROBING] = "probing",
};

static const char *const severity_names[SEVERITY_COUNT] = {
	[SEVERITY_UNKNOWN] = "UNKNOWN",
	[SEVERITY_INFO] = "INFO",
	[SEVERITY_WARN] = "WARN",
	[SEVERITY_ERROR] = "ERROR",
};

static const char *record_name(const char *const *names, size_t n, unsigned i)
{
	return i < n ? names[i] : names[0];
}

const char *status_name(enum status s)
{
	return record_name(status_names, COUNT(status_names), s);
}

const char *circuit_name(enum circuit_state s)
{
	CHECK((unsigned)s < COUNT(circuit_names));
	return circuit_names[s];
}

const char *health_state_name(enum health_state s)
{
	return record_name(state_names, COUNT(state_names), s);
}

const char *health_kind_name(enum health_kind k)
{
	return record_name(kind_names, COUNT(kind_names), k);
}

const char *severity_name(enum severity s)
{
	return record_name(severity_names, COUNT(severity_names), s);
}

const int64_t duration_edge_ms[DURATION_BUCKETS - 1] = {1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000};

const char *phase_name(enum phase p)
{
	static const char *const names[PHASES] = {"broker", "session", "worker", "retry", "run", "total"};

	return names[p];
}

const char *token_kind_name(enum token_kind k)
{
	static const char *const names[TOKEN_KINDS] = {"input", "output", "other"};

	return names[k];
}

static void free_counts(struct command_count *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(c[i].name);
	free(c);
}

void snapshot_free(struct snapshot *s)
{
	for (size_t i = 0; i < s->npools; i++) {
		free_counts(s->pools[i].commands, s->pools[i].ncommands);
		free(s->pools[i].ended);
		free(s->pools[i].exited);
		free(s->pools[i].worker_list);
	}
	free_counts(s->dead_letters, s->ndead_letters);
	free(s->memory);
	free(s->pools);
	free(s->partitions);
	memset(s, 0, sizeof(*s));
}
