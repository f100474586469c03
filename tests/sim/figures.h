/* figures.h: what is measured on the engine alone. Each prints lines of name=value, for tests/bench/run as for people. Times are
 * processor time of the one thread. */
#ifndef SIM_FIGURES_H
#define SIM_FIGURES_H

#include <stdint.h>

int figures_rate(uint64_t requests); /* what a request costs; 0 */
/* bytes of so many live sessions, cost of a request among them, longest steps; 1: too many bytes */
int figures_sessions(uint64_t sessions);

#endif
