/* buf.h: borrowed bytes (slice), and bytes that grow up to a limit given at birth (buf). */
#ifndef BRIDGEPOOL_BASE_BUF_H
#define BRIDGEPOOL_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes. data == NULL means absent (null); an empty value has a non-NULL data and len 0. */
struct slice {
	const void *data;
	size_t len;
};

struct slice slice_of(const char *text); /* NULL gives the absent slice */
#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
bool slice_equal(struct slice a, struct slice b); /* absent equals only absent */
bool slice_is(struct slice a, const char *text);
bool slice_is_utf8(struct slice s);     /* well-formed UTF-8: no surrogates, no overlong forms; NUL is allowed */
size_t slice_character(struct slice s); /* bytes of the UTF-8 character that it begins with; 0: it begins with none */
struct slice slice_cut(struct slice s, size_t most); /* its beginning: at most so many bytes, and no UTF-8 character in part */
/* A copy at *at, which is moved behind it, and one byte further: a copy of an empty value is not absent, and never lies at the
 * end of its memory. Of an absent one, the absent slice; *at stays. */
struct slice slice_copy(uint8_t **at, struct slice s);
/* The next line of rest, without its end; rest is what comes after. False: there is none. */
bool slice_line(struct slice *rest, struct slice *line);

struct buf {
	uint8_t *data;
	size_t len, capacity, limit;
	bool overflow; /* an append was refused; stays set until buf_reset */
};

void buf_init(struct buf *b, size_t limit);              /* limit in bytes; nothing is allocated yet */
bool buf_append(struct buf *b, const void *p, size_t n); /* false: over the limit, nothing was added */
bool buf_add(struct buf *b, struct slice s);
/* Slices of b stay where they are while at most n more bytes are added; false: over the limit, nothing was done. */
bool buf_room(struct buf *b, size_t n);
bool buf_text(struct buf *b, const char *text);
bool buf_utf8(struct buf *b, struct slice s); /* bytes that are not UTF-8 become U+FFFD */
bool buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_consume(struct buf *b, size_t n);   /* drops the first n bytes */
void buf_reset(struct buf *b);               /* empties, keeps the memory */
struct slice buf_slice(const struct buf *b); /* borrows until the next change */
void *buf_take(struct buf *b, size_t *n);    /* the caller frees with free(); b is empty afterwards; never NULL */
void buf_free(struct buf *b);

#endif
