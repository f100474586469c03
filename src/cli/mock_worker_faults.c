/* mock_worker_faults.c: what the mock worker can do wrong, and when. */
#include "mock_worker_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bridgepool/base/check.h"

enum { EXIT_ON_FAULT = 3, LEAK_BYTES = 1 << 20, NOISE_LINES = 1000 };

const struct mock_fault_row mock_fault_rows[MOCK_FAULTS] = {
	[MOCK_HANG] = {"hang", "never answers"},
	[MOCK_CRASH] = {"crash", "dies by a segmentation fault instead of answering"},
	[MOCK_EXIT] = {"exit", "exits with code 3 instead of answering"},
	[MOCK_LATE] = {"late", "answers later than the others (--late-by)"},
	[MOCK_TWICE] = {"twice", "answers twice"},
	[MOCK_PRINT] = {"print", "prints a line to stdout before it answers"},
	[MOCK_GARBAGE] = {"garbage", "answers with a frame that is no JSON"},
	[MOCK_UNKNOWN_ID] = {"unknown-id", "answers under an id that was never issued"},
	[MOCK_BAD_JSON] = {"bad-json", "answers with NaN as the result"},
	[MOCK_BAD_UTF8] = {"bad-utf8", "answers with a text that is not UTF-8"},
	[MOCK_OVERSIZED] = {"oversized", "announces a frame of 4 GB"},
	[MOCK_HALF] = {"half", "writes half of its answer and exits"},
	[MOCK_CLOSE_STDOUT] = {"close-stdout", "closes stdout and goes on living"},
	[MOCK_DEAF] = {"deaf", "answers and never reads again"},
	[MOCK_LEAK] = {"leak", "answers and keeps a MiB of memory"},
	[MOCK_NOISE] = {"noise", "writes 1000 lines to stderr before it answers"},
	[MOCK_ESCAPE] = {"escape", "leaves a grandchild behind, in a session of its own, that holds stdout"},
};

/* ---- when ---- */

bool mock_fault_read_when(struct mock_when *w, const char *text)
{
	char *end;
	double number;

	errno = 0;
	number = strtod(text, &end);
	*w = (struct mock_when){0};
	if (!*text || errno)
		return false;
	if (end == text) {
		w->command = text;
		return true;
	}
	if (!strcmp(end, "%") && number >= 0 && number <= 100) {
		w->probability = number / 100;
		return true;
	}
	if (*end || number < 1 || number > 1e15)
		return false;
	w->every = (uint64_t)number;
	return (double)w->every == number;
}

bool mock_fault_find(struct slice name, enum mock_fault *out)
{
	for (enum mock_fault f = MOCK_NONE + 1; f < MOCK_FAULTS; f++) {
		if (slice_is(name, mock_fault_rows[f].name)) {
			*out = f;
			return true;
		}
	}
	return false;
}

static bool is_due(struct mock_worker *m, const struct mock_when *w, const struct mock_call *c)
{
	if (w->command)
		return slice_is(c->command, w->command);
	if (c->own)
		return false;
	if (w->every)
		return m->sequence % w->every == 0;
	return w->probability > 0 && (double)(random_next(&m->random) >> 11) * 0x1p-53 < w->probability;
}

enum mock_fault mock_fault_pick(struct mock_worker *m, const struct mock_call *c)
{
	enum mock_fault picked = MOCK_NONE;

	if (!c->own)
		m->sequence++;
	for (enum mock_fault f = MOCK_NONE + 1; f < MOCK_FAULTS; f++) {
		if (is_due(m, &m->options.when[f], c) && !picked)
			picked = f; /* the others draw their numbers all the same: one fault's setting does not move another's */
	}
	return picked;
}

/* ---- what ---- */

static void send_raw(struct mock_worker *m, const void *p, size_t n)
{
	buf_append(&m->out, p, n);
	mock_worker_flush(m);
}

static _Noreturn void crash(struct mock_worker *m)
{
	mock_worker_flush(m);
	signal(SIGSEGV, SIG_DFL);
	raise(SIGSEGV);
	abort();
}

static _Noreturn void leave(struct mock_worker *m)
{
	mock_worker_flush(m);
	_exit(EXIT_ON_FAULT);
}

static void print_line(struct mock_worker *m, uint64_t id, struct slice body)
{
	static const char line[] = "Hello from a print to stdout\n";

	(void)id;
	send_raw(m, line, sizeof line - 1);
	mock_worker_send(m, body);
}

static void send_twice(struct mock_worker *m, uint64_t id, struct slice body)
{
	(void)id;
	mock_worker_send(m, body);
	mock_worker_send(m, body);
}

static void send_garbage(struct mock_worker *m, uint64_t id, struct slice body)
{
	(void)id;
	(void)body;
	mock_worker_send(m, SLICE("\x01\x02 this is no JSON"));
}

static void send_result(struct mock_worker *m, uint64_t id, const char *result)
{
	struct buf out;

	buf_init(&out, 256);
	buf_printf(&out, "{\"id\":%" PRIu64 ",\"success\":true,\"result\":%s}", id, result);
	mock_worker_send(m, buf_slice(&out));
	buf_free(&out);
}

static void send_unknown_id(struct mock_worker *m, uint64_t id, struct slice body)
{
	(void)body;
	send_result(m, id + 1000000, "{}");
}

static void send_bad_json(struct mock_worker *m, uint64_t id, struct slice body)
{
	(void)body;
	send_result(m, id, "{\"score\":NaN}");
}

static void send_bad_utf8(struct mock_worker *m, uint64_t id, struct slice body)
{
	(void)body;
	send_result(m, id, "{\"text\":\"\xc3\x28\"}");
}

static void send_oversized(struct mock_worker *m, uint64_t id, struct slice body)
{
	static const uint8_t head[] = {0xff, 0xff, 0xff, 0xf0, '{'};

	(void)id;
	(void)body;
	send_raw(m, head, sizeof head);
}

static void send_half(struct mock_worker *m, uint64_t id, struct slice body)
{
	uint8_t head[FRAME_HEAD];

	(void)id;
	frame_head(head, body.len);
	buf_append(&m->out, head, sizeof head);
	buf_append(&m->out, body.data, body.len / 2);
	leave(m);
}

static void close_stdout(struct mock_worker *m, uint64_t id, struct slice body)
{
	(void)id;
	(void)body;
	mock_worker_flush(m);
	close(STDOUT_FILENO);
}

static void go_deaf(struct mock_worker *m, uint64_t id, struct slice body)
{
	(void)id;
	mock_worker_send(m, body);
	mock_worker_flush(m);
	uv_poll_stop(&m->input);
	for (;;)
		pause();
}

static void leak(struct mock_worker *m, uint64_t id, struct slice body)
{
	char *block = xmalloc(LEAK_BYTES);

	(void)id;
	memset(block, 1, LEAK_BYTES);
	memcpy(block, &m->leaked, sizeof m->leaked);
	m->leaked = block;
	mock_worker_send(m, body);
}

static void make_noise(struct mock_worker *m, uint64_t id, struct slice body)
{
	for (int i = 1; i <= NOISE_LINES; i++)
		fprintf(stderr, "noise %d of %d for call %" PRIu64 "\n", i, NOISE_LINES, id);
	mock_worker_send(m, body);
}

/* The intermediate parent ends at once, so the grandchild has only the subreaper above it. */
static void escape(struct mock_worker *m, uint64_t id, struct slice body)
{
	pid_t child = fork();

	(void)id;
	if (child == 0) {
		setsid();
		if (fork() != 0)
			_exit(0);
		signal(SIGTERM, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		for (;;)
			pause();
	}
	if (child > 0)
		waitpid(child, NULL, 0);
	mock_worker_send(m, body);
}

static void (*const act[MOCK_FAULTS])(struct mock_worker *m, uint64_t id, struct slice body) = {
	[MOCK_TWICE] = send_twice,
	[MOCK_PRINT] = print_line,
	[MOCK_GARBAGE] = send_garbage,
	[MOCK_UNKNOWN_ID] = send_unknown_id,
	[MOCK_BAD_JSON] = send_bad_json,
	[MOCK_BAD_UTF8] = send_bad_utf8,
	[MOCK_OVERSIZED] = send_oversized,
	[MOCK_HALF] = send_half,
	[MOCK_CLOSE_STDOUT] = close_stdout,
	[MOCK_DEAF] = go_deaf,
	[MOCK_LEAK] = leak,
	[MOCK_NOISE] = make_noise,
	[MOCK_ESCAPE] = escape,
};

void mock_fault_answer(struct mock_worker *m, enum mock_fault fault, uint64_t id, struct slice body)
{
	if (fault == MOCK_CRASH)
		crash(m);
	else if (fault == MOCK_EXIT)
		leave(m);
	else if (act[fault])
		act[fault](m, id, body);
	else if (fault != MOCK_HANG)
		mock_worker_send(m, body);
}
