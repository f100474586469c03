/* log.c: see log.h. A line is built whole and written with one call, so that lines of several threads do not mix. */
#include "bridgepool/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/base/clock.h"

enum { LOG_LINE_MAX = 4096 };

static enum log_level least_level = LOG_INFO;
static enum log_format line_format = LOG_TEXT;
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

/* Control characters and bad bytes become \xNN in text and \u00NN in JSON, where quotes are escaped too. */
static void escape(const char *text, enum log_format format, struct buf *out)
{
	size_t left = strlen(text);

	while (left > 0 && out->len < LOG_LINE_MAX - 16) {
		unsigned char c = (unsigned char)*text;
		size_t n = slice_character((struct slice){text, left});

		if (n == 0 || c < 0x20 || c == 0x7f) {
			buf_printf(out, format == LOG_JSON ? "\\u00%02x" : "\\x%02x", c);
			n = 1;
		} else {
			if (format == LOG_JSON && (c == '"' || c == '\\'))
				buf_text(out, "\\");
			buf_append(out, text, n);
		}
		text += n;
		left -= n;
	}
	if (left > 0)
		buf_text(out, "...");
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
	char text[LOG_LINE_MAX], at[25];
	struct buf line;
	va_list args;
	ssize_t written;

	if (!wanted(level))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	clock_format_ms(clock_wall_ms(), at);
	buf_init(&line, (size_t)LOG_LINE_MAX * 2);
	buf_printf(&line,
		line_format == LOG_JSON ? "{\"at\":\"%s\",\"level\":\"%s\",\"event\":\"%s\",\"message\":\"" : "%s %-5s %s ", at,
		level_names[level], event);
	escape(text, line_format, &line);
	buf_text(&line, line_format == LOG_JSON ? "\"}\n" : "\n");
	written = write(STDERR_FILENO, line.data, line.len);
	(void)written; /* nobody is left to be told */
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
