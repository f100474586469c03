/* cancel.h: the daemon's own command `cancel`: ends another request of the same key, wherever that is, and says where it was. It
 * waits in no line. */
#ifndef CORE_CANCEL_H
#define CORE_CANCEL_H

#include "request.h"

bool cancel_reads(const struct request *cancel, struct buf *id); /* the request_id that it names, from its args */
void cancel_serve(struct engine *e, struct partition *p, struct request *cancel);

#endif
