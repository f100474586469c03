/* resident.c: see resident.h. */
#include "resident.h"

#include <inttypes.h>
#include <stdio.h>

#include "mutant.h"
#include "replace.h"
#include "state.h"

/* A worker that goes above recycle_memory so soon after it might have been replaced for that needs so much: pauses grow. */
static const int64_t soon_us = 10 * SECOND_US, pause_first_us = 10 * SECOND_US, pause_most_us = 3600 * SECOND_US;

/* What it held when the limit sank below that it may hold, and an eighth more, until its sessions have had their time. */
static bool holds_too_much(struct engine *e, struct slot *w)
{
	const struct pool_config *cfg = &w->pool->cfg;

	if (cfg->resident_limit == 0 || w->resident <= cfg->resident_limit) {
		w->lent = 0;
		w->sunk = false;
		return false;
	}
	if (w->sunk) {
		w->lent = w->resident + w->resident / 8;
		w->sunk = false;
		replace_worn(w, WEAR_MEMORY);
	}
	return w->resident > w->lent || (w->role == ROLE_LEAVING && e->now > w->leave_until + cfg->session_hook_timeout_us);
}

static void tell_pause(struct engine *e, const struct slot *w)
{
	struct note n = {
		.kind = NOTE_WORKER_LARGE,
		.worker = w->ref,
		.has_pool = true,
		.count = w->pool->memory_pause_us / MS_US,
	};
	char reason[128];

	snprintf(reason, sizeof(reason),
		"it holds %" PRIu64 " MiB %" PRId64 " s after it was READY, and recycle_memory is %" PRIu64 " MiB",
		w->resident >> 20, (e->now - w->ready_at) / SECOND_US, w->pool->cfg.recycle_memory >> 20);
	n.reason = slice_of(reason);
	engine_note(e, &n);
}

/* Where a fresh worker soon holds as much again, replacing it is of no use. That is tried again after ever longer times, and told
 * once. */
static void worn_by_memory(struct engine *e, struct slot *w)
{
	struct pool *p = w->pool;
	int64_t age = e->now - w->ready_at, pause = p->memory_pause_us;

	if (w->wear == WEAR_MEMORY || w->role == ROLE_LEAVING || age < pause || MUTANT(71))
		return;
	replace_worn(w, WEAR_MEMORY);
	p->memory_pause_us = age >= pause + soon_us      ? 0
			     : pause == 0                ? pause_first_us
			     : pause < pause_most_us / 2 ? 2 * pause
							 : pause_most_us;
	if (pause == 0 && p->memory_pause_us > 0)
		tell_pause(e, w);
}

void resident_heard(struct engine *e, struct slot *w, uint64_t resident)
{
	const struct pool_config *cfg = &w->pool->cfg;
	char reason[128];

	w->resident = resident;
	if (holds_too_much(e, w) && !MUTANT(52)) {
		snprintf(reason, sizeof(reason), "it holds %" PRIu64 " MiB, and resident_limit is %" PRIu64 " MiB",
			resident >> 20, cfg->resident_limit >> 20);
		slot_stop(e, w, STOPPED_MEMORY, reason);
	} else if (cfg->recycle_memory > 0 && resident > cfg->recycle_memory && slot_able(w)) {
		worn_by_memory(e, w);
	}
}

static void limit_sank(struct pool *p)
{
	for (uint32_t i = 0; i < p->nslots; i++)
		p->slots[i].sunk = p->slots[i].state != HEALTH_TERMINATED;
}

void resident_retuned(struct pool *p, const struct pool_config *cfg)
{
	if (cfg->resident_limit > 0 && (p->cfg.resident_limit == 0 || cfg->resident_limit < p->cfg.resident_limit))
		limit_sank(p);
	if (cfg->recycle_memory != p->cfg.recycle_memory)
		p->memory_pause_us = 0;
}
