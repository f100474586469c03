/* unblocked.c: see unblocked.h. O_NONBLOCK is a flag of the open file, which a terminal's or pipe's other users have too: they
 * would not be ready for it. So it is set on an open file of our own. */
#include "unblocked.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* It cannot be opened again: no /proc, another user's, no descriptor free. Only if somebody else writes between the two can this
 * wait, or on a terminal that has room for a part. */
static ssize_t write_if_room(int fd, const void *bytes, size_t n)
{
	struct pollfd room = {fd, POLLOUT, 0};

	if (poll(&room, 1, 0) == 1)
		return write(fd, bytes, n);
	errno = EAGAIN;
	return -1;
}

static ssize_t write_beside(int fd, const void *bytes, size_t n)
{
	char path[32];
	ssize_t written;
	int own, error;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own < 0)
		return write_if_room(fd, bytes, n);
	written = write(own, bytes, n);
	error = errno;
	close(own);
	errno = error;
	return written;
}

ssize_t unblocked_write(int fd, const void *bytes, size_t n)
{
	struct stat st;

	if (fstat(fd, &st))
		return -1;
	if (S_ISSOCK(st.st_mode))
		return send(fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
		return write_beside(fd, bytes, n);
	return write(fd, bytes, n);
}
