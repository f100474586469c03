/* log.h: structured log lines on stderr. The one global of the program: its level and format, and what it could not write. */
#ifndef BRIDGEPOOL_BASE_LOG_H
#define BRIDGEPOOL_BASE_LOG_H

#include "bridgepool/base/buf.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

void log_setup(enum log_level least, enum log_format format);

/* One line: time, level, event ("worker_exit"), then a short sentence. Foreign bytes never come through format
 * unescaped: control characters and bad UTF-8 are escaped, lines are cut at 4 KiB, the whole of each. For any thread. Nobody is
 * waited for: lines that a pipe, terminal or socket does not take at once are left out, and counted in the next one it takes. */
void log_line(enum log_level level, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* At the end of the process: from now on lines wait for a slow reader, all of them together at most so long. */
void log_patience(int64_t us);

/* A value for such a line, in quotes: those inside it, and backslashes, get a backslash, so that it stays one token. */
void log_quote(struct buf *out, struct slice value);

/* For lines that one fault can cause by the hundred: at most `burst` lines per `per_us`, then one line that counts the rest.
 * The caller keeps the struct (zeroed) beside what it limits. */
struct log_limit {
	int64_t since_us;
	unsigned said, dropped;
};
bool log_allow(struct log_limit *limit, unsigned burst, int64_t per_us, int64_t now_us, unsigned *dropped_before);

#endif
