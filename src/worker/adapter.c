/* adapter.c: the door of the room: finds the kind, and keeps orders from an adapter that is being closed. */
#include "bridgepool/worker/adapter.h"

#include <stdio.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "kind.h"

static const struct adapter_kind *const kinds[] = {&kind_process, &kind_mock};

static const struct adapter_kind *find_kind(const char *name, char *errstr, size_t size)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (!strcmp(kinds[i]->name, name))
			return kinds[i];
	}
	snprintf(errstr, size, "there is no adapter \"%s\": it is \"process\" or \"mock\"", name);
	return NULL;
}

struct adapter *adapter_new(struct uv_loop_s *loop, const struct adapter_config *c, const struct worker_events *ev, char *errstr,
	size_t size)
{
	const struct adapter_kind *kind = find_kind(c->kind, errstr, size);
	struct adapter *a = kind ? kind->open(loop, c, ev, errstr, size) : NULL;

	if (a)
		a->kind = kind;
	return a;
}

bool adapter_fits(const struct adapter_config *c, char *errstr, size_t size)
{
	const struct adapter_kind *kind = find_kind(c->kind, errstr, size);

	return kind && kind->fits(c, errstr, size);
}

bool adapter_reconfigure(struct adapter *a, const struct adapter_config *c, char *errstr, size_t size)
{
	CHECK(!strcmp(a->kind->name, c->kind));
	return a->closing || a->kind->reconfigure(a, c, errstr, size);
}

void adapter_start(struct adapter *a, struct slot_ref w)
{
	if (!a->closing)
		a->kind->start(a, w);
}

void adapter_call(struct adapter *a, struct slot_ref w, const struct call *c)
{
	if (!a->closing)
		a->kind->call(a, w, c);
}

void adapter_stop(struct adapter *a, struct slot_ref w, enum stop_step s)
{
	if (!a->closing)
		a->kind->stop(a, w, s);
}

void adapter_flush(struct adapter *a)
{
	if (!a->closing)
		a->kind->flush(a);
}

size_t adapter_live(const struct adapter *a)
{
	return a->kind->live(a);
}

void adapter_close(struct adapter *a)
{
	CHECK(!a->closing);
	a->closing = true;
	a->kind->close(a);
}
