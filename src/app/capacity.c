/* capacity.c: may the workers together use more memory than there is? */
#include <inttypes.h>
#include <stdio.h>

#include "bridgepool/app/preflight.h"
#include "bridgepool/worker/machine.h"
#include "wiring.h"

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

/* What the pool's workers may use together; 0: nothing bounds them. As a double: 1000 workers of any size fit. */
static double most_of(const struct pool_settings *p)
{
	int64_t one = p->resident_limit && (!p->memory || p->resident_limit < p->memory) ? p->resident_limit : p->memory;

	return (double)one * (double)(p->size + p->spare);
}

void preflight_memory(const struct settings *s, const struct preflight_report *r)
{
	const struct machine_memory m = machine_memory("");
	char most_text[32], there_text[32], own_text[32], what[256];
	double most = 0;

	for (size_t i = 0; i < s->pools.n; i++)
		most += most_of(wiring_pool(s, i));
	if (m.bytes == 0 || most + (double)s->limits.memory <= (double)m.bytes)
		return;
	if (most == 0) {
		snprintf(what, sizeof what, "limits.memory of %s is more than %s has, which is %s", size_text(own_text, (double)s->limits.memory), m.who,
			size_text(there_text, (double)m.bytes));
		r->found(r->ctx, VERDICT_WARN, what, "lower limits.memory; workers need memory too");
		return;
	}
	snprintf(what, sizeof what, "all workers together may use %s ((pools[].size + spare) x resident_limit, or memory), beside limits.memory of %s; %s has %s",
		size_text(most_text, most), size_text(own_text, (double)s->limits.memory), m.who,
		size_text(there_text, (double)m.bytes));
	r->found(r->ctx, VERDICT_WARN, what, "lower pools[].resident_limit, memory or size, or else the kernel may end workers where memory runs out");
}
