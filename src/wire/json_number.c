/* json_number.c: numbers of JSON as ours. Whole ones never go through a double. */
#include "bridgepool/wire/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A decimal number taken apart: mantissa * 10^scale. */
struct json_decimal {
	bool negative;
	uint64_t mantissa;
	int scale;
};

enum { DECIMAL_SCALE_MAX = 100000 };

static bool decimal_digit(struct json_decimal *d, char c)
{
	return c >= '0' && c <= '9' && !__builtin_mul_overflow(d->mantissa, 10U, &d->mantissa) &&
	       !__builtin_add_overflow(d->mantissa, (unsigned)(c - '0'), &d->mantissa);
}

static int decimal_exponent(const char *p, const char *end)
{
	bool negative = p < end && *p == '-';
	int v = 0;

	if (p < end && (*p == '-' || *p == '+'))
		p++;
	while (p < end && *p >= '0' && *p <= '9' && v < DECIMAL_SCALE_MAX)
		v = v * 10 + (*p++ - '0');
	return negative ? -v : v;
}

static bool decimal_read(struct slice number, struct json_decimal *d)
{
	const char *p = number.data, *end = p + number.len;
	const char *e = memchr(p, 'e', number.len), *stop, *dot;

	if (!e)
		e = memchr(p, 'E', number.len);
	stop = e ? e : end;
	dot = memchr(p, '.', (size_t)(stop - p));
	d->scale = e ? decimal_exponent(e + 1, end) : 0;
	while (dot && stop > dot + 1 && stop[-1] == '0')
		stop--;
	d->negative = *p == '-';
	for (p += d->negative; p < stop; p++) {
		if (p == dot)
			continue;
		if (!decimal_digit(d, *p))
			return false;
		d->scale -= dot && p > dot;
	}
	return true;
}

bool json_int(struct slice number, int64_t *out)
{
	struct json_decimal d = {0};

	if (!number.data || !number.len || !strchr("-0123456789", *(const char *)number.data) || number.len > DECIMAL_SCALE_MAX ||
		!decimal_read(number, &d))
		return false;
	for (; d.scale < 0 && d.mantissa; d.scale++) {
		if (d.mantissa % 10)
			return false;
		d.mantissa /= 10;
	}
	for (; d.scale > 0 && d.mantissa; d.scale--) {
		if (__builtin_mul_overflow(d.mantissa, 10U, &d.mantissa))
			return false;
	}
	if (d.mantissa > (uint64_t)INT64_MAX + d.negative)
		return false;
	*out = d.negative ? (int64_t)(0 - d.mantissa) : (int64_t)d.mantissa;
	return true;
}

bool json_double(struct slice number, double *out)
{
	char text[512];

	if (!number.data || !number.len || number.len >= sizeof(text) || !strchr("-0123456789", *(const char *)number.data))
		return false;
	memcpy(text, number.data, number.len);
	text[number.len] = '\0';
	*out = strtod(text, NULL);
	return isfinite(*out);
}
