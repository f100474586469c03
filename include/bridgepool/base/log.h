/* log.h: structured log lines on stderr. The one global of the program: its level and format, and what it could not write. */
#ifndef BRIDGEPOOL_BASE_LOG_H
#define BRIDGEPOOL_BASE_LOG_H

#include "bridgepool/base/buf.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

void log_setup(enum log_level least, enum log_format format);

/* Something that a line says beside its sentence, for programs: name=value in the text form, a member of the JSON form. */
struct log_word {
	const char *name;  /* a literal, not one of at, level, event, message and left_out */
	struct slice text; /* in the text form in quotes, if it is `quoted`; absent: it is a number */
	int64_t number;
	bool quoted;
};

/* One line: time, level, event ("worker_exit"), a short sentence, words. */
struct log_entry {
	enum log_level level;
	const char *event;
	struct slice sentence;
	const struct log_word *words;
	size_t nwords;
	bool words_first;  /* in the text form */
	unsigned left_out; /* lines like this before it, that log_allow refused */
};

/* Foreign bytes never come through unescaped: control characters and bad UTF-8 are escaped, lines are cut at 4 KiB, the whole of
 * each. For any thread. Nobody is waited for: lines that a pipe, terminal or socket does not take at once are left out, and
 * counted in the next one it takes. */
void log_write(const struct log_entry *e);
/* The same without words. */
void log_line(enum log_level level, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The text form without time, level and event, and not escaped. Appends. */
void log_text(const struct log_entry *e, struct buf *out);

/* At the end of the process: from now on lines wait for a slow reader, all of them together at most so long. */
void log_patience(int64_t us);

/* A value for the text form, in quotes: those inside it, and backslashes, get a backslash, so that it stays one token. */
void log_quote(struct buf *out, struct slice value);

/* For lines that one fault can cause by the hundred: at most `burst` lines per `per_us`, then one line that counts the rest.
 * The caller keeps the struct (zeroed) beside what it limits. */
struct log_limit {
	int64_t since_us;
	unsigned said, dropped;
};
bool log_allow(struct log_limit *limit, unsigned burst, int64_t per_us, int64_t now_us, unsigned *dropped_before);

#endif
