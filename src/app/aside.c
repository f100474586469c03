/* aside.c: see aside.h. */
#include "aside.h"

#include "bridgepool/base/check.h"

struct aside {
	uv_thread_t thread;
	uv_async_t over;
	void (*work)(void *ctx);
	void *ctx;
	bool closed;
};

static void run(void *arg)
{
	struct aside *a = arg;

	a->work(a->ctx);
	uv_async_send(&a->over);
}

static void on_closed(uv_handle_t *handle)
{
	((struct aside *)handle->data)->closed = true;
}

static void on_over(uv_async_t *over)
{
	uv_close((uv_handle_t *)over, on_closed);
}

bool aside_run(uv_loop_t *loop, void (*work)(void *ctx), void *ctx)
{
	struct aside a = {.work = work, .ctx = ctx};
	bool runs;

	CHECK(uv_async_init(loop, &a.over, on_over) == 0); /* what it needs the loop has from its beginning */
	a.over.data = &a;
	runs = uv_thread_create(&a.thread, run, &a) == 0;
	if (!runs)
		on_over(&a.over);
	while (!a.closed)
		uv_run(loop, UV_RUN_ONCE);
	if (runs)
		uv_thread_join(&a.thread);
	return runs;
}
