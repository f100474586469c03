/* dev_log.c: see dev_log.h. Only what programs are to read is looked at: the event and its words, not the
 * message. */
#include "dev_log.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { DEV_LINE_MAX = 16384 };

/* A line of the log with log.format=json; borrows it. */
struct entry {
	const char *level, *event;
	json_t *message, *line;
};

static bool read_entry(json_t *line, struct entry *e)
{
	e->level = json_string_value(json_object_get(line, "level"));
	e->event = json_string_value(json_object_get(line, "event"));
	e->message = json_object_get(line, "message");
	e->line = line;
	return e->level && e->event && json_is_string(e->message);
}

/* "": there is none of that name. */
static const char *word(const struct entry *e, const char *name)
{
	const char *found = json_string_value(json_object_get(e->line, name));

	return found ? found : "";
}

static bool word_is(const struct entry *e, const char *name, const char *value)
{
	return strcmp(word(e, name), value) == 0;
}

/* As in the text form of the log, which a terminal is safe from. */
static void escape(json_t *string, struct buf *out)
{
	const char *text = json_string_value(string);
	size_t left = json_string_length(string), n;

	for (; left > 0; text += n, left -= n) {
		const unsigned char *c = (const unsigned char *)text;
		n = slice_character((struct slice){text, left});
		if (*c < 0x20 || *c == 0x7f)
			buf_printf(out, "\\x%02x", *c);
		else if (c[0] == 0xc2 && c[1] < 0xa0)
			buf_printf(out, "\\x%02x", c[1]); /* a control character above ASCII, or a byte that was no text */
		else
			buf_append(out, text, n);
	}
}

static void add_words(const struct entry *e, struct buf *out)
{
	static const char *const not_words = " at level event message ";
	const char *name, *quote;
	char sought[64];
	json_t *value;

	json_object_foreach (e->line, name, value) {
		snprintf(sought, sizeof sought, " %s ", name);
		if (strstr(not_words, sought))
			continue;
		buf_printf(out, " %s=", name);
		quote = json_is_string(value) && strchr(json_string_value(value), ' ') ? "\"" : "";
		buf_text(out, quote);
		if (json_is_string(value))
			escape(value, out);
		else
			buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		buf_text(out, quote);
	}
}

static void show_written(struct dev_log *l, const char *message)
{
	const struct terminal *t = l->terminal;

	printf("%s  | %s%s\n", terminal_colour(t, COLOUR_DIM), terminal_colour(t, COLOUR_PLAIN), message);
}

static void show_trouble(struct dev_log *l, const struct entry *e, const char *message)
{
	bool error = strcmp(e->level, "error") == 0;

	terminal_say(l->terminal, 4, "%s  ! %s: %s%s", terminal_colour(l->terminal, error ? COLOUR_RED : COLOUR_YELLOW), e->event,
		message, terminal_colour(l->terminal, COLOUR_PLAIN));
}

static void show(struct dev_log *l, const struct entry *e)
{
	bool written = strcmp(e->event, "worker_stderr") == 0;
	struct buf text;

	buf_init(&text, (size_t)DEV_LINE_MAX * 4);
	escape(e->message, &text);
	if (!written)
		add_words(e, &text);
	buf_append(&text, "", 1);
	if (written)
		show_written(l, (const char *)text.data);
	else
		show_trouble(l, e, (const char *)text.data);
	buf_free(&text);
}

/* A reload ends the sessions and the worker, on purpose. */
static bool is_expected(const struct entry *e)
{
	return strcmp(e->event, "worker_exit") == 0 && strncmp(word(e, "reason"), "recycled", strlen("recycled")) == 0;
}

/* The start of one that is tried again has failed again: it was told when it failed first. */
static bool is_repeated(const struct dev_log *l, const struct entry *e)
{
	static const char *const events[] = {"worker_stderr", "worker_exit", "worker_backoff", "workers_cannot_start"};
	bool of_worker = false;

	for (size_t i = 0; i < sizeof events / sizeof *events; i++)
		of_worker |= strcmp(e->event, events[i]) == 0;
	if (!l->only || !of_worker)
		return false;
	return !*word(e, "worker") || !word_is(e, "worker", l->only);
}

static void take_entry(struct dev_log *l, const struct entry *e)
{
	bool repeated = is_repeated(l, e);
	char value[32];

	if (repeated && strcmp(e->event, "worker_backoff") != 0)
		return;
	if (strcmp(e->event, "worker_stderr") == 0) {
		show(l, e);
	} else if (strcmp(e->event, "joined") == 0) {
		l->event(l->ctx, DEV_JOINED, "");
	} else if (strcmp(e->event, "http") == 0) {
		l->event(l->ctx, DEV_HTTP, word(e, "url"));
	} else if (strcmp(e->event, "worker_state") == 0 && word_is(e, "from", "INITIALIZING") && word_is(e, "to", "READY")) {
		l->event(l->ctx, DEV_WORKER_READY, word(e, "worker"));
	} else if (strcmp(e->event, "worker_backoff") == 0) {
		if (!repeated)
			show(l, e);
		snprintf(value, sizeof value, "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(e->line, "count")));
		l->event(l->ctx, DEV_WORKER_FAILED, value);
	} else if ((strcmp(e->level, "warn") == 0 || strcmp(e->level, "error") == 0) && !is_expected(e)) {
		show(l, e);
	}
}

/* What has not the form of a log line comes from below it, and is shown as it is. */
static void take_line(struct dev_log *l)
{
	json_t *line = json_loadb((const char *)l->line.data, l->line.len, JSON_ALLOW_NUL, NULL);
	struct entry e;

	if (line && read_entry(line, &e))
		take_entry(l, &e);
	else
		printf("%.*s\n", (int)l->line.len, l->line.len ? (const char *)l->line.data : "");
	json_decref(line);
	buf_reset(&l->line);
	fflush(stdout);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
	static char bytes[65536];

	(void)handle, (void)suggested;
	*room = uv_buf_init(bytes, sizeof bytes);
}

static void on_bytes(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
	struct dev_log *l = stream->data;

	if (n < 0) {
		dev_log_close(l);
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (bytes->base[i] == '\n')
			take_line(l);
		else if (l->line.len < DEV_LINE_MAX)
			buf_append(&l->line, &bytes->base[i], 1);
	}
}

void dev_log_read(struct dev_log *l, uv_loop_t *loop, int fd)
{
	buf_init(&l->line, DEV_LINE_MAX);
	uv_pipe_init(loop, &l->pipe, 0);
	l->pipe.data = l;
	l->open = true;
	uv_pipe_open(&l->pipe, fd);
	uv_read_start((uv_stream_t *)&l->pipe, on_room, on_bytes);
}

static void on_closed(uv_handle_t *handle)
{
	struct dev_log *l = handle->data;

	buf_free(&l->line);
	l->open = false;
	l->event(l->ctx, DEV_LOG_OVER, "");
}

void dev_log_close(struct dev_log *l)
{
	if (l->open && !uv_is_closing((uv_handle_t *)&l->pipe))
		uv_close((uv_handle_t *)&l->pipe, on_closed);
}
