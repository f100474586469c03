/* request.h: one record of a request topic from receipt to its final answer.
 *
 *   NONE -> [PARKED -> NONE ->] QUEUED -> RUNNING -> (WAITING -> QUEUED -> RUNNING)* -> NONE -> freed
 *
 * PARKED: over its partition's window, not decoded yet; in the partition's parked line.
 * QUEUED: in its session's line, where it stays at the head until its end. RUNNING: its call is in flight. WAITING: until its
 * next run. request_place is the only writer of `place`. */
#ifndef CORE_REQUEST_H
#define CORE_REQUEST_H

#include <sys/queue.h>

#include "bridgepool/core/message.h"
#include "bridgepool/wire/record.h"
#include "timers.h"

enum { MADE_ID = 224 };
enum request_place { PLACE_NONE, PLACE_PARKED, PLACE_QUEUED, PLACE_RUNNING, PLACE_WAITING, PLACES };

struct request {
	TAILQ_ENTRY(request) line;         /* its session's, or the partition's parked line */
	TAILQ_ENTRY(request) of_partition; /* all requests of the partition */
	struct partition *partition;
	struct session *session;      /* from QUEUED on */
	struct message m;             /* slices borrow raw */
	struct slice key;             /* of its results: m.key, or absent if that is too long */
	struct request_fields fields; /* slices borrow raw and scratch; id and session_id are always filled in */
	struct buf scratch;
	struct partials *partials;             /* NULL: it said nothing before its answer */
	struct buf copied;                     /* pairs: the headers that go to the worker and onto the result */
	struct timer timer;                    /* QUEUED: its time; RUNNING: the run's end; WAITING: the next run or its time */
	int64_t received, since;               /* monotonic us; since: until when `timings` tell where its time went */
	int64_t deadline, retry_at, run_until; /* monotonic us; INT64_MAX: none */
	int64_t told_by; /* it killed a worker, and waits, until then, for the commit that tells so; 0: it does not */
	struct timings timings;
	size_t charge;
	enum request_place place;
	uint16_t pool;
	uint32_t attempts;
	uint8_t kills;         /* workers that it killed alone: below POISON_KILLS while it may run */
	bool turn;             /* it has come to the head of its session's line */
	bool alone;            /* runs with nothing beside it: it may have killed a worker */
	bool began;            /* it ran in a state of which no result has told that it began */
	bool cancels;          /* the daemon's own command cancel */
	bool ends_session;     /* the daemon's own command end_session */
	char made_id[MADE_ID]; /* the request_id where the client gave none */
	uint8_t raw[];         /* key, value, headers */
};

TAILQ_HEAD(request_line, request);

struct request *request_new(const struct message *m, int64_t now); /* copies m */
struct engine;
void request_made_id(const struct engine *e, struct source at, char out[MADE_ID]); /* what a request is called that has no ID */
void request_place(struct engine *e, struct request *r, enum request_place to);
void request_turn(struct engine *e, struct request *r);  /* it is the head of its session's line now */
void request_spend(struct engine *e, struct request *r); /* brings its timings up to now */
void request_arm(struct engine *e, struct request *r);   /* its timer, by its place */
/* after so long; put back instead when nothing new may begin for it */
void request_repeat(struct engine *e, struct request *r, int64_t delay);
void request_recharge(struct engine *e, struct request *r); /* its memory has changed */
/* out of all lines, and freed, without a result; its session goes on unless it ran */
void request_drop(struct engine *e, struct request *r);
void request_free(struct request *r);
size_t request_size(const struct request *r); /* bytes it holds, for the budget */

#endif
