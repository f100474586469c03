/* mock_worker_inside.h: what the parts of the mock worker share: its loop (mock_worker.c), output, tasks, commands, faults. */
#ifndef CLI_MOCK_WORKER_INSIDE_H
#define CLI_MOCK_WORKER_INSIDE_H

#include <sys/queue.h>
#include <uthash.h>
#include <uv.h>

#include "bridgepool/base/random.h"
#include "bridgepool/wire/frame.h"
#include "bridgepool/wire/json.h"

enum { MOCK_FRAME_MAX = 1 << 30 };

enum mock_fault {
	MOCK_NONE,
	MOCK_HANG,
	MOCK_CRASH,
	MOCK_EXIT,
	MOCK_LATE,
	MOCK_TWICE,
	MOCK_PRINT,
	MOCK_GARBAGE,
	MOCK_UNKNOWN_ID,
	MOCK_BAD_JSON,
	MOCK_BAD_UTF8,
	MOCK_OVERSIZED,
	MOCK_HALF,
	MOCK_CLOSE_STDOUT,
	MOCK_DEAF,
	MOCK_LEAK,
	MOCK_NOISE,
	MOCK_ESCAPE,
	MOCK_FAULTS
};

/* When a fault happens: with each Nth request, with a probability, or with a command. */
struct mock_when {
	uint64_t every;      /* 0: no */
	double probability;  /* 0: no */
	const char *command; /* NULL: no */
};

enum mock_ignored { MOCK_IGNORE_SHUTDOWN = 1, MOCK_IGNORE_CLOSE = 2, MOCK_IGNORE_TERM = 4 };

struct mock_options {
	int64_t concurrency, delay_ms, jitter_ms, start_delay_ms, late_ms, seed;
	const char *version, *capabilities; /* capabilities: names with commas */
	unsigned ignored;                   /* enum mock_ignored */
	bool plain;                         /* behaves as bridges written for DSPex do */
	struct mock_when when[MOCK_FAULTS];
};

struct mock_session {
	UT_hash_handle hh;
	uint64_t count;
	size_t len;
	char id[];
};

/* An answer that waits for its time. */
struct mock_task {
	uv_timer_t timer;
	TAILQ_ENTRY(mock_task) link;
	struct mock_worker *worker;
	uint64_t id;
	enum mock_fault fault;
	struct buf body;
};

struct mock_worker {
	struct mock_options options;
	uv_loop_t loop;
	uv_poll_t input;
	struct frame_reader frames;
	struct buf body; /* the answer that is being written */
	struct buf out;  /* whole frames for stdout, written once per read */
	struct random random;
	TAILQ_HEAD(, mock_task) tasks;
	struct mock_session *sessions;
	struct mock_programs *programs;
	uint64_t requests, sequence; /* requests answered; calls of commands that faults can hit */
	void *leaked;                /* a chain of blocks */
	int64_t started_ms;
	bool stopping, failed /* ends with another exit code than 0 */, configured /* plain: a language model was named */;
};

/* One call, read from a frame that it borrows. */
struct mock_call {
	uint64_t id;
	struct slice command, args;
	struct json_member session, mock; /* of args; looked for where the command or the text asks for it */
	int64_t delay_ms;
	enum mock_fault fault;
	bool own; /* ping, shutdown and the like: no work */
};

/* mock_worker_output.c */
void mock_worker_send(struct mock_worker *m, struct slice body); /* one frame, with the next write */
void mock_worker_flush(struct mock_worker *m);                   /* writes all; waits if nobody reads */

/* mock_worker_tasks.c */
void mock_worker_later(struct mock_worker *m, const struct mock_call *c); /* m->body is sent after c->delay_ms */
void mock_worker_drop(struct mock_task *t);                               /* and frees it */

/* mock_worker_commands.c */
/* Writes the answer into m->body and says in c what is to become of it. False: it gets no answer. */
bool mock_command_run(struct mock_worker *m, struct mock_call *c);
void mock_command_forget(struct mock_worker *m); /* frees the sessions */

/* mock_worker_faults.c */
struct mock_fault_row {
	const char *name, *help;
};
extern const struct mock_fault_row mock_fault_rows[MOCK_FAULTS];
bool mock_fault_read_when(struct mock_when *w, const char *text); /* "100", "1%", or a command */
bool mock_fault_find(struct slice name, enum mock_fault *out);
enum mock_fault mock_fault_pick(struct mock_worker *m, const struct mock_call *c);
/* Does what the fault does at the time of the answer, and sends the answer in body if there is to be one. May not return. */
void mock_fault_answer(struct mock_worker *m, enum mock_fault fault, uint64_t id, struct slice body);

#endif
