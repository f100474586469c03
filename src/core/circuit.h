/* circuit.h: what a pool does when its workers fail one after the other and nothing is answered between: no request is to blame
 * then.
 *
 *   CLOSED --circuit_failures in a row--> OPEN --after a pause--> PROBING --an answer--> CLOSED
 *                                          ^                         |
 *                                          +---another failure-------+  (each time twice the pause, up to ten times the first)
 *
 * OPEN: nothing is run; what waits keeps its place, and its time. PROBING: one call at a time; which, see probe.h. While it is
 * not CLOSED the loss of a worker uses no attempt and blames nobody; the death that opens it is judged as any other. A failure: a
 * worker that does not get ready while no other is able, or one that crashes, breaks the protocol, answers no pings, or holds too
 * much memory. Not CLOSED: no slot is kept for a request that is to run alone. */
#ifndef CORE_CIRCUIT_H
#define CORE_CIRCUIT_H

#include "bridgepool/wire/record.h"
#include "slot.h"

struct circuit {
	enum circuit_state state;
	uint32_t failures;  /* since the last answer */
	uint32_t opened;    /* times, since then */
	bool by_starts;     /* the last of them did not get ready: one that does is worth a try */
	bool tried_suspect; /* the last call that was tried since then was a request that had lost a worker before */
	uint64_t probe;     /* PROBING: the call that is out, on `probed`; 0: none */
	struct slot_ref probed;
	struct timer timer; /* OPEN: the pause; PROBING: suspects are not tried yet */
};

struct pool;

void circuit_worker_gone(struct engine *e,
	struct slot *w);                                 /* after its calls are lost: they are judged by the circuit as it was */
void circuit_answered(struct engine *e, struct pool *p); /* a request's answer has come */
void circuit_worker_ready(struct engine *e, struct slot *w);
void circuit_retuned(struct engine *e, struct pool *p); /* the pool's configuration is another one */
bool circuit_allows(const struct pool *p);              /* another call may begin */
bool circuit_blames(const struct pool *p);              /* who loses a worker now may be to blame for it */
void circuit_called(struct pool *p, const struct call_entry *c);
void circuit_finished(struct pool *p, const struct call_entry *c);
void circuit_timer_fired(struct engine *e, struct timer *t);
int64_t circuit_wait_ms(const struct engine *e, const struct pool *p); /* OPEN: until it is tried again */

#endif
