/* journal.c: see journal.h. */
#include "journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/base/log.h"
#include "bridgepool/app/settings.h"
#include "notes.h"

enum {
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
	return j;
}

void journal_free(struct journal *j)
{
	if (!j)
		return;
	for (size_t i = 0; i < j->settings->pools.n; i++)
		free(j->pools[i].slots);
	free(j->pools);
	free(j);
}

void journal_note(struct journal *j, const struct note *n, bool draining)
{
	struct note_line line;
	unsigned dropped;

	if (!log_allow(&j->notes[n->kind], NOTE_BURST, NOTE_PER_US, clock_mono_us(), &dropped))
		return;
	notes_line(j->settings, n, draining, &line);
	line.entry.left_out = dropped;
	log_write(&line.entry);
}

void journal_fault(struct journal *j, enum kafka_fault fault, const char *why)
{
	unsigned dropped;

	if (!log_allow(&j->faults[fault], FAULT_BURST, FAULT_PER_US, clock_mono_us(), &dropped))
		return;
	const struct log_word words[] = {
		{.name = "reason", .text = slice_of(why), .quoted = true},
		{.name = "left_out", .number = dropped},
	};
	log_write(&(struct log_entry){
		.level = fault_rows[fault].level,
		.event = fault_rows[fault].event,
		.sentence = slice_of(fault_rows[fault].sentence),
		.words = words,
		.nwords = sizeof words / sizeof *words,
	});
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
	char id[WORKER_ID_MAX], told[64];

	if (!log_allow(worker_limit(j, w), WORKER_BURST, WORKER_PER_US, clock_mono_us(), &dropped))
		return;
	notes_worker_id(j->settings, w, id);
	const struct log_word worker = {.name = "worker", .text = slice_of(id)};
	struct log_entry e = {.event = "worker_stderr", .words = &worker, .nwords = 1, .words_first = true};

	if (dropped) {
		snprintf(told, sizeof told, "wrote %u lines too many; they were left out", dropped);
		e.level = LOG_WARN;
		e.sentence = slice_of(told);
		log_write(&e);
	}
	e.level = LOG_INFO;
	e.sentence = line;
	log_write(&e);
}
