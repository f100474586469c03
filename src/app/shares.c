/* shares.c: see shares.h. A machine's memory is no such limit: others live there too, and nobody has said that it is ours. */
#include "shares.h"

#include <string.h>

static bool has_processes(const struct pool_settings *p)
{
	return strcmp(p->adapter, "process") == 0;
}

/* Workers that may live at once: spare ones too, and one that replaces another. */
static uint64_t most(const struct pool_settings *p)
{
	return (uint64_t)(p->size + p->spare) + 1;
}

double shares_own(const struct pool_settings *p)
{
	int64_t one = p->resident_limit && (!p->memory || p->resident_limit < p->memory) ? p->resident_limit : p->memory;

	return has_processes(p) ? (double)one * (double)most(p) : 0;
}

bool shares_apply(const struct pool_settings *p)
{
	return has_processes(p) && !p->resident_limit && !p->memory;
}

struct shares shares_of(const struct settings *s, const struct machine_memory *m)
{
	double left = (double)m->bytes - (double)s->limits.memory - SHARE_DAEMON;
	struct shares out = {0};

	for (size_t i = 0; i < s->pools.n; i++) {
		const struct pool_settings *p = settings_pool(s, i);

		left -= shares_own(p);
		if (shares_apply(p))
			out.workers += most(p);
	}
	if (!m->group || out.workers == 0)
		return out;
	out.too_small = left < (double)SHARE_LEAST * (double)out.workers;
	if (!out.too_small) {
		out.limit = (uint64_t)(left / (double)out.workers);
		out.recycle = out.limit / 5 * 4;
	}
	return out;
}
