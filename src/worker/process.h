/* process.h: one worker process and its guard, from start to the last word. */
#ifndef WORKER_PROCESS_H
#define WORKER_PROCESS_H

#include "channel.h"
#include "fleet.h"
#include "lines.h"
#include "bridgepool/wire/frame.h"

/*
 * Facts, each gathered when it comes; most orders of them are normal. A grandchild can hold stdout long after the worker's exit;
 * end of stdout can come before the exit; the guard can be killed and report nothing.
 *
 *   process_start ----> started -------> exit_known ------> reaped -----> closing ----> gone is said, freed
 *        |            (STARTED)      (EXITED, SIGNALED)    (waitpid)    (pipes drained,  (last close callback)
 *        |                |                                    ^         handles closed)
 *        |                +-- out_ended, err_ended: any time --+
 *        +-- failed: nothing was started; fault and gone are said in the next turn of the loop. If the guard runs, and only
 *            its pipes cannot be watched, gone is said when it has ended and was reaped.
 *
 * Nothing waits for the ends of stdout and stderr once the guard is reaped: all writers are dead, so what the pipes hold is all
 * there is.
 */
struct process {
	struct slot_ref slot;
	UT_hash_handle hh;
	TAILQ_ENTRY(process) unsaid_link, due_link, known_link;
	struct fleet *fleet;
	pid_t guard, worker; /* 0: none */
	struct channel in, out, err, report;
	int orders;       /* -1: closed */
	unsigned handles; /* channels whose close callback is to come */
	bool is_unsaid, is_due;

	bool failed, started, exit_known, all_gone, reaped, closing; /* facts */
	bool out_ended, err_ended;                                   /* nothing more is read */
	bool frames_left;                                            /* read, but not yet given out */
	bool write_broken;                                           /* fault is to be said */
	bool close_wanted;                                           /* stdin is closed when all is written */
	bool write_waits;                                            /* the pipe is full */
	struct exit_report exit;
	int64_t ended_at; /* when exit_known was learnt; 0: not yet */

	size_t max_frame;
	struct frame_reader frames;
	struct lines lines;
	struct buf said; /* calls; the first `written` bytes are in the pipe */
	size_t written;
	char *failure; /* why it was not started, with the kind of it */
	enum worker_fault failure_kind;
};

/* Never fails: what goes wrong is told later, as fault and gone. */
struct process *process_start(struct fleet *f, struct slot_ref slot);
void process_stop(struct process *p, enum stop_step s);
void process_turn(struct process *p);      /* does what could not be done where it was found out */
void process_look(struct process *p);      /* tells how much memory it holds */
void process_reap(struct process *p);      /* looks whether its guard has ended */
void process_last_line(struct process *p); /* for the exit report */
void process_abandon(struct process *p);   /* closes everything without waiting; the guard goes on killing */
void process_free(struct process *p);

/* For its channels: */
bool process_is_silent(const struct process *p); /* nothing is told any more: the adapter is being closed */
void process_fault(struct process *p, enum worker_fault fault, struct slice detail);

#endif
