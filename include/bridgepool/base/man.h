/* man.h: text for man(7). */
#ifndef BRIDGEPOOL_BASE_MAN_H
#define BRIDGEPOOL_BASE_MAN_H

#include "bridgepool/base/buf.h"

/* Lines, where backslashes, dashes and a leading dot would mean something else; begins at the beginning of one. */
void man_text(const char *text, struct buf *out);

#endif
