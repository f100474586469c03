/* notes.h: one table says what each note means to people: its log line and its health event. */
#ifndef APP_NOTES_H
#define APP_NOTES_H

#include "bridgepool/base/log.h"
#include "bridgepool/core/note.h"
#include "bridgepool/ops/health.h"

struct settings;

struct note_row {
	const char *event;    /* first word of the log line */
	const char *sentence; /* what stands behind "; count" is left out where there is none */
	enum log_level level;
	enum health_kind kind; /* KIND_UNKNOWN: no health event */
	bool by_state;         /* level and severity come from the state it went to; `level` is the least */
};

const struct note_row *notes_row(enum note_kind kind);
/* draining: we are stopping, so that workers end is as it should be. */
enum log_level notes_level(const struct note *n, bool draining);
enum severity notes_severity(const struct note *n, bool draining); /* as notes_event has it; for tests */

/* "pool/slot.generation" */
void notes_worker_id(const struct settings *s, struct slot_ref w, char out[WORKER_ID_MAX]);
enum { NOTE_WORDS = 8 };

/* Its line of the log, with room for what the note has only as numbers. */
struct note_line {
	struct log_entry entry;
	struct log_word words[NOTE_WORDS];
	char worker_id[WORKER_ID_MAX];
};
/* Fills out, which points into itself, s and n. */
void notes_line(const struct settings *s, const struct note *n, bool draining, struct note_line *out);
/* Room for what an event says and the note has only as numbers. */
struct note_words {
	char worker_id[WORKER_ID_MAX], place[320];
};
/* Fills kind, severity, pool, worker, states, reason and count. out borrows words, n and s. */
void notes_event(const struct settings *s, const struct note *n, bool draining, struct note_words *words,
	struct health_fields *out);

#endif
