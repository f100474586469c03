/* echo.c: see echo.h. */
#include "echo.h"

enum { KEPT_MAX = 1024 }; /* bytes of one thing that is still told when there is too much of them together */

size_t echo_size(const struct request *r)
{
	const struct request_fields *f = &r->fields;

	return r->key.len + r->copied.len + f->attributes.len + f->request_id.len + f->session_id.len + f->command.len;
}

static struct slice unless_long(struct slice s)
{
	return s.len <= KEPT_MAX ? s : (struct slice){NULL, 0};
}

void echo_bound(struct request *r)
{
	if (echo_size(r) <= ECHO_MAX)
		return;
	r->key = unless_long(r->key);
	r->fields.request_id = unless_long(r->fields.request_id);
	r->fields.session_id = unless_long(r->fields.session_id);
	r->fields.command = unless_long(r->fields.command);
	r->fields.attributes = unless_long(r->fields.attributes);
	if (r->copied.len > KEPT_MAX)
		buf_reset(&r->copied);
}
