/* bare.h: the engine alone, as fast as it goes: no oracle, no trace, no virtual time. */
#ifndef SIM_BARE_H
#define SIM_BARE_H

#include <stdint.h>

/* Both print what they measured. */
int bare_rate(uint64_t requests);    /* requests per second through one engine; 0 */
int bare_sessions(uint64_t sessions); /* memory of so many live ones, the longest stall, and what a request costs among them; 1: too much memory */

#endif
