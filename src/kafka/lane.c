/* lane.c: the side thread for calls that block.
 *
 * A thread of our own and not libuv's pool: the pool is joined when the process ends, so one call that waits for a broker
 * would hold up an exit that must be quick. */
#include "lane.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "bridgepool/base/check.h"

struct job_list {
	struct lane_job *first, **last;
};

struct lane {
	uv_async_t async;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct job_list todo, finished; /* under lock */
	bool quit;
	unsigned open; /* posted and not yet done; loop only */
	void (*closed)(void *ctx);
	void *ctx;
};

static void list_init(struct job_list *l)
{
	l->first = NULL;
	l->last = &l->first;
}

static void list_push(struct job_list *l, struct lane_job *job)
{
	job->next = NULL;
	*l->last = job;
	l->last = &job->next;
}

static struct lane_job *list_pop(struct job_list *l)
{
	struct lane_job *job = l->first;

	if (job) {
		l->first = job->next;
		if (!l->first)
			l->last = &l->first;
	}
	return job;
}

/* The next job, or NULL when the lane closes. */
static struct lane_job *lane_wait(struct lane *l)
{
	struct lane_job *job;

	pthread_mutex_lock(&l->lock);
	while (!(job = list_pop(&l->todo)) && !l->quit)
		pthread_cond_wait(&l->more, &l->lock);
	pthread_mutex_unlock(&l->lock);
	return job;
}

static void *lane_main(void *arg)
{
	struct lane *l = arg;
	struct lane_job *job;

	while ((job = lane_wait(l))) {
		job->run(job);
		pthread_mutex_lock(&l->lock);
		list_push(&l->finished, job);
		pthread_mutex_unlock(&l->lock);
		uv_async_send(&l->async);
	}
	return NULL;
}

static void on_finished(uv_async_t *async)
{
	struct lane *l = async->data;
	struct lane_job *job;

	for (;;) {
		pthread_mutex_lock(&l->lock);
		job = list_pop(&l->finished);
		pthread_mutex_unlock(&l->lock);
		if (!job)
			return;
		l->open--;
		job->done(job);
		if (l->closed)
			return; /* it was the last one */
	}
}

/* Signals belong to the loop's thread. */
static bool lane_start(struct lane *l)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&l->thread, NULL, lane_main, l);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = err;
	return err == 0;
}

static void lane_free(struct lane *l)
{
	pthread_cond_destroy(&l->more);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

struct lane *lane_new(uv_loop_t *loop)
{
	struct lane *l = xcalloc(1, sizeof *l);

	list_init(&l->todo);
	list_init(&l->finished);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->more, NULL);
	if (!lane_start(l)) {
		int error = errno;

		lane_free(l);
		errno = error;
		return NULL;
	}
	/* After the thread, which looks at it after the first job only. It asks for nothing: what such a handle needs, the loop
	 * has from its own beginning. */
	CHECK(uv_async_init(loop, &l->async, on_finished) == 0);
	l->async.data = l;
	return l;
}

void lane_post(struct lane *l, struct lane_job *job)
{
	CHECK(!l->closed);
	l->open++;
	pthread_mutex_lock(&l->lock);
	list_push(&l->todo, job);
	pthread_cond_signal(&l->more);
	pthread_mutex_unlock(&l->lock);
}

static void on_closed(uv_handle_t *handle)
{
	struct lane *l = handle->data;
	void (*closed)(void *ctx) = l->closed;
	void *ctx = l->ctx;

	lane_free(l);
	closed(ctx);
}

void lane_close(struct lane *l, void (*closed)(void *ctx), void *ctx)
{
	CHECK(l->open == 0 && !l->closed);
	l->closed = closed;
	l->ctx = ctx;
	pthread_mutex_lock(&l->lock);
	l->quit = true;
	pthread_cond_signal(&l->more);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL); /* it is idle: ends at once */
	uv_close((uv_handle_t *)&l->async, on_closed);
}
