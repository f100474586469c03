/* bridge.h: what is said to and by a worker (worker protocol, version 1; README "Worker protocol"). JSON bodies in frames. */
#ifndef BRIDGEPOOL_WIRE_BRIDGE_H
#define BRIDGEPOOL_WIRE_BRIDGE_H

#include "bridgepool/base/buf.h"

enum call_kind { CALL_REQUEST, CALL_PING, CALL_OPEN_SESSION, CALL_CLEANUP_SESSION, CALL_CANCEL, CALL_SHUTDOWN };

/* Anything sent to a worker under an id. All slices are borrowed. */
struct call {
	uint64_t id;
	enum call_kind kind;
	bool initialization;        /* CALL_PING: the first of a process */
	struct slice command, args; /* CALL_REQUEST; args is a valid JSON object, spliced byte for byte; absent: {} */
	uint64_t target;            /* CALL_CANCEL: the id to cancel */
	struct slice reason;        /* CALL_CLEANUP_SESSION, CALL_CANCEL */
	struct slice session_id, session_epoch;
	bool session_new;
	struct slice request_id;
	int32_t attempt;      /* from 1 */
	int64_t remaining_ms; /* TIME_NONE: no limit */
	bool stream;
	struct slice headers, attributes; /* pairs.h lists; header values that are not UTF-8 are left out */
	struct slice source_topic;
	int32_t source_partition;
	int64_t source_offset;
	int64_t sent_wall_ms;
};

enum answer_kind { ANSWER_OK, ANSWER_ERROR, ANSWER_PARTIAL, ANSWER_UNREADABLE };

enum capability { CAPABILITY_PARTIAL = 1, CAPABILITY_CANCEL = 2, CAPABILITY_PING_BUSY = 4, CAPABILITY_SESSIONS = 8 };

struct answer {
	uint64_t id;
	bool has_id; /* false with UNREADABLE: nobody knows whose it was */
	enum answer_kind kind;
	struct slice payload;                /* OK: result; PARTIAL: partial; valid JSON; absent if the member was missing */
	struct slice usage;                  /* JSON object of numbers, or absent */
	struct slice code, message, details; /* ERROR; UNREADABLE has code INVALID_RESULT and message */
	bool retriable;
	int64_t retry_after_ms; /* TIME_NONE */
	/* what the answer to the first ping may carry; read from the result or from the top */
	struct slice version;
	uint32_t protocol, concurrency, capabilities; /* 0, 0 and 0 when not said */
};

/* Appends one whole frame, head included. False: over out's limit, nothing added. session_id is added to a request's args as the
 * last member, so it wins over one that the client sent: readers take the last of two members of one name. */
bool bridge_write(struct buf *out, const struct call *c);
/* Never fails: what is no answer is UNREADABLE. An error that is a plain string, or names no code, gets the code PROGRAM_ERROR.
 * Members it does not know are ignored; a usage that is no object of numbers is left out. a borrows body and scratch (reset by
 * the call; holds unescaped strings). */
void bridge_read(struct slice body, struct buf *scratch, struct answer *a);

#endif
