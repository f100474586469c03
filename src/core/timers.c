/* timers.c: see timers.h. Ties fire in the heap's order, which depends on nothing but the calls made. */
#include "timers.h"

#include <stdlib.h>

#include "bridgepool/base/check.h"

void timers_free(struct timers *t)
{
	free(t->heap);
	*t = (struct timers){0};
}

static void put(struct timers *t, size_t place, struct timer *n)
{
	t->heap[place - 1] = n;
	n->place = place;
}

static void sift_up(struct timers *t, struct timer *n, size_t place)
{
	for (; place > 1 && t->heap[place / 2 - 1]->at > n->at; place /= 2)
		put(t, place, t->heap[place / 2 - 1]);
	put(t, place, n);
}

static void sift_down(struct timers *t, struct timer *n, size_t place)
{
	size_t child;

	for (; (child = place * 2) <= t->n; place = child) {
		if (child < t->n && t->heap[child]->at < t->heap[child - 1]->at)
			child++;
		if (t->heap[child - 1]->at >= n->at)
			break;
		put(t, place, t->heap[child - 1]);
	}
	put(t, place, n);
}

void timers_arm(struct timers *t, struct timer *n, int64_t at)
{
	CHECK(n->fire != NULL);
	timers_disarm(t, n);
	n->at = at;
	if (t->n == t->capacity) {
		t->capacity = t->capacity ? t->capacity * 2 : 64;
		t->heap = xrealloc(t->heap, t->capacity * sizeof(*t->heap));
	}
	t->n++;
	sift_up(t, n, t->n);
}

bool timers_wait(struct timers *t, struct timer *n, int64_t at, int64_t now)
{
	if (now >= at)
		return false;
	timers_arm(t, n, at);
	return true;
}

void timers_disarm(struct timers *t, struct timer *n)
{
	size_t place = n->place;
	struct timer *last;

	if (place == 0)
		return;
	n->place = 0;
	last = t->heap[--t->n];
	if (last == n)
		return;
	if (place > 1 && t->heap[place / 2 - 1]->at > last->at)
		sift_up(t, last, place);
	else
		sift_down(t, last, place);
}

struct timer *timers_due(struct timers *t, int64_t now)
{
	struct timer *n;

	if (t->n == 0 || t->heap[0]->at > now)
		return NULL;
	n = t->heap[0];
	timers_disarm(t, n);
	return n;
}

int64_t timers_next(const struct timers *t)
{
	return t->n ? t->heap[0]->at : INT64_MAX;
}

void timers_check(const struct timers *t)
{
	for (size_t i = 1; i <= t->n; i++) {
		CHECK(t->heap[i - 1]->place == i);
		CHECK(i == 1 || t->heap[i / 2 - 1]->at <= t->heap[i - 1]->at);
	}
}
