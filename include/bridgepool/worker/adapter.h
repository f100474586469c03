/* adapter.h: how the engine's orders reach bridge workers. Two kinds: `process` (child processes on pipes) and `mock` (inside the
 * daemon, scripted, for tests). Every event carries the slot_ref that its worker was started with. */
#ifndef BRIDGEPOOL_WORKER_ADAPTER_H
#define BRIDGEPOOL_WORKER_ADAPTER_H

#include "bridgepool/core/port.h"

struct uv_loop_s;
struct adapter;

/* Called from the loop, never from inside an adapter_ function. Slices are borrowed for the call. */
struct worker_events {
	void *ctx;
	void (*started)(void *ctx, struct slot_ref w, int pid);
	void (*answer)(void *ctx, struct slot_ref w, const struct answer *a);
	void (*fault)(void *ctx, struct slot_ref w, enum worker_fault f, struct slice detail);
	void (*gone)(void *ctx, struct slot_ref w, const struct exit_report *x); /* once, last; nothing of it lives */
	void (*line)(void *ctx, struct slot_ref w, struct slice line); /* one stderr line, without its end; cut at 4 KiB */
	/* that all its processes hold, without pages of files; about once a second; NULL: not looked at */
	void (*memory)(void *ctx, struct slot_ref w, uint64_t bytes);
};

struct adapter_config {
	const char *kind;               /* "process" or "mock" */
	const char *const *command;     /* argv, NULL-terminated; process */
	const char *directory;          /* working directory; NULL or "": the daemon's */
	const char *const *environment; /* "NAME=value" to set, NULL-terminated; may be NULL */
	const char *const *pass;        /* fnmatch patterns of further variables of the daemon that are passed on; may be NULL */
	const char *guard_path;         /* bridgepool-guard; NULL: beside the running program, else the installed one */
	size_t max_frame_bytes;         /* of a message from a worker; goes into BRIDGEPOOL_MAX_FRAME_BYTES; 0: 16 MiB */
	int64_t stop_grace_us;          /* between the steps of stopping a worker; goes into BRIDGEPOOL_STOP_GRACE; 0: not told */
	int64_t address_space;          /* bytes per worker (RLIMIT_AS), 0: none */
	int64_t open_files;             /* RLIMIT_NOFILE, 0: as it is */
	int64_t core_bytes;             /* RLIMIT_CORE */
	int64_t cpu_seconds;            /* RLIMIT_CPU, over its life, 0: none */
	int64_t oom_score;              /* added to the daemon's oom_score_adj; not negative */
	const char *user, *group;       /* see account.h; NULL or "": the daemon's */
	bool may_gain_privileges;       /* by set-user-ID programs and the like; else PR_SET_NO_NEW_PRIVS */
	const char *pool_name;          /* goes into BRIDGEPOOL_POOL; BRIDGEPOOL_WORKER_ID is pool/slot.generation */
	const char *script;             /* mock: see mock.h; NULL: echo */
};

/* Copies c. NULL: errstr says what to mend (command not found, guard not found). */
struct adapter *adapter_new(struct uv_loop_s *loop, const struct adapter_config *c, const struct worker_events *ev, char *errstr,
	size_t size);
/* Whether adapter_new would take it; nothing is made. */
bool adapter_fits(const struct adapter_config *c, char *errstr, size_t size);
/* For the workers that are started from now on; of the same kind and script. False: all is as it was, errstr as of
 * adapter_new. */
bool adapter_reconfigure(struct adapter *a, const struct adapter_config *c, char *errstr, size_t size);
void adapter_start(struct adapter *a, struct slot_ref w);
/* Buffered until adapter_flush; a w that is gone is ignored. */
void adapter_call(struct adapter *a, struct slot_ref w, const struct call *c);
void adapter_stop(struct adapter *a, struct slot_ref w, enum stop_step s);
void adapter_flush(struct adapter *a);        /* one writev per worker that has something to say */
size_t adapter_live(const struct adapter *a); /* for tests: workers whose `gone` has not been said */
void adapter_close(struct adapter *a);        /* kills what lives; frees itself in the last close callback; no event after it */

#endif
