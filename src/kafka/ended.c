/* ended.c: the queues of partitions that are not ours any more.
 *
 * Each entry of a partition's queue, also one that says where a stop was, keeps its partition, and a partition its broker's
 * thread. One that goes while its topic is gone from the broker is forgotten by librdkafka before 2.6 with what stands in its
 * queue, and then rd_kafka_destroy() waits for that thread for ever. So what comes late is taken out, when the stop is over. */
#include <stdlib.h>

#include "bridgepool/base/check.h"
#include "inside.h"

void ended_add(struct consumer *c, struct part *part)
{
	c->nkept -= kept_drop(&part->kept);
	part->kept_bytes = 0;
	if (!part->queue)
		return;
	c->ended = xrealloc(c->ended, (c->nended + 1) * sizeof *c->ended);
	c->ended[c->nended++] = part->queue;
	part->queue = NULL;
}

static void give_back(rd_kafka_queue_t *queue)
{
	rd_kafka_event_t *event;

	rd_kafka_queue_forward(queue, NULL);
	for (size_t n = rd_kafka_queue_length(queue); n > 0; n--)
		if ((event = rd_kafka_queue_poll(queue, 0)))
			rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
}

void ended_drain(struct consumer *c)
{
	for (size_t i = 0; i < c->nended; i++)
		give_back(c->ended[i]);
	free(c->ended);
	c->ended = NULL;
	c->nended = 0;
}
