/* state.h: the engine's whole state, as the files of this room see it. */
#ifndef CORE_STATE_H
#define CORE_STATE_H

#include "bridgepool/core/engine.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/base/random.h"
#include "budget.h"
#include "closing.h"
#include "drain.h"
#include "outbox.h"
#include "partition.h"
#include "pool.h"

struct counters {
	uint64_t late_answers, stale, affinity_violations, rebalances, commits;
	int64_t committed_at; /* the last that was accepted; 0: none */
};

struct strings {
	char **items; /* owned, as is each */
	size_t n;
};

struct engine {
	struct engine_config cfg; /* its strings are in these two */
	struct strings names;     /* of the instance, pools and topics: borrowed for the engine's life */
	struct strings patterns;  /* of commands and headers: nobody borrows them, each retune brings others */
	struct port port;
	struct codec *codec;
	struct random random;
	int64_t now;            /* of the call that is being served */
	int64_t wall_offset_ms; /* wall_ms - now/1000 */
	bool inside;            /* no call into the engine from a port function */
	bool started;
	uint32_t attempts_ever; /* the highest max_attempts that held */
	struct timers timers;
	struct pool *pools;
	struct sessions sessions;
	struct partition_line partitions;
	size_t npartitions;
	struct partition_line gone; /* not ours any more; their sessions are ended in small steps */
	struct budget budget;
	/* bytes that the requests of one pool may hold, and one request more; budget.limit: no other pool has partitions, and
	 * none is ever full */
	uint64_t pool_share;
	struct outbox outbox;
	struct buf value, headers; /* of the record in the making */
	struct closing closing;
	struct drain drain;
	struct timer commit_timer, gone_timer, watch_timer;
	uint64_t commit_id, commit_in_flight; /* 0: none */
	uint32_t finished_since_commit;
	bool commit_urgent;            /* one is wanted as soon as none is in flight */
	bool pressure, pressed_before; /* told as BACKPRESSURE; seen at the last look */
	struct counters counters;
	struct tally dead_letters; /* by error code */
};

static inline int64_t wall_ms(const struct engine *e)
{
	return e->now / MS_US + e->wall_offset_ms;
}

void engine_note(struct engine *e, const struct note *n);
/* One that names a partition, which it sets. Of what was given back nothing is told. */
void engine_note_of(struct engine *e, const struct partition *p, struct note *n);

#endif
