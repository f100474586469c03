/* bare.h: the engine alone, as fast as it goes: no oracle, no trace. The clock is the real one; the broker and four workers
 * answer at once whatever they are asked. One pool, one topic of four partitions. */
#ifndef SIM_BARE_H
#define SIM_BARE_H

#include <stdbool.h>
#include <stdint.h>

#include "bridgepool/wire/codec.h"

enum { BARE_PARTITIONS = 4, BARE_TURN = 64 };
#define BARE_TTL_US (3600 * SECOND_US) /* after which an idle session ends */

struct bare;

struct bare *bare_new(bool hooks); /* hooks: workers are asked to open and to clean up each session */
void bare_free(struct bare *b);
/* Up to BARE_TURN requests, fewer if the engine takes no more: the first is number `first`; numbers meet all sessions in turn, in
 * an order that memory does not have. What the engine orders is answered. Returns how many. */
uint64_t bare_turn(struct bare *b, uint64_t first, uint64_t sessions, int encoding);
void bare_idle_turn(struct bare *b); /* no request; answers and time only */
void bare_settle(struct bare *b);    /* until all requests have their results */

void bare_pass_time(struct bare *b, int64_t us);
void bare_revoke(struct bare *b, int32_t partition); /* until it is released */
void bare_assign(struct bare *b, int32_t partition); /* that was revoked; as it was committed */
void bare_assign_nothing(struct bare *b);            /* what was revoked went to others */
void bare_kill(struct bare *b, uint16_t slot);
void bare_roll(struct bare *b);                           /* every worker is to be replaced */
void bare_drain(struct bare *b);                          /* to its end */
void bare_snapshot(struct bare *b, struct snapshot *out); /* snapshot_free */

uint64_t bare_live(const struct bare *b);     /* sessions */
uint64_t bare_finished(const struct bare *b); /* requests that have their result */
/* processor time of the longest step since this was asked last: 64 requests, their answers, their deliveries, or one event */
double bare_longest_ms(struct bare *b);
int64_t bare_cpu_ns(void); /* processor time of this thread */
struct codec *bare_codec(const struct bare *b);
struct slice bare_value(const struct bare *b, int encoding); /* of a request */

#endif
