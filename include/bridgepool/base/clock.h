/* clock.h: the two clocks. Only app, kafka, worker, ops and cli read them; core is told the time. */
#ifndef BRIDGEPOOL_BASE_CLOCK_H
#define BRIDGEPOOL_BASE_CLOCK_H

#include <stdint.h>

int64_t clock_mono_us(void);                      /* microseconds, never goes back, no relation to the calendar */
int64_t clock_wall_ms(void);                      /* milliseconds since 1970-01-01T00:00:00Z */
int clock_left_ms(int64_t until_us, int most_ms); /* until clock_mono_us is there: 1 to most_ms, for what waits so long */

#define MS_US INT64_C(1000)
#define SECOND_US INT64_C(1000000)

/* Writes 2026-01-31T23:59:59.123Z into out (25 bytes with the NUL). */
void clock_format_ms(int64_t wall_ms, char out[25]);

#endif
