/* view.h: how one request is shown to people: where it is, what it waits for, and where its time has gone. */
#ifndef CORE_VIEW_H
#define CORE_VIEW_H

#include "bridgepool/core/view.h"
#include "request.h"

void view_request(const struct engine *e, const struct request *r, int64_t now, struct request_view *out);

#endif
