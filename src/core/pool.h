/* pool.h: policy of a pool: how many workers, when to start one, whom to feed. */
#ifndef CORE_POOL_H
#define CORE_POOL_H

#include "bridgepool/core/engine.h"
#include "circuit.h"
#include "slot.h"
#include "tally.h"

TAILQ_HEAD(slot_line, slot);

enum { POOL_WHY_MAX = 96 };
enum { POOL_SLOTS_MOST = 2 * (1000 + 100) + 1 }; /* all that serve and wait, as many again that leave, and a successor */

struct pool {
	struct pool_config cfg;
	uint16_t index;
	enum health_state state;
	/* nslots so far, of POOL_SLOTS_MOST: those that serve, the spare ones, one for the successor of a slot that leaves; more
	 * when the pool has grown. They stay where they are */
	struct slot *slots;
	uint32_t nslots, nleaving;
	struct session_line strays;  /* bound to processes that are gone; nobody has looked at them since */
	struct slot_line feed;       /* slots that may have room */
	struct session_line ready;   /* bound to none, may run anywhere */
	struct session_line settled; /* their heads end without a worker */
	struct session_line waiting; /* their heads wait for their next run */
	struct session_line idle;    /* least recently used first */
	bool restless;               /* something has changed that a worker may start, serve or leave for */
	bool ever_able, hungry /* `ready` may have work for a slot with room */;
	int64_t memory_pause_us; /* a worker so young is not replaced for its memory; 0: any is */
	uint32_t by_state[HEALTH_STATE_COUNT];
	uint64_t charge;    /* bytes of the requests of its topics */
	size_t npartitions; /* of its topics, that are here */
	bool full;          /* that is its share of the memory: none of them is read */
	uint64_t places_used, queued, live, bound /* whose state lives on a worker */, ending /* that are being cleaned up */,
		created, ended[END_REASONS], lost, starts, exits;
	uint64_t finished[STATUS_COUNT], duration[DURATION_BUCKETS], exited[STOP_REASONS];
	struct phase_times times[PHASES];
	struct used_up used;
	uint64_t partials, partials_dropped; /* parts that were told; what was said and is in none */
	struct tally commands;
	struct circuit circuit;
	struct timer ttl;
};

void pool_init(struct pool *p, uint16_t index, const struct pool_config *cfg);
void pool_cleanup(struct pool *p);
struct slot *pool_new_slot(struct pool *p); /* ROLE_UNUSED; NULL: there are POOL_SLOTS_MOST */
void pool_retune(struct engine *e, struct pool *p, const struct pool_config *cfg);
/* at the end of a turn: processes in their roles, work to slots that have room */
void pool_settle(struct engine *e, struct pool *p);
void pool_judge(struct engine *e, struct pool *p);                        /* the pool's state from its slots' */
void pool_why(const struct pool *p, int64_t now, char out[POOL_WHY_MAX]); /* that state, for people */
void pool_idle_session(struct engine *e, struct pool *p);                 /* arms the TTL timer */
bool pool_make_room(struct engine *e, struct pool *p);                    /* false: max_sessions reached and all are in use */
uint32_t pool_able(const struct pool *p);                                 /* workers that serve and can run something */
bool pool_ready(const struct pool *p);

#endif
