/* partition.h: one partition of a request topic, over the assignments in which it stays ours without a break.
 *
 *   WAITING_MAP --offsets--> ACTIVE --revoked--> CLOSING --released--> SUSPENDED --assigned--> WAITING_MAP
 *        |                                                                 ^
 *        +---------- revoked again, before its position was read ----------+
 *
 * WAITING_MAP: assigned, position not read yet. ACTIVE: read; `held` when its reading is stopped. CLOSING: revoked, what runs is
 * waited for. SUSPENDED: released; it may come back with the next assignment, and its sessions and running requests wait for
 * that. From every state partition_drop ends it: nothing of it is committed or published any more. It is GONE then, and freed
 * when its sessions have been ended, some at a time. partition_set is the only writer of `state`. */
#ifndef CORE_PARTITION_H
#define CORE_PARTITION_H

#include "bridgepool/core/port.h"
#include "session.h"
#include "window.h"

struct pool;

enum partition_state {
	PARTITION_WAITING_MAP,
	PARTITION_ACTIVE,
	PARTITION_CLOSING,
	PARTITION_SUSPENDED,
	PARTITION_GONE,
	PARTITION_STATES
};

struct mark { /* one commit, to recognise it when the partition comes back */
	int64_t base;
	uint64_t hash; /* of the metadata */
};

struct partition {
	TAILQ_ENTRY(partition) all;
	struct tp tp;
	uint32_t since_epoch; /* first epoch of unbroken ownership */
	enum partition_state state;
	bool held, dirty, comeback, bare /* commit the base without its map */, stale, stuck_told,
		going /* the revoke that is not answered yet names it */;
	struct request_line requests; /* every request of it */
	struct request_line parked;
	struct session_line sessions;
	size_t running, charge, unacked, nrequests;
	struct window window;
	struct {
		int64_t offset;
		uint64_t commit; /* that tells the group its kills; 0: none does yet */
		uint8_t kills;
		bool told; /* that was accepted */
	} suspects[OFFSETMAP_SUSPECTS];
	unsigned nsuspects;
	uint32_t metadata_bytes;    /* of the last commit */
	struct mark sent, accepted; /* the broker has one of them */
	uint64_t sent_id;
	int64_t moved_at; /* when base moved last */
	int64_t suspended_at;
	uint64_t ended;           /* GONE: sessions whose state was given up */
	size_t nsessions, ending; /* of `sessions`; of those, that are being cleaned up */
	size_t to_end;            /* going: so many of `sessions`, from its head, are to be ended before the release */
};

TAILQ_HEAD(partition_line, partition);

struct partition *partition_get(struct engine *e, uint32_t topic, int32_t partition);
struct partition *partition_alive(struct engine *e, struct tp tp); /* tp belongs to its unbroken ownership */
void partition_assigned(struct engine *e, struct tp tp);
void partition_offsets(struct engine *e, const struct committed *c);
void partition_receive(struct engine *e, struct partition *p, const struct message *m);
void partition_settle(struct engine *e, struct partition *p, int64_t offset); /* all its records are acknowledged */
void partition_put_back(struct engine *e, struct partition *p);               /* all that does not run */
void partition_drop(struct engine *e, struct partition *p);                   /* p is GONE, and found no more */
void partition_set(struct partition *p, enum partition_state to);
void partition_suspend(struct engine *e, struct partition *p); /* it was given back, and may come back */
void partition_gone_fired(struct engine *e, struct timer *t);  /* ends sessions of what is GONE */
void partition_hold(struct engine *e, struct partition *p);    /* holds or lifts, by share and window */
void partition_share(struct engine *e);                        /* there are more or fewer partitions: their shares have changed */
/* at the end of a turn: holds or lifts all of a pool that is full, or was */
void partition_fill(struct engine *e, struct pool *pool);
void partition_charge(struct engine *e, struct partition *p, size_t before, size_t after); /* of one of its requests */
uint64_t partition_share_of(const struct engine *e, const struct partition *p);            /* bytes that it may hold */
struct pool *partition_pool(const struct engine *e, const struct partition *p);
uint8_t partition_kills(const struct partition *p, int64_t offset);
/* it does not run again before the group knows, or cannot be told */
void partition_suspect(struct engine *e, struct request *r, uint8_t kills);
void partition_map(struct partition *p, struct offsetmap *m);
void partition_sent(struct partition *p, uint64_t commit); /* its map is under way */
void partition_accepted(struct engine *e, struct partition *p, uint64_t commit);

#endif
