/* kept.c: see kept.h. */
#include "kept.h"

#include <stdlib.h>

#include "bridgepool/base/check.h"

size_t kept_add(struct kept_line *line, rd_kafka_event_t *event, const rd_kafka_message_t *m)
{
	struct kept *k = xcalloc(1, sizeof *k);

	k->event = event;
	k->message = m;
	k->bytes = m->len + m->key_len;
	STAILQ_INSERT_TAIL(line, k, line);
	return k->bytes;
}

struct kept *kept_take(struct kept_line *line)
{
	struct kept *k = STAILQ_FIRST(line);

	if (k)
		STAILQ_REMOVE_HEAD(line, line);
	return k;
}

void kept_free(struct kept *k)
{
	rd_kafka_event_destroy(k->event);
	free(k);
}

size_t kept_drop(struct kept_line *line)
{
	struct kept *k;
	size_t n = 0;

	for (; (k = kept_take(line)); n++)
		kept_free(k);
	return n;
}
