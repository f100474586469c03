/* note.h: something worth telling, as plain data. The engine makes notes; app turns them into log lines and health events by one
 * table. */
#ifndef BRIDGEPOOL_CORE_NOTE_H
#define BRIDGEPOOL_CORE_NOTE_H

#include "bridgepool/core/message.h"
#include "bridgepool/wire/record.h"

enum note_kind {
	NOTE_WORKER_STATE,    /* worker, from, to, reason */
	NOTE_WORKER_EXIT,     /* worker, reason, count = sessions lost with it; ordered */
	NOTE_WORKER_PROTOCOL, /* worker, reason: what it said that it may not say */
	NOTE_WORKER_BACKOFF,  /* worker, reason, count = milliseconds until the next start */
	NOTE_WORKER_LEAVING,  /* worker, from = to, reason; count = sessions that live there */
	/* worker, reason: it is too large soon after its start; count = milliseconds until others are replaced for that */
	NOTE_WORKER_LARGE,
	NOTE_POOL_ROLLED, /* pool in worker.pool: the last of the workers that engine_roll has found is gone */
	NOTE_POOL_STATE,  /* pool in worker.pool, from, to, reason */
	NOTE_CIRCUIT,     /* pool in worker.pool, from, to: READY closed, UNAVAILABLE open, DEGRADED probing; count: failures */
	NOTE_INSTANCE_STATE,     /* from, to, reason */
	NOTE_RELOADED,           /* by the daemon: reason says what it did */
	NOTE_RELOAD_REFUSED,     /* by the daemon: reason */
	NOTE_SESSIONS_LOST,      /* worker, count */
	NOTE_SESSION,            /* worker, reason: which one, and that it began or why it ended; only if tell_sessions */
	NOTE_PARTITION_ASSIGNED, /* tp, count = offset it starts at */
	NOTE_PARTITION_REVOKED,  /* tp, count = requests put back */
	NOTE_PARTITION_LOST,     /* tp, count = requests dropped; also when nothing was heard of it since it was given back */
	NOTE_PARTITION_STUCK,    /* tp, count = milliseconds without progress */
	NOTE_MAP_UNREADABLE,     /* tp: the commit metadata did not decode; starting at the base */
	NOTE_BACKPRESSURE,       /* tp, from/to say on (DEGRADED) or off (READY), reason */
	/* tp, reason = session ID: it was seen in two partitions; once per session; count = requests of such sessions so far */
	NOTE_AFFINITY_VIOLATION,
	NOTE_REQUEST_REJECTED, /* tp, count = offset, reason: its ID, and why */
	NOTE_REQUEST_DEAD,     /* the same: it has a dead letter, though it was good when it came */
	NOTE_REQUEST_SLOW, /* pool in worker.pool, tp, count = milliseconds in all, reason: which one, and where its time went */
	/* worker, tp, count = offset, reason: the bound that one run of a request has reached; once per run */
	NOTE_PARTIALS_DROPPED,
	NOTE_REQUEST_POISON,   /* tp, count = offset, reason */
	NOTE_BATCHES_SMALLER,  /* reason: which records; count = bytes that are on their way at most from now on */
	NOTE_DELIVERY_REFUSED, /* reason: topic missing or forbidden; count = records waiting */
	NOTE_COMMIT_REFUSED,   /* tp, reason */
	NOTE_KINDS
};

struct note {
	enum note_kind kind;
	struct slot_ref worker; /* generation 0: not about a worker */
	bool has_pool;          /* worker.pool is meant */
	struct tp tp;           /* epoch 0: not about a partition */
	enum health_state from, to;
	int64_t count;
	bool ordered;        /* NOTE_WORKER_EXIT: nothing had failed; its place is not needed, or a fresh one has it */
	struct slice reason; /* foreign text possible; borrowed */
};

#endif
