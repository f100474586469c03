/* commits.c: offsets with their maps go to the broker; its answer comes back as faults per partition. */
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "inside.h"

static struct pending_commit *pending_new(struct consumer *c, const struct commit *k)
{
	struct pending_commit *p = xcalloc(1, sizeof *p + k->n * sizeof *p->tp);

	p->id = k->id;
	p->consumer = c;
	p->n = k->n;
	for (size_t i = 0; i < k->n; i++)
		p->tp[i] = k->entries[i].tp;
	p->next = c->commits;
	if (p->next)
		p->next->prev = &p->next;
	p->prev = &c->commits;
	c->commits = p;
	return p;
}

static void pending_free(struct pending_commit *p)
{
	*p->prev = p->next;
	if (p->next)
		p->next->prev = p->prev;
	if (p->list)
		rd_kafka_topic_partition_list_destroy(p->list);
	free(p);
}

static rd_kafka_topic_partition_list_t *list_of(const struct consumer *c, const struct commit *k)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)k->n);

	for (size_t i = 0; i < k->n; i++) {
		const struct commit_entry *e = &k->entries[i];
		rd_kafka_topic_partition_t *elem = rd_kafka_topic_partition_list_add(list, parts_topic(c->parts, e->tp.topic),
			e->tp.partition);

		elem->offset = e->base;
		elem->metadata = xstrdup(e->metadata); /* the list frees it */
		elem->metadata_size = strlen(e->metadata);
	}
	return list;
}

/* Of an assignment that is over, or of a log that may be another one, nothing is committed. */
static void leave_out(struct pending_commit *p)
{
	struct consumer *c = p->consumer;
	const struct part *part;

	for (size_t i = 0; i < p->n; i++) {
		part = parts_find(c->parts, p->tp[i]);
		if (!part || part->doubted)
			rd_kafka_topic_partition_list_del(p->list, parts_topic(c->parts, p->tp[i].topic), p->tp[i].partition);
	}
}

static void refuse(struct pending_commit *p, rd_kafka_resp_err_t err)
{
	p->err = err;
	p->consumer->refused_commits = true;
	wake_signal(p->consumer->handle.wake);
}

/* An explicit list and not stored offsets: those lose the metadata in librdkafka before 2.2. */
static void commit_send(struct pending_commit *p)
{
	struct consumer *c = p->consumer;
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__STATE;

	leave_out(p);
	if (p->list->cnt)
		err = rd_kafka_commit_queue(c->handle.rk, p->list, c->control, NULL, p);
	rd_kafka_topic_partition_list_destroy(p->list);
	p->list = NULL;
	if (err)
		refuse(p, err);
}

void consumer_commit(struct consumer *c, const struct commit *k)
{
	struct pending_commit *p;

	if (c->closing)
		return;
	p = pending_new(c, k);
	p->list = list_of(c, k);
	silence_look(c, p->tp, p->n);
	if (!silence_lasts(c, p->tp, p->n))
		commit_send(p);
}

/* Nothing is known when the broker does not answer, and then it does not take commits either. */
void commits_go_on(struct consumer *c, bool known)
{
	for (struct pending_commit *p = c->commits; p; p = p->next) {
		if (!p->list || p->err)
			continue;
		if (!known)
			refuse(p, RD_KAFKA_RESP_ERR__STATE);
		else if (!silence_lasts(c, p->tp, p->n))
			commit_send(p);
	}
}

/* What was left out of the list is as good as refused. */
static rd_kafka_resp_err_t error_of(struct consumer *c, rd_kafka_topic_partition_list_t *list, struct tp tp)
{
	const rd_kafka_topic_partition_t *elem;

	if (!list)
		return RD_KAFKA_RESP_ERR_NO_ERROR;
	elem = rd_kafka_topic_partition_list_find(list, parts_topic(c->parts, tp.topic), tp.partition);
	return elem ? elem->err : RD_KAFKA_RESP_ERR__STATE;
}

/* Errors per partition cannot be trusted to be complete: after any error every partition of the commit is unknown, at best. */
static void tell(struct pending_commit *p, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *list)
{
	struct consumer *c = p->consumer;
	struct tp_fault *faults = xcalloc(p->n + 1, sizeof *faults);
	bool any = err != RD_KAFKA_RESP_ERR_NO_ERROR;
	struct part *part;

	for (size_t i = 0; i < p->n; i++)
		any = any || error_of(c, list, p->tp[i]);
	for (size_t i = 0; i < p->n; i++) {
		rd_kafka_resp_err_t own = error_of(c, list, p->tp[i]);
		/* Too large is said about one partition; the others of that commit are to be sent again. */
		if (!own)
			own = faults_commit(err) == COMMIT_TOO_LARGE && p->n > 1 ? RD_KAFKA_RESP_ERR__FAIL : err;
		faults[i] = (struct tp_fault){p->tp[i], faults_commit(own), rd_kafka_err2str(own)};
		if (!any && (part = parts_find(c->parts, p->tp[i])))
			part->marked = true;
	}
	c->events.committed(c->events.ctx, p->id, faults, any ? p->n : 0);
	free(faults);
	pending_free(p);
}

void commits_event(struct consumer *c, rd_kafka_event_t *event)
{
	struct pending_commit *p = rd_kafka_event_opaque(event);
	rd_kafka_resp_err_t err = rd_kafka_event_error(event);

	(void)c;
	if (!p)
		return;
	if (err == RD_KAFKA_RESP_ERR__NO_OFFSET)
		err = RD_KAFKA_RESP_ERR_NO_ERROR;
	tell(p, err, rd_kafka_event_topic_partition_list(event));
}

void commits_refused(struct consumer *c)
{
	struct pending_commit *next;

	if (!c->refused_commits)
		return;
	c->refused_commits = false;
	for (struct pending_commit *p = c->commits; p; p = next) {
		next = p->next;
		if (p->err)
			tell(p, p->err, NULL);
	}
}

void commits_forget(struct consumer *c)
{
	while (c->commits)
		pending_free(c->commits);
}
