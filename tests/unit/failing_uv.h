/* failing_uv.h: calls of libuv that fail when a test wants it, as they do on a machine that has no more of something. The test's
 * program has these in place of the library's, to which they pass on. */
#ifndef FAILING_UV_H
#define FAILING_UV_H

#include <dlfcn.h>
#include <string.h>
#include <uv.h>

static int poll_fails; /* the poll, counted from here, that cannot be had; 0: all can */

static inline void *library_call(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

int uv_poll_init(uv_loop_t *loop, uv_poll_t *handle, int fd)
{
	int (*real)(uv_loop_t *, uv_poll_t *, int);
	void *found = library_call("uv_poll_init");

	memcpy(&real, &found, sizeof real);
	return poll_fails > 0 && --poll_fails == 0 ? UV_ENOMEM : real(loop, handle, fd);
}

#endif
