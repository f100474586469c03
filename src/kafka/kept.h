/* kept.h: messages of a partition that were fetched before it was held: they wait here, in order, and come first when it is read
 * again. They are librdkafka's memory, of which queued.max.messages.kbytes bounds what may be there when a partition is held. */
#ifndef KAFKA_KEPT_H
#define KAFKA_KEPT_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <sys/queue.h>

struct kept {
	STAILQ_ENTRY(kept) line;
	size_t bytes;                      /* of key and value */
	rd_kafka_event_t *event;           /* owned */
	const rd_kafka_message_t *message; /* of that */
};

STAILQ_HEAD(kept_line, kept);

size_t kept_add(struct kept_line *line, rd_kafka_event_t *event,
	const rd_kafka_message_t *m);           /* takes the event; how many bytes that are */
struct kept *kept_take(struct kept_line *line); /* the first, or NULL; then kept_free */
void kept_free(struct kept *k);
size_t kept_drop(struct kept_line *line); /* all; how many there were */

#endif
