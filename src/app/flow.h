/* flow.h: the two translations. Events of Kafka and of the workers become calls of the engine; orders of the engine become calls
 * of consumer, producer and adapters; its notes become log lines and health events. It decides nothing. */
#ifndef APP_FLOW_H
#define APP_FLOW_H

#include <uv.h>

#include "wiring.h"

struct flow;

/* What the daemon watches. Called from the loop; all must be given. */
struct flow_events {
	void *ctx;
	void (*turn)(void *ctx);                       /* once per turn of the loop, before its orders are sent */
	void (*note)(void *ctx, const struct note *n); /* from inside the engine: look, call nothing */
	void (*assigned)(void *ctx);                   /* the group gave us an assignment, perhaps an empty one */
	void (*out)(void *ctx, const char *why);       /* not a member of the group until `assigned`; why: or how it is refused */
	void (*exec_failed)(void *ctx, struct slot_ref w, struct slice why);
	void (*fault)(void *ctx, enum kafka_fault fault, const char *why);
	void (*closed)(void *ctx); /* the consumer has left the group */
};

/* Borrows everything until flow_free. NULL: errstr says what to mend; lacks: not in the settings, it is the machine that has no
 * more threads or descriptors. Nothing happens before flow_start. */
struct flow *flow_new(uv_loop_t *loop, const struct settings *s, const struct wiring *w, const struct identity *id,
	const struct flow_events *ev, bool *lacks, char *errstr, size_t size);
void flow_start(struct flow *f);                        /* starts the pools */
const struct engine *flow_engine(const struct flow *f); /* to be looked at */
bool flow_ready(const struct flow *f);                  /* every pool can work */
uint64_t flow_health_dropped(const struct flow *f);     /* health events that nobody will read */
void flow_subscribe(struct flow *f);
/* The settings and the wiring that flow_new was given have other values now. rolls: by pool, whose workers are to be replaced. */
void flow_retune(struct flow *f, const bool *rolls);
void flow_roll(struct flow *f);                       /* every worker is replaced by a fresh one, warm first */
void flow_note(struct flow *f, const struct note *n); /* a note of the daemon's own */

/* The end, in this order: drain until flow_drained, leave until `closed`, wait for flow_idle and flow_flushed, close, run the
 * loop until it is empty, free. Close may come at any time: it kills what lives. */
void flow_drain(struct flow *f, int64_t until_us);
bool flow_drained(const struct flow *f);
void flow_leave(struct flow *f);
bool flow_idle(const struct flow *f);    /* no worker is left */
bool flow_flushed(const struct flow *f); /* every record, health events too, is acknowledged */
void flow_close(struct flow *f);
void flow_free(struct flow *f);

#endif
