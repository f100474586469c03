/* log.c: see log.h. A line is built whole and written with one call, so that lines of several threads do not mix. Who reads the
 * log is never waited for: a daemon that stood in a write would serve nobody, and its group would not take over, since
 * librdkafka's threads keep its membership. */
#include "bridgepool/base/log.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/base/clock.h"
#include "unblocked.h"

enum { LOG_LINE_MAX = PIPE_BUF /* a pipe takes it whole or not at all */, WAIT_STEP_US = 10 * 1000 };

static _Atomic(enum log_level) least_level = LOG_INFO;
static _Atomic(enum log_format) line_format = LOG_TEXT;

/* What becomes of lines that are not taken; lines come from several threads. */
static struct {
	pthread_mutex_t lock;
	char rest[LOG_LINE_MAX]; /* of a line of which a terminal or a socket took a part */
	size_t rest_len;
	unsigned long left_out; /* lines since the last that was written */
	int why;                /* errno of that */
	int64_t patient_until;  /* clock_mono_us; 0: not at all */
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER};
static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_setup(enum log_level least, enum log_format format)
{
	least_level = least;
	line_format = format;
}

static bool wanted(enum log_level level)
{
	return level >= least_level;
}

void log_patience(int64_t us)
{
	pthread_mutex_lock(&writer.lock);
	writer.patient_until = clock_mono_us() + us;
	pthread_mutex_unlock(&writer.lock);
}

/* ---- writing ---- */

static bool is_patient(void)
{
	if (clock_mono_us() >= writer.patient_until)
		return false;
	usleep(WAIT_STEP_US);
	return true;
}

/* How many bytes were taken; if not all, writer.why says why. */
static size_t offer(const char *bytes, size_t n)
{
	size_t taken = 0;

	while (taken < n) {
		ssize_t some = unblocked_write(STDERR_FILENO, bytes + taken, n - taken);

		if (some > 0) {
			taken += (size_t)some;
			continue;
		}
		writer.why = some == 0 ? EAGAIN : errno;
		if (writer.why != EINTR && (writer.why != EAGAIN || !is_patient()))
			break;
	}
	return taken;
}

static bool put_rest(void)
{
	size_t taken = offer(writer.rest, writer.rest_len);

	writer.rest_len -= taken;
	memmove(writer.rest, writer.rest + taken, writer.rest_len);
	return writer.rest_len == 0;
}

/* False: nothing of it was taken. Otherwise its rest, if any, comes before all that follows. */
static bool put(const struct buf *line)
{
	size_t taken;

	if (!put_rest())
		return false;
	taken = offer((const char *)line->data, line->len);
	if (taken == 0)
		return false;
	writer.rest_len = line->len - taken;
	memcpy(writer.rest, line->data + taken, writer.rest_len);
	return true;
}

/* ---- lines ---- */

/* Control characters and bad bytes become \xNN in text and \u00NN in JSON, where quotes are escaped too. */
static void escape(const char *text, enum log_format format, struct buf *line)
{
	size_t left = strlen(text);

	while (left > 0 && line->len < LOG_LINE_MAX - 16) {
		unsigned char c = (unsigned char)*text;
		size_t n = slice_character((struct slice){text, left});

		if (n == 0 || c < 0x20 || c == 0x7f) {
			buf_printf(line, format == LOG_JSON ? "\\u00%02x" : "\\x%02x", c);
			n = 1;
		} else {
			if (format == LOG_JSON && (c == '"' || c == '\\'))
				buf_text(line, "\\");
			buf_append(line, text, n);
		}
		text += n;
		left -= n;
	}
	if (left > 0)
		buf_text(line, "...");
}

static void build(struct buf *line, enum log_level level, const char *event, const char *text)
{
	enum log_format format = line_format;
	bool json = format == LOG_JSON;
	char at[25];

	clock_format_ms(clock_wall_ms(), at);
	buf_init(line, LOG_LINE_MAX);
	buf_printf(line, json ? "{\"at\":\"%s\",\"level\":\"%s\",\"event\":\"%s\",\"message\":\"" : "%s %-5s %s ", at,
		level_names[level], event);
	escape(text, format, line);
	buf_text(line, json ? "\"}\n" : "\n");
}

/* One line that tells how many there were before it. */
static void build_left_out(struct buf *line)
{
	char text[256];

	snprintf(text, sizeof text, "%lu lines were left out: %s", writer.left_out,
		writer.why == EAGAIN ? "nobody read the log" : strerror(writer.why));
	build(line, LOG_WARN, "log", text);
}

/* Together with the line behind it, if a pipe takes both at once: what it had no room for it may have room for when it is short,
 * and would be filled up with such lines alone. */
static bool put_behind_left_out(const struct buf *line)
{
	struct buf told;
	bool both, done;

	build_left_out(&told);
	both = buf_append(&told, line->data, line->len);
	done = put(&told);
	if (done)
		writer.left_out = 0;
	buf_free(&told);
	return done && (both || put(line));
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
	char text[LOG_LINE_MAX];
	struct buf line;
	va_list args;

	if (!wanted(level))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	build(&line, level, event, text);
	pthread_mutex_lock(&writer.lock);
	if (!(writer.left_out ? put_behind_left_out(&line) : put(&line)))
		writer.left_out++;
	pthread_mutex_unlock(&writer.lock);
	buf_free(&line);
}

void log_quote(struct buf *out, struct slice value)
{
	const char *p = value.data;

	buf_text(out, "\"");
	for (size_t i = 0; i < value.len; i++) {
		if (p[i] == '"' || p[i] == '\\')
			buf_text(out, "\\");
		buf_append(out, &p[i], 1);
	}
	buf_text(out, "\"");
}

bool log_allow(struct log_limit *limit, unsigned burst, int64_t per_us, int64_t now_us, unsigned *dropped_before)
{
	*dropped_before = 0;
	if (now_us - limit->since_us >= per_us || limit->said == 0) {
		*dropped_before = limit->dropped;
		*limit = (struct log_limit){.since_us = now_us};
	}
	if (limit->said >= burst) {
		limit->dropped++;
		return false;
	}
	limit->said++;
	return true;
}
