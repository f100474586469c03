/* channel.c: see channel.h. Neither direction ever waits: a full pipe is written on when the loop says so, and of many answers
 * only some are given out per turn. */
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "bridgepool/base/check.h"
#include "process.h"

enum {
	FRAMES_A_TURN = 256,     /* answers given out before others get their turn */
	BUFFER_KEPT = 256 << 10, /* a buffer that one large frame has made larger is given back */
	SAID_MAX = 1 << 30,      /* a worker that leaves this much unread is not going to read it */
	FIRST_BYTES = 32,        /* of garbage, shown to people */
};

/* ---- any pipe end ---- */

static void on_channel_closed(uv_handle_t *handle)
{
	struct process *p = handle->data;

	CHECK(p->handles > 0);
	if (--p->handles == 0 && p->closing)
		fleet_bury(p->fleet, p);
}

int channel_open(struct process *p, struct channel *c, int fd)
{
	int error = uv_poll_init(p->fleet->loop, &c->poll, fd);

	if (error) {
		close(fd);
		return -error;
	}
	c->poll.data = p;
	c->fd = fd;
	p->handles++;
	return 0;
}

void channel_close(struct channel *c)
{
	if (c->fd < 0)
		return;
	uv_close((uv_handle_t *)&c->poll, on_channel_closed);
	close(c->fd);
	c->fd = -1;
}

size_t channel_rest(const struct channel *c)
{
	int capacity = fcntl(c->fd, F_GETPIPE_SZ);

	return capacity > 0 ? (size_t)capacity : READ_MAX;
}

/* ---- answers out: frames from its stdout ---- */

static void show_bytes(struct buf *out, struct slice bytes)
{
	const uint8_t *p = bytes.data;

	for (size_t i = 0; i < bytes.len && i < FIRST_BYTES; i++) {
		if (p[i] >= ' ' && p[i] < 0x7f && p[i] != '"' && p[i] != '\\')
			buf_append(out, &p[i], 1);
		else
			buf_printf(out, "\\x%02x", p[i]);
	}
}

/* A first byte that is text would announce 150 MB and more. */
static bool is_text(uint8_t c)
{
	return (c >= ' ' && c < 0x7f) || c == '\n' || c == '\r' || c == '\t';
}

/* A length over the limit is more often a print to stdout than a frame. */
static void fault_frame(struct process *p)
{
	struct slice rest = frame_rest(&p->frames);
	const uint8_t *head = rest.data;
	struct buf detail;

	CHECK(rest.len >= FRAME_HEAD);
	p->out_ended = true;
	buf_init(&detail, 1024);
	buf_printf(&detail, "a frame of %u bytes was announced, max_frame_bytes is %zu; its first bytes were \"",
		(unsigned)head[0] << 24 | (unsigned)head[1] << 16 | (unsigned)head[2] << 8 | head[3], p->max_frame);
	show_bytes(&detail, rest);
	buf_text(&detail, is_text(*head) ? "\": something printed to stdout?" : "\"");
	if (p->out.fd >= 0)
		uv_poll_stop(&p->out.poll);
	process_fault(p, FAULT_FRAME, buf_slice(&detail));
	buf_free(&detail);
}

/* A frame without an id: nobody knows what it answers. Those that follow it may still be good. */
static void fault_answer(struct process *p, struct slice body)
{
	struct buf detail;

	buf_init(&detail, 1024);
	buf_printf(&detail, "a frame of %zu bytes is no answer: no id can be read; its first bytes were \"", body.len);
	show_bytes(&detail, body);
	buf_text(&detail, "\"");
	process_fault(p, FAULT_FRAME, buf_slice(&detail));
	buf_free(&detail);
}

/* Gives out at most `most` answers. */
static void give_frames(struct process *p, size_t most)
{
	const struct worker_events *ev = &p->fleet->events;
	enum frame_state state = FRAME_READY;
	struct slice body;
	struct answer a;

	for (; most > 0 && !process_is_silent(p) && (state = frame_next(&p->frames, &body)) == FRAME_READY; most--) {
		bridge_read(body, &p->fleet->scratch, &a);
		if (a.has_id)
			ev->answer(ev->ctx, p->slot, &a);
		else
			fault_answer(p, body);
	}
	p->frames_left = state == FRAME_READY && !process_is_silent(p);
	if (state == FRAME_TOO_BIG)
		fault_frame(p);
	else if (state == FRAME_MORE && p->frames.in.capacity > BUFFER_KEPT && frame_rest(&p->frames).len == 0) {
		frame_free(&p->frames);
		frame_init(&p->frames, p->max_frame);
	}
}

/* One read. False: there is no more now. */
static bool read_out(struct process *p)
{
	ssize_t n = read(p->out.fd, p->fleet->bytes, READ_MAX);

	if (n > 0) {
		frame_feed(&p->frames, p->fleet->bytes, (size_t)n);
		return true;
	}
	p->out_ended = n == 0 || (errno != EAGAIN && errno != EINTR);
	return false;
}

static void end_out(struct process *p)
{
	struct slice rest = frame_rest(&p->frames);
	const uint8_t *head = rest.data;
	struct buf detail;

	uv_poll_stop(&p->out.poll);
	if (p->exit_known)
		return; /* gone says it better */
	buf_init(&detail, 1024);
	if (rest.len) {
		buf_printf(&detail, "in the middle of a frame, after %zu bytes of it: \"", rest.len);
		show_bytes(&detail, rest);
		buf_text(&detail, is_text(*head) ? "\"; stdout is for frames: did it print?" : "\"");
	}
	process_fault(p, FAULT_EOF, buf_slice(&detail));
	buf_free(&detail);
}

/* The rest of what was read comes before more is read, in the next turn. */
static void on_out(uv_poll_t *poll, int status, int events)
{
	struct process *p = poll->data;

	(void)status;
	(void)events;
	if (p->frames_left || p->out_ended)
		return;
	if (read_out(p))
		give_frames(p, FRAMES_A_TURN);
	else if (p->out_ended)
		end_out(p);
	if (p->frames_left)
		fleet_due(p->fleet, p);
}

void channel_listen(struct process *p)
{
	uv_poll_start(&p->out.poll, UV_READABLE, on_out);
}

void channel_drain(struct process *p)
{
	if (!p->started || p->out_ended)
		return;
	give_frames(p, SIZE_MAX);
	for (size_t left = channel_rest(&p->out) / READ_MAX + 1; left > 0 && !p->out_ended && read_out(p); left--)
		give_frames(p, SIZE_MAX);
}

/* ---- calls in: its stdin ---- */

static void close_in(struct process *p)
{
	channel_close(&p->in);
	p->write_waits = false;
	buf_free(&p->said);
	buf_init(&p->said, SAID_MAX);
	p->written = 0;
}

/* Found inside an order, so it is told in the next turn. */
static void break_in(struct process *p)
{
	close_in(p);
	p->write_broken = true;
	fleet_due(p->fleet, p);
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
	struct process *p = poll->data;

	(void)status;
	(void)events;
	uv_poll_stop(poll);
	p->write_waits = false;
	channel_flush(p);
}

static void wait_writable(struct process *p)
{
	p->write_waits = true;
	uv_poll_start(&p->in.poll, UV_WRITABLE, on_writable);
}

static void forget_written(struct process *p, size_t n)
{
	p->written += n;
	if (p->written == p->said.len) {
		p->written = 0;
		buf_reset(&p->said);
		if (p->said.capacity > BUFFER_KEPT) {
			buf_free(&p->said);
			buf_init(&p->said, SAID_MAX);
		}
	} else if (p->written > p->said.len / 2) { /* seldom enough that moving the rest stays cheap */
		buf_consume(&p->said, p->written);
		p->written = 0;
	}
}

void channel_flush(struct process *p)
{
	ssize_t n = 0;

	if (p->in.fd < 0 || p->write_waits)
		return;
	if (p->said.len > p->written)
		n = write(p->in.fd, p->said.data + p->written, p->said.len - p->written);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		break_in(p);
		return;
	}
	forget_written(p, n > 0 ? (size_t)n : 0);
	if (p->said.len > p->written)
		wait_writable(p);
	else if (p->close_wanted)
		close_in(p);
}

void channel_call(struct process *p, const struct call *c)
{
	if (p->in.fd < 0 || p->close_wanted)
		return;
	if (bridge_write(&p->said, c))
		fleet_unsaid(p->fleet, p);
	else
		break_in(p);
}

void channel_end(struct process *p)
{
	p->close_wanted = true;
	if (p->said.len == p->written)
		close_in(p);
}

/* ---- both ---- */

void channels_init(struct process *p)
{
	p->in.fd = p->out.fd = p->err.fd = p->report.fd = -1;
	p->max_frame = p->fleet->max_frame;
	frame_init(&p->frames, p->max_frame);
	buf_init(&p->said, SAID_MAX);
}

void channels_turn(struct process *p)
{
	if (p->write_broken) {
		p->write_broken = false;
		process_fault(p, FAULT_WRITE, (struct slice){NULL, 0});
	}
	if (p->frames_left && !p->closing)
		give_frames(p, FRAMES_A_TURN);
	if (p->frames_left && !p->closing)
		fleet_due(p->fleet, p);
}

void channels_cleanup(struct process *p)
{
	frame_free(&p->frames);
	buf_free(&p->said);
}
