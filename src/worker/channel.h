/* channel.h: the pipes between us and a worker process, as far as the protocol goes: calls in, to its stdin, and answers out,
 * from its stdout. What they keep between turns stands in struct process; when they are opened and what their ends mean,
 * process.c knows. */
#ifndef WORKER_CHANNEL_H
#define WORKER_CHANNEL_H

#include <stddef.h>
#include <uv.h>

struct call;
struct process;

/* One of our pipe ends, non-blocking. */
struct channel {
	uv_poll_t poll;
	int fd; /* -1: closed */
};

/* Takes fd. 0, or the errno for which the loop does not watch it. */
int channel_open(struct process *p, struct channel *c, int fd);
void channel_close(struct channel *c); /* closed already: nothing. After the last one's close callback a closing p is buried */
/* Bytes that a dead writer may have left in it: at most the pipe's size. A living one (only if the guard was killed) gets no more
 * than that. */
size_t channel_rest(const struct channel *c);

/* Calls in */
void channel_call(struct process *p, const struct call *c); /* kept until the next flush */
void channel_flush(struct process *p);                      /* one write */
void channel_end(struct process *p);                        /* no call comes any more: closed when all is written */

/* Answers out */
void channel_listen(struct process *p); /* from now on */
void channel_drain(struct process *p);  /* all that is left; its writers are dead */

/* Both */
void channels_init(struct process *p); /* all four ends are closed */
void channels_turn(struct process *p); /* does what could not be done where it was found out */
void channels_cleanup(struct process *p);

#endif
