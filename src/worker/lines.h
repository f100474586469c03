/* lines.h: cuts what a worker writes to stderr into lines. */
#ifndef WORKER_LINES_H
#define WORKER_LINES_H

#include "bridgepool/base/buf.h"

enum {
	STDERR_LINE_MAX = 4 << 10, /* as a whole line of the log: one that is cut here is cut there too, and has its mark */
	STDERR_LAST_MAX = 1 << 10,
};

struct lines {
	char *part; /* the beginning of a line whose end has not come; NULL until needed */
	size_t len;
	bool skipping; /* the line was over STDERR_LINE_MAX: its rest is dropped */
	char last[STDERR_LAST_MAX];
	size_t last_len; /* the last line that is not blank, cut */
	int64_t last_at; /* when it was read */
};

/* line is borrowed for the call, without its end. */
typedef void lines_fn(void *ctx, struct slice line);
void lines_feed(struct lines *l, const char *data, size_t n, lines_fn *each, void *ctx);
void lines_end(struct lines *l, lines_fn *each, void *ctx); /* a last line may have no end */
void lines_free(struct lines *l);

#endif
