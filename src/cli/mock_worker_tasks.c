/* mock_worker_tasks.c: answers of the mock worker that wait for their time. */
#include <stdlib.h>

#include "bridgepool/base/check.h"
#include "mock_worker_inside.h"

static void on_task_closed(uv_handle_t *handle)
{
	struct mock_task *t = handle->data;

	buf_free(&t->body);
	free(t);
}

void mock_worker_drop(struct mock_task *t)
{
	TAILQ_REMOVE(&t->worker->tasks, t, link);
	uv_close((uv_handle_t *)&t->timer, on_task_closed);
}

static void on_task(uv_timer_t *timer)
{
	struct mock_task *t = timer->data;
	struct mock_worker *m = t->worker;

	mock_fault_answer(m, t->fault, t->id, buf_slice(&t->body));
	mock_worker_drop(t);
	mock_worker_flush(m);
}

void mock_worker_later(struct mock_worker *m, const struct mock_call *c)
{
	struct mock_task *t = xcalloc(1, sizeof *t);

	t->worker = m;
	t->id = c->id;
	t->fault = c->fault;
	buf_init(&t->body, MOCK_FRAME_MAX);
	buf_add(&t->body, buf_slice(&m->body));
	uv_timer_init(&m->loop, &t->timer);
	t->timer.data = t;
	TAILQ_INSERT_TAIL(&m->tasks, t, link);
	uv_update_time(&m->loop);
	uv_timer_start(&t->timer, on_task, (uint64_t)c->delay_ms, 0);
}
