/* notes.h: one table says what each note means to people: its log line and its health event. */
#ifndef APP_NOTES_H
#define APP_NOTES_H

#include "bridgepool/base/log.h"
#include "bridgepool/core/note.h"
#include "bridgepool/ops/health.h"

struct settings;

struct note_row {
	const char *event; /* first word of the log line */
	const char *sentence;
	enum log_level level;
	enum health_kind kind; /* KIND_UNKNOWN: no health event */
	bool by_state;	       /* level and severity come from the state it went to; `level` is the least */
};

const struct note_row *notes_row(enum note_kind kind);
enum log_level notes_level(const struct note *n);
enum severity notes_severity(const struct note *n);

/* "pool/slot.generation" */
void notes_worker_id(const struct settings *s, struct slot_ref w, char out[96]);
/* The line without time, level and event: the sentence, then key=value. Appends. */
void notes_text(const struct settings *s, const struct note *n, struct buf *out);
/* Fills kind, severity, pool, worker, states, reason and count. worker_id is room for the worker's name; out borrows it, n and s. */
void notes_event(const struct settings *s, const struct note *n, char worker_id[96], struct health_fields *out);

#endif
