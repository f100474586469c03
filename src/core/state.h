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
	int64_t hooks_until;  /* and sessions that are to end with it, until then */
	struct timer timer, end_timer /* sessions that are to end, some at a time */;
};

struct drain {
	bool active, done;
	int64_t until, hooks_until /* sessions are waited for until then; 0: what runs has not ended yet */;
	struct timer timer;
};

struct counters {
	uint64_t late_answers, stale, affinity_violations, rebalances, commits;
	int64_t committed_at; /* the last that was accepted; 0: none */
};

struct engine {
	struct engine_config cfg; /* strings are copied into `strings` */
	char **strings;
	size_t nstrings;
	struct port port;
	struct codec *codec;
	struct random random;
	int64_t now;            /* of the call that is being served */
	int64_t wall_offset_ms; /* wall_ms - now/1000 */
	bool inside;            /* no call into the engine from a port function */
	bool started;
	uint32_t attempts_ever; /* the highest max_attempts that held */
	struct timers timers;
	struct pool *pools;
	struct sessions sessions;
	struct partition_line partitions;
	size_t npartitions;
	struct partition_line gone; /* not ours any more; their sessions are ended in small steps */
	struct budget budget;
	/* bytes that the requests of one pool may hold, and one request more; budget.limit: no other pool has partitions, and
	 * none is ever full */
	uint64_t pool_share;
	struct outbox outbox;
	struct buf value, headers; /* of the record in the making */
	struct closing closing;
	struct drain drain;
	struct timer commit_timer, gone_timer, watch_timer;
	uint64_t commit_id, commit_in_flight; /* 0: none */
	uint32_t finished_since_commit;
	bool commit_urgent;            /* one is wanted as soon as none is in flight */
	bool pressure, pressed_before; /* told as BACKPRESSURE; seen at the last look */
	struct counters counters;
	struct tally dead_letters; /* by error code */
};

static inline int64_t wall_ms(const struct engine *e)
{
	return e->now / MS_US + e->wall_offset_ms;
}

struct slot *engine_slot(struct engine *e, struct slot_ref w); /* NULL and counted: that generation is gone */
void engine_note(struct engine *e, const struct note *n);
/* One that names a partition, which it sets. Of what was given back nothing is told. */
void engine_note_of(struct engine *e, const struct partition *p, struct note *n);

/* ---- what the files of this room do for each other; those with a header of their own are not here ---- */

/* config.c */
void config_keep(struct engine *e, const struct engine_config *cfg);
void config_retune(struct engine *e, const struct engine_config *cfg);
void config_forget(struct engine *e);

/* intake.c */
/* a request that is inside the window: checks, then its session's line */
void intake(struct engine *e, struct partition *p, struct request *r);

/* view.c */
struct request_view;
void view_request(const struct engine *e, const struct request *r, int64_t now, struct request_view *out);

/* cancel.c */
bool cancel_reads(const struct request *cancel, struct buf *id); /* the request_id that it names, from its args */
void cancel_serve(struct engine *e, struct partition *p, struct request *cancel);

/* dispatch.c */
/* runs what the session's head wants; may end with nothing in flight; w NULL: it settles */
void dispatch(struct engine *e, struct slot *w, struct session *s);
bool dispatch_settles(const struct engine *e, const struct session *s); /* that would need no slot: its head ends at once */
/* the call itself: its session is open */
void dispatch_run(struct engine *e, struct slot *w, struct session *s, struct request *r);

/* answer.c */
void answer_take(struct engine *e, struct call_entry *c, const struct answer *a);
/* of cleanup_session, or its worker is gone */
void answer_cleaned_up(struct engine *e, struct call_entry *c, struct slice payload);

/* loss.c */
void loss_of_worker(struct engine *e, struct call_entry *c, enum failure failure); /* its worker is gone */
/* The queued requests of a session whose state is gone end, if the pool wants that; with `waiting` also one that waits for its
 * next run. True: at least one ended, and s may be gone. */
bool loss_fails_line(struct engine *e, struct session *s, bool waiting);
void loss_of_state(struct engine *e, struct session *s); /* in a dead slot's line: on_session_loss decides */

/* patience.c */
struct outcome;
bool patience_is_over(const struct engine *e, const struct request *r);           /* its client's time, or that of its run */
struct outcome patience_outcome(const struct engine *e, const struct request *r); /* how a request ends whose time is over */
/* its request ends here without a result; its answer will be dropped */
void patience_orphan(struct engine *e, struct call_entry *c, const char *reason);
void patience_cancelled(struct engine *e, struct request *r); /* its client wants it no more */
void patience_request_fired(struct engine *e, struct timer *t);
void patience_call_fired(struct engine *e, struct timer *t);

/* result.c: ways to end a request. Each publishes its records, unlinks it and frees it. */
struct outcome {
	enum status status;
	const char *code, *message;                    /* NULL code: no error */
	struct slice code_said, message_said, details; /* the worker's own words, instead of code and message */
	bool retriable;
	int64_t retry_after_ms;
	struct slice result, usage;
	bool dead;                 /* a dead letter too */
	const struct slot *worker; /* who ran it; NULL: nobody */
	enum encoding encoding;
};
/* values: n of JSON, with commas between them; ahead: see outbox.h */
void result_part(struct engine *e, struct request *r, struct slice values, uint32_t n, bool ahead);
void result_publish(struct engine *e, struct request *r, const struct outcome *o);
void result_session_lost(struct engine *e, struct request *r, const char *message);
void result_dead_epoch(struct engine *e, struct request *r); /* it names a session state that lives no more */

/* slow.c */
/* if it took so long */
void slow_told(struct engine *e, const struct request *r, const struct outcome *o, const struct timings *t);

/* commit.c */
void commit_soon(struct engine *e);
void commit_now(struct engine *e);    /* unless one is in flight */
void commit_urgent(struct engine *e); /* now, or as soon as the one in flight is answered */
void commit_timer_fired(struct engine *e, struct timer *t);
void commit_answered(struct engine *e, uint64_t id, const struct tp_fault *faults, size_t n);
bool commit_pending(const struct engine *e);
struct mark commit_mark(int64_t base, struct slice metadata);

/* closing.c, drain.c, watch.c: looked at when every call ends, or when their timers fire */
void closing_begin(struct engine *e, const struct tp *tp, size_t n, bool lost);
void closing_progress(struct engine *e);
void closing_timer_fired(struct engine *e, struct timer *t);
void closing_end_fired(struct engine *e, struct timer *t);
void drain_begin(struct engine *e, int64_t until);
void drain_progress(struct engine *e);
void drain_timer_fired(struct engine *e, struct timer *t);
void watch_begin(struct engine *e);
void watch_timer_fired(struct engine *e, struct timer *t);

#endif
