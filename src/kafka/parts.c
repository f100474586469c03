/* parts.c: the partitions that we were given, with the epoch of each assignment. */
#include "parts.h"

#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"

struct topic {
	char *name;
	struct part **parts; /* by partition; NULL: never seen. Each stays where it is for good */
	int32_t n;
};

struct parts {
	struct topic *topics;
	size_t ntopics;
	uint32_t epoch; /* the last one given */
};

static const bool legal[PART_STATES][PART_STATES] = {
	[PART_NONE] = {[PART_WAITING] = true},
	[PART_WAITING] = {[PART_LIVE] = true, [PART_CLOSING] = true},
	[PART_LIVE] = {[PART_CLOSING] = true, [PART_DOUBTED] = true},
	[PART_DOUBTED] = {[PART_LIVE] = true, [PART_CLOSING] = true},
	[PART_CLOSING] = {[PART_NONE] = true},
};

struct parts *parts_new(const char *const *topics, size_t ntopics)
{
	struct parts *p = xcalloc(1, sizeof *p);

	p->topics = xcalloc(ntopics, sizeof *p->topics);
	p->ntopics = ntopics;
	for (size_t i = 0; i < ntopics; i++)
		p->topics[i].name = xstrdup(topics[i]);
	return p;
}

void parts_free(struct parts *p)
{
	for (size_t i = 0; i < p->ntopics; i++) {
		for (int32_t k = 0; k < p->topics[i].n; k++) {
			CHECK(!p->topics[i].parts[k] ||
				(!p->topics[i].parts[k]->queue && STAILQ_EMPTY(&p->topics[i].parts[k]->kept)));
			free(p->topics[i].parts[k]);
		}
		free(p->topics[i].parts);
		free(p->topics[i].name);
	}
	free(p->topics);
	free(p);
}

void part_move(struct part *p, enum part_state to)
{
	CHECK(legal[p->state][to]);
	p->state = to;
}

static struct topic *find_topic(struct parts *p, const char *name)
{
	for (size_t i = 0; i < p->ntopics; i++)
		if (strcmp(p->topics[i].name, name) == 0)
			return &p->topics[i];
	return NULL;
}

static struct part *place(struct topic *t, int32_t partition)
{
	if (partition >= t->n) {
		t->parts = xrealloc(t->parts, ((size_t)partition + 1) * sizeof *t->parts);
		memset(t->parts + t->n, 0, (size_t)(partition + 1 - t->n) * sizeof *t->parts);
		t->n = partition + 1;
	}
	if (!t->parts[partition]) {
		t->parts[partition] = xcalloc(1, sizeof **t->parts);
		STAILQ_INIT(&t->parts[partition]->kept);
	}
	return t->parts[partition];
}

struct part *parts_open(struct parts *p, const char *topic, int32_t partition)
{
	struct topic *t = find_topic(p, topic);
	struct part *part;

	if (!t || partition < 0)
		return NULL;
	part = place(t, partition);
	if (part->state != PART_NONE)
		return NULL;
	part->tp = (struct tp){(uint32_t)(t - p->topics), partition, ++p->epoch};
	part->held = part->paused = part->doubted = part->marked = part->silent = part->asked = false;
	part->held_at_us = part->known_at_us = part->refused_at_us = part->unreadable_at_us = 0;
	part_move(part, PART_WAITING);
	return part;
}

static struct part *look(const struct topic *t, int32_t partition)
{
	struct part *part = partition >= 0 && partition < t->n ? t->parts[partition] : NULL;

	return part && part->state != PART_NONE ? part : NULL;
}

struct part *parts_find(struct parts *p, struct tp tp)
{
	struct part *part = tp.topic < p->ntopics ? look(&p->topics[tp.topic], tp.partition) : NULL;

	return part && part->tp.epoch == tp.epoch ? part : NULL;
}

struct part *parts_at(struct parts *p, const char *topic, int32_t partition)
{
	const struct topic *t = find_topic(p, topic);

	return t ? look(t, partition) : NULL;
}

const char *parts_topic(const struct parts *p, uint32_t topic)
{
	CHECK(topic < p->ntopics);
	return p->topics[topic].name;
}

struct part *parts_next(struct parts *p, const struct part *after)
{
	uint32_t topic = after ? after->tp.topic : 0;
	int32_t partition = after ? after->tp.partition + 1 : 0;

	for (; topic < p->ntopics; topic++, partition = 0)
		for (; partition < p->topics[topic].n; partition++)
			if (look(&p->topics[topic], partition))
				return p->topics[topic].parts[partition];
	return NULL;
}
