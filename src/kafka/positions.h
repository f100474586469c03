/* positions.h: where each partition is read from: its committed offset and map, unless that offset is not in the log any more.
 * Asked in the side thread. */
#ifndef KAFKA_POSITIONS_H
#define KAFKA_POSITIONS_H

#include <librdkafka/rdkafka.h>

#include "bridgepool/core/message.h"
#include "lane.h"

struct position {
	struct tp tp;
	const char *topic;       /* borrowed from the consumer's table, which outlives the job */
	rd_kafka_resp_err_t err; /* of this partition: ask again */
	int64_t committed;       /* < 0: nothing committed */
	int64_t low, high;       /* first and one past the last offset of the log */
	char *metadata;          /* of the commit; NULL: none */
	size_t metadata_len;
};

struct positions {
	struct lane_job job;
	rd_kafka_t *rk;
	void *ctx;
	unsigned tries; /* before this one */
	struct position *at;
	size_t n;
	bool committed_too; /* else only low and high are asked for */
};

struct positions *positions_new(rd_kafka_t *rk, size_t n, void (*done)(struct lane_job *job), void *ctx);
void positions_free(struct positions *p);

/* Where to start. *why: NULL, or what is wrong with the committed offset; then its map does not count. */
int64_t position_start(const struct position *p, const char **why);

#endif
