/* lane.h: the records of one kind on their way to their topic: which goes next, and who is to blame when some come back.
 *
 * A broker judges batches, and what it says of one it says of each of its records. So a record that is found too large, or not
 * valid, is sent once more, alone, before it is believed. One too large that is taken alone tells that batches are: from then on
 * less is on its way at a time. One that is refused alone is laid aside, so that the others go on, and is tried again alone after
 * a while. */
#ifndef CORE_LANE_H
#define CORE_LANE_H

#include <stdint.h>
#include <sys/queue.h>

#include "timers.h"

struct engine;
struct outgoing;
TAILQ_HEAD(outgoing_line, outgoing);

enum lane_line { LANE_PENDING /* in order of birth */, LANE_ASIDE /* refused alone */, LANE_LINES };

struct lane {
	struct outgoing_line lines[LANE_LINES];
	struct outgoing *returned; /* in LANE_PENDING: the place of the last report that brought one back, or NULL */
	struct timer again;  /* armed: the queue was full, a record came back or the topic refused; nothing is sent before */
	uint32_t refusals;   /* in a row */
	struct timer aside;  /* armed: then those laid aside are tried again */
	uint32_t asides;     /* in a row */
	size_t flying, most; /* bytes that are sent and not reported, and how many may be; one record may always */
	uint32_t round;      /* counts how often `most` was lowered, from 1 */
	const struct outgoing *only; /* it is alone on its way, and has been since it was sent; or NULL */
};

void lane_init(struct lane *l);
void lane_add(struct lane *l, struct outgoing *r);    /* at the end of LANE_PENDING */
void lane_return(struct lane *l, struct outgoing *r); /* into LANE_PENDING, by its birth */
void lane_remove(struct lane *l, struct outgoing *r); /* from the line that it is in */

bool lane_may_send(const struct lane *l, const struct outgoing *r);
void lane_sent(struct lane *l, struct outgoing *r);     /* it is in no line now */
bool lane_reported(struct lane *l, struct outgoing *r); /* whether it was alone all its way */

/* r has come back from a batch that was not taken; in no line: it is sent alone before any other. */
void lane_suspect(struct lane *l, struct outgoing *r, bool too_large);
bool lane_learn(struct lane *l,
	const struct outgoing *r); /* r was taken, alone; true: batches were too large, `most` is less now */
void lane_lay_aside(struct engine *e, struct lane *l, struct outgoing *r); /* in no line */

/* Nothing is sent for a while, ever longer up to `most`; false: it pauses already. */
bool lane_pause(struct engine *e, struct lane *l, int64_t least, int64_t most);
void lane_wait(struct engine *e, struct lane *l, int64_t us); /* the same, just so long */

#endif
