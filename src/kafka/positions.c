/* positions.c: where each partition is read from. */
#include "positions.h"

#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"

enum { TIMEOUT_MS = 5000 };

static rd_kafka_topic_partition_list_t *list_of(const struct positions *p, int64_t offset)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)p->n);

	for (size_t i = 0; i < p->n; i++)
		rd_kafka_topic_partition_list_add(list, p->at[i].topic, p->at[i].tp.partition)->offset = offset;
	return list;
}

static void note_error(struct position *p, rd_kafka_resp_err_t whole, rd_kafka_resp_err_t one)
{
	if (!p->err)
		p->err = one ? one : whole;
}

static void take_metadata(struct position *p, const rd_kafka_topic_partition_t *elem)
{
	if (elem->offset < 0 || !elem->metadata_size)
		return;
	p->metadata = xmalloc(elem->metadata_size);
	memcpy(p->metadata, elem->metadata, elem->metadata_size);
	p->metadata_len = elem->metadata_size;
}

static void ask_committed(struct positions *p)
{
	rd_kafka_topic_partition_list_t *list = list_of(p, RD_KAFKA_OFFSET_INVALID);
	rd_kafka_resp_err_t err = rd_kafka_committed(p->rk, list, TIMEOUT_MS);

	for (size_t i = 0; i < p->n; i++) {
		note_error(&p->at[i], err, list->elems[i].err);
		p->at[i].committed = list->elems[i].offset;
		take_metadata(&p->at[i], &list->elems[i]);
	}
	rd_kafka_topic_partition_list_destroy(list);
}

/* The two ends of the log, for all partitions in one round trip per leader. */
static void ask_end(struct positions *p, int64_t which)
{
	rd_kafka_topic_partition_list_t *list = list_of(p, which);
	rd_kafka_resp_err_t err = rd_kafka_offsets_for_times(p->rk, list, TIMEOUT_MS);

	for (size_t i = 0; i < p->n; i++) {
		note_error(&p->at[i], err, list->elems[i].err);
		*(which == RD_KAFKA_OFFSET_BEGINNING ? &p->at[i].low : &p->at[i].high) = list->elems[i].offset;
	}
	rd_kafka_topic_partition_list_destroy(list);
}

static bool any_good(const struct positions *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (!p->at[i].err)
			return true;
	return false;
}

static void positions_run(struct lane_job *job)
{
	struct positions *p = (struct positions *)job;

	if (p->committed_too)
		ask_committed(p);
	if (any_good(p))
		ask_end(p, RD_KAFKA_OFFSET_BEGINNING);
	if (any_good(p))
		ask_end(p, RD_KAFKA_OFFSET_END);
}

struct positions *positions_new(rd_kafka_t *rk, size_t n, void (*done)(struct lane_job *job), void *ctx)
{
	struct positions *p = xcalloc(1, sizeof *p);

	p->job = (struct lane_job){positions_run, done, NULL};
	p->rk = rk;
	p->ctx = ctx;
	p->at = xcalloc(n ? n : 1, sizeof *p->at);
	p->n = n;
	p->committed_too = true;
	return p;
}

void positions_free(struct positions *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->at[i].metadata);
	free(p->at);
	free(p);
}

int64_t position_start(const struct position *p, const char **why)
{
	*why = NULL;
	if (p->committed < 0)
		return p->low;
	if (p->committed < p->low) {
		*why = "retention has removed records before all of them were known to be done";
		return p->low;
	}
	if (p->committed > p->high) {
		*why = "the log ends before the committed offset: the topic was made anew, or a broker lost its end";
		return p->low;
	}
	return p->committed;
}
