/* wake.c: librdkafka's queues wake the loop. */
#include "wake.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"

enum {
	WORK_EVENTS = 256,
	WORK_US = 2000,
	TICK_MS = 1000, /* an idle consumer that never polls is thrown out of its group at max.poll.interval.ms */
};

struct wake {
	uv_poll_t poll;
	uv_timer_t timer;
	int fd;
	bool stopped;
	void (*serve)(void *ctx, struct work *work);
	void (*closed)(void *ctx);
	void *ctx;
};

bool work_take(struct work *work)
{
	if (work->spent || work->left == 0 || clock_mono_us() >= work->until_us) {
		work->spent = true;
		return false;
	}
	work->left--;
	return true;
}

void wake_signal(struct wake *w)
{
	const uint64_t one = 1;

	/* EAGAIN: the counter is full, so the descriptor is readable already. */
	CHECK(write(w->fd, &one, sizeof one) == sizeof one || errno == EAGAIN);
}

static void wake_run(struct wake *w)
{
	struct work work = {WORK_EVENTS, clock_mono_us() + WORK_US, false};

	if (w->stopped)
		return;
	w->serve(w->ctx, &work);
	if (work.spent && !w->stopped)
		wake_signal(w);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct wake *w = poll->data;
	uint64_t count;

	(void)status;
	(void)events;
	/* Read before the queues are drained: what comes in between signals again. */
	if (read(w->fd, &count, sizeof count) < 0)
		CHECK(errno == EAGAIN || errno == EINTR);
	wake_run(w);
}

static void on_tick(uv_timer_t *timer)
{
	wake_run(timer->data);
}

struct wake *wake_new(uv_loop_t *loop, void (*serve)(void *ctx, struct work *work), void *ctx)
{
	struct wake *w = xcalloc(1, sizeof *w);
	int error;

	w->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	error = w->fd < 0 ? errno : -uv_poll_init(loop, &w->poll, w->fd);
	if (error) {
		if (w->fd >= 0)
			close(w->fd);
		free(w);
		errno = error;
		return NULL;
	}
	w->serve = serve;
	w->ctx = ctx;
	CHECK(uv_timer_init(loop, &w->timer) == 0);
	w->poll.data = w->timer.data = w;
	CHECK(uv_poll_start(&w->poll, UV_READABLE, on_readable) == 0);
	CHECK(uv_timer_start(&w->timer, on_tick, TICK_MS, TICK_MS) == 0);
	return w;
}

void wake_watch(struct wake *w, rd_kafka_queue_t *queue)
{
	static const uint64_t one = 1;

	rd_kafka_queue_io_event_enable(queue, w->fd, &one, sizeof one);
	wake_signal(w); /* it may hold something already */
}

void wake_ignore(struct wake *w, rd_kafka_queue_t *queue)
{
	(void)w;
	rd_kafka_queue_io_event_enable(queue, -1, NULL, 0);
}

void wake_within(struct wake *w, uint64_t ms)
{
	if (!w->stopped && uv_timer_get_due_in(&w->timer) > ms)
		uv_timer_start(&w->timer, on_tick, ms, TICK_MS);
}

void wake_stop(struct wake *w)
{
	w->stopped = true;
	uv_poll_stop(&w->poll);
	uv_timer_stop(&w->timer);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct wake *w = handle->data;
	void (*closed)(void *ctx) = w->closed;
	void *ctx = w->ctx;

	close(w->fd);
	free(w);
	closed(ctx);
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct wake *w = handle->data;

	uv_close((uv_handle_t *)&w->timer, on_timer_closed);
}

void wake_close(struct wake *w, void (*closed)(void *ctx))
{
	wake_stop(w);
	w->closed = closed;
	uv_close((uv_handle_t *)&w->poll, on_poll_closed);
}
