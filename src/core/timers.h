/* timers.h: a binary heap of timers that are embedded in what they belong to. */
#ifndef CORE_TIMERS_H
#define CORE_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine;

struct timer {
	int64_t at;
	size_t place; /* in the heap, from 1; 0: not armed */
	void (*fire)(struct engine *e, struct timer *t);
};

struct timers {
	struct timer **heap;
	size_t n, capacity;
};

static inline int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

#define TIMER_OWNER(timer, type, member) ((type *)(void *)((char *)(timer)-offsetof(type, member)))

void timers_free(struct timers *t);
void timers_arm(struct timers *t, struct timer *n, int64_t at);               /* also moves an armed one */
bool timers_wait(struct timers *t, struct timer *n, int64_t at, int64_t now); /* armed for `at`; false: it is past already */
void timers_disarm(struct timers *t, struct timer *n);                        /* harmless when not armed */
struct timer *timers_due(struct timers *t, int64_t now);                      /* disarmed and returned; NULL: none */
int64_t timers_next(const struct timers *t);                                  /* INT64_MAX: none */
void timers_check(const struct timers *t);

#endif
