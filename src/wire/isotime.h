/* isotime.h: points in time as people write them: ISO 8601, with a zone. */
#ifndef BRIDGEPOOL_WIRE_ISOTIME_H
#define BRIDGEPOOL_WIRE_ISOTIME_H

#include "bridgepool/base/buf.h"

/* 2026-01-31T23:59:59Z, seconds and fraction optional, zone Z, +hh:mm, +hhmm or +hh. Out: milliseconds since 1970 UTC; finer
 * digits are cut off. False: not such a text, no zone, a date that does not exist, or before 1970. */
bool isotime_read(struct slice text, int64_t *ms);

#endif
