/* reload_word.h: how `bridgepool reload` hears what came of its signal: over a socket in the abstract namespace that is named
 * after the daemon's process. The daemon speaks only to a listener of its own user or of root. */
#ifndef BRIDGEPOOL_APP_RELOAD_WORD_H
#define BRIDGEPOOL_APP_RELOAD_WORD_H

#include <sys/types.h>

#include "bridgepool/base/buf.h"

enum { RELOAD_WORD_MAX = 64 * 1024 };

/* Before the signal is sent. A descriptor, to be closed; -1: errstr says why. */
int reload_word_listen(pid_t daemon, char *errstr, size_t size);
/* Appends the whole word to out. False: none came in time. */
bool reload_word_hear(int listener, int timeout_ms, struct buf *out);

/* The daemon's side: to whoever listens for us now; does not wait. False: nobody. */
bool reload_word_tell(struct slice word);

#endif
