/* oracle.c: what is looked at beside runs and records: notes, and the end. */
#include "oracle.h"

#include "group.h"

void oracle_note(struct world *w, struct instance *i, const struct note *n)
{
	TRACE(w, NOTE, i->index, n->kind, n->worker.generation ? n->worker.slot : -1, n->tp.epoch ? n->tp.partition : -1, n->count);
	w->notes++;
	if (n->kind >= NOTE_KINDS)
		breach(w, "22: note %d is in no table", n->kind);
	if (n->tp.epoch != 0 && group_owned(w, i, n->tp) == NULL)
		breach(w, "12: note %d of instance %d names epoch %u of partition %d, which is over", n->kind, i->index, n->tp.epoch, n->tp.partition);
}

void oracle_headers(struct world *w, const struct asked *r, struct slice headers)
{
	struct slice value;

	if (pairs_find(headers, "authorization", &value) || pairs_find(headers, "spring_json_header_types", &value))
		breach(w, "a header of record %u goes on that must not", r->index);
	if (r->headers.data != NULL && (!pairs_find(headers, "traceparent", &value) || !slice_is(value, "00-trace") ||
					       !pairs_find(headers, "X-Tenant", &value) || !slice_is(value, "one")))
		breach(w, "a header of record %u does not go on", r->index);
}

/* Without faults there is something to tell about the lives of workers, partitions and instances, and nothing per request. */
static void check_notes(struct world *w)
{
	uint64_t life = 4 * w->starts + w->lives * (20 + 3 * MAX_TPS) + 4 * w->group.generation * MAX_TPS;

	if (w->k.faultless && w->notes > life + w->k.requests / 100)
		breach(w, "22: %llu notes in a run without faults; %llu belong to workers, partitions and instances", (unsigned long long)w->notes,
			(unsigned long long)life);
}

void oracle_end(struct world *w)
{
	for (size_t k = 0; k < w->nasked; k++)
		if (!w->asked[k].claimed || w->asked[k].finals == 0)
			breach(w, "1: record %zu has %u finals and is %scommitted at the end", k, w->asked[k].finals, w->asked[k].claimed ? "" : "not ");
	for (size_t k = 0; w->k.faultless && k < w->nasked; k++)
		if (w->lives == w->k.engines && w->group.generation <= w->k.engines && w->k.engines == 1 && w->asked[k].finals != 1)
			breach(w, "record %zu has %u finals in a run without faults or rebalances", k, w->asked[k].finals);
	check_notes(w);
}
