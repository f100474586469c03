/* notes.c: one table says what each note means to people: its log line and its health event. */
#include "notes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bridgepool/app/settings.h"
#include "bridgepool/base/check.h"

static const struct note_row rows[NOTE_KINDS] = {
	[NOTE_WORKER_STATE] = {"worker_state", "a worker changed its state", LOG_INFO, KIND_WORKER_STATE, true},
	[NOTE_WORKER_EXIT] = {"worker_exit", "a worker ended; count says how many sessions ended with it", LOG_WARN,
		KIND_WORKER_EXIT, false},
	[NOTE_WORKER_PROTOCOL] = {"worker_protocol", "a worker broke the protocol", LOG_WARN, KIND_WORKER_STATE, false},
	[NOTE_WORKER_BACKOFF] = {"worker_backoff",
		"a worker did not start; count says after how many milliseconds it is tried again", LOG_WARN, KIND_UNKNOWN,
		false},
	[NOTE_WORKER_LEAVING] = {"worker_leaving",
		"a worker is being replaced by a fresh one; count says how many sessions live on it", LOG_INFO, KIND_WORKER_STATE,
		false},
	[NOTE_WORKER_LARGE] = {"worker_large",
		"a worker is above recycle_memory soon after its start, so a fresh one will be too: raise it; count says for how many "
		"milliseconds no other is replaced for that, ever longer",
		LOG_WARN, KIND_UNKNOWN, false},
	[NOTE_POOL_ROLLED] = {"pool_rolled", "every worker has been replaced", LOG_INFO, KIND_UNKNOWN, false},
	[NOTE_POOL_STATE] = {"pool_state", "a pool changed its state", LOG_INFO, KIND_POOL_STATE, true},
	[NOTE_CIRCUIT] = {"circuit", "a pool's circuit changed its state; count says how many failures of workers came in a row",
		LOG_INFO, KIND_CIRCUIT, true},
	[NOTE_INSTANCE_STATE] = {"instance_state", "this instance changed its state", LOG_INFO, KIND_INSTANCE_STATE, true},
	[NOTE_RELOADED] = {"reloaded", "the configuration was read again", LOG_INFO, KIND_INSTANCE_STATE, false},
	[NOTE_RELOAD_REFUSED] = {"reload_refused", "the configuration was read again, but nothing of it was taken over",
		LOG_ERROR, KIND_INSTANCE_STATE, false},
	[NOTE_SESSIONS_LOST] = {"sessions_lost", "sessions lost the state that a worker held for them", LOG_WARN,
		KIND_SESSIONS_LOST, false},
	[NOTE_SESSION] = {"session", "a session began or ended", LOG_DEBUG, KIND_SESSION, false},
	[NOTE_PARTITION_ASSIGNED] = {"partition_assigned", "a partition came; count is the offset it starts at", LOG_INFO,
		KIND_PARTITIONS_ASSIGNED, false},
	[NOTE_PARTITION_REVOKED] = {"partition_revoked",
		"a partition was given back; count says how many requests were put back with it", LOG_INFO,
		KIND_PARTITIONS_REVOKED, false},
	[NOTE_PARTITION_LOST] = {"partition_lost",
		"a partition was lost; count says how many requests were dropped for its next owner", LOG_WARN,
		KIND_PARTITIONS_REVOKED, false},
	[NOTE_PARTITION_STUCK] = {"partition_stuck", "a partition makes no progress; count says for how many milliseconds",
		LOG_WARN, KIND_PARTITION_STUCK, false},
	[NOTE_MAP_UNREADABLE] = {"map_unreadable",
		"commit metadata did not decode; reading starts at the base, some requests may run again", LOG_WARN, KIND_UNKNOWN,
		false},
	[NOTE_BACKPRESSURE] = {"backpressure", "how much is read has changed", LOG_INFO, KIND_BACKPRESSURE, true},
	[NOTE_AFFINITY_VIOLATION] = {"affinity_violation",
		"a session was found in two partitions: its producers must use one partitioner and one key", LOG_WARN,
		KIND_AFFINITY_VIOLATION, false},
	[NOTE_REQUEST_REJECTED] = {"request_rejected", "a request was refused; count is its offset", LOG_WARN, KIND_UNKNOWN,
		false},
	[NOTE_REQUEST_DEAD] = {"request_dead", "a request ended as a dead letter; count is its offset", LOG_WARN, KIND_UNKNOWN,
		false},
	[NOTE_REQUEST_SLOW] = {"request_slow", "a request took longer than log.slow; count is the milliseconds in all", LOG_WARN,
		KIND_UNKNOWN, false},
	[NOTE_PARTIALS_DROPPED] = {"partials_dropped",
		"a request says too much before its answer: the rest of its parts are left out, its result is not; count is its offset",
		LOG_WARN, KIND_UNKNOWN, false},
	[NOTE_REQUEST_POISON] = {"request_poison",
		"a request killed its worker again and will not run any more; count is its offset", LOG_WARN, KIND_UNKNOWN,
		false},
	[NOTE_BATCHES_SMALLER] = {"batches_smaller",
		"a topic takes each record, but not many as one: its max.message.bytes is below batch.size; count says how many bytes are sent at once from now on",
		LOG_WARN, KIND_UNKNOWN, false},
	[NOTE_DELIVERY_REFUSED] = {"delivery_refused",
		"the broker takes no records for a topic (missing, forbidden, or max.message.bytes is too small): they are kept and sent again; "
		"count says how many wait",
		LOG_ERROR, KIND_INSTANCE_STATE, false},
	[NOTE_COMMIT_REFUSED] = {"commit_refused", "a commit was refused and is made again", LOG_WARN, KIND_UNKNOWN, false},
};

static const enum log_level state_level[HEALTH_STATE_COUNT] = {
	[HEALTH_UNKNOWN] = LOG_INFO,
	[HEALTH_INITIALIZING] = LOG_INFO,
	[HEALTH_STARTING] = LOG_INFO,
	[HEALTH_READY] = LOG_INFO,
	[HEALTH_DEGRADED] = LOG_WARN,
	[HEALTH_UNAVAILABLE] = LOG_ERROR,
	[HEALTH_DRAINING] = LOG_INFO,
	[HEALTH_TERMINATING] = LOG_INFO,
	[HEALTH_TERMINATED] = LOG_INFO,
	[HEALTH_STOPPED] = LOG_INFO,
};

const struct note_row *notes_row(enum note_kind kind)
{
	CHECK((size_t)kind < NOTE_KINDS && rows[kind].event);
	return &rows[kind];
}

enum log_level notes_level(const struct note *n, bool draining)
{
	const struct note_row *row = notes_row(n->kind);

	if (n->kind == NOTE_WORKER_EXIT && n->from == HEALTH_TERMINATING && (draining || n->count == 0))
		return LOG_INFO; /* we ended it ourselves, and told why then; nothing was lost but what we meant to end */
	return row->by_state && state_level[n->to] > row->level ? state_level[n->to] : row->level;
}

enum severity notes_severity(const struct note *n, bool draining)
{
	static const enum severity by_level[] = {
		[LOG_DEBUG] = SEVERITY_INFO,
		[LOG_INFO] = SEVERITY_INFO,
		[LOG_WARN] = SEVERITY_WARN,
		[LOG_ERROR] = SEVERITY_ERROR,
	};

	return by_level[notes_level(n, draining)];
}

static const char *pool_name(const struct settings *s, uint16_t pool)
{
	return settings_pool(s, pool)->name;
}

static const char *topic_name(const struct settings *s, uint32_t topic)
{
	CHECK(topic < s->sources.n);
	return ((const struct source_settings *)s->sources.items)[topic].topic;
}

void notes_worker_id(const struct settings *s, struct slot_ref w, char out[WORKER_ID_MAX])
{
	slot_ref_text(out, pool_name(s, w.pool), w);
}

/* What happened, for kinds of which each state is another story; NULL: the row's sentence. */
static const char *sentence_of_state(const struct note *n)
{
	static const char *const circuit[HEALTH_STATE_COUNT] = {
		[HEALTH_UNAVAILABLE] = "a pool's circuit opened; count says how many failures of workers came in a row",
		[HEALTH_DEGRADED] = "a pool's circuit tries one request; count says how many failures of workers came in a row",
		[HEALTH_READY] = "a pool's circuit closed; count says how many failures of workers came in a row",
	};
	static const char *const backpressure[HEALTH_STATE_COUNT] = {
		[HEALTH_DEGRADED] = "reading of a partition is held",
		[HEALTH_READY] = "reading of a partition goes on",
	};

	if (n->kind == NOTE_CIRCUIT)
		return circuit[n->to];
	return n->kind == NOTE_BACKPRESSURE ? backpressure[n->to] : NULL;
}

static bool has_count(const struct note *n)
{
	static const bool is_offset[NOTE_KINDS] = {
		[NOTE_PARTITION_ASSIGNED] = true,
		[NOTE_REQUEST_REJECTED] = true,
		[NOTE_REQUEST_DEAD] = true,
		[NOTE_REQUEST_POISON] = true,
		[NOTE_PARTIALS_DROPPED] = true,
	};

	return n->count || is_offset[n->kind];
}

static struct slice sentence_of(const struct note *n)
{
	const char *sentence = sentence_of_state(n), *of_count;

	if (!sentence)
		sentence = notes_row(n->kind)->sentence;
	of_count = strstr(sentence, "; count ");
	return of_count && !has_count(n) ? (struct slice){sentence, (size_t)(of_count - sentence)} : slice_of(sentence);
}

static void add_text(struct note_line *l, const char *name, struct slice text, bool quoted)
{
	CHECK(l->entry.nwords < NOTE_WORDS);
	l->words[l->entry.nwords++] = (struct log_word){.name = name, .text = text, .quoted = quoted};
}

static void add_number(struct note_line *l, const char *name, int64_t number)
{
	CHECK(l->entry.nwords < NOTE_WORDS);
	l->words[l->entry.nwords++] = (struct log_word){.name = name, .number = number};
}

static void add_place(const struct settings *s, const struct note *n, struct note_line *l)
{
	if (n->worker.generation) {
		notes_worker_id(s, n->worker, l->worker_id);
		add_text(l, "worker", slice_of(l->worker_id), false);
	} else if (n->has_pool) {
		add_text(l, "pool", slice_of(pool_name(s, n->worker.pool)), false);
	}
	if (n->tp.epoch) {
		add_text(l, "topic", slice_of(topic_name(s, n->tp.topic)), false);
		add_number(l, "partition", n->tp.partition);
	}
}

void notes_line(const struct settings *s, const struct note *n, bool draining, struct note_line *out)
{
	out->entry = (struct log_entry){
		.level = notes_level(n, draining),
		.event = notes_row(n->kind)->event,
		.sentence = sentence_of(n),
		.words = out->words,
	};
	add_place(s, n, out);
	if (n->from != HEALTH_UNKNOWN)
		add_text(out, "from", slice_of(health_state_name(n->from)), false);
	if (n->to != HEALTH_UNKNOWN)
		add_text(out, "to", slice_of(health_state_name(n->to)), false);
	if (has_count(n))
		add_number(out, "count", n->count);
	if (n->reason.len)
		add_text(out, "reason", n->reason, true);
}

/* The schema has no field for a partition: it stands in the reason. */
static struct slice place_reason(const struct settings *s, const struct note *n, char out[320])
{
	snprintf(out, 320, "%.200s[%" PRId32 "]%s%.*s", topic_name(s, n->tp.topic), n->tp.partition, n->reason.len ? ": " : "",
		n->reason.len < 64 ? (int)n->reason.len : 64, n->reason.len ? (const char *)n->reason.data : "");
	return slice_of(out);
}

void notes_event(const struct settings *s, const struct note *n, bool draining, struct note_words *words,
	struct health_fields *out)
{
	*out = (struct health_fields){
		.kind = notes_row(n->kind)->kind,
		.severity = notes_severity(n, draining),
		.from_state = n->from,
		.to_state = n->to,
		.reason = n->tp.epoch ? place_reason(s, n, words->place) : n->reason,
		.count = n->count,
	};
	if (n->worker.generation) {
		notes_worker_id(s, n->worker, words->worker_id);
		out->worker_id = slice_of(words->worker_id);
	}
	if (n->worker.generation || n->has_pool)
		out->pool = slice_of(pool_name(s, n->worker.pool));
}
