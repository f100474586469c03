/* port.h: what the engine can order. No function here calls the engine, none blocks, none reports by return value except produce:
 * failures come back later as events. */
#ifndef BRIDGEPOOL_CORE_PORT_H
#define BRIDGEPOOL_CORE_PORT_H

#include "bridgepool/core/message.h"
#include "bridgepool/core/note.h"
#include "bridgepool/wire/bridge.h"

/* One partition's part of a commit. */
struct commit_entry {
	struct tp tp;
	int64_t base;         /* the offset to commit: all below are done */
	const char *metadata; /* offsetmap text, "" for none; borrowed */
};

struct commit {
	uint64_t id; /* comes back with engine_committed */
	const struct commit_entry *entries;
	size_t n;
};

enum record_kind { RECORD_RESULT, RECORD_DEAD_LETTER };

/* A record to publish. Its bytes stay valid and unchanged until engine_delivered(serial). */
struct record {
	uint64_t serial; /* never reused, never 0 */
	enum record_kind kind;
	struct slice key;     /* absent: no key */
	struct slice value;   /* absent: null value */
	struct slice headers; /* pairs.h list */
};

enum delivery {
	DELIVERY_OK,
	DELIVERY_AGAIN,     /* not written, may be later: the engine sends it again */
	DELIVERY_TOO_LARGE, /* its batch does not fit this topic, nor it itself if it was alone */
	DELIVERY_INVALID,   /* the topic does not take what is in it, or in another record of its batch */
	DELIVERY_REFUSED    /* topic missing or forbidden: needs a person; the engine keeps it and tries again slowly */
};

enum commit_verdict {
	COMMIT_UNKNOWN,  /* refused or unknown: commit again at the next interval */
	COMMIT_STALE,    /* generation over, member unknown: this assignment is lost */
	COMMIT_TOO_LARGE /* metadata over the broker's limit: commit the base alone */
};

struct tp_fault {
	struct tp tp;
	enum commit_verdict verdict;
	const char *reason;
};

/* What the group had committed for a partition. offset is where reading starts: the consumer has already put the low watermark
 * for "nothing committed". */
struct committed {
	struct tp tp;
	int64_t offset;
	struct slice metadata;
	bool none; /* nothing was committed */
};

enum stop_step { STOP_CLOSE /* close its stdin */, STOP_TERM, STOP_KILL };

enum worker_fault {
	FAULT_EXEC,  /* the command cannot be started */
	FAULT_START, /* this start failed, by a kill or for want of memory, processes or descriptors: the next may work */
	FAULT_EOF,   /* its stdout ended */
	FAULT_WRITE, /* its stdin broke */
	FAULT_FRAME  /* a length over the limit or garbage; detail shows the first bytes */
};
const char *worker_fault_text(enum worker_fault f); /* as a sentence about the worker, without its end */

struct exit_report {
	bool exited; /* with `code`; else by `signal` */
	int code, signal;
	bool by_limit;       /* killed for its memory */
	struct slice last;   /* its last stderr line, for people; may be absent */
	int64_t last_age_ms; /* so long before its end it was read */
};

struct port {
	void *ctx;
	void (*read_offsets)(void *ctx, const struct tp *tp,
		size_t n);          /* answered by engine_offsets, in parts if need be, for each that is not revoked before */
	void (*release)(void *ctx); /* answers the pending revoke */
	void (*hold)(void *ctx, struct tp tp, bool on);    /* stop or go on reading one partition; others flow on */
	void (*commit)(void *ctx, const struct commit *c); /* answered by engine_committed */
	/* false: queue full, try again after the next engine_delivered or tick */
	bool (*produce)(void *ctx, const struct record *r);
	void (*worker_start)(void *ctx, struct slot_ref w); /* answered by engine_started or engine_fault + engine_gone */
	void (*worker_call)(void *ctx, struct slot_ref w, const struct call *c);
	void (*worker_stop)(void *ctx, struct slot_ref w, enum stop_step s);
	void (*note)(void *ctx, const struct note *n);
};

#endif
