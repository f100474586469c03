/* environment.h: what of the daemon's environment a worker gets to see. */
#ifndef WORKER_ENVIRONMENT_H
#define WORKER_ENVIRONMENT_H

#include "bridgepool/core/message.h"

/* The part that all workers of an adapter share. */
struct environment {
	char **items; /* "NAME=value", items[n] == NULL; owned */
	size_t n;
};

/* Of `from` what the built-in patterns and `pass` allow, then `set`, which wins, then what the daemon itself says of the pool:
 * BRIDGEPOOL_POOL, BRIDGEPOOL_MAX_FRAME_BYTES and, in seconds, BRIDGEPOOL_STOP_GRACE. Lists end with NULL; pass and set may be
 * NULL. */
void environment_init(struct environment *e, char *const *from, const char *const *pass, const char *const *set,
	const char *pool_name, size_t max_frame_bytes, int64_t stop_grace_us);
void environment_free(struct environment *e);
const char *environment_get(const struct environment *e, const char *name); /* borrows; NULL: not set */
/* A new list: all of e, BRIDGEPOOL_WORKER_ID and BRIDGEPOOL_GENERATION. Free with environment_list_free; it borrows e. */
char **environment_list(const struct environment *e, const char *worker_id, uint32_t generation);
void environment_list_free(char **list);

#endif
