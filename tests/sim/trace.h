/* trace.h: what happened, as numbers: hashed all along, so that two runs can be compared, and the last lines kept for the report
 * of a breach. */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

#include <stdbool.h>
#include <stdint.h>

/* name, and what the numbers mean */
#define TRACE_LINES(X)                                                                    \
	X(ASK, "client asks", "record", "partition", "offset", "session", "kind")         \
	X(BORN, "instance starts", "instance", "life", "", "", "")                        \
	X(KILLED, "instance is killed", "instance", "life", "", "", "")                   \
	X(FROZEN, "instance freezes", "instance", "for_us", "", "", "")                   \
	X(THAWED, "instance thaws", "instance", "evicted", "", "", "")                    \
	X(DRAIN, "instance drains", "instance", "until", "", "", "")                      \
	X(DRAINED, "instance has drained", "instance", "", "", "", "")                    \
	X(ENDED, "instance ends", "instance", "", "", "", "")                             \
	X(CHAOS, "chaos", "kind", "instance", "", "", "")                                 \
	X(QUIET, "faults off", "", "", "", "", "")                                        \
	X(TICK, "tick", "instance", "due", "", "", "")                                    \
	X(REBALANCE, "rebalance", "generation", "members", "", "", "")                    \
	X(EVICTED, "member evicted", "instance", "", "", "", "")                          \
	X(ASSIGNED, "assigned", "instance", "n", "topic", "partition", "epoch")           \
	X(REVOKED, "revoked", "instance", "n", "topic", "partition", "lost")              \
	X(RELEASED, "released", "instance", "", "", "", "")                               \
	X(READ_OFFSETS, "reads offsets", "instance", "topic", "partition", "epoch", "")   \
	X(OFFSETS, "offsets", "instance", "topic", "partition", "base", "map")            \
	X(LATE, "late from before", "instance", "topic", "partition", "epoch", "message") \
	X(HOLD, "holds", "instance", "topic", "partition", "on", "")                      \
	X(RECEIVE, "receives", "instance", "record", "partition", "offset", "epoch")      \
	X(COMMIT, "commits", "instance", "commit", "partition", "base", "map")            \
	X(COMMITTED, "commit answered", "instance", "commit", "applied", "verdict", "")   \
	X(PRODUCE, "produces", "instance", "serial", "record", "kind", "status")          \
	X(QUEUE_FULL, "queue is full", "instance", "serial", "", "", "")                  \
	X(LANDED, "landed", "instance", "serial", "record", "kind", "")                   \
	X(REPORT, "delivery report", "instance", "serial", "verdict", "", "")             \
	X(START, "worker start", "instance", "pool", "slot", "generation", "")            \
	X(STARTED, "worker started", "instance", "pool", "slot", "generation", "")        \
	X(CALL, "call", "instance", "slot", "id", "kind", "session")                      \
	X(RUN, "run", "instance", "record", "slot", "generation", "attempt")              \
	X(ANSWER, "answer", "instance", "slot", "generation", "id", "kind")               \
	X(FAULT, "worker fault", "instance", "slot", "generation", "fault", "")           \
	X(CRASH, "worker dies", "instance", "slot", "generation", "", "")                 \
	X(GONE, "worker gone", "instance", "slot", "generation", "", "")                  \
	X(STOP, "worker stop", "instance", "slot", "generation", "step", "")              \
	X(NOTE, "note", "instance", "kind", "slot", "partition", "count")                 \
	X(STALE, "stale thing", "instance", "kind", "", "", "")

#define TRACE_CODE(code, ...) TRACE_##code,
enum trace_code { TRACE_LINES(TRACE_CODE) TRACE_CODES };
#undef TRACE_CODE

enum { TRACE_KEEP = 60, TRACE_ARGS = 5 };

struct trace_line {
	int64_t at;
	enum trace_code code;
	int64_t args[TRACE_ARGS];
};

struct trace {
	uint64_t hash, lines;
	bool verbose;
	struct trace_line last[TRACE_KEEP];
};

void trace_add(struct trace *t, int64_t at, enum trace_code code, const int64_t args[TRACE_ARGS]);
void trace_print(const struct trace *t);

/* TRACE(w, TICK, 1, 2): the numbers that are left out are 0. */
#define TRACE(w, code, ...) trace_add(&(w)->trace, (w)->now, TRACE_##code, (const int64_t[TRACE_ARGS]){__VA_ARGS__})

#endif
