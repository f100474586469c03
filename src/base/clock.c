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

int clock_left_ms(int64_t until_us, int most_ms)
{
	int64_t left = (until_us - clock_mono_us()) / MS_US;

	return left < 1 ? 1 : left > most_ms ? most_ms : (int)left;
}

/* Not snprintf(): each call to a worker carries one. Returns where the next goes: behind `after`. */
static char *put_digits(char *at, int value, int width, char after)
{
	for (int i = width - 1; i >= 0; i--, value /= 10)
		at[i] = (char)('0' + value % 10);
	at[width] = after;
	return at + width + 1;
}

void clock_format_ms(int64_t wall_ms, char out[25])
{
	int64_t second = wall_ms / 1000 - (wall_ms % 1000 < 0);
	time_t seconds = (time_t)second;
	struct tm t;

	if (gmtime_r(&seconds, &t) == NULL || t.tm_year + 1900 > 9999 || t.tm_year + 1900 < 0) {
		snprintf(out, 25, "0000-00-00T00:00:00.000Z");
		return;
	}
	out = put_digits(out, t.tm_year + 1900, 4, '-');
	out = put_digits(out, t.tm_mon + 1, 2, '-');
	out = put_digits(out, t.tm_mday, 2, 'T');
	out = put_digits(out, t.tm_hour, 2, ':');
	out = put_digits(out, t.tm_min, 2, ':');
	out = put_digits(out, t.tm_sec, 2, '.');
	out = put_digits(out, (int)(wall_ms - second * 1000), 3, 'Z');
	*out = '\0';
}
