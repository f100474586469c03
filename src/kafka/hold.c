/* hold.c: partitions that are not read for a while. At once their queue is cut off from the queue of all; what is there already
 * is kept when it comes out (kept.h). But librdkafka goes on fetching for each queue that stands alone, up to its limit for all.
 * So who is held for long, or has more ahead than its part of that limit, is paused too, and what was fetched ahead and not kept
 * is thrown away. Not sooner, because it has to be fetched again. */
#include "bridgepool/base/clock.h"
#include "bridgepool/base/log.h"
#include "inside.h"

enum { LOOK_MS = 100 };
static const int64_t patience_us = 2 * SECOND_US, again_us = SECOND_US;

static bool stopped(const struct part *part)
{
	return part->held || part->paused;
}

static void pause_or_resume(struct consumer *c, struct part *part, bool on)
{
	rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);
	const char *topic = parts_topic(c->parts, part->tp.topic);
	bool before = stopped(part);
	rd_kafka_resp_err_t err;

	rd_kafka_topic_partition_list_add(one, topic, part->tp.partition);
	err = on ? rd_kafka_pause_partitions(c->handle.rk, one) : rd_kafka_resume_partitions(c->handle.rk, one);
	if (!err)
		err = one->elems[0].err;
	if (err)
		log_line(LOG_WARN, "kafka_pause", "reading of a partition cannot be %s: %s topic=%s partition=%d",
			on ? "paused" : "resumed", rd_kafka_err2str(err), topic, part->tp.partition);
	else
		part->paused = on;
	part->refused_at_us = err ? clock_mono_us() : 0;
	c->nstopped += (size_t)stopped(part) - before;
	rd_kafka_topic_partition_list_destroy(one);
}

/* What a pause has made void stays in the queue until it is asked for, and is thrown away then. Errors come out, and are looked
 * at. */
static void empty(struct consumer *c, struct part *part)
{
	rd_kafka_event_t *event;

	while (part->queue && (event = rd_kafka_queue_poll(part->queue, 0)))
		if (!consumer_event(c, event))
			rd_kafka_event_destroy(event);
}

/* Bytes that are here and that nobody has taken; of its own queue only the number of messages is known. */
static uint64_t ahead(const struct part *part)
{
	return part->kept_bytes + (part->queue ? (uint64_t)((double)rd_kafka_queue_length(part->queue) * part->mean_bytes) : 0);
}

/* Who is paused stays so until what was kept of it is taken: what is fetched comes behind that. */
static bool wants_pause(const struct part *part, uint64_t share, int64_t now)
{
	if (part->paused)
		return part->held || part->kept_bytes > 0;
	return part->held && (now - part->held_at_us >= patience_us || ahead(part) > share);
}

static uint64_t share_of(struct consumer *c)
{
	uint64_t n = 0;

	for (struct part *p = NULL; (p = parts_next(c->parts, p));)
		n += p->state == PART_LIVE;
	return n ? c->ahead_most / n : c->ahead_most;
}

static void look(struct consumer *c, struct part *part, uint64_t share, int64_t now)
{
	bool on = wants_pause(part, share, now);

	if (on == part->paused || (part->refused_at_us != 0 && now - part->refused_at_us < again_us))
		return;
	pause_or_resume(c, part, on);
	if (part->paused)
		empty(c, part);
}

void hold_look(struct consumer *c)
{
	int64_t now = clock_mono_us();
	uint64_t share;

	if (c->nstopped == 0 || c->closing)
		return;
	share = share_of(c);
	for (struct part *p = NULL; (p = parts_next(c->parts, p));)
		if (p->state == PART_LIVE && stopped(p))
			look(c, p, share, now);
	wake_within(c->handle.wake, LOOK_MS);
}

void hold_leave(struct consumer *c, struct part *part)
{
	if (part->paused)
		pause_or_resume(c, part, false);
}

void hold_forget(struct consumer *c, struct part *part)
{
	hold_leave(c, part);
	c->nstopped -= stopped(part);
	part->held = part->paused = false;
}

void consumer_hold(struct consumer *c, struct tp tp, bool on)
{
	struct part *part = c->closing ? NULL : parts_find(c->parts, tp);
	bool before;

	if (!part || part->held == on)
		return;
	before = stopped(part);
	part->held = on;
	c->nstopped += (size_t)stopped(part) - before;
	if (on)
		part->held_at_us = clock_mono_us();
	if (part->queue)
		rd_kafka_queue_forward(part->queue, on ? NULL : c->messages);
	wake_signal(c->handle.wake);
}
