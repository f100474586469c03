/* text.h: bytes of records as text for a terminal. */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include "bridgepool/base/buf.h"

/* A JSON string if the bytes are UTF-8, else {"base64": "..."}; null if absent. */
void text_bytes(struct slice bytes, struct buf *out);
/* JSON on one line, anything else as text_bytes has it. */
void text_value(struct slice value, struct buf *out);
/* A pairs.h list as a JSON object. */
void text_pairs(struct slice pairs, struct buf *out);
bool text_line(const struct buf *line); /* to stdout, with its end; false: nobody takes it */

#endif
