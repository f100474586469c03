/* dev_trial.c: see dev_trial.h. */
#include "dev_trial.h"

#include <signal.h>

enum { SAID_MAX = 1 << 20 };

static void begin(struct dev_trial *t);

static void on_closed(uv_handle_t *handle)
{
	struct dev_trial *t = handle->data;
	bool again = t->again;

	if (--t->handles > 0 || t->closing)
		return;
	t->again = false;
	if (again)
		begin(t);
	else
		t->over(t->ctx, t->good);
}

static void end_handle(uv_handle_t *handle)
{
	if (!uv_is_closing(handle))
		uv_close(handle, on_closed);
}

static void on_exit(uv_process_t *process, int64_t code, int signal_number)
{
	struct dev_trial *t = process->data;

	t->good = code == 0 && signal_number == 0;
	if (signal_number && !t->again && !t->closing)
		buf_printf(&t->complaint, "it was ended by signal %d\n", signal_number);
	end_handle((uv_handle_t *)process);
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
	static char bytes[16384];

	(void)handle, (void)suggested;
	*room = uv_buf_init(bytes, sizeof bytes);
}

static void on_said(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
	struct dev_trial *t = stream->data;

	if (n < 0)
		end_handle((uv_handle_t *)stream);
	else
		buf_append(stream == (uv_stream_t *)&t->out ? &t->said : &t->complaint, bytes->base, (size_t)n);
}

static void fail(struct dev_trial *t, int code)
{
	buf_printf(&t->complaint, "cannot run %s: %s; name a Python with --python\n", t->python, uv_strerror(code));
	t->good = false;
	t->no_python = true;
	end_handle((uv_handle_t *)&t->out);
	end_handle((uv_handle_t *)&t->err);
	end_handle((uv_handle_t *)&t->process);
}

static void begin(struct dev_trial *t)
{
	char *argv[] = {t->python, (char[]){"-m"}, (char[]){"bridgepool"}, (char[]){"list"}, (char[]){"--json"}, t->app, NULL};
	uv_stdio_container_t stdio[] = {{.flags = UV_IGNORE},
		{.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&t->out},
		{.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&t->err}};
	uv_process_options_t options = {.exit_cb = on_exit, .file = t->python, .args = argv, .stdio = stdio, .stdio_count = 3};
	int code;

	buf_free(&t->said);
	buf_free(&t->complaint);
	buf_init(&t->said, SAID_MAX);
	buf_init(&t->complaint, SAID_MAX);
	uv_pipe_init(t->loop, &t->out, 0);
	uv_pipe_init(t->loop, &t->err, 0);
	t->out.data = t->err.data = t->process.data = t;
	t->handles = 3;
	t->no_python = false;
	code = uv_spawn(t->loop, &t->process, &options);
	if (code != 0) {
		fail(t, code);
		return;
	}
	uv_read_start((uv_stream_t *)&t->out, on_room, on_said);
	uv_read_start((uv_stream_t *)&t->err, on_room, on_said);
}

static void give_up(struct dev_trial *t)
{
	if (!uv_is_closing((uv_handle_t *)&t->process)) /* else it has ended, and its number may be another's */
		uv_process_kill(&t->process, SIGKILL);
	end_handle((uv_handle_t *)&t->out);
	end_handle((uv_handle_t *)&t->err);
}

void dev_trial_ask(struct dev_trial *t)
{
	if (t->handles == 0) {
		begin(t);
		return;
	}
	t->again = true;
	give_up(t);
}

void dev_trial_close(struct dev_trial *t)
{
	t->closing = true;
	if (t->handles > 0)
		give_up(t);
}

void dev_trial_free(struct dev_trial *t)
{
	buf_free(&t->said);
	buf_free(&t->complaint);
}
