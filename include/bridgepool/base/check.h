/* check.h: assertions that stay on in release builds. For our own bugs only: a peer's or a user's mistake is an error value,
 * never a CHECK. */
#ifndef BRIDGEPOOL_BASE_CHECK_H
#define BRIDGEPOOL_BASE_CHECK_H

#include <stddef.h>

/* Prints file, line and expression on stderr, then aborts. */
_Noreturn void check_failed(const char *file, int line, const char *expression);

#define CHECK(expression) ((expression) ? (void)0 : check_failed(__FILE__, __LINE__, #expression))

/* Allocation that cannot be answered sensibly where it fails: aborts with a CHECK when memory is gone. Freed with free(). Of 0
 * bytes: not NULL. */
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *text);

#endif
