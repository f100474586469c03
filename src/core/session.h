/* session.h: requests that share a session ID, one at a time and in order. An anonymous request has a session of its own that
 * nobody can find.
 *
 *   NEW     just made, in no line
 *   IDLE    nothing to do; in the pool's line of least recent use
 *   READY   its head may run: in the ready line of its slot, or of the pool while it is bound to none; in the pool's settled line
 *           if that needs no worker, because its end is known
 *   RUNNING a call of it is in flight (a request, open_session, cleanup_session, or one whose request ended before its answer)
 *   WAITING its head waits for its next run; in the pool's line of those
 *
 * Bound: (slot, generation) holds its state, and epoch names that state. A binding whose process is gone is lost; that is found
 * when it is looked at. session_set is the only writer of `state` and keeps the lines. */
#ifndef CORE_SESSION_H
#define CORE_SESSION_H

#include "request.h"
#include "uthash_setup.h"

enum session_state { SESSION_NEW, SESSION_IDLE, SESSION_READY, SESSION_RUNNING, SESSION_WAITING };
enum end_reason {
	END_NONE,
	END_CLIENT,
	END_TTL,
	END_ROOM,
	END_PARTITION,
	END_RECYCLE,
	END_SHUTDOWN,
	END_OPEN, /* it did not begin */
	END_REASONS
};

struct session {
	UT_hash_handle hh;
	TAILQ_ENTRY(session) of_partition; /* sessions whose home is there; anonymous: all of them */
	TAILQ_ENTRY(session) of_slot;      /* bound: sessions of its slot, or of the pool's dead workers */
	TAILQ_ENTRY(session) line;         /* ready line, or line of least recent use: by state */
	struct request_line requests;
	struct partition *home;  /* NULL: its partition went away, or anonymous. May be GONE */
	struct call_entry *call; /* in flight */
	int64_t since;           /* IDLE: when it became idle */
	uint64_t epoch;
	struct slot_ref at; /* generation 0: bound to none */
	uint16_t pool;
	uint8_t state, ending; /* enum session_state; enum end_reason */
	bool anonymous : 1;
	bool opened : 1;       /* its worker has answered open_session */
	bool fresh : 1;        /* bound, and nothing ran yet */
	bool untold : 1;       /* bound, and no result has told that this state began */
	bool ran : 1;          /* a request has ended under this binding */
	bool reserved : 1;     /* a slot is kept empty for it */
	bool in_pool_line : 1; /* READY: in a line of the pool, not of its slot */
	bool settled : 1;      /* its head ends without a worker */
	bool told : 1;         /* that it was seen in two partitions */
	uint16_t reserved_slot;
	uint16_t key_len;
	char key[]; /* two bytes of the pool's index, then the ID */
};

TAILQ_HEAD(session_line, session);

enum { SESSION_SHARDS = 512 };
struct sessions {
	struct session *shard[SESSION_SHARDS];
	struct session_line anonymous;
	uint64_t seed;
	size_t count;
};

enum { SESSION_ID_MAX = 256, SESSIONS_AT_ONCE = 64 /* are ended in one step of the loop */ };

struct slot;

struct engine;
void sessions_init(struct sessions *t, uint64_t seed);
void sessions_cleanup(struct sessions *t);        /* frees them all as they are */
struct slice session_id(const struct session *s); /* absent: anonymous */
struct session *session_find(const struct sessions *t, uint16_t pool, struct slice id);
struct session *session_new(struct engine *e, uint16_t pool, struct slice id, struct partition *home); /* absent id: anonymous */
void session_set(struct engine *e, struct session *s, enum session_state to);
/* the state that follows from its line; frees it when it has none and no state */
void session_next(struct engine *e, struct session *s);
bool session_bound(const struct engine *e, const struct session *s); /* its state lives */
void session_bind(struct engine *e, struct session *s, struct slot *w);
void session_unbind(struct engine *e, struct session *s);
void session_home(struct session *s, struct partition *p); /* it had none */
bool session_homeless(const struct session *s);            /* its partition is not ours any more, or not known yet */
void session_leave(struct engine *e, struct session *s);   /* what lives of a homeless one ends; s may be gone then */
void session_end(struct engine *e, struct session *s, enum end_reason why);     /* idle or busy: cleaned up in its line */
bool session_keeps_state(const struct engine *e, const struct session *s);      /* on a worker, from request to request */
void session_tell(struct engine *e, const struct session *s, const char *what); /* if somebody wants to hear of single ones */
void session_ran(struct session *s);                                            /* a request of it has run to its end */
const char *end_reason_name(enum end_reason why);
void epoch_text(uint64_t epoch, char out[EPOCH_TEXT_SIZE]);

#endif
