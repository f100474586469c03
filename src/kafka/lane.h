/* lane.h: one side thread for calls that block: one job at a time, in order; the result comes back on the loop. */
#ifndef KAFKA_LANE_H
#define KAFKA_LANE_H

#include <uv.h>

/* The first member of what a job owns. It shares nothing with the loop that both may change. */
struct lane_job {
	void (*run)(struct lane_job *job);  /* in the side thread */
	void (*done)(struct lane_job *job); /* on the loop, never from inside lane_post; frees the job */
	struct lane_job *next;
};

struct lane;

struct lane *lane_new(uv_loop_t *loop);                                /* NULL: there is no thread to be had; errno says why */
void lane_post(struct lane *l, struct lane_job *job);                  /* takes */
void lane_close(struct lane *l, void (*closed)(void *ctx), void *ctx); /* all jobs are done; frees l, then calls closed */

#endif
