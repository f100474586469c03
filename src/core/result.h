/* result.h: ways to end a request. Each publishes its result, and its dead letter if it has one, unlinks the request and
 * frees it. A part of a result tells what a run has said so far, and ends nothing. */
#ifndef CORE_RESULT_H
#define CORE_RESULT_H

#include "request.h"
#include "tally.h"

struct slot;

/* How a request ends. */
struct outcome {
	enum status status;
	const char *code, *message;                    /* NULL code: no error */
	struct slice code_said, message_said, details; /* the worker's own words, instead of code and message */
	bool retriable;
	int64_t retry_after_ms;
	struct slice result, usage;
	bool dead;                 /* a dead letter too */
	const struct slot *worker; /* who ran it; NULL: nobody */
	enum encoding encoding;    /* of its request */
};

/* As most are: no dead letter, not retriable, nobody ran it, and nothing is said of when to send it again. code, message:
 * borrowed, NULL: no error. */
struct outcome outcome_of(enum encoding encoding, enum status status, const char *code, const char *message);

void result_count_dead(struct tally *t); /* its names: the codes of dead letters */

/* values: n of JSON, with commas between them; ahead: see outbox.h */
void result_part(struct engine *e, struct request *r, struct slice values, uint32_t n, bool ahead);
void result_publish(struct engine *e, struct request *r, const struct outcome *o);
void result_session_lost(struct engine *e, struct request *r, const char *message);
void result_dead_epoch(struct engine *e, struct request *r); /* it names a session state that lives no more */

#endif
