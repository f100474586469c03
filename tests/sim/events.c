/* events.c: see events.h. */
#include "events.h"

#include <stdlib.h>

#include "bridgepool/base/check.h"

static bool before(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

void events_add(struct events *q, struct event ev)
{
	size_t i = q->n++;

	if (q->n > q->capacity) {
		q->capacity = q->capacity ? q->capacity * 2 : 1024;
		q->heap = xrealloc(q->heap, q->capacity * sizeof(*q->heap));
	}
	ev.seq = ++q->last_seq;
	for (; i > 0 && before(&ev, &q->heap[(i - 1) / 2]); i = (i - 1) / 2)
		q->heap[i] = q->heap[(i - 1) / 2];
	q->heap[i] = ev;
}

bool events_first(const struct events *q, struct event *ev)
{
	if (q->n == 0)
		return false;
	*ev = q->heap[0];
	return true;
}

void events_drop_first(struct events *q)
{
	struct event last = q->heap[--q->n];
	size_t i = 0, child;

	for (; (child = 2 * i + 1) < q->n; i = child) {
		if (child + 1 < q->n && before(&q->heap[child + 1], &q->heap[child]))
			child++;
		if (!before(&q->heap[child], &last))
			break;
		q->heap[i] = q->heap[child];
	}
	if (q->n > 0)
		q->heap[i] = last;
}

void events_free(struct events *q)
{
	free(q->heap);
	*q = (struct events){0};
}
