/* oracle.h: watches everything that goes in and out of the engines, and says when an invariant is broken. It knows what was asked and
 * what happened; it never looks into an engine. */
#ifndef SIM_ORACLE_H
#define SIM_ORACLE_H

#include "world.h"

/* oracle_runs.c: order, affinity, attempts */
void oracle_came_back(struct world *w, struct instance *i, uint32_t topic, int32_t partition);
void oracle_received(struct world *w, struct instance *i, const struct asked *r);
void oracle_call(struct world *w, struct instance *i, struct proc *p, struct work *k, const struct call *c); /* fills k's record */
void oracle_answered(struct world *w, struct instance *i, struct proc *p, struct work *k, const struct answer *a); /* before the engine is told */
void oracle_started(struct world *w, struct instance *i, struct slot_ref ref); /* ordered */
void oracle_cancelled(struct world *w, struct instance *i, struct proc *p, uint64_t target);
struct work *oracle_run_of(struct instance *i, const struct asked *r, struct proc **p); /* that is out and belongs to its round; NULL: none */
void oracle_snapshot(struct world *w, struct instance *i); /* compared with what was seen from outside */
void oracle_gone(struct world *w, struct instance *i, struct proc *p);
void oracle_prompt_check(struct world *w, struct instance *i, const struct event *ev); /* its time is over: it has ended */
void oracle_lost(struct world *w, struct instance *i);     /* what is being revoked is lost */
void oracle_released(struct world *w, struct instance *i); /* what is being revoked is given back */
void oracle_headers(struct world *w, const struct asked *r, struct slice headers); /* what goes on from its record, and only that */
bool oracle_state_lives(const struct instance *i, const struct session_view *s);

/* oracle_records.c: results, dead letters, commits */
int oracle_produced(struct world *w, struct instance *i, const struct record *r); /* the record it is about */
void oracle_landed(struct world *w, struct instance *i, uint64_t serial);
void oracle_reported(struct world *w, struct instance *i, uint64_t serial, enum delivery d);
void oracle_commit(struct world *w, struct instance *i, uint64_t id, const struct commit_entry *c); /* ordered */
void oracle_committed(struct world *w, struct instance *i, const struct commit_entry *c); /* applied */
void oracle_commit_answered(struct instance *i, uint64_t id, struct tp tp, bool accepted);
struct mark oracle_mark(int64_t base, struct slice metadata);
bool oracle_same_mark(struct mark a, struct mark b);

/* oracle_verdict.c: may a request end like this? */
struct told {                 /* what a result says */
	struct slice status, code, result, session_epoch, worker_id, attributes;
	bool session_new;
	int64_t attempts, completed_at_ms, run_us, all_us; /* all_us: the sum of all its times here */
};
void verdict_check(struct world *w, struct instance *i, const struct asked *r, struct view *v, const struct told *t);

/* oracle.c: the rest */
void oracle_note(struct world *w, struct instance *i, const struct note *n);
void oracle_end(struct world *w);

#endif
