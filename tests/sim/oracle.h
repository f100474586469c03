/* oracle.h: watches everything that goes in and out of the engines, and says when an invariant is broken. It knows what was asked
 * and what happened; it never looks into an engine.
 *
 * What is promised, and where it is checked. C: a CHECK of the engine at the change; E: engine_check, every few steps; else the
 * function of the simulator; T: a scene in tests/unit/core_*_test.c. The numbers stand in the report of a breach.
 *
 *  1  Nothing is lost: what an accepted commit claims has a visible     oracle_committed, oracle_end
 *     final result; in the end every record has one.
 *  2  A commit claims only what is acknowledged and was seen.           oracle_commit
 *  3  One end per record in an unbroken ownership of its partition,     check_counted, produced_dead_letter
 *     and at most one dead letter, when it has a cause.
 *  4  A session's requests begin and end in the order of their          check_order, check_final_order
 *     offsets, over rebalances too.
 *  5  One call of a session at a time; places and lines agree.          session_runs, session_is_cleaned; C, E
 *  6  No run while an earlier one may live; no call to a worker that    check_repeat, check_worker
 *     failed or is being stopped.
 *  7  Two instances do not run a session at once, unless the drain      check_elsewhere, oracle_released
 *     was over or all was lost; what runs is waited for.
 *  8  Strict affinity; session_new and epoch tell the truth, to the     check_state, new_state, check_new
 *     worker and in the result; no run in a state that is not the
 *     one named (SESSION_LOST); open_session is awaited.
 *  9  Attempts are counted and bounded; who kills two workers alone     check_repeat, check_worker, check_suspects,
 *     is poison, over all instances; suspects run alone, and only when  check_worker_lost, check_told; C
 *     the group knows of them.
 * 10  The window: base <= next <= top, bits where they may be.          E (window_check); C
 * 11  Every map decodes to what was encoded, and fits.                  read_map, group_offsets
 * 12  Nothing names a partition that is not here: no run, record,       check_right, oracle_produced, oracle_commit, oracle_note,
 *     commit, note, hold.                                               group_hold, group_read_offsets
 * 13  Each revoke is answered once and in time; a loss at once.         group_release, group_release_check, group_revoke
 * 14  Memory: what is charged is what is there, also in the end.        E; check_empty
 * 15  Counters are counts: calls in flight, workers, starts, exits.     check_worker, check_pool (oracle.c); E
 * 16  What is stale changes nothing.                                    chaos.c and group_late send it, all others notice; T
 * 17  One process per generation, one delivery per record; protocol     oracle_started, workers_start, oracle_produced,
 *     breakers are replaced, and who owes no answer is not.             workers_answer, workers_stop
 * 18  Only legal moves.                                                 C (the setters of slot, partition, request, session,
 *                                                                       outgoing); group_hold
 * 20  No re-entry, either way.                                          port_enter, instance_enter; C
 * 21  The heap of timers is in order, and its owners live.              E (timers_check); sanitizers
 * 22  Notes: all in the table, none per request; of a run that says     oracle_note, check_notes
 *     too much, one.                                                    oracle_parts_dropped
 * 23  Clean-up: once per state, in the session's line, for a reason     session_is_cleaned, check_reason
 *     (TTL over, no room, partition gone). Before a shutdown, and       check_heard
 *     before a revoke where the pool says so, it is awaited.
 * 24  Nothing lives after the end.                                      end (instance.c); ASan
 * 25  The same seed gives the same trace.                               sim --twice
 * 26  Liveness: faults off, all ends in bounded time; nothing spins;    world_run, rest, instance_tick, instance_drain_check
 *     a drain ends.
 * 27  A partition is held by its own share or window only, and as       E; liveness
 *     long as that; shares follow the number of partitions. A pool      check_shares (oracle.c)
 *     with nothing in memory is read, whatever the others hold.
 *     How each request ends, and whether a dead letter goes with it     oracle_verdict.c, the table of "what happens when";
 *                                                                       core_retry_test.c
 *     Bytes of args and result, attributes, headers, times, worker,     check_words, check_ok, check_times, check_run,
 *     key and encoding; what a dead letter tells                        oracle_headers, check_form; read_dead_letter
 *     Ends of time come at once; what runs is cancelled, and only it    oracle_prompt_check, check_timeout, oracle_cancelled
 *     on_session_loss=fail; retry_after                                 new_state, check_session_lost; check_repeat
 * 28  The circuit opens after so many failures in a row, and only       oracle_circuit, oracle_buried, check_circuit, run_is_lost
 *     then; nothing runs, or one call at a time, and nobody is blamed.
 *     Who has lost a worker is tried last. What comes meanwhile is      check_suspect, circuit_was_open, request_runs
 *     refused if the pool rejects, and only then.
 *     Workers are replaced: a warm successor first, no new sessions     oracle_leaving, oracle_recycled, check_leaving,
 *     on the old one, never inside a run, sessions only after their     check_reason
 *     grace; one that holds too much memory is ended; who is old or     oracle_wear_check
 *     holds much is replaced in time, beside a warm spare               oracle_leaving
 *     start_batch, start_timeout, back-off, pings of busy workers       oracle_started, check_starts, check_ping
 *
 * 19 (transactions) has its place here when there are some. Each of the bugs planted in sim_mutants breaks one of these. */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include "world.h"

/* oracle_runs.c: order, affinity, attempts */
void oracle_came_back(struct world *w, struct instance *i, uint32_t topic, int32_t partition);
void oracle_received(struct world *w, struct instance *i, const struct asked *r);
/* fills k's record */
void oracle_call(struct world *w, struct instance *i, struct proc *p, struct work *k, const struct call *c);
void oracle_partial(struct world *w, struct instance *i, struct work *k);
void oracle_answered(struct world *w, struct instance *i, struct proc *p, struct work *k,
	const struct answer *a);                                               /* before the engine is told */
void oracle_started(struct world *w, struct instance *i, struct slot_ref ref); /* ordered */
void oracle_cancelled(struct world *w, struct instance *i, struct proc *p, uint64_t target);
struct work *oracle_run_of(struct instance *i, const struct asked *r,
	struct proc **p);                                              /* that is out and belongs to its round; NULL: none */
void oracle_snapshot(struct world *w, struct instance *i);             /* compared with what was seen from outside */
void oracle_gone(struct world *w, struct instance *i, struct proc *p); /* before the engine is told */
void oracle_buried(struct world *w, const struct instance *i, unsigned pool);          /* after that */
void oracle_prompt_check(struct world *w, struct instance *i, const struct event *ev); /* its time is over: it has ended */
void oracle_lost(struct world *w, struct instance *i);                                 /* what is being revoked is lost */
void oracle_released(struct world *w, struct instance *i);                             /* what is being revoked is given back */
void oracle_drained(struct world *w, struct instance *i);                              /* all will be given back */
void oracle_circuit(struct world *w, struct instance *i, const struct note *n);
void oracle_leaving(struct world *w, struct instance *i, struct slot_ref ref, bool surplus); /* it is told to be replaced */
void oracle_recycled(struct world *w, struct proc *p); /* it is stopped, and nothing is wrong with it */
/* oracle_wear.c: replaced in time */
void oracle_ready(struct world *w, struct instance *i, struct proc *p);                 /* its first ping is answered */
void oracle_grown(struct world *w, struct instance *i, struct proc *p, uint64_t bytes); /* the engine has been told */
void oracle_wear_check(struct world *w, struct instance *i, const struct event *ev);

void oracle_headers(struct world *w, const struct asked *r,
	struct slice headers);                    /* what goes on from its record, and only that */
bool oracle_parks_nothing(const struct world *w); /* what is received is looked at then, and not later */
bool oracle_state_lives(const struct instance *i, const struct session_view *s);

/* oracle_records.c: results, dead letters, commits */
int oracle_produced(struct world *w, struct instance *i, const struct record *r); /* the record it is about */
void oracle_landed(struct world *w, struct instance *i, uint64_t serial);
void oracle_parts_dropped(struct world *w, struct instance *i, const struct note *n);
void oracle_reported(struct world *w, struct instance *i, uint64_t serial, enum delivery d);
void oracle_commit(struct world *w, struct instance *i, uint64_t id, const struct commit_entry *c); /* ordered */
void oracle_committed(struct world *w, struct instance *i, const struct commit_entry *c);           /* applied */
void oracle_commit_answered(struct instance *i, uint64_t id, struct tp tp, bool accepted);
uint32_t oracle_kills_told(struct world *w, const struct asked *r); /* workers that it killed alone, as the group knows it */
struct mark oracle_mark(int64_t base, struct slice metadata);
bool oracle_same_mark(struct mark a, struct mark b);

/* oracle_verdict.c: may a request end like this? */
struct told { /* what a result says */
	struct slice status, code, result, session_epoch, worker_id, attributes;
	bool session_new, final;
	int64_t part, attempts, completed_at_ms, run_us, all_us; /* all_us: the sum of all its times here */
};
void verdict_check(struct world *w, struct instance *i, const struct asked *r, struct view *v, const struct told *t);

/* oracle.c: the rest */
void oracle_starved(struct world *w, struct instance *i); /* it reads nothing now */
void oracle_note(struct world *w, struct instance *i, const struct note *n);
void oracle_end(struct world *w);

#endif
