/* fleet.h: the child processes of one adapter, and what they share. */
#ifndef WORKER_FLEET_H
#define WORKER_FLEET_H

#include <sys/queue.h>
#include <uthash.h>
#include <uv.h>

#include "kind.h"
#include "launch.h"

struct process;
TAILQ_HEAD(process_list, process);

enum { READ_MAX = 64 << 10 /* a pipe's usual capacity: what one read can bring */ };

struct fleet {
	struct adapter adapter; /* first */
	uv_loop_t *loop;
	struct worker_events events;
	struct launch_plan plan;
	size_t max_frame;           /* of what is started from now on */
	struct process *processes;  /* uthash by slot_ref, until their `gone` is said */
	struct process_list unsaid; /* have calls that adapter_flush must write */
	struct process_list due;    /* have something to do in the next turn of the loop */
	struct process_list known;  /* all, those whose memory was looked at last behind */
	size_t ndue;
	struct buf scratch;   /* for bridge_read */
	char bytes[READ_MAX]; /* for reads */
	uv_signal_t child_signal;
	uv_idle_t turn;      /* active while `due` is not empty */
	uv_timer_t patience; /* how long adapter_close waits for the guards */
	uv_timer_t look;     /* at the memory of some; runs while there are any */
	unsigned handles;    /* of the four, those whose close callback is to come */
};

/* For processes: */
void fleet_unsaid(struct fleet *f, struct process *p); /* p is flushed with the next adapter_flush */
void fleet_due(struct fleet *f, struct process *p);    /* process_turn is called in the next turn of the loop */
void fleet_bury(struct fleet *f, struct process *p);   /* says gone and frees p */

#endif
