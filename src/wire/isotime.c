/* isotime.c: reads ISO 8601. */
#include "isotime.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

enum { ISOTIME_MAX = 64 };

/* Exactly n digits at *p, at most max. */
static bool digits(const char **p, int n, int max, int *out)
{
	*out = 0;
	for (int i = 0; i < n; i++, (*p)++) {
		if (!isdigit((unsigned char)**p))
			return false;
		*out = *out * 10 + (**p - '0');
	}
	return *out <= max;
}

static bool literal(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

/* .123456: cut to milliseconds. */
static bool fraction(const char **p, int *ms)
{
	int weight = 100;

	*ms = 0;
	if (!literal(p, '.') && !literal(p, ','))
		return true;
	if (!isdigit((unsigned char)**p))
		return false;
	for (; isdigit((unsigned char)**p); (*p)++, weight /= 10)
		*ms += (**p - '0') * weight;
	return true;
}

static bool zone(const char **p, int *minutes)
{
	bool west = **p == '-';
	int h, m = 0;

	*minutes = 0;
	if (literal(p, 'Z') || literal(p, 'z'))
		return true;
	if ((!literal(p, '+') && !literal(p, '-')) || !digits(p, 2, 23, &h))
		return false;
	if (**p && (literal(p, ':'), !digits(p, 2, 59, &m)))
		return false;
	*minutes = (west ? -1 : 1) * (h * 60 + m);
	return true;
}

static bool date(const char **p, struct tm *t)
{
	return digits(p, 4, 9999, &t->tm_year) && literal(p, '-') && digits(p, 2, 12, &t->tm_mon) && literal(p, '-') &&
	       digits(p, 2, 31, &t->tm_mday) && t->tm_mon > 0 && t->tm_mday > 0;
}

static bool clock_time(const char **p, struct tm *t, int *ms)
{
	*ms = 0;
	if (!digits(p, 2, 23, &t->tm_hour) || !literal(p, ':') || !digits(p, 2, 59, &t->tm_min))
		return false;
	return !literal(p, ':') || (digits(p, 2, 60, &t->tm_sec) && fraction(p, ms));
}

bool isotime_read(struct slice text, int64_t *out)
{
	char copy[ISOTIME_MAX];
	const char *p = copy;
	struct tm t = {0};
	int ms, minutes, day, second;

	if (!text.data || text.len >= sizeof(copy))
		return false;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	if (!date(&p, &t) || (!literal(&p, 'T') && !literal(&p, 't') && !literal(&p, ' ')) || !clock_time(&p, &t, &ms) ||
		!zone(&p, &minutes))
		return false;
	if (p != copy + text.len)
		return false;
	t.tm_year -= 1900;
	t.tm_mon -= 1;
	day = t.tm_mday;
	second = t.tm_sec; /* added afterwards: a leap second may move the day */
	t.tm_sec = 0;
	*out = ((int64_t)timegm(&t) + second - minutes * 60) * 1000 + ms;
	return t.tm_mday == day && *out >= 0; /* timegm turns 31 February into 3 March */
}
