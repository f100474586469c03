/* doubts.c: a topic that was gone while it was read, and came back, may be another one of the same name.
 *
 * An offset says nothing in a log that was made anew: to read on there would skip what it begins with. A topic takes its group's
 * commits with it when it is deleted: with them there, it is the one we know; and where nothing was read, nothing is skipped.
 * Until that is known nothing of it is run, and nothing is committed. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "inside.h"

enum { ASK_EVERY_MS = 500 };

static size_t count(const struct consumer *c)
{
	size_t n = 0;

	for (struct part *p = NULL; (p = parts_next(c->parts, p));)
		n += p->state == PART_DOUBTED;
	return n;
}

static void ask_later(struct consumer *c)
{
	c->doubt_at_us = clock_mono_us() + ASK_EVERY_MS * MS_US;
	wake_within(c->handle.wake, ASK_EVERY_MS);
}

void doubts_begin(struct consumer *c, struct part *part)
{
	part->doubted = true;
	part_move(part, PART_DOUBTED);
	ask_later(c);
}

/* Those that close already keep their state: nothing of them is committed any more. */
void doubts_begin_topic(struct consumer *c, uint32_t topic)
{
	for (struct part *p = NULL; (p = parts_next(c->parts, p));) {
		if (p->tp.topic != topic)
			continue;
		if (p->state == PART_LIVE)
			doubts_begin(c, p);
		else if (p->state == PART_CLOSING)
			p->doubted = true;
	}
}

/* "Subscribed topic not available: TOPIC: REASON" */
static bool names(const char *text, const char *topic)
{
	size_t len = strlen(topic);
	const char *at = text;

	while ((at = strstr(at, ": "))) {
		at += 2;
		if (strncmp(at, topic, len) == 0 && at[len] == ':')
			return true;
	}
	return false;
}

/* That the subscription misses a topic is told before its partitions are told of, which stand in the other queue and may wait
 * there for long; and of an error that is no partition's the library gives the topic in its text alone. */
void doubts_begin_named(struct consumer *c, const char *text)
{
	for (struct part *p = NULL; (p = parts_next(c->parts, p));)
		if (p->state == PART_LIVE && names(text, parts_topic(c->parts, p->tp.topic)))
			doubts_begin(c, p);
}

static void say_remade(const struct position *p, const struct part *part)
{
	log_line(LOG_ERROR, "topic_remade",
		"the topic was deleted and made anew, or lost its group's offsets: it is read from its beginning"
		" topic=%s partition=%" PRId32 " position=%" PRId64 " low=%" PRId64 " high=%" PRId64,
		p->topic, p->tp.partition, part->next, p->low, p->high);
}

/* False: it is another one. Not answered: its topic is still gone. */
static bool settle(struct consumer *c, const struct position *p)
{
	struct part *part = parts_find(c->parts, p->tp);

	if (!part || part->state != PART_DOUBTED || !rebalance_answered(p))
		return true;
	if (p->committed < 0 && part->next > p->low) {
		say_remade(p, part);
		return false;
	}
	part->doubted = part->silent = false;
	part->known_at_us = clock_mono_us();
	part_move(part, PART_LIVE);
	rebalance_resume(c, part);
	return true;
}

static void answers_in(struct lane_job *job)
{
	struct positions *p = (struct positions *)job;
	struct consumer *c = p->ctx;
	rd_kafka_topic_partition_list_t *others = rd_kafka_topic_partition_list_new(0);

	c->doubting = false;
	for (size_t i = 0; !c->closing && i < p->n; i++)
		if (!settle(c, &p->at[i]))
			rd_kafka_topic_partition_list_add(others, p->at[i].topic, p->at[i].tp.partition);
	positions_free(p);
	if (others->cnt)
		rebalance_lose(c, others);
	rd_kafka_topic_partition_list_destroy(others);
	if (!c->closing && count(c))
		ask_later(c);
}

void doubts_ask(struct consumer *c)
{
	struct positions *p;
	size_t n = count(c);

	if (!n || c->doubting || clock_mono_us() < c->doubt_at_us)
		return;
	c->doubting = true;
	p = positions_new(c->handle.rk, n, answers_in, c);
	p->n = 0;
	for (struct part *part = NULL; (part = parts_next(c->parts, part));)
		if (part->state == PART_DOUBTED)
			p->at[p->n++] = (struct position){.tp = part->tp, .topic = parts_topic(c->parts, part->tp.topic)};
	lane_post(c->handle.lane, &p->job);
}
