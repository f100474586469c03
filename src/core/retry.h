/* retry.h: what becomes of a request whose run failed. Pure: the table of README "What happens when". */
#ifndef CORE_RETRY_H
#define CORE_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "bridgepool/base/random.h"

enum { POISON_KILLS = 2 }; /* so many workers killed alone, and nobody runs it again */

enum failure {
	FAILURE_ERROR,       /* the program said no, for good */
	FAILURE_RETRIABLE,   /* the program said: try again */
	FAILURE_LOST_ALONE,  /* its worker died with nothing else in flight */
	FAILURE_LOST_SHARED, /* its worker died with several in flight: nobody is blamed */
	FAILURE_KILLED,      /* we ended its worker for another reason: no attempt used */
	/* its worker died while the pool's circuit was not closed: no attempt used, but others are tried before it */
	FAILURE_UNBLAMED
};

enum retry_verdict {
	RETRY_AGAIN, /* after `delay_us` */
	RETRY_FINAL, /* the result is its end */
	RETRY_DEAD   /* the result and a dead letter */
};

struct retry_case {
	enum failure failure;
	uint32_t attempts, max_attempts; /* attempts: runs so far, this one included */
	uint32_t kills;                  /* workers it killed alone, this one included */
	bool may_repeat;                 /* its session had no state there, or it is idempotent */
	int64_t backoff_us;
	int64_t retry_after_ms; /* what the worker said: any number; TIME_NONE, or a negative one: nothing */
};

enum retry_verdict retry_decide(const struct retry_case *c, struct random *random, int64_t *delay_us);
/* Doubling from `least` with each step (from 1), capped, jittered down to a half. */
int64_t retry_backoff(int64_t least, int64_t most, uint32_t step, struct random *random);

#endif
