/* world.h: the whole simulated world as plain data: the request topics, the group, the instances with their real engines, the
 * model workers, what was published, and what the oracle remembers of each. One thread, virtual microseconds, one seed. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <sys/queue.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/base/random.h"
#include "bridgepool/core/engine.h"
#include "bridgepool/wire/offsetmap.h"
#include "bridgepool/wire/pairs.h"
#include "events.h"
#include "knobs.h"
#include "trace.h"

enum { EPOCH_TEXT = 48, RECEIPTS = 8, MAX_TPS = MAX_TOPICS * MAX_PARTITIONS, MAX_MEMBERS = 64 };

/* ---- what clients ask ------------------------------------------------------------------------------------------------ */

enum ask {
	ASK_RUN,
	ASK_END_SESSION,
	ASK_CANCEL,
	ASK_RESERVED,
	ASK_FORBIDDEN,
	ASK_UNKNOWN_POOL,
	ASK_TOMBSTONE,
	ASK_UNDECODABLE,
	ASK_OVERSIZED
};

/* One record of a request topic, and what became visible of it. */
struct asked {
	uint32_t index;
	enum ask ask;
	uint16_t topic, pool;
	int32_t partition;
	int64_t offset, timestamp_ms;
	struct slice key, value, headers; /* owned */
	struct slice args;                /* owned; no two records have the same */
	int session;                      /* -1: anonymous */
	int target;                       /* ASK_CANCEL: index of the record that it is to end */
	bool idempotent, poison, big, named, attributed, avro, stream;
	char epoch[EPOCH_TEXT];        /* named: the session state that it expects */
	int64_t deadline_ms;           /* wall clock; INT64_MAX: none */
	uint32_t finals, dead_letters; /* in the output topics */
	uint32_t kills;                /* workers that it killed alone, everywhere */
	bool claimed;                  /* an accepted commit says that it is done */
};

struct client_session {
	char id[24];
	uint16_t topic, pool;
	int32_t partition;
	bool by_key, violates;        /* by_key: named by the record key alone; violates: produced to several partitions */
	char known_epoch[EPOCH_TEXT]; /* as learnt from results; "" none */
};

struct request_log {
	int64_t end; /* next offset */
	struct asked **records;
	size_t n, capacity;
	int64_t start, committed; /* committed -1: nothing yet */
	char *metadata;           /* owned */
};

/* ---- the group --------------------------------------------------------------------------------------------------------- */

struct member {
	bool used, ghost, joined; /* ghost: its process is gone, the group does not know yet */
	int instance;
	uint32_t serial;       /* tells two members in the same place apart */
	uint32_t mask, target; /* partitions it has, and shall have */
	int64_t last_event;    /* its events come in order */
	int64_t ghost_until;
};

struct group {
	bool rebalancing;
	uint32_t generation, last_serial;
	struct member member[MAX_MEMBERS];
};

/* ---- workers ----------------------------------------------------------------------------------------------------------- */

struct work { /* a call whose answer the engine waits for */
	TAILQ_ENTRY(work) line;
	uint64_t id;
	enum call_kind kind;
	uint32_t round; /* of the record's view */
	bool probe;     /* the one call that is tried while the circuit is not closed */
	bool initialization, solo, by_client, by_recycling,
		cancelled;   /* solo: nothing may run beside it; by_client: end_session; cancelled: a cancel was sent */
	int record, session; /* -1: none */
	uint32_t partials;   /* that it said */
	bool told_full;      /* that some of them are left out */
	int32_t attempt;
	int64_t since, remaining_us; /* remaining: at the call, until its time is over; INT64_MAX: no limit */
};

TAILQ_HEAD(work_line, work);

/* why a process ends, as the engine saw it first; UNSURE: a ping was out */
enum cause { CAUSE_NONE, CAUSE_ITSELF, CAUSE_ENGINE, CAUSE_UNSURE };

struct proc {
	struct slot_ref ref;
	struct work_line works;
	unsigned nworks;            /* those that take a place */
	bool ready;                 /* the engine has the answer to its first ping */
	bool dead, deaf, mute;      /* runs no more; obeys nothing but KILL; answers no ping but the first */
	bool gone_planned, stopped; /* stopped: ordered by the engine */
	int64_t closed_at;          /* when it was asked to end, with nothing wrong; 0: never */
	bool ran, orderly, greedy;  /* orderly: it may end without having failed; greedy: it was heard to hold more than it may */
	int64_t ready_at;
	int64_t leaving_at; /* INT64_MAX: it is not told to be replaced */
	enum cause cause;
	unsigned nworks_at_cause;
	int64_t started_at;
	uint32_t concurrency, capabilities;
	uint64_t last_id;
};

/* ---- what the oracle remembers ------------------------------------------------------------------------------------------ */

/* OPENED: open_session was answered, the run begins. */
enum run_state {
	RUN_NONE,
	RUN_LIVE,
	RUN_OPENED,
	RUN_OK,
	RUN_ERROR,
	RUN_RETRIABLE,
	RUN_UNREADABLE,
	RUN_HUGE,
	RUN_HOOK_ERROR,
	RUN_LOST,
	RUN_KILLED,
	RUN_UNSURE
};

enum { PARTS_KEPT = 8 };

/* One record in the eyes of one instance. A round is the time of one unbroken ownership of its partition, from the first receipt:
 * it has one end, however often it is read again. */
struct view {
	uint32_t received, rounds, finals, dead_letters; /* the last two: distinct records published for it */
	uint32_t since;                                  /* the ownership of this round */
	int64_t received_at, first_received_at;          /* first: from which its times count, unless `again` */
	int64_t receipts[RECEIPTS];                      /* of this round, the newest at nreceipts % RECEIPTS */
	unsigned nreceipts;
	/* of this round */
	bool has_final, needs_dead_letter, may_dead_letter, has_dead_letter;
	bool again; /* it did not run when its partition came back: if it has not ended, its runs are counted anew */
	enum run_state run;
	bool alone, may_repeat, was_lost; /* alone: nothing ran beside it when its worker died; was_lost: with a worker, once */
	bool ran, began;                  /* in the state that `epoch` names; began: nothing had run there before */
	struct slot_ref at;               /* where it ran last */
	int64_t dispatched_at, ended_at, ran_us; /* ran_us: in all runs that ended */
	int64_t not_before;                      /* the worker said when to come again */
	bool came_while_open;                    /* its pool's circuit was open then, and rejects */
	bool once_while_open;                    /* that was so at one of its receipts in this round */
	bool cancel_came, cancelled;             /* a request to cancel it was received; its end says so */
	int32_t attempt;                         /* as the engine said it last */
	struct {
		int32_t said, told, next; /* partial answers; next: number of the next part */
	} parts[PARTS_KEPT];              /* by attempt; what is told lags behind while the broker takes nothing */
	bool recounted;                   /* two of its runs have the same number */
	uint32_t kills, certain_kills;    /* workers that it killed alone; certain: while its time was not over */
	char epoch[EPOCH_TEXT];           /* of the session's state it ran in */
	/* of all rounds */
	bool dead_letter_acked, final_acked; /* final_acked: of an end that wants a dead letter beside it */
	bool complete;                       /* all its records are acknowledged */
};

/* A session in the eyes of one instance. */
struct session_view {
	struct slot_ref at; /* where its state is; generation 0: nowhere */
	char epoch[EPOCH_TEXT];
	bool cleaned, opened;    /* opened: open_session was answered there */
	uint32_t since;          /* the ownership of its partition in which that state began */
	int64_t free_at;         /* when its last call ended */
	uint32_t runs, requests; /* in that state; requests: different ones */
	int last_record;         /* that ran there; -1 none */
	char told[EPOCH_TEXT];   /* the newest state of which a result has told that it began */
	struct work *busy;       /* a call of it is out */
	bool orphan;             /* what it runs may overlap with another instance's run */
	/* when its worker died last; when it did with what finished requests had made there; -1 never */
	int64_t lost_at, made_lost_at;
	uint32_t ends, end_finals;        /* end_session: cleaned up for a client; told so */
	uint32_t run_since, final_since;  /* the ownership that the two below count in */
	int64_t newest_run, newest_final; /* offsets */
};

/* ---- an instance -------------------------------------------------------------------------------------------------------- */

enum owned_state { OWNED_NOT, OWNED_ASSIGNED, OWNED_REVOKING };

struct mark { /* what a commit said */
	int64_t base;
	uint64_t hash;
};

struct owned { /* a partition on the consumer's side */
	enum owned_state state;
	uint32_t epoch;
	uint32_t since; /* the first epoch of its unbroken ownership: it came back each time, and nobody else had committed */
	int64_t released_at;
	/* given back, and may come back with the next assignment; came back so, and its position is not read yet */
	bool suspended, comeback;
	struct mark sent, accepted; /* the last commit ordered, and the last one accepted; or what was found */
	uint64_t sent_id;
	bool asked_offsets, located, held;
	size_t position;    /* in the log's records */
	int64_t known;      /* all below is known to it: received, or described by the map it began with */
	bool full;          /* a map of this ownership had as many suspects as fit: some may have fallen out */
	unsigned nsuspects; /* of that map */
	struct {
		int64_t offset;
		uint32_t kills;
	} suspects[OFFSETMAP_SUSPECTS];
};

struct sent { /* a record that the producer has */
	TAILQ_ENTRY(sent) line;
	struct record record;
	int asked;
	bool landed;         /* its verdict is out */
	uint64_t sum;        /* of its bytes */
	enum delivery batch; /* what is wrong with its batch: that is, with what was on its way with it; DELIVERY_OK: nothing */
	enum delivery verdict;
};

TAILQ_HEAD(sent_line, sent);

struct known_serial { /* what the engine published under a serial, whether or not it is with the producer now */
	int record;   /* -1: not seen */
	enum record_kind kind;
	bool with_producer, closed; /* closed: reported as delivered */
	bool wants_dead_letter;     /* beside this result */
	bool part;                  /* a result that is not final */
	uint64_t sum;               /* of its value */
	char epoch[EPOCH_TEXT];     /* that the client learns from it */
	bool learn;
};

/* A pool's circuit. */
struct circuit_view {
	/* READY, or UNKNOWN before the first note: closed; UNAVAILABLE: open; DEGRADED: one call is tried */
	enum health_state told;
	/* ends of workers since the last answer to a request; certain: of READY ones that failed beyond doubt */
	uint32_t failures, certain;
	int64_t left_open_at, probing_since; /* left_open_at: 0 never */
	bool tried_suspect;                  /* the last call tried was a request that had lost a worker before */
	bool others_first;                   /* and was so when this state of the circuit began */
};

struct flying_commit {
	bool flying, applied;
	uint64_t id;
	uint32_t member_serial, generation;
	size_t n;
	struct commit_entry entries[MAX_TPS]; /* metadata owned */
	enum commit_verdict verdict;
	bool refused;
};

struct instance {
	struct world *world;
	int index;
	bool alive, frozen, draining, drained, leaving, left, ending; /* leaving: the group; left: it is out */
	uint32_t life;                                                /* counts the processes in this place */
	struct engine *engine;
	char name[24];
	struct engine_config cfg;
	struct pool_config pools[MAX_POOLS]; /* its own: their sizes change */
	unsigned resizes;
	int64_t late_us; /* how much later than due its ticks come */
	int64_t frozen_until, thawed_at, drain_begun, drain_until;
	unsigned ticks_now; /* at the same virtual time */
	int64_t tick_time;

	int member; /* -1: none */
	uint32_t member_serial;
	bool evicted, revoke_pending, revoke_lost;
	uint32_t last_epoch;
	int64_t revoked_at;
	uint32_t revokes;
	struct owned own[MAX_TOPICS][MAX_PARTITIONS];
	bool poll_planned;
	unsigned poll_turn;

	struct proc *procs[MAX_POOLS][MAX_SLOTS];
	uint32_t generation[MAX_POOLS][MAX_SLOTS];
	int64_t gone_at[MAX_POOLS][MAX_SLOTS]; /* 0: never */
	uint64_t starts[MAX_POOLS], exits[MAX_POOLS];
	unsigned grown[MAX_POOLS]; /* times that a worker was heard to be above recycle_memory */
	struct circuit_view circuit[MAX_POOLS];

	struct sent_line sent;
	size_t nsent;
	int64_t last_land[2];
	struct known_serial *serials;
	size_t nserials, serials_capacity;
	struct flying_commit commit;

	struct view *views; /* by record */
	struct session_view *sessions;
};

struct world {
	uint64_t seed, steps, max_steps;
	struct knobs k;
	struct random random;
	struct codec *codec; /* borrowed */
	struct trace trace;
	struct events events;
	int64_t now, quiet_at;
	int64_t wall_skew_ms;
	bool quiet, refused[2];

	struct client_session session[MAX_SESSIONS];
	struct asked *asked;
	size_t nasked;
	struct request_log log[MAX_TOPICS][MAX_PARTITIONS];
	size_t unfinished; /* records that no accepted commit claims yet */

	struct group group;
	struct instance instance[MAX_ENGINES];
	struct source_config sources[MAX_TOPICS];
	struct instance *inside; /* an engine function of it runs */
	bool inside_port;
	uint64_t notes, ticks, runs; /* notes: without those of parts that are left out */
	unsigned lives, starts;      /* of instances, of workers */
	int64_t progress_at;         /* when something was published or committed last */
};

/* world.c */
struct world *world_new(uint64_t seed, struct codec *codec, bool verbose);
void world_run(struct world *w, uint64_t max_steps); /* to the end, or so many steps */
void world_free(struct world *w);
void world_plan(struct world *w, const struct instance *i, int64_t delay, struct event ev); /* i NULL: of the world */
int64_t world_wall_ms(const struct world *w);
bool world_chance(struct world *w, unsigned permille);
int64_t world_delay(struct world *w, int64_t most); /* 0 .. most */

/* Says which invariant is broken, how it came to that, and how to see it again; ends the process. */
_Noreturn void breach(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline unsigned tp_bit(uint32_t topic, int32_t partition)
{
	return topic * MAX_PARTITIONS + (unsigned)partition;
}

#endif
