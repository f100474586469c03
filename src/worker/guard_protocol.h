/* guard_protocol.h: what daemon and bridgepool-guard say to each other; guard.c tells it in full. Both are built together. */
#ifndef WORKER_GUARD_PROTOCOL_H
#define WORKER_GUARD_PROTOCOL_H

#include <stdint.h>

/* 0, 1 and 2 are the worker's. */
enum guard_fd { GUARD_FD_ORDERS = 3, GUARD_FD_REPORT = 4, GUARD_FD_END };

/* getopt's letters: directory, open files, core bytes, address space in bytes, CPU seconds, what is added to oom_score_adj, user
 * and group as numbers, may gain privileges. What follows is the command. */
#define GUARD_OPTIONS "+d:f:c:m:t:o:u:g:p"

/* One byte each on the orders pipe; its end is the order to kill everything. */
enum guard_order { GUARD_ORDER_TERM = 'T', GUARD_ORDER_KILL = 'K' };

enum guard_word {
	GUARD_STARTED = 1, /* a: pid of the worker; its program runs */
	GUARD_FAILED,      /* a: enum guard_step, b: errno; its program never ran */
	GUARD_EXITED,      /* a: exit code */
	GUARD_SIGNALED,    /* a: signal, b: 1 if the kernel killed it for its memory */
	GUARD_ALL_GONE,    /* last: nothing below the guard lives */
};

/* In the order in which they are taken. */
enum guard_step {
	GUARD_STEP_FORK = 1,
	GUARD_STEP_OOM_SCORE,
	GUARD_STEP_OPEN_FILES,
	GUARD_STEP_CORE,
	GUARD_STEP_CPU,
	GUARD_STEP_GROUPS,
	GUARD_STEP_GROUP,
	GUARD_STEP_USER,
	GUARD_STEP_PRIVILEGES,
	GUARD_STEP_DIRECTORY,
	GUARD_STEP_MEMORY,
	GUARD_STEP_EXEC
};

/* On the report pipe; far below PIPE_BUF, so always whole. */
struct guard_report {
	int32_t word, a, b;
};

#endif
