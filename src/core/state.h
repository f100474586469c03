/* state.h: the engine's whole state, as the files of this room see it. */
#ifndef CORE_STATE_H
#define CORE_STATE_H

#include "bridgepool/core/engine.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/base/random.h"
#include "budget.h"
#include "outbox.h"
#include "partition.h"
#include "pool.h"
#include "retry.h"

/* A revoke that is not answered yet. */
struct closing {
	bool active, lost;
	uint64_t last_commit; /* 0: not ordered yet */
	int64_t until;        /* what runs is waited for until then */
	struct timer timer;
};

struct drain {
	bool active, done;
	int64_t until;
	struct timer timer;
};

struct counters {
	uint64_t late_answers, stale, requests, affinity_violations, poison;
};

struct engine {
	struct engine_config cfg;   /* strings are copied into `strings` */
	char **strings;
	size_t nstrings;
	struct port port;
	struct codec *codec;
	struct random random;
	int64_t now;                /* of the call that is being served */
	int64_t wall_offset_ms;     /* wall_ms - now/1000 */
	bool inside;                /* no call into the engine from a port function */
	bool started;
	struct timers timers;
	struct pool *pools;
	struct sessions sessions;
	struct partition_line partitions;
	size_t npartitions;
	struct session_line leaving; /* idle sessions of partitions that went away: ended in small steps */
	struct budget budget;
	struct outbox outbox;
	struct closing closing;
	struct drain drain;
	struct timer commit_timer, leave_timer, watch_timer;
	uint64_t commit_id, commit_in_flight; /* 0: none */
	uint32_t finished_since_commit;
	bool pressure, pressed_before; /* told as BACKPRESSURE; seen at the last look */
	struct counters counters;
};

static inline int64_t wall_ms(const struct engine *e)
{
	return e->now / MS_US + e->wall_offset_ms;
}

struct slot *engine_slot(struct engine *e, struct slot_ref w); /* NULL and counted: that generation is gone */
void engine_note(struct engine *e, const struct note *n);

/* dispatch.c */
void dispatch(struct engine *e, struct slot *w, struct session *s);  /* runs what the session's head wants; may end with nothing in flight */
void dispatch_answer(struct engine *e, struct call_entry *c, const struct answer *a);
void dispatch_lost(struct engine *e, struct call_entry *c, bool alone, bool by_us); /* its worker is gone */
void dispatch_orphaned(struct engine *e, struct session *s); /* in a dead slot's line: on_session_loss decides */
void dispatch_cancel(struct engine *e, struct call_entry *c, const char *reason);   /* tells the worker, if it understands */
void request_timer_fired(struct engine *e, struct timer *t);
void dispatch_orphan(struct engine *e, struct call_entry *c, const char *reason);   /* its request ends here without a result; its answer will be dropped */
void request_arm(struct engine *e, struct request *r);
void call_timer_fired(struct engine *e, struct timer *t);

/* intake.c */
void intake(struct engine *e, struct partition *p, struct request *r); /* a request that is inside the window: checks, then its session's line */

/* result.c: ways to end a request. Each publishes its records, unlinks it and frees it. */
struct outcome {
	enum status status;
	const char *code, *message;        /* NULL code: no error */
	struct slice code_said, message_said, details; /* the worker's own words, instead of code and message */
	bool retriable;
	int64_t retry_after_ms;
	struct slice result, usage;
	bool dead;                         /* a dead letter too */
	const struct slot *worker;         /* who ran it; NULL: nobody */
	enum encoding encoding;
};
void request_place(struct engine *e, struct request *r, enum request_place to); /* request_move, with the counters that follow it */
void request_recharge(struct engine *e, struct request *r); /* its memory has changed */
void request_drop(struct engine *e, struct request *r);     /* out of all lines, and freed, without a result; its session goes on unless it ran */
void result_publish(struct engine *e, struct request *r, const struct outcome *o);

/* commit.c */
void commit_soon(struct engine *e);
void commit_now(struct engine *e);
void commit_timer_fired(struct engine *e, struct timer *t);
void closing_progress(struct engine *e);
void closing_timer_fired(struct engine *e, struct timer *t);
void commit_answered(struct engine *e, uint64_t id, const struct tp_fault *faults, size_t n);
bool commit_pending(const struct engine *e);
struct mark commit_mark(int64_t base, struct slice metadata);

#endif
