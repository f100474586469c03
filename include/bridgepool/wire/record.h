/* record.h: the fields of the four records of schemas/ as plain data, and their words. The schemas are the source of names and
 * symbols; a unit test proves that these enums and tables agree with them.
 *
 * Strings are slices: borrowed, absent for null. Times: *_ms are milliseconds since 1970 UTC, *_us durations in microseconds. */
#ifndef BRIDGEPOOL_WIRE_RECORD_H
#define BRIDGEPOOL_WIRE_RECORD_H

#include "bridgepool/base/buf.h"

enum encoding { ENCODING_AVRO, ENCODING_JSON, ENCODING_CONFLUENT };

enum status {
	STATUS_UNKNOWN,
	STATUS_OK,
	STATUS_ERROR,
	STATUS_TIMEOUT,
	STATUS_EXPIRED,
	STATUS_WORKER_LOST,
	STATUS_SESSION_LOST,
	STATUS_REJECTED,
	STATUS_CANCELLED,
	STATUS_COUNT
};

/* One set of health words: for workers, pools and the instance, in events, logs and status. */
enum health_state {
	HEALTH_UNKNOWN,
	HEALTH_INITIALIZING,
	HEALTH_STARTING,
	HEALTH_READY,
	HEALTH_DEGRADED,
	HEALTH_UNAVAILABLE,
	HEALTH_DRAINING,
	HEALTH_TERMINATING,
	HEALTH_TERMINATED,
	HEALTH_STOPPED,
	HEALTH_STATE_COUNT
};

enum health_kind {
	KIND_UNKNOWN,
	KIND_INSTANCE_STATE,
	KIND_WORKER_STATE,
	KIND_WORKER_EXIT,
	KIND_POOL_STATE,
	KIND_SESSIONS_LOST,
	KIND_SESSION,
	KIND_PARTITIONS_ASSIGNED,
	KIND_PARTITIONS_REVOKED,
	KIND_PARTITION_STUCK,
	KIND_BACKPRESSURE,
	KIND_CIRCUIT,
	KIND_AFFINITY_VIOLATION,
	KIND_HEARTBEAT,
	KIND_COUNT
};
/* Of a pool: all is well; nothing is run; one call at a time is tried. */
enum circuit_state { CIRCUIT_CLOSED, CIRCUIT_OPEN, CIRCUIT_PROBING, CIRCUIT_STATES };
enum severity { SEVERITY_UNKNOWN, SEVERITY_INFO, SEVERITY_WARN, SEVERITY_ERROR, SEVERITY_COUNT };

const char *status_name(enum status s);             /* "OK" */
const char *circuit_name(enum circuit_state s);     /* "closed" */
const char *health_state_name(enum health_state s); /* "READY" */
const char *health_kind_name(enum health_kind k);
const char *severity_name(enum severity s);

enum { TIME_NONE = -1 };

struct request_fields {
	enum encoding encoding;  /* how it was written; results mirror it */
	struct slice request_id; /* absent: made from topic, partition and offset */
	struct slice session_id, session_epoch, pool;
	struct slice command;
	struct slice args;   /* a valid JSON object, byte for byte; absent: {} */
	int64_t timeout_ms;  /* TIME_NONE when null */
	int64_t deadline_ms; /* TIME_NONE when null */
	bool stream, idempotent;
	struct slice attributes; /* pairs.h list; may be absent */
};

struct error_fields {
	struct slice code; /* absent: there is no error */
	struct slice message;
	bool retriable;
	int64_t retry_after_ms; /* TIME_NONE when null */
	struct slice details;   /* JSON text, absent when null */
};

struct timings {
	int64_t broker_us, session_wait_us, worker_wait_us, retry_wait_us, run_us;
};

struct result_fields {
	struct slice request_id, session_id, pool, command;
	enum status status;
	struct slice result; /* valid JSON, byte for byte; absent for null */
	struct error_fields error;
	struct slice session_epoch;
	bool session_new;
	struct slice instance_id, worker_id, worker_version;
	int32_t attempts;
	struct timings timings;
	struct slice usage; /* JSON object of numbers, absent when none */
	struct slice source_topic;
	int32_t source_partition;
	int64_t source_offset;
	int32_t part;
	bool final;
	struct slice attributes; /* pairs.h list */
	int64_t completed_at_ms;
};

/* Upper edges of the duration buckets in a heartbeat, milliseconds; the last bucket is everything above. */
enum { DURATION_BUCKETS = 12 };
extern const int64_t duration_edge_ms[DURATION_BUCKETS - 1];

/* What follows below "for metrics" is in no record. */
enum phase { PHASE_BROKER, PHASE_SESSION, PHASE_WORKER, PHASE_RETRY, PHASE_RUN, PHASE_TOTAL, PHASES };
const char *phase_name(enum phase p); /* "broker", ... */

struct phase_times {
	uint64_t bucket[DURATION_BUCKETS]; /* by duration_edge_ms; of a finished request each */
	uint64_t count;
	double sum_s;
};

/* What runs said that they used up, of the names that are known. Each token counts once: what is in a total, but neither in the
 * input nor in the output, is other. */
enum token_kind { TOKENS_INPUT, TOKENS_OUTPUT, TOKENS_OTHER, TOKEN_KINDS };
const char *token_kind_name(enum token_kind k); /* "input", ... */

struct used_up {
	double tokens[TOKEN_KINDS];
	double cost; /* US dollars */
};

struct named_count {
	const char *name; /* borrowed */
	uint64_t n;
};

struct command_count {
	char *name; /* owned */
	uint64_t requests[STATUS_COUNT];
};

struct worker_snapshot {
	/* borrowed from the engine until its next call; "pool/slot.generation"; "serving", "spare", "leaving" */
	const char *id, *role;
	enum health_state state;
	uint32_t in_flight, unanswered;
	uint64_t sessions, resident;
};

struct pool_snapshot {
	struct slice name;
	enum health_state state;
	uint32_t workers[HEALTH_STATE_COUNT]; /* by state */
	uint32_t busy;                        /* READY with calls in flight */
	uint32_t slots_used, slots_total;     /* concurrency places */
	uint64_t queued, sessions;
	uint64_t sessions_created, sessions_ended, sessions_lost;
	uint64_t requests[STATUS_COUNT];     /* finished since start, by status */
	uint64_t duration[DURATION_BUCKETS]; /* of runs */
	uint64_t starts, exits;
	struct worker_snapshot *worker_list; /* owned */
	size_t nworker_list;
	/* for metrics */
	uint64_t resident_limit, recycle_memory; /* of a worker; 0: none */
	enum circuit_state circuit;
	struct phase_times times[PHASES];
	struct used_up used;
	uint64_t parts, partials_dropped;   /* results that are not final; what workers said for them and is in none */
	struct command_count *commands;     /* owned */
	struct named_count *ended, *exited; /* owned; sessions and workers, by reason */
	size_t ncommands, nended, nexited;
};

struct partition_snapshot {
	struct slice topic;
	int32_t partition;
	int64_t base, next; /* offsets */
	uint64_t backlog;   /* requests taken and not finished */
	uint32_t window;    /* next - base */
	int64_t oldest_ms;  /* age of the oldest unfinished request; 0 when none */
	bool held;
	uint32_t metadata_bytes; /* for metrics: of the last commit */
};

struct snapshot {
	enum health_state state;
	size_t npools, npartitions;
	struct pool_snapshot *pools;           /* owned; snapshot_free */
	struct partition_snapshot *partitions; /* owned */
	uint64_t memory_used, memory_limit;
	uint64_t late_answers, dropped_stale; /* late things that found nothing */
	int64_t heartbeat_ms;                 /* until the next HEARTBEAT; 0: none will come */
	/* for metrics */
	struct named_count *memory;         /* owned; bytes by what holds them */
	struct command_count *dead_letters; /* owned; by error code, under requests[0] */
	size_t nmemory, ndead_letters;
	uint64_t records_pending, rebalances, commits, affinity_violations;
	int64_t last_commit_ms; /* ago; TIME_NONE: none yet */
};
void snapshot_free(struct snapshot *s);

struct health_fields {
	struct slice event_id, instance_id, incarnation, host;
	int64_t sequence, at_ms;
	enum health_kind kind;
	enum severity severity;
	struct slice pool, worker_id;
	enum health_state from_state, to_state; /* HEALTH_UNKNOWN: null */
	struct slice reason;
	int64_t count;
	const struct snapshot *snapshot; /* NULL: null */
};

#endif
