/* aside.h: a call that blocks, made in a thread of its own while the loop goes on: whoever looks at the daemon gets an answer. */
#ifndef APP_ASIDE_H
#define APP_ASIDE_H

#include <stdbool.h>
#include <uv.h>

/* Returns when work(ctx) has; meanwhile the loop turns in the caller's thread. Not from inside the loop. False: there is no
 * thread to be had, and nothing was done. */
bool aside_run(uv_loop_t *loop, void (*work)(void *ctx), void *ctx);

#endif
