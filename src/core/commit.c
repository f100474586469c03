/* commit.c: see commit.h. */
#include "commit.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "mutant.h"
#include "state.h"

struct mark commit_mark(int64_t base, struct slice metadata)
{
	return (struct mark){base, metadata.len ? XXH3_64bits(metadata.data, metadata.len) : 0};
}

static bool committable(const struct partition *p)
{
	return p->dirty && !p->stale && (p->state == PARTITION_ACTIVE || p->state == PARTITION_CLOSING);
}

bool commit_pending(const struct engine *e)
{
	const struct partition *p;

	if (e->commit_in_flight != 0)
		return true;
	TAILQ_FOREACH (p, &e->partitions, all)
		if (committable(p))
			return true;
	return false;
}

void commit_soon(struct engine *e)
{
	if (e->finished_since_commit >= e->cfg.commit_every) {
		commit_now(e);
		return;
	}
	if (e->commit_timer.place == 0)
		timers_arm(&e->timers, &e->commit_timer, e->now + e->cfg.commit_interval_us);
}

static char *metadata_of(struct partition *p)
{
	struct offsetmap map;
	char text[OFFSETMAP_TEXT_MAX + 1] = "";

	if (!p->bare) {
		partition_map(p, &map);
		if (map.span > 0 || map.nsuspects > 0)
			offsetmap_encode(&map, text);
	}
	return xstrdup(text);
}

void commit_urgent(struct engine *e)
{
	e->commit_urgent = true;
	commit_now(e);
}

void commit_now(struct engine *e)
{
	struct commit_entry *entries;
	struct commit c = {0};
	struct partition *p;

	if (e->commit_in_flight != 0 || e->npartitions == 0)
		return;
	e->commit_urgent = false;
	entries = xcalloc(e->npartitions, sizeof(*entries));
	TAILQ_FOREACH (p, &e->partitions, all) {
		if (!committable(p))
			continue;
		entries[c.n] = (struct commit_entry){p->tp, MUTANT(1) ? p->window.next : p->window.base, metadata_of(p)};
		p->sent = commit_mark(p->window.base, slice_of(entries[c.n].metadata));
		p->sent_id = e->commit_id + 1;
		partition_sent(p, p->sent_id);
		p->metadata_bytes = (uint32_t)strlen(entries[c.n].metadata);
		p->dirty = false;
		c.n++;
	}
	if (c.n > 0) {
		c.id = e->commit_in_flight = ++e->commit_id;
		c.entries = entries;
		e->finished_since_commit = 0;
		timers_disarm(&e->timers, &e->commit_timer);
		e->port.commit(e->port.ctx, &c);
	}
	for (size_t i = 0; i < c.n; i++)
		free((void *)(uintptr_t)entries[i].metadata);
	free(entries);
}

void commit_timer_fired(struct engine *e, struct timer *t)
{
	(void)t;
	commit_now(e);
}

static void note_refused(struct engine *e, const struct tp_fault *f)
{
	struct note n = {.kind = NOTE_COMMIT_REFUSED, .tp = f->tp, .reason = slice_of(f->reason)};

	engine_note(e, &n);
}

static void refused(struct engine *e, uint64_t id, const struct tp_fault *f)
{
	struct partition *p = partition_alive(e, f->tp);

	if (p == NULL || p->sent_id != id) {
		e->counters.stale++;
		return;
	}
	p->sent_id = 0; /* the broker may have it or not */
	p->dirty = true;
	if (f->verdict == COMMIT_TOO_LARGE)
		p->bare = true;
	if (p->tp.epoch != f->tp.epoch || p->state == PARTITION_SUSPENDED) /* of what was given back nothing is told */
		return;
	if (f->verdict == COMMIT_STALE)
		p->stale = true; /* the group has moved on: it will tell us so */
	if (f->verdict != COMMIT_UNKNOWN)
		note_refused(e, f);
}

void commit_answered(struct engine *e, uint64_t id, const struct tp_fault *faults, size_t n)
{
	struct partition *p;

	if (id == 0 || (id != e->commit_in_flight && !MUTANT(37))) {
		e->counters.stale++;
		return;
	}
	e->commit_in_flight = 0;
	for (size_t i = 0; i < n; i++)
		refused(e, id, &faults[i]);
	TAILQ_FOREACH (p, &e->partitions, all)
		if (p->sent_id == id) {
			p->accepted = p->sent;
			partition_accepted(e, p, id);
			e->counters.committed_at = e->now;
			e->counters.commits++;
		}
	if (e->commit_urgent)
		commit_now(e);
	else if (commit_pending(e))
		timers_arm(&e->timers, &e->commit_timer, e->now + e->cfg.commit_interval_us);
}
