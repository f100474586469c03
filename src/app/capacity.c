/* capacity.c: may the workers together use more memory than there is? */
#include <inttypes.h>
#include <stdio.h>

#include "bridgepool/app/preflight.h"
#include "bridgepool/app/settings.h"
#include "shares.h"

/* In the largest unit that keeps a digit: "1.5 GiB". */
static const char *size_text(char out[32], double value)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;

	for (; value >= 1024 && unit < sizeof units / sizeof *units - 1; unit++)
		value /= 1024;
	snprintf(out, 32, "%.*f %s", unit && value < 10 ? 1 : 0, value, units[unit]);
	return out;
}

/* Where nobody has said how much a worker may hold. */
static void look_shares(const struct settings *s, const struct machine_memory *m, const struct preflight_report *r)
{
	char limit[32], recycle[32], there[32], own[32], what[400];
	struct shares shares = shares_of(s, m);

	size_text(there, (double)m->bytes);
	size_text(own, (double)s->limits.memory);
	if (shares.workers == 0)
		return;
	if (shares.too_small) {
		snprintf(what, sizeof what,
			"%s has %s: beside limits.memory of %s that is less than %s for each of %" PRIu64
			" workers, which have no limit now",
			m->who, there, own, size_text(limit, SHARE_LEAST), shares.workers);
		r->found(r->ctx, VERDICT_WARN, what,
			"raise the control group's limit, lower limits.memory or pools[].size, or set pools[].resident_limit");
		return;
	}
	if (shares.limit)
		snprintf(what, sizeof what,
			"a worker that holds more than %s is killed, above %s it is replaced: equal shares of %s that %s has, beside limits.memory of %s, "
			"for %" PRIu64 " workers, the spare ones and one that replaces another in each pool among them",
			size_text(limit, (double)shares.limit), size_text(recycle, (double)shares.recycle), there, m->who, own,
			shares.workers);
	else
		snprintf(what, sizeof what,
			"workers have no memory limit: neither pools[].resident_limit is set nor has a control group a limit; %s has %s",
			m->who, there);
	r->found(r->ctx, VERDICT_OK, what, NULL);
}

void preflight_memory(const struct settings *s, const struct machine_memory *m, const struct preflight_report *r)
{
	char most_text[32], there_text[32], own_text[32], what[256];
	double most = 0;

	for (size_t i = 0; i < s->pools.n; i++)
		most += shares_own(settings_pool(s, i));
	if (m->bytes == 0 || most + (double)s->limits.memory <= (double)m->bytes) {
		look_shares(s, m, r);
		return;
	}
	if (most == 0) {
		snprintf(what, sizeof what, "limits.memory of %s is more than %s has, which is %s",
			size_text(own_text, (double)s->limits.memory), m->who, size_text(there_text, (double)m->bytes));
		r->found(r->ctx, VERDICT_WARN, what, "lower limits.memory; workers need memory too");
		return;
	}
	snprintf(what, sizeof what,
		"all workers together may use %s ((pools[].size + spare + 1) x resident_limit, or memory), beside limits.memory of %s; %s has %s",
		size_text(most_text, most), size_text(own_text, (double)s->limits.memory), m->who,
		size_text(there_text, (double)m->bytes));
	r->found(r->ctx, VERDICT_WARN, what,
		"lower pools[].resident_limit, memory or size, or else the kernel may end workers where memory runs out");
}
