/* starts.c: watches the first starts of each pool: can its workers start at all? */
#include "starts.h"

#include <stdio.h>
#include <stdlib.h>

#include "bridgepool/base/check.h"

enum { STARTS_MAX = 3 }; /* starts that may fail before the first that works */

struct starts_pool {
	bool ready; /* one start has worked: whatever comes later is the engine's to judge */
	bool exec_failed;
	unsigned failed;
	char why[512];
};

struct starts {
	size_t n;
	struct starts_pool pools[];
};

struct starts *starts_new(size_t npools)
{
	struct starts *s = xcalloc(1, sizeof *s + npools * sizeof s->pools[0]);

	s->n = npools;
	return s;
}

void starts_free(struct starts *s)
{
	free(s);
}

void starts_note(struct starts *s, const struct note *n)
{
	struct starts_pool *p = &s->pools[n->worker.pool];

	CHECK(n->worker.pool < s->n);
	if (n->kind == NOTE_WORKER_STATE && n->to == HEALTH_READY)
		p->ready = true;
	if (n->kind != NOTE_WORKER_EXIT || n->ordered)
		return;
	p->failed++;
	if (!p->exec_failed)
		snprintf(p->why, sizeof p->why, "%.*s", (int)n->reason.len, n->reason.len ? (const char *)n->reason.data : "");
}

void starts_exec_failed(struct starts *s, uint16_t pool, struct slice why)
{
	struct starts_pool *p = &s->pools[pool];

	CHECK(pool < s->n);
	p->exec_failed = true;
	snprintf(p->why, sizeof p->why, "%.*s", (int)why.len, why.len ? (const char *)why.data : "");
}

bool starts_hopeless(const struct starts *s, uint16_t *pool, const char **why)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct starts_pool *p = &s->pools[i];
		if (p->ready || (!p->exec_failed && p->failed < STARTS_MAX))
			continue;
		*pool = (uint16_t)i;
		*why = p->why;
		return true;
	}
	return false;
}
