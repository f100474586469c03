/* silence.c: a topic that is made anew so soon that nobody tells us of it (doubts.c).
 *
 * Of a topic that is gone when it is fetched from librdkafka says nothing; half a second later (fetch.error.backoff.ms) it
 * fetches again, and what has the name by then may be longer already than what was read of the former one. Such a partition has
 * been silent for that time. So when one that was silent speaks again, and before it is committed, the broker is asked for the
 * group's commit of it, which goes with its topic.
 *
 * rd_kafka_ListConsumerGroupOffsets would need no side thread, but in librdkafka 2.0.2 it ends the process (an assertion in
 * rd_kafka_enq_once_del_source_return) when the broker goes away meanwhile. */
#include <stdlib.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "inside.h"

enum { TIMEOUT_MS = 2000, AGAIN_MS = 500 };
static const int64_t silence_us = 250 * MS_US;

struct commit_question {
	struct lane_job job;
	struct consumer *consumer; /* in the side thread only its client is used */
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t err;
};

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

static void answer_in(struct lane_job *job)
{
	struct commit_question *q = (struct commit_question *)job;
	struct consumer *c = q->consumer;
	bool known = !q->err;

	c->asking = false;
	for (int i = 0; !c->closing && !q->err && i < q->list->cnt; i++)
		known &= take(c, &q->list->elems[i]);
	if (!known && !c->closing) {
		c->ask_at_us = clock_mono_us() + AGAIN_MS * MS_US;
		wake_within(c->handle.wake, AGAIN_MS);
	}
	if (!c->closing)
		commits_go_on(c, known);
	rd_kafka_topic_partition_list_destroy(q->list);
	free(q);
}

static void ask(struct lane_job *job)
{
	struct commit_question *q = (struct commit_question *)job;

	q->err = rd_kafka_committed(q->consumer->handle.rk, q->list, TIMEOUT_MS);
}

void silence_ask(struct consumer *c)
{
	rd_kafka_topic_partition_list_t *list;
	struct commit_question *q;

	if (!c->silence || c->asking || c->closing || clock_mono_us() < c->ask_at_us)
		return;
	c->silence = false;
	list = list_silent(c);
	if (!list->cnt) {
		rd_kafka_topic_partition_list_destroy(list);
		commits_go_on(c, true); /* what they waited for was given back, or is doubted */
		return;
	}
	q = xcalloc(1, sizeof *q);
	*q = (struct commit_question){.job = {ask, answer_in, NULL}, .consumer = c, .list = list};
	c->asking = true;
	c->asked_at_us = clock_mono_us();
	lane_post(c->handle.lane, &q->job);
}
