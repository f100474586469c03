/* offsetmap.h: which offsets above the committed base are done, and which requests killed a worker: commit metadata, format 1.
 *
 * Text: base64 (RFC 4648, with padding) of
 *   u8  tag = 1
 *   u8  flags = 0            (a reader refuses flags it does not know)
 *   u16 span, big-endian     offsets base .. base+span-1 are described; at most 24000
 *   bitset, (span+7)/8 bytes bit i (least significant first) set: offset base+i is done. Bit 0 is never set when span > 0
 *   u8  suspects, at most 16
 *   per suspect: u16 offset-base big-endian, u8 kills (1..255)
 *   u32 XXH32, big-endian, over base (8 bytes, big-endian) and all bytes above, seed 0
 * The checksum covers the base, so that a map is never read beside a base it was not made for. At most 3072 bytes, 4096 in
 * base64. */
#ifndef BRIDGEPOOL_WIRE_OFFSETMAP_H
#define BRIDGEPOOL_WIRE_OFFSETMAP_H

#include "bridgepool/base/buf.h"

enum { OFFSETMAP_SPAN_MAX = 24000, OFFSETMAP_SUSPECTS = 16, OFFSETMAP_TEXT_MAX = 4096 };

struct suspect {
	uint16_t delta; /* offset - base */
	uint8_t kills;
};

struct offsetmap {
	int64_t base;
	uint32_t span;
	uint8_t bits[(OFFSETMAP_SPAN_MAX + 7) / 8];
	unsigned nsuspects;
	struct suspect suspects[OFFSETMAP_SUSPECTS];
};

static inline bool offsetmap_bit(const struct offsetmap *m, uint32_t i)
{
	return i < m->span && (m->bits[i / 8] >> (i % 8) & 1);
}

size_t offsetmap_encode(const struct offsetmap *m, char out[OFFSETMAP_TEXT_MAX + 1]); /* NUL-terminated; returns the length */
/* False: the text is no map of this base; m is empty at base: start there. Absent or empty text is an empty map and true. */
bool offsetmap_decode(struct slice text, int64_t base, struct offsetmap *m);

#endif
