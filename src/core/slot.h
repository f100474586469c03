/* slot.h: a place in a pool and the process that is in it.
 *
 *   TERMINATED --slot_start--> INITIALIZING --first ping--> READY <--> DEGRADED (a run ended, its answer is still out)
 *        ^                          |                         |
 *        +---------gone-------------+------ TERMINATING <-----+  (stop ordered, or a fault seen; its last word is awaited)
 *
 * slot.c: set() is the only writer of `state`. The in-flight table holds every call whose answer is awaited; requests,
 * open_session and cleanup_session take a place, pings, cancels and shutdown do not. */
#ifndef CORE_SLOT_H
#define CORE_SLOT_H

#include "bridgepool/core/port.h"
#include "session.h"

/* NOT: it ended by itself, and nothing was seen of it before; CRASH: its pipes broke; FAULT: it broke the protocol. */
enum stop_reason {
	STOPPED_NOT,
	STOPPED_CRASH,
	STOPPED_DRAIN,
	STOPPED_HUNG,
	STOPPED_SILENT,
	STOPPED_FAULT,
	STOPPED_START,
	STOPPED_RECYCLED,
	STOPPED_MEMORY,
	STOP_REASONS
};
/* What a slot is there for; replace.c moves it on. A pool has always `size` that serve. */
enum slot_role {
	ROLE_UNUSED,  /* no process is wanted */
	ROLE_SERVING, /* runs requests */
	ROLE_SPARE,   /* its process waits, warm, for a place of one that serves */
	ROLE_LEAVING, /* its process is replaced: it keeps the sessions that live there for a while, and gets no new ones */
	ROLES
};
/* Why a process is to be replaced. SURPLUS: the pool is smaller now. */
enum wear { WEAR_NOT, WEAR_REQUESTS, WEAR_AGE, WEAR_MEMORY, WEAR_ROLL, WEAR_SURPLUS, WEARS };
enum answer_match { MATCH_FOUND, MATCH_LATE, MATCH_NEVER };

struct call_entry {
	UT_hash_handle hh;
	uint64_t id;
	enum call_kind kind;
	struct slot *slot;
	struct session *session; /* NULL for ping, cancel, shutdown */
	struct request *request; /* NULL: ended before the answer, or a call without one */
	bool cancelled;          /* its request ended before the answer */
	uint64_t cancel;         /* id of the cancel call that was sent for it; 0: none */
	struct timer timer;      /* when patience ends */
};

struct slot {
	struct slot_ref ref;
	struct pool *pool;
	enum health_state state;
	enum slot_role role;
	enum wear wear;
	bool rolled; /* its process lived when all were to be replaced */
	enum stop_reason stop;
	enum stop_step step;      /* last order of the ladder */
	struct call_entry *calls; /* by id */
	uint64_t last_id;
	uint32_t concurrency;    /* places that it has */
	uint32_t places;         /* of them, that are taken */
	uint32_t places_at_stop; /* before any answer that came after its fault */
	uint32_t overdue;        /* calls whose request ended before the answer */
	uint32_t capabilities;
	char version[64], name[WORKER_ID_MAX]; /* of the process: what it said, and what we call it */
	char fault[256];                       /* STOPPED_CRASH, _FAULT, _MEMORY: what it did */
	struct session_line ready;
	struct session *reserved; /* waits for the slot to be empty: runs alone */
	bool solo;                /* the call in flight wants nothing beside it */
	bool hungry;              /* in the pool's line of slots to feed */
	bool pinging;
	uint8_t turn;                 /* whose turn: its own line or the pool's */
	uint64_t bound;               /* sessions whose state lives here */
	struct session_line sessions; /* those; of a slot that leaves: what has been ended is at its end */
	int pid;                      /* of this process; 0: it is none, or not started yet */
	uint64_t runs, runs_most;     /* of this process; runs_most: it is worn then */
	uint64_t resident;            /* bytes, as last heard; 0: not heard of yet */
	uint64_t lent;                /* bytes that it may hold although the limit is lower now; 0: none */
	bool sunk;                    /* the limit has sunk since its memory was looked at */
	uint64_t to_end;              /* ROLE_LEAVING, or a drain: so many of `sessions`, from its head, are to be ended then */
	int64_t leave_until;          /* ROLE_LEAVING: its sessions may live until then */
	struct timer wear_timer;      /* serving or spare: its age; leaving, or a drain: the end of its sessions */
	uint32_t failures;            /* in a row; sets the back-off */
	int64_t ready_at;             /* when the process was READY first; INT64_MAX: not yet */
	struct timer timer;           /* by state: start patience, next ping or its patience, next stop step, next start */
	TAILQ_ENTRY(slot) feed;
};

void slot_start(struct engine *e, struct slot *w);
bool slot_able(const struct slot *w); /* it can run something */
bool slot_has_room(const struct slot *w);
void slot_feed_later(struct slot *w);
struct call_entry *slot_begin(struct engine *e, struct slot *w, enum call_kind kind, struct session *s, struct request *r,
	struct call *c); /* gives c its id */
enum answer_match slot_match(struct slot *w, uint64_t id, struct call_entry **out);
void slot_finish(struct engine *e, struct call_entry *c);                    /* frees c; its place is free again */
void slot_overdue(struct engine *e, struct call_entry *c, int64_t patience); /* its request ended; the answer is still awaited */
void slot_stop(struct engine *e, struct slot *w, enum stop_reason why, const char *reason);
void slot_ping(struct engine *e, struct slot *w, bool first);
void slot_pong(struct engine *e, struct call_entry *c, const struct answer *a);
void slot_gone(struct engine *e, struct slot *w, const struct exit_report *x);
const char *stop_reason_name(enum stop_reason why); /* of an exit */
void slot_timer_fired(struct engine *e, struct timer *t);

#endif
