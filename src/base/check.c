/* check.c: see check.h. */
#include "bridgepool/base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unblocked.h"

_Noreturn void check_failed(const char *file, int line, const char *expression)
{
	char text[1024];

	snprintf(text, sizeof text, "bridgepool: %s:%d: CHECK(%s) failed: this is a bug in bridgepool\n", file, line, expression);
	unblocked_write(STDERR_FILENO, text, strlen(text)); /* nobody who reads it is waited for: we end now */
	abort();
}

void *xmalloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	CHECK(p != NULL);
	return p;
}

void *xcalloc(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	CHECK(p != NULL);
	return p;
}

void *xrealloc(void *old, size_t size)
{
	void *p = realloc(old, size ? size : 1);

	CHECK(p != NULL);
	return p;
}

char *xstrdup(const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(xmalloc(size), text, size);
}
