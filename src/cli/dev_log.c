/* dev_log.c: see dev_log.h. */
#include "dev_log.h"

#include <stdio.h>
#include <string.h>

enum { DEV_LINE_MAX = 16384, WORD_MAX = 128 };

/* A line of the log: time, level, event, text. */
struct entry {
	char level[16], event[64];
	const char *text;
};

static bool read_entry(const char *line, struct entry *e)
{
	char at[32];
	int length = 0;

	if (sscanf(line, "%31s %15s %63s %n", at, e->level, e->event, &length) != 3 || length == 0)
		return false;
	e->text = line + length;
	return strlen(at) == strlen("2026-01-01T00:00:00.000Z") && at[10] == 'T' && at[23] == 'Z';
}

/* The value of " name=value" in text, up to the next space. */
static void word(const char *text, const char *name, char out[WORD_MAX])
{
	const char *found = strstr(text, name);

	out[0] = '\0';
	if (found)
		sscanf(found + strlen(name), "%127[^ \n]", out);
}

static void show_written(struct dev_log *l, const struct entry *e)
{
	const struct terminal *t = l->terminal;
	const char *rest = strchr(e->text, ' ');

	printf("%s  | %s%s\n", terminal_colour(t, COLOUR_DIM), terminal_colour(t, COLOUR_PLAIN), rest ? rest + 1 : "");
}

static void show_trouble(struct dev_log *l, const struct entry *e)
{
	bool error = strcmp(e->level, "error") == 0;

	terminal_say(l->terminal, 4, "%s  ! %s: %s%s", terminal_colour(l->terminal, error ? COLOUR_RED : COLOUR_YELLOW), e->event,
		e->text, terminal_colour(l->terminal, COLOUR_PLAIN));
}

/* A reload ends the sessions and the worker, on purpose. */
static bool is_expected(const struct entry *e)
{
	return strcmp(e->event, "worker_exit") == 0 && strstr(e->text, "recycled");
}

static void take_entry(struct dev_log *l, const struct entry *e)
{
	char value[WORD_MAX];

	if (strcmp(e->event, "worker_stderr") == 0) {
		show_written(l, e);
	} else if (strcmp(e->event, "joined") == 0) {
		l->event(l->ctx, DEV_JOINED, "");
	} else if (strcmp(e->event, "http") == 0) {
		word(e->text, "metrics at ", value);
		l->event(l->ctx, DEV_HTTP, value);
	} else if (strcmp(e->event, "worker_state") == 0 && strstr(e->text, " from=INITIALIZING to=READY")) {
		word(e->text, " worker=", value);
		l->event(l->ctx, DEV_WORKER_READY, value);
	} else if (strcmp(e->event, "worker_backoff") == 0) {
		show_trouble(l, e);
		l->event(l->ctx, DEV_WORKER_FAILED, "");
	} else if ((strcmp(e->level, "warn") == 0 || strcmp(e->level, "error") == 0) && !is_expected(e)) {
		show_trouble(l, e);
	}
}

/* What has not the form of a log line comes from below it, and is shown as it is. */
static void take_line(struct dev_log *l)
{
	struct entry e;

	buf_append(&l->line, "", 1);
	if (read_entry((const char *)l->line.data, &e))
		take_entry(l, &e);
	else
		printf("%s\n", (const char *)l->line.data);
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
	buf_init(&l->line, DEV_LINE_MAX + 1);
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
