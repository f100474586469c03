/* dev_sources.h: tells when a file of an application was saved. */
#ifndef CLI_DEV_SOURCES_H
#define CLI_DEV_SOURCES_H

#include <stdbool.h>
#include <uv.h>

struct dev_sources;

/* Looks at dir and all below it, but for what is hidden, __pycache__, node_modules and virtual environments. patterns: of file
 * names (fnmatch), NULL-terminated, borrowed. saved is called once for a burst of changes, with the name of one of the files,
 * or of a new directory with such files. NULL: errstr says why. */
struct dev_sources *dev_sources_watch(uv_loop_t *loop, const char *dir, const char *const *patterns,
	void (*saved)(void *ctx, const char *name), void *ctx, char *errstr, size_t size);
bool dev_sources_full(const struct dev_sources *s); /* there were more directories than it looks at */
void dev_sources_close(struct dev_sources *s);      /* frees itself when the loop has closed its handles */

#endif
