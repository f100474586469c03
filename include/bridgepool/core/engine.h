/* engine.h: the whole state of one instance, and every decision. Owns requests, sessions, slots, partitions and records until
 * acknowledged. No descriptor, clock, thread, log or global; never blocks. It is told what happened and orders through the port.
 *
 * `now` is monotonic microseconds, the same or later at each call. `wall_ms` in the calls that need calendar time is given with
 * engine_clock. Randomness comes from the seed: the same calls give the same orders. */
#ifndef BRIDGEPOOL_CORE_ENGINE_H
#define BRIDGEPOOL_CORE_ENGINE_H

#include "bridgepool/core/port.h"
#include "bridgepool/wire/codec.h"

enum pool_state { POOL_STATE_MEMORY, POOL_STATE_NONE }; /* where a session's state lives: "memory", "none" */
enum session_loss { SESSION_LOSS_RUN, SESSION_LOSS_FAIL };
enum revoke_policy { REVOKE_SUSPENDS, REVOKE_ENDS }; /* what a revoke means for the sessions of its partitions */

struct pool_config {
	const char *name;
	uint32_t size;  /* workers that serve, 1..1000 */
	uint32_t spare; /* warm workers beside them that take the place of one that dies or leaves, 0..100 */
	/* workers that must be READY before the pool counts as able; 0: all at its start, one after a failed start and later */
	uint32_t min_ready;
	/* calls in flight per worker at most; a worker may say less or more in its first answer up to this; 0: what the worker
	 * says */
	uint32_t concurrency;
	enum pool_state state;
	enum session_loss on_session_loss;
	/* SUSPENDS: they go on if their partition comes back untouched, and end after it went elsewhere; ENDS: they are cleaned
	 * up before it is released, within session_hook_timeout */
	enum revoke_policy on_revoke;
	int64_t request_timeout_us;      /* bound of one run */
	int64_t partial_interval_us;     /* between two parts of one result; what is said meanwhile is gathered */
	uint32_t partial_max;            /* parts of one run; what is said after them is dropped; 0: no bound */
	uint64_t partial_bytes_max;      /* of what is in them; 0: no bound */
	int64_t kill_grace_us;           /* after a timed-out run's cancel, until its worker is replaced */
	int64_t session_ttl_us;          /* idle time after which a session ends */
	uint64_t max_sessions;           /* the longest idle ends to make room; all in use: REJECTED */
	uint64_t max_queued;             /* requests of the pool that wait; more are REJECTED as POOL_QUEUE_FULL; 0: no bound */
	uint64_t max_queued_per_session; /* that wait or run; more are REJECTED as SESSION_QUEUE_FULL; 0: no bound */
	int64_t session_hook_timeout_us; /* for open_session and cleanup_session */
	int64_t start_timeout_us;        /* from start to the answer of the first ping */
	uint32_t start_batch;            /* workers that may be INITIALIZING at once */
	int64_t ping_interval_us;        /* of an idle worker */
	int64_t ping_timeout_us;
	int64_t backoff_min_us, backoff_max_us; /* after failed starts and ends soon after READY, doubling, with jitter */
	int64_t stop_grace_us;                  /* between the steps shutdown, close, TERM, KILL */
	uint64_t recycle_requests;              /* a worker is replaced after so many runs, up to a fifth earlier; 0: never */
	int64_t recycle_age_us;                 /* after so long, up to a fifth earlier; 0: never */
	uint64_t recycle_memory;                /* when it holds more bytes than that; 0: never */
	int64_t recycle_grace_us;               /* for the sessions that live on a worker that is replaced; then they are ended */
	/* of workers in a row, with no answer between, after which nothing is run for a while; 0: never */
	uint32_t circuit_failures;
	int64_t circuit_pause_us; /* the first pause; doubles up to ten times that */
	bool circuit_rejects;     /* requests that come meanwhile are REJECTED; false: they wait */
	uint64_t resident_limit;  /* a worker that holds more bytes is killed; 0: none */
};

struct source_config {
	const char *topic;
	uint16_t pool;               /* index into pools: for requests that name none */
	const char *const *commands; /* fnmatch patterns */
	size_t ncommands;
};

struct engine_config {
	const char *instance_id;
	const struct pool_config *pools;
	size_t npools;
	const struct source_config *sources;
	size_t nsources;
	uint32_t max_attempts;    /* runs of one request, 1..100 */
	int64_t retry_backoff_us; /* before the second run; doubles, jittered, at most 30 s */
	int64_t slow_us;          /* requests that take so long in all are told as NOTE_REQUEST_SLOW; 0: none */
	bool tell_sessions;       /* each that begins or ends, as NOTE_SESSION */
	int64_t drain_revoke_us;
	int64_t commit_interval_us;
	uint32_t commit_every;           /* finished requests that bring a commit forward */
	uint32_t window_cap;             /* offsets between base and the newest taken, 16..OFFSETMAP_SPAN_MAX */
	uint64_t memory_limit;           /* bytes of requests and records together; gates admission */
	uint64_t request_limit;          /* bytes of a record's value */
	uint64_t result_limit;           /* bytes of a worker's result */
	int results_encoding;            /* enum encoding, or -1: mirror the request's */
	const char *const *copy_headers; /* fnmatch patterns, case-insensitive, beside the built-in ones */
	size_t ncopy_headers;
};

struct engine;

/* Copies cfg and port, borrows codec until engine_free. Orders nothing before engine_start. */
struct engine *engine_new(const struct engine_config *cfg, const struct port *port, struct codec *codec, uint64_t seed,
	int64_t now);
void engine_free(struct engine *e);
void engine_start(struct engine *e, int64_t now);                  /* starts the pools */
void engine_clock(struct engine *e, int64_t wall_ms, int64_t now); /* call at each turn before events: pairs the two clocks */

/* Kafka says */
void engine_assigned(struct engine *e, const struct tp *tp, size_t n, int64_t now);
void engine_offsets(struct engine *e, const struct committed *c, size_t n, int64_t now);
void engine_revoked(struct engine *e, const struct tp *tp, size_t n, bool lost,
	int64_t now);                      /* answered by port.release, once, always; lost: within this call */
bool engine_takes(const struct engine *e); /* messages, now; false: leave them where they are */
void engine_receive(struct engine *e, const struct message *m, int64_t now); /* copies what it keeps */
void engine_delivered(struct engine *e, uint64_t serial, enum delivery d, int64_t now);
/* n == 0: all accepted */
void engine_committed(struct engine *e, uint64_t commit, const struct tp_fault *faults, size_t n, int64_t now);

/* Workers say. Stale generations change nothing but a counter. */
void engine_started(struct engine *e, struct slot_ref w, int pid, int64_t now); /* pid: 0: it is no process */
void engine_answer(struct engine *e, struct slot_ref w, const struct answer *a, int64_t now);
void engine_fault(struct engine *e, struct slot_ref w, enum worker_fault f, struct slice detail, int64_t now);
/* last word of that generation */
void engine_gone(struct engine *e, struct slot_ref w, const struct exit_report *x, int64_t now);
/* bytes that its processes hold; about once a second */
void engine_memory(struct engine *e, struct slot_ref w, uint64_t resident, int64_t now);

/* People say */
/* From now on cfg's values hold, also for what is queued; for runs, calls and sessions under way from their next timer on. The
 * same pools and sources by number, names and order; not taken over: instance_id, state, window_cap, memory_limit, and what
 * sources read from which pool. A pool that is to be smaller lets its workers leave as when they are replaced, only without
 * successors. A pool whose workers are other ones now is to be rolled. */
void engine_retune(struct engine *e, const struct engine_config *cfg, int64_t now);
/* every worker is replaced by a fresh one, warm first, one after the other */
void engine_roll(struct engine *e, uint16_t pool, int64_t now);

/* Time, life, views */
int64_t engine_next(const struct engine *e); /* when engine_tick is due; INT64_MAX: never */
void engine_tick(struct engine *e, int64_t now);
bool engine_ready(const struct engine *e); /* every pool READY or DEGRADED */
/* why: the first that is not, and why it is not */
bool engine_ready_why(const struct engine *e, int64_t now, char *why, size_t size);
/* Shut down, in three steps.
 * engine_drain: nothing new is taken; what runs may finish until `until`; then everything is cancelled and put back. Sessions of
 * workers that want to hear of their end are cleaned up meanwhile, what is left of that within session_hook_timeout.
 * engine_drained: results are acknowledged or given up, offsets committed; workers are then stopped.
 * engine_idle: no worker is left. */
void engine_drain(struct engine *e, int64_t until, int64_t now);
bool engine_drained(const struct engine *e);
bool engine_idle(const struct engine *e);
void engine_snapshot(const struct engine *e, int64_t now, struct snapshot *s); /* fills; snapshot_free */
void engine_check(const struct engine *e);                                     /* every invariant, O(n); aborts on a breach */

/* For logs and results: "pool/slot.generation" into out; borrowed names stay valid for the engine's life. */
void engine_worker_id(const struct engine *e, struct slot_ref w, char out[WORKER_ID_MAX]);
const char *engine_pool_name(const struct engine *e, uint16_t pool);

#endif
