/* outlet.h: the records of one kind on their way to their topic: which goes next, and who is to blame when some come back.
 *
 * A broker judges batches, and what it says of one it says of each of its records. So a record that is found too large, or not
 * valid, is sent once more, alone, before it is believed. One too large that is taken alone tells that batches are: from then on
 * less is on its way at a time. One that is refused alone is laid aside, so that the others go on, and is tried again alone after
 * a while. */
#ifndef CORE_OUTLET_H
#define CORE_OUTLET_H

#include <stdint.h>
#include <sys/queue.h>

#include "timers.h"

struct engine;
struct outgoing;
TAILQ_HEAD(outgoing_line, outgoing);

enum outlet_line { OUTLET_PENDING /* in order of birth */, OUTLET_ASIDE /* refused alone */, OUTLET_LINES };

struct outlet {
	struct outgoing_line lines[OUTLET_LINES];
	struct outgoing *returned; /* in OUTLET_PENDING: the place of the last report that brought one back, or NULL */
	struct timer again;  /* armed: the queue was full, a record came back or the topic refused; nothing is sent before */
	uint32_t refusals;   /* in a row */
	struct timer aside;  /* armed: then those laid aside are tried again */
	uint32_t asides;     /* in a row */
	size_t flying, most; /* bytes that are sent and not reported, and how many may be; one record may always */
	uint32_t round;      /* counts how often `most` was lowered, from 1 */
	const struct outgoing *only; /* it is alone on its way, and has been since it was sent; or NULL */
};

void outlet_init(struct outlet *l);
void outlet_add(struct outlet *l, struct outgoing *r);    /* at the end of OUTLET_PENDING */
void outlet_return(struct outlet *l, struct outgoing *r); /* into OUTLET_PENDING, by its birth */
void outlet_remove(struct outlet *l, struct outgoing *r); /* from the line that it is in */

bool outlet_may_send(const struct outlet *l, const struct outgoing *r);
void outlet_sent(struct outlet *l, struct outgoing *r);     /* it is in no line now */
bool outlet_reported(struct outlet *l, struct outgoing *r); /* whether it was alone all its way */

/* r has come back from a batch that was not taken; in no line: it is sent alone before any other. */
void outlet_suspect(struct outlet *l, struct outgoing *r, bool too_large);
bool outlet_learn(struct outlet *l,
	const struct outgoing *r); /* r was taken, alone; true: batches were too large, `most` is less now */
void outlet_lay_aside(struct engine *e, struct outlet *l, struct outgoing *r); /* in no line */

/* Nothing is sent for a while, ever longer up to `most`; false: it pauses already. */
bool outlet_pause(struct engine *e, struct outlet *l, int64_t least, int64_t most);
void outlet_wait(struct engine *e, struct outlet *l, int64_t us); /* the same, just so long */

#endif
