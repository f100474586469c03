/* log.c: see log.h. A line is built whole and written with one call, so that lines of several threads do not mix. Who reads the
 * log is never waited for: a daemon that stood in a write would serve nobody, and its group would not take over, since
 * librdkafka's threads keep its membership. */
#include "bridgepool/base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/base/clock.h"
#include "unblocked.h"

enum {
	LOG_LINE_MAX = PIPE_BUF, /* a pipe takes it whole or not at all */
	/* Of the JSON form: where texts of words end. The numbers behind, and what is around words, find room, and the sentence.
	 */
	WORDS_MAX = LOG_LINE_MAX - 1024,
	LONGEST = 6, /* bytes of an escaped character */
	WAIT_STEP_US = 10 * 1000,
};
static const char more[] = "...";

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

/* Control characters and bad bytes become \xNN in text and \u00NN in JSON, where quotes are escaped too. Ends before `end`, with
 * room for a mark that there was more. */
static void escape(struct slice value, enum log_format format, struct buf *line, size_t end)
{
	const char *text = value.data;
	size_t left = value.len;

	while (left > 0 && line->len + LONGEST + strlen(more) <= end) {
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
		buf_text(line, more);
}

static void text_words(const struct log_entry *e, struct buf *out)
{
	for (const struct log_word *w = e->words; w < e->words + e->nwords; w++) {
		buf_printf(out, "%s%s=", e->words_first && w == e->words ? "" : " ", w->name);
		if (!w->text.data)
			buf_printf(out, "%" PRId64, w->number);
		else if (w->quoted)
			log_quote(out, w->text);
		else
			buf_add(out, w->text);
	}
}

void log_text(const struct log_entry *e, struct buf *out)
{
	if (e->words_first) {
		text_words(e, out);
		buf_text(out, " ");
	}
	buf_add(out, e->sentence);
	if (!e->words_first)
		text_words(e, out);
	if (e->left_out)
		buf_printf(out, " (%u lines like this were left out)", e->left_out);
}

static void build_text(struct buf *line, const struct log_entry *e, const char *at)
{
	struct log_entry cut = *e;
	struct buf text;

	cut.sentence = slice_cut(e->sentence, LOG_LINE_MAX);
	buf_init(&text, (size_t)LOG_LINE_MAX * 2);
	log_text(&cut, &text);
	buf_printf(line, "%s %-5s %s ", at, level_names[e->level], e->event);
	escape(buf_slice(&text), LOG_TEXT, line, LOG_LINE_MAX - 1);
	buf_text(line, "\n");
	buf_free(&text);
}

static void json_words(const struct log_entry *e, struct buf *out)
{
	for (const struct log_word *w = e->words; w < e->words + e->nwords; w++) {
		buf_printf(out, ",\"%s\":", w->name);
		if (w->text.data) {
			buf_text(out, "\"");
			escape(w->text, LOG_JSON, out, WORDS_MAX);
			buf_text(out, "\"");
		} else {
			buf_printf(out, "%" PRId64, w->number);
		}
	}
	if (e->left_out)
		buf_printf(out, ",\"left_out\":%u", e->left_out);
	buf_text(out, "}\n");
}

/* The sentence gets the room that the words leave it: they are what programs look for. */
static void build_json(struct buf *line, const struct log_entry *e, const char *at)
{
	struct buf words;

	buf_init(&words, LOG_LINE_MAX);
	json_words(e, &words);
	buf_printf(line, "{\"at\":\"%s\",\"level\":\"%s\",\"event\":\"%s\",\"message\":\"", at, level_names[e->level], e->event);
	escape(e->sentence, LOG_JSON, line, LOG_LINE_MAX - 1 - words.len);
	buf_text(line, "\"");
	buf_add(line, buf_slice(&words));
	buf_free(&words);
}

static void build(struct buf *line, const struct log_entry *e)
{
	char at[25];

	clock_format_ms(clock_wall_ms(), at);
	buf_init(line, LOG_LINE_MAX);
	if (line_format == LOG_JSON)
		build_json(line, e, at);
	else
		build_text(line, e, at);
}

/* One line that tells how many there were before it. */
static void build_left_out(struct buf *line)
{
	char text[256];

	snprintf(text, sizeof text, "%lu lines were left out: %s", writer.left_out,
		writer.why == EAGAIN ? "nobody read the log" : strerror(writer.why));
	build(line, &(struct log_entry){.level = LOG_WARN, .event = "log", .sentence = slice_of(text)});
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

void log_write(const struct log_entry *e)
{
	struct buf line;

	if (!wanted(e->level))
		return;
	build(&line, e);
	pthread_mutex_lock(&writer.lock);
	if (!(writer.left_out ? put_behind_left_out(&line) : put(&line)))
		writer.left_out++;
	pthread_mutex_unlock(&writer.lock);
	buf_free(&line);
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
	char text[LOG_LINE_MAX];
	va_list args;

	if (!wanted(level))
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_write(&(struct log_entry){.level = level, .event = event, .sentence = slice_of(text)});
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
