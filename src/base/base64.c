/* base64.c: see base64.h. */
#include "bridgepool/base/base64.h"

#include <string.h>

static const char digits[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(const uint8_t *in, size_t n, char *out)
{
	char *to = out;

	for (size_t i = 0; i < n; i += 3) {
		size_t have = n - i < 3 ? n - i : 3;
		uint32_t bits = (uint32_t)in[i] << 16 | (have > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (have > 2 ? in[i + 2] : 0);

		*to++ = digits[bits >> 18];
		*to++ = digits[bits >> 12 & 63];
		*to++ = have > 1 ? digits[bits >> 6 & 63] : '=';
		*to++ = have > 2 ? digits[bits & 63] : '=';
	}
	*to = '\0';
	return (size_t)(to - out);
}

static int value_of(char c)
{
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

bool base64_decode(struct slice text, uint8_t *out, size_t *n)
{
	const char *in = text.data;

	*n = 0;
	if (text.len % 4)
		return false;
	for (size_t i = 0; i < text.len; i += 4) {
		bool last = i + 4 == text.len;
		unsigned pad = last && in[i + 3] == '=' ? 1 + (in[i + 2] == '=') : 0;
		uint32_t bits = 0;

		for (unsigned k = 0; k < 4; k++) {
			int v = k >= 4 - pad ? 0 : value_of(in[i + k]);

			if (v < 0)
				return false;
			bits = bits << 6 | (uint32_t)v;
		}
		if (bits & ((1U << (8 * pad)) - 1))
			return false;
		for (unsigned k = 0; k < 3 - pad; k++)
			out[(*n)++] = (uint8_t)(bits >> (16 - 8 * k));
	}
	return true;
}
