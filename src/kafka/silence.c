/* silence.c: a topic that is made anew so soon that nobody tells us of it (doubts.c).
 *
 * Of a topic that is gone when it is fetched from librdkafka says nothing; half a second later (fetch.error.backoff.ms) it
 * fetches again, and what has the name by then may be longer already than what was read of the former one. Such a partition has
 * been silent for that time. So when one that was silent speaks again, and before it is committed, the broker is asked for the
 * group's commit of it, which goes with its topic. Asked without the side thread, which others may hold up. */
#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "inside.h"

enum { TIMEOUT_MS = 5000, AGAIN_MS = 500 };
static const int64_t silence_us = 250 * MS_US;

/* Of what has no commit nothing can be seen in the commits. */
static void look(struct part *part, int64_t now)
{
	if (part->marked && now - part->known_at_us > silence_us)
		part->silent = true;
}

/* Who is doubted is asked for already. */
static bool open_question(const struct part *part)
{
	return part->silent && !part->doubted;
}

void silence_heard(struct consumer *c, struct part *part)
{
	int64_t now = clock_mono_us();

	look(part, now);
	if (open_question(part))
		c->silence = true;
	else
		part->known_at_us = now;
}

void silence_look(struct consumer *c, const struct tp *tp, size_t n)
{
	int64_t now = clock_mono_us();
	struct part *part;

	for (size_t i = 0; i < n; i++)
		if ((part = parts_find(c->parts, tp[i])))
			look(part, now);
}

bool silence_lasts(struct consumer *c, const struct tp *tp, size_t n)
{
	const struct part *part;

	for (size_t i = 0; i < n; i++)
		if ((part = parts_find(c->parts, tp[i])) && open_question(part)) {
			c->silence = true;
			wake_signal(c->handle.wake);
			return true;
		}
	return false;
}

static rd_kafka_topic_partition_list_t *list_silent(struct consumer *c)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(0);

	for (struct part *p = NULL; (p = parts_next(c->parts, p));)
		if ((p->asked = open_question(p)))
			rd_kafka_topic_partition_list_add(list, parts_topic(c->parts, p->tp.topic), p->tp.partition);
	return list;
}

static void ask(struct consumer *c, const rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_ListConsumerGroupOffsets_t *wanted = rd_kafka_ListConsumerGroupOffsets_new(c->group, list);
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(c->handle.rk, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
	char why[256];

	CHECK(!rd_kafka_AdminOptions_set_request_timeout(options, TIMEOUT_MS, why, sizeof why));
	rd_kafka_ListConsumerGroupOffsets(c->handle.rk, &wanted, 1, options, c->control);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_ListConsumerGroupOffsets_destroy(wanted);
	c->asking = true;
	c->asked_at_us = clock_mono_us();
}

void silence_ask(struct consumer *c)
{
	rd_kafka_topic_partition_list_t *list;

	if (!c->silence || c->asking || c->closing || clock_mono_us() < c->ask_at_us)
		return;
	c->silence = false;
	list = list_silent(c);
	if (list->cnt)
		ask(c, list);
	else
		commits_go_on(c, true); /* what they waited for was given back, or is doubted */
	rd_kafka_topic_partition_list_destroy(list);
}

/* NULL: there is no answer. */
static const rd_kafka_topic_partition_list_t *answer_of(rd_kafka_event_t *event)
{
	const rd_kafka_ListConsumerGroupOffsets_result_t *result = rd_kafka_event_ListConsumerGroupOffsets_result(event);
	const rd_kafka_group_result_t **groups;
	size_t n = 0;

	if (rd_kafka_event_error(event) || !result)
		return NULL;
	groups = rd_kafka_ListConsumerGroupOffsets_result_groups(result, &n);
	return n == 1 && !rd_kafka_group_result_error(groups[0]) ? rd_kafka_group_result_partitions(groups[0]) : NULL;
}

/* False: not known. */
static bool take(struct consumer *c, const rd_kafka_topic_partition_t *found)
{
	struct part *part = parts_at(c->parts, found->topic, found->partition);

	if (!part || !part->asked)
		return true; /* it was given back meanwhile */
	if (found->err)
		return false;
	part->silent = part->asked = false;
	part->known_at_us = c->asked_at_us;
	if (found->offset < 0)
		doubts_begin_topic(c, part->tp.topic);
	return true;
}

void silence_event(struct consumer *c, rd_kafka_event_t *event)
{
	const rd_kafka_topic_partition_list_t *list = answer_of(event);
	bool known = list != NULL;

	c->asking = false;
	for (int i = 0; list && i < list->cnt; i++)
		known &= take(c, &list->elems[i]);
	if (!known) {
		c->ask_at_us = clock_mono_us() + AGAIN_MS * MS_US;
		wake_within(c->handle.wake, AGAIN_MS);
	}
	commits_go_on(c, known);
}
