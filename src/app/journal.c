/* journal.c: see journal.h. */
#include "journal.h"

#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/base/log.h"
#include "bridgepool/app/settings.h"
#include "notes.h"

enum {
	TEXT_LIMIT = 4096,  /* bytes of one line's text */
	NOTE_BURST = 50,    /* lines of one kind of note per NOTE_PER_US */
	FAULT_BURST = 3,    /* lines of one kind of fault per FAULT_PER_US */
	WORKER_BURST = 100, /* lines of one worker per WORKER_PER_US */
};
static const int64_t NOTE_PER_US = 10 * SECOND_US, FAULT_PER_US = 30 * SECOND_US, WORKER_PER_US = 10 * SECOND_US;

struct pool_limits {
	struct log_limit *slots;
	size_t n; /* so far: a pool may get more slots than it began with */
};

struct journal {
	const struct settings *settings;
	struct log_limit notes[NOTE_KINDS], faults[KAFKA_FATAL + 1];
	struct pool_limits *pools;
	struct buf text;
};

static const struct {
	enum log_level level;
	const char *event, *sentence;
} fault_rows[] = {
	[KAFKA_UNREACHABLE] = {LOG_WARN, "broker_away",
		"no broker answers; it is tried again until one does, no request is lost meanwhile"},
	[KAFKA_REACHABLE] = {LOG_INFO, "broker_back", "a broker answers again"},
	[KAFKA_TOPIC_MISSING] = {LOG_ERROR, "topic_missing",
		"a topic does not exist; `bridgepool topics -c FILE` creates them all"},
	[KAFKA_FORBIDDEN] = {LOG_ERROR, "forbidden",
		"the broker refuses us; look at kafka.properties and at the ACLs that `bridgepool topics --print -c FILE` shows"},
	[KAFKA_UNREADABLE] = {LOG_ERROR, "partition_unreadable",
		"nothing is read of a partition, because what stands there cannot be decoded or is not given out; it is tried again, and nothing is "
		"skipped by itself: mend it at the broker, or move the group's offset behind it while no instance runs"},
	[KAFKA_FENCED] = {LOG_ERROR, "fenced", "another process uses our instance.id; each instance needs a name of its own"},
	[KAFKA_FATAL] = {LOG_ERROR, "kafka_fatal", "the Kafka client cannot go on"},
};

struct journal *journal_new(const struct settings *s)
{
	struct journal *j = xcalloc(1, sizeof *j);

	j->settings = s;
	j->pools = xcalloc(s->pools.n, sizeof *j->pools);
	buf_init(&j->text, TEXT_LIMIT);
	return j;
}

void journal_free(struct journal *j)
{
	if (!j)
		return;
	for (size_t i = 0; i < j->settings->pools.n; i++)
		free(j->pools[i].slots);
	free(j->pools);
	buf_free(&j->text);
	free(j);
}

static void log_text(struct journal *j, enum log_level level, const char *event)
{
	buf_append(&j->text, "", 1);
	if (j->text.overflow)
		j->text.data[j->text.len - 1] = '\0';
	log_line(level, event, "%s", (const char *)j->text.data);
}

void journal_note(struct journal *j, const struct note *n, bool draining)
{
	unsigned dropped;

	if (!log_allow(&j->notes[n->kind], NOTE_BURST, NOTE_PER_US, clock_mono_us(), &dropped))
		return;
	buf_reset(&j->text);
	notes_text(j->settings, n, &j->text);
	if (dropped)
		buf_printf(&j->text, " (%u lines like this were left out)", dropped);
	log_text(j, notes_level(n, draining), notes_row(n->kind)->event);
}

void journal_fault(struct journal *j, enum kafka_fault fault, const char *why)
{
	unsigned dropped;

	if (!log_allow(&j->faults[fault], FAULT_BURST, FAULT_PER_US, clock_mono_us(), &dropped))
		return;
	buf_reset(&j->text);
	buf_printf(&j->text, "%s reason=", fault_rows[fault].sentence);
	log_quote(&j->text, slice_of(why));
	buf_printf(&j->text, " left_out=%u", dropped);
	log_text(j, fault_rows[fault].level, fault_rows[fault].event);
}

static struct log_limit *worker_limit(struct journal *j, struct slot_ref w)
{
	struct pool_limits *p = &j->pools[w.pool];
	size_t n = (size_t)w.slot + 1;

	if (n > p->n) {
		p->slots = xrealloc(p->slots, n * sizeof *p->slots);
		memset(&p->slots[p->n], 0, (n - p->n) * sizeof *p->slots);
		p->n = n;
	}
	return &p->slots[w.slot];
}

void journal_line(struct journal *j, struct slot_ref w, struct slice line)
{
	unsigned dropped;
	char id[WORKER_ID_MAX];

	if (!log_allow(worker_limit(j, w), WORKER_BURST, WORKER_PER_US, clock_mono_us(), &dropped))
		return;
	notes_worker_id(j->settings, w, id);
	if (dropped)
		log_line(LOG_WARN, "worker_stderr", "worker=%s wrote %u lines too many; they were left out", id, dropped);
	log_line(LOG_INFO, "worker_stderr", "worker=%s %.*s", id, (int)line.len, (const char *)line.data);
}
