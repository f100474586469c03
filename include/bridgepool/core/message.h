/* message.h: identities. Everything that comes back to the engine from outside carries these by value; what no longer exists is
 * not found, and counted. */
#ifndef BRIDGEPOOL_CORE_MESSAGE_H
#define BRIDGEPOOL_CORE_MESSAGE_H

#include "bridgepool/base/buf.h"

/* A partition during one assignment. topic: index into engine_config.sources. epoch: grows with every assignment, over all
 * partitions; given by the consumer; never 0. */
struct tp {
	uint32_t topic;
	int32_t partition;
	uint32_t epoch;
};

struct source {
	struct tp tp;
	int64_t offset;
};

/* One process in one slot. generation: from 1, grows with each start in that slot. */
struct slot_ref {
	uint16_t pool, slot;
	uint32_t generation;
};

/* With the 0 at their ends: what names a worker to people, and what names the state of a session. */
enum { WORKER_ID_MAX = 96, EPOCH_TEXT_SIZE = 17 };

/* "pool/slot.generation", with the first 64 bytes of the pool's name; NULL: it has none. */
void slot_ref_text(char out[WORKER_ID_MAX], const char *pool_name, struct slot_ref w);

/* One record of a request topic. All slices are borrowed for the call. */
struct message {
	struct source source;
	int64_t timestamp_ms;    /* wall clock of the record; < 0 when it has none */
	struct slice key, value; /* absent value: a tombstone */
	struct slice headers;    /* pairs.h list */
};

#endif
