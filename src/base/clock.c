/* clock.c: see clock.h. */
#include "bridgepool/base/clock.h"

#include <stdio.h>
#include <time.h>

int64_t clock_mono_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * SECOND_US + t.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void clock_format_ms(int64_t wall_ms, char out[25])
{
	int64_t second = wall_ms / 1000 - (wall_ms % 1000 < 0);
	time_t seconds = (time_t)second;
	char text[64];
	struct tm t;

	if (gmtime_r(&seconds, &t) == NULL || t.tm_year + 1900 > 9999 || t.tm_year + 1900 < 0) {
		snprintf(out, 25, "0000-00-00T00:00:00.000Z");
		return;
	}
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
		t.tm_min, t.tm_sec, (int)(wall_ms - second * 1000));
	snprintf(out, 25, "%.24s", text);
}
