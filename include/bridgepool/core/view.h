/* view.h: single things of an engine, looked at by people: workers, one session, one request. Nothing here changes anything. */
#ifndef BRIDGEPOOL_CORE_VIEW_H
#define BRIDGEPOOL_CORE_VIEW_H

#include "bridgepool/core/engine.h"

struct worker_view {
	char id[WORKER_ID_MAX]; /* "pool/slot.generation" */
	enum health_state state;
	const char *role;    /* "serving", "spare", "leaving" */
	int pid;             /* 0: it is no process, or none yet */
	const char *version; /* borrowed until the next call of the engine; "" while it is not known */
	uint32_t in_flight, concurrency,
		unanswered;                /* unanswered: runs whose time was over and that have not answered their cancel */
	uint64_t sessions, runs, resident; /* runs: of this process; resident: bytes, 0 while it is not known */
	int64_t ready_ms;                  /* since it was READY first; TIME_NONE: not yet */
};

/* The pool's workers; out has room for engine_workers_most of them. Returns how many there are. */
size_t engine_workers_most(const struct engine *e, uint16_t pool);
size_t engine_view_workers(const struct engine *e, uint16_t pool, int64_t now, struct worker_view *out);

struct session_view {
	const char *pool;
	const char
		*state; /* "idle", "ready", "running", "waiting"; "suspended": its partition was given back and may come again */
	const char *topic; /* of the partition that it came from; NULL: that is not ours any more */
	int32_t partition;
	bool alive; /* it has state on `worker` */
	char worker[WORKER_ID_MAX], epoch[EPOCH_TEXT_SIZE];
	uint64_t requests;     /* that wait or run */
	int64_t idle_ms;       /* TIME_NONE: not idle */
	struct slice head;     /* request ID of the first of them; borrowed as above; absent: none */
	int64_t head_ms;       /* since that has been where it is; TIME_NONE: there is none */
	const char *waits_for; /* what the session, or its first request, waits for; NULL: nothing */
};

/* False: no pool knows that session, or there are no more: start with *pool 0, go on with what it was set to. */
bool engine_view_session(const struct engine *e, struct slice id, uint16_t *pool, int64_t now, struct session_view *out);

struct request_view {
	const char *place; /* "parked", "queued", "running", "waiting", "answered" */
	const char *waits_for;
	const char *pool;
	struct slice session; /* absent: anonymous, or parked, which is not decoded yet */
	struct source source;
	const char *topic;
	char worker[WORKER_ID_MAX]; /* "": none */
	uint32_t attempts;
	/* since it was read, TIME_NONE: not known any more; in its place, TIME_NONE: not known, as of a dead letter; until its
	 * time is over, TIME_NONE: no limit */
	int64_t age_ms, since_ms, left_ms;
	size_t same_id; /* requests here that have this ID; of them this is the one that is nearest to its answer */
	char kept[257]; /* what `session` borrows of an answered one: do not copy the view */
};

/* By the client's ID, or the one that was made for it; looks at all requests and at all results that the broker has not
 * acknowledged yet. False: none of them. */
bool engine_view_request(const struct engine *e, struct slice id, int64_t now, struct request_view *out);

#endif
