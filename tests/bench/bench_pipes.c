/* bench_pipes.c: the floor of the workers: the same command, as many of them, with as many requests in flight and the same
 * frames, on bare pipes.
 *
 *   bench_pipes --count N [--sessions S] [--workers 4] [--depth 16] COMMAND [argument]..
 *
 * Prints records=, seconds= from the first request to the last answer, when all workers have answered their first
 * ping. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/wire/bridge.h"
#include "bridgepool/wire/frame.h"
#include "bridgepool/wire/pairs.h"

enum { WORKERS_MAX = 64, READ = 64 << 10, CALLS_MAX = 1 << 30, ANSWER_MAX = 16 << 20 };

struct worker {
	pid_t pid;
	int in, out;
	struct buf calls; /* all of them, made before the clock starts */
	size_t *ends;     /* of each frame in calls */
	long ncalls, answered;
	size_t written;
	struct frame_reader answers;
};

struct pipes {
	struct bench options;
	struct worker workers[WORKERS_MAX];
	struct pollfd polled[WORKERS_MAX];
};

/* ---- frames ---- */

static void add_call(struct worker *w, const struct call *c)
{
	CHECK(bridge_write(&w->calls, c));
	w->ends[w->ncalls++] = w->calls.len;
}

/* As the daemon writes it for a record of bench_client. */
static void add_request(struct worker *w, long n, long sessions)
{
	char args[BENCH_ARGS + 1], key[32], id[32];
	int key_len = bench_key(key, sizeof key, n, sessions);

	bench_args(args, n);
	snprintf(id, sizeof id, "load-%ld", n);
	add_call(w, &(struct call){
			    .id = (uint64_t)w->ncalls + 2,
			    .kind = CALL_REQUEST,
			    .command = SLICE("echo"),
			    .args = slice_of(args),
			    .session_id = {key, (size_t)key_len},
			    .session_epoch = SLICE("0123456789abcdef"),
			    .session_new = n < sessions,
			    .request_id = slice_of(id),
			    .attempt = 1,
			    .remaining_ms = 30000,
			    .source_topic = SLICE("bridgepool.requests"),
			    .source_partition = (int32_t)(n % 4),
			    .source_offset = n / 4,
			    .sent_wall_ms = clock_wall_ms(),
		    });
}

static void make_calls(struct pipes *p)
{
	long n = p->options.count, k = p->options.workers;

	for (long i = 0; i < k; i++) {
		buf_init(&p->workers[i].calls, CALLS_MAX);
		frame_init(&p->workers[i].answers, ANSWER_MAX);
		p->workers[i].ends = calloc((size_t)n, sizeof(size_t));
	}
	for (long i = 0; i < n; i++)
		add_request(&p->workers[i % p->options.sessions % k], i, p->options.sessions);
}

/* ---- workers ---- */

static void start(struct worker *w, char **command)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		bench_die("pipe: %s", strerror(errno));
	w->pid = fork();
	if (w->pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execvp(command[0], command);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	w->in = in[1];
	w->out = out[0];
}

/* Frames that one read has brought. */
static long take_answers(struct worker *w)
{
	static uint8_t bytes[READ];
	static struct buf scratch = {.limit = ANSWER_MAX};
	ssize_t n = read(w->out, bytes, sizeof bytes);
	struct slice body;
	struct answer a;
	long taken = 0;

	if (n <= 0)
		bench_die("a worker has ended early");
	frame_feed(&w->answers, bytes, (size_t)n);
	while (frame_next(&w->answers, &body) == FRAME_READY) {
		bridge_read(body, &scratch, &a);
		if (a.kind != ANSWER_OK)
			bench_die("a worker said: %.*s", (int)body.len, (const char *)body.data);
		taken++;
	}
	return taken;
}

static void write_all(int fd, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0)
			bench_die("write to a worker: %s", strerror(errno));
		p += done;
		n -= (size_t)done;
	}
}

static void first_ping(struct worker *w)
{
	struct buf frame;

	buf_init(&frame, 4096);
	CHECK(bridge_write(&frame,
		&(struct call){.id = 1, .kind = CALL_PING, .initialization = true, .sent_wall_ms = clock_wall_ms()}));
	write_all(w->in, frame.data, frame.len);
	buf_free(&frame);
	while (take_answers(w) == 0)
		;
}

/* ---- the loop ---- */

/* As many as keep `depth` in flight, in one write. They fit into the pipe, so it does not block. */
static void more_calls(struct worker *w, long depth)
{
	long upto = w->answered + depth < w->ncalls ? w->answered + depth : w->ncalls;
	size_t end = upto > 0 ? w->ends[upto - 1] : 0;

	if (end > w->written)
		write_all(w->in, w->calls.data + w->written, end - w->written);
	w->written = end;
}

static void run(struct pipes *p)
{
	nfds_t k = (nfds_t)p->options.workers;
	long left = p->options.count;

	for (nfds_t i = 0; i < k; i++) {
		p->polled[i] = (struct pollfd){.fd = p->workers[i].out, .events = POLLIN};
		more_calls(&p->workers[i], p->options.depth);
	}
	while (left > 0) {
		CHECK(poll(p->polled, k, -1) > 0);
		for (nfds_t i = 0; i < k; i++) {
			struct worker *w = &p->workers[i];
			if (!p->polled[i].revents)
				continue;
			long taken = take_answers(w);
			w->answered += taken;
			left -= taken;
			more_calls(w, p->options.depth);
		}
	}
}

int main(int argc, char **argv)
{
	static struct pipes p;
	int command = bench_options(&p.options, argc, argv);
	int64_t began;

	if (command >= argc || p.options.workers < 1 || p.options.workers > WORKERS_MAX)
		bench_die("usage: bench_pipes [option].. COMMAND [argument]..");
	make_calls(&p);
	for (long i = 0; i < p.options.workers; i++)
		start(&p.workers[i], argv + command);
	for (long i = 0; i < p.options.workers; i++)
		first_ping(&p.workers[i]);
	began = bench_now_ns();
	run(&p);
	printf("records=%ld seconds=%.4f\n", p.options.count, (double)(bench_now_ns() - began) / 1e9);
	for (long i = 0; i < p.options.workers; i++) {
		close(p.workers[i].in);
		waitpid(p.workers[i].pid, NULL, 0);
	}
	return 0;
}
