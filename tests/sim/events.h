/* events.h: what will happen and when: a binary heap. Equal times fire in the order of planning. */
#ifndef SIM_EVENTS_H
#define SIM_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bridgepool/core/message.h"

enum event_kind {
	EV_ASK,   /* a client produces the next record */
	EV_QUIET, /* faults off */
	EV_CHAOS,
	EV_RESTART, /* the instance comes back */
	EV_THAW,
	EV_CLOCK,  /* the wall clock jumps */
	EV_ACCEPT, /* the output topics are well again */
	EV_MEMBER_TIMEOUT,
	EV_ASSIGN, /* from here on: to a living instance; frozen ones get them when they thaw */
	EV_REVOKE,
	EV_RELEASE_CHECK,
	EV_DRAIN_CHECK,
	EV_PROMPT_CHECK,
	EV_WEAR_CHECK,
	EV_OFFSETS,
	EV_LATE, /* what was under way for a former assignment arrives */
	EV_POLL,
	EV_LAND,
	EV_REPORT,
	EV_COMMIT_APPLY,
	EV_COMMIT_ANSWER,
	EV_COMMIT_LATE, /* the answer to a commit comes once more */
	EV_STARTED,
	EV_ANSWER,
	EV_FAULT,
	EV_CRASH,
	EV_GONE,
	EVENT_KINDS
};

struct event {
	int64_t at;
	uint64_t seq;
	enum event_kind kind;
	int instance;  /* -1: the world's */
	uint32_t life; /* of the instance: what was meant for a dead process is forgotten */
	struct slot_ref worker;
	uint64_t id;
	int64_t a, b;
};

struct events {
	struct event *heap;
	size_t n, capacity;
	uint64_t last_seq;
};

void events_add(struct events *q, struct event ev);
bool events_first(const struct events *q, struct event *ev);
void events_drop_first(struct events *q);
void events_free(struct events *q);

#endif
