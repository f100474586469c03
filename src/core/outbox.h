/* outbox.h: records from birth to acknowledgement, and per offset how many are still open.
 *
 * A record is PENDING (in its outlet's line, in order of birth), SENT (its bytes are borrowed by the producer), or DEAD (sent,
 * but its partition is no longer ours: freed at its report). One outlet per kind, so that a missing dead-letter topic does not
 * hold results up. */
#ifndef CORE_OUTBOX_H
#define CORE_OUTBOX_H

#include <sys/queue.h>

#include "bridgepool/core/port.h"
#include "outlet.h"
#include "timers.h"
#include "uthash_setup.h"

enum { RECORD_KINDS = 2 };
enum outbox_state { OUTBOX_PENDING, OUTBOX_SENT, OUTBOX_DEAD, OUTBOX_STATES };

/* An offset whose records are not all acknowledged yet. */
struct ticket {
	struct tp tp;
	int64_t offset;
	unsigned open;
};

struct outgoing {
	UT_hash_handle hh;          /* SENT and DEAD, by serial */
	TAILQ_ENTRY(outgoing) line; /* PENDING */
	enum outlet_line in;        /* which of its outlet's */
	struct record record;
	struct ticket *ticket;   /* NULL: of a part, which no offset waits for, and which is not sent again */
	struct tp tp;            /* of its request */
	enum outbox_state state; /* outbox.c: move() is its only writer */
	size_t charge;
	uint16_t pool;   /* of a part */
	uint32_t values; /* of a part: how many a worker has said for it; 0: it is none */
	/* owned: of a result, what to publish instead if it is too large for its topic, or NULL; of a dead letter, its headers
	 * once it was */
	void *twin;
	size_t twin_len;
	size_t foreign_len; /* of a dead letter: the headers that came with the request, before ours */
	bool shrunk;        /* published without what was too large */
	char *made_key;     /* owned: what it is published under where its topic takes none without a key, or NULL */
	/* outlet.c: bytes while it is sent; the outlet's round in which it is sent alone, 0: not; for its size, else for what is
	 * in it */
	size_t flying;
	uint32_t suspect_in;
	bool suspect_size;
	uint8_t bytes[]; /* key, value and headers, one after another */
};

struct outbox {
	struct outgoing *sent;
	struct outlet outlet[RECORD_KINDS];
	uint64_t last_serial;
	size_t n[OUTBOX_STATES];
};

struct engine;
/* copies them */
struct outgoing *outgoing_new(enum record_kind kind, struct slice key, struct slice value, struct slice headers);
void outbox_init(struct outbox *o);
void outbox_cleanup(struct engine *e);
struct ticket *outbox_ticket(struct engine *e, struct tp tp, int64_t offset);
void outbox_add(struct engine *e, struct outgoing *r, struct ticket *t); /* takes r; its serial is given here */
void outbox_add_part(struct engine *e, struct outgoing *r, struct tp tp,
	bool ahead);                /* ahead: its final result does not follow at once */
void outbox_pump(struct engine *e); /* sends what can be sent, in order of birth */
void outbox_delivered(struct engine *e, uint64_t serial, enum delivery d);
void outbox_kill(struct engine *e, struct tp tp);                            /* that partition's records are unwanted */
bool outbox_empty(const struct outbox *o);                                   /* dead ones do not count */
void outbox_check(const struct outbox *o, uint64_t charged, uint64_t parts); /* charged to the budget for records and for parts */

#endif
