/* wire_check.h: what the tests of the wire room share. */
#ifndef WIRE_CHECK_H
#define WIRE_CHECK_H

#include "bridgepool/base/buf.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define ck_slice_is(s, text) wire_slice_is(s, text, __FILE__, __LINE__)
#define ck_absent(s) ck_assert_ptr_null((s).data)

static inline void wire_slice_is(struct slice s, const char *text, const char *file, int line)
{
	ck_assert_msg(slice_is(s, text), "%s:%d: found '%.*s', expected '%s'", file, line, (int)s.len,
		s.data ? (const char *)s.data : "(absent)", text);
}

static inline int wire_run(const char *name, TCase *cases)
{
	Suite *suite = suite_create(name);
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* A copy on the heap of exactly these bytes, so that a sanitizer sees one byte too far. The caller frees. */
static inline struct slice wire_exact(const void *p, size_t n)
{
	char *copy = malloc(n ? n : 1);

	if (n)
		memcpy(copy, p, n);
	return (struct slice){copy, n};
}

#endif
