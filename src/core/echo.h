/* echo.h: what the records about a request repeat of it: its key, copied headers, ids and attributes. */
#ifndef CORE_ECHO_H
#define CORE_ECHO_H

#include "request.h"

enum { ECHO_MAX = 64 * 1024 }; /* bytes of it all: a result must always fit into its topic, with its error at least */

size_t echo_size(const struct request *r);
void echo_bound(struct request *r); /* if that is too much, leaves out whatever of it is long */

#endif
