/* retry.c: see retry.h. */
#include "retry.h"

#include "bridgepool/base/clock.h"
#include "mutant.h"

static const int64_t backoff_most_us = 30 * SECOND_US;
static const int64_t retry_after_most_ms = 24 * 3600 * 1000; /* what waits holds up its session, and in the end its partition */

int64_t retry_backoff(int64_t least, int64_t most, uint32_t step, struct random *random)
{
	int64_t wait = least;

	for (uint32_t i = 1; i < step && wait < most; i++)
		wait *= 2;
	if (wait > most)
		wait = most;
	return wait - (int64_t)random_below(random, (uint64_t)wait / 2 + 1);
}

static bool forbidden(const struct retry_case *c)
{
	return c->failure >= FAILURE_LOST_ALONE && !c->may_repeat && !MUTANT(9);
}

/* How long the worker asked to wait. */
static int64_t named_us(const struct retry_case *c)
{
	return (c->retry_after_ms < retry_after_most_ms ? c->retry_after_ms : retry_after_most_ms) * MS_US;
}

enum retry_verdict retry_decide(const struct retry_case *c, struct random *random, int64_t *delay_us)
{
	*delay_us = 0;
	if (c->failure == FAILURE_ERROR)
		return RETRY_FINAL;
	if (c->failure == FAILURE_LOST_ALONE && c->kills >= POISON_KILLS)
		return RETRY_DEAD;
	if (forbidden(c))
		return RETRY_FINAL;
	if (c->failure == FAILURE_KILLED || c->failure == FAILURE_UNBLAMED)
		return RETRY_AGAIN;
	if (c->attempts >= c->max_attempts && !MUTANT(15))
		return RETRY_DEAD;
	*delay_us = retry_backoff(c->backoff_us, backoff_most_us, c->attempts, random);
	if (c->failure == FAILURE_RETRIABLE && named_us(c) > *delay_us && !MUTANT(39))
		*delay_us = named_us(c);
	return RETRY_AGAIN;
}
