/* frame.h: frames on a worker's stdin and stdout: 4-byte big-endian length, then that many bytes (Erlang's {packet, 4}). */
#ifndef BRIDGEPOOL_WIRE_FRAME_H
#define BRIDGEPOOL_WIRE_FRAME_H

#include "bridgepool/base/buf.h"

enum { FRAME_HEAD = 4 };
enum frame_state { FRAME_READY, FRAME_MORE, FRAME_TOO_BIG /* final: the stream cannot be followed any more */ };

struct frame_reader {
	struct buf in;
	size_t consumed; /* of in, by frames already given out */
	size_t max_body;
	bool broken;
};

void frame_init(struct frame_reader *r, size_t max_body);                /* max_body in bytes, without the head */
bool frame_feed(struct frame_reader *r, const void *p, size_t n);        /* false: already broken */
enum frame_state frame_next(struct frame_reader *r, struct slice *body); /* READY: body borrows until the next feed */
struct slice frame_rest(const struct frame_reader *r);                   /* bytes not given out: shows what garbage began with */
void frame_free(struct frame_reader *r);
void frame_head(uint8_t out[FRAME_HEAD], size_t body_len); /* body_len <= UINT32_MAX */

#endif
