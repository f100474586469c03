/* mock_worker_output.c: what the mock worker says on stdout: whole frames, written together. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "mock_worker_inside.h"

enum { WRITE_AT = 256 << 10 };

void mock_worker_flush(struct mock_worker *m)
{
	struct pollfd writable = {STDOUT_FILENO, POLLOUT, 0};
	size_t done = 0;

	while (done < m->out.len) {
		ssize_t n = write(STDOUT_FILENO, m->out.data + done, m->out.len - done);
		if (n >= 0)
			done += (size_t)n;
		else if (errno == EAGAIN)
			poll(&writable, 1, -1);
		else if (errno != EINTR)
			break; /* nobody reads any more; the end of stdin comes next */
	}
	buf_reset(&m->out);
}

void mock_worker_send(struct mock_worker *m, struct slice body)
{
	uint8_t head[FRAME_HEAD];

	frame_head(head, body.len);
	buf_append(&m->out, head, sizeof head);
	buf_append(&m->out, body.data, body.len);
	if (m->out.len > WRITE_AT)
		mock_worker_flush(m);
}
