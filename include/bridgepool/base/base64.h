/* base64.h: bytes as text and back: RFC 4648, section 4, with padding. */
#ifndef BRIDGEPOOL_BASE_BASE64_H
#define BRIDGEPOOL_BASE_BASE64_H

#include "bridgepool/base/buf.h"

#define BASE64_LEN(n) (((n) + 2) / 3 * 4) /* of the text of so many bytes, without the 0 at its end */

/* out has room for BASE64_LEN(n) + 1. Returns how long the text is. */
size_t base64_encode(const uint8_t *in, size_t n, char *out);
/* Strict: whole groups, padding only at the end, no bits left over. out has room for text.len / 4 * 3. */
bool base64_decode(struct slice text, uint8_t *out, size_t *n);

#endif
