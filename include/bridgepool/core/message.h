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

/* One record of a request topic. All slices are borrowed for the call. */
struct message {
	struct source source;
	int64_t timestamp_ms;    /* wall clock of the record; < 0 when it has none */
	struct slice key, value; /* absent value: a tombstone */
	struct slice headers;    /* pairs.h list */
};

#endif
