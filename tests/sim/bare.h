/* bare.h: the engine alone, as fast as it goes: no oracle, no trace, no virtual time. */
#ifndef SIM_BARE_H
#define SIM_BARE_H

#include <stdint.h>

/* Both print what they measured; 0, or 1 when a limit below is missed. */
int bare_rate(uint64_t requests);    /* requests per second through one engine */
int bare_sessions(uint64_t sessions); /* memory of so many live ones, the longest stall, and what a request costs among them */

#endif
