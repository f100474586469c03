/* reload_word.c: see reload_word.h. */
#include "bridgepool/app/reload_word.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bridgepool/base/clock.h"

/* An abstract name begins with a NUL and needs no file. Returns its length. */
static socklen_t address_of(pid_t daemon, struct sockaddr_un *out)
{
	int n;

	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	n = snprintf(out->sun_path + 1, sizeof out->sun_path - 1, "bridgepool-reload-%d", (int)daemon);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

int reload_word_listen(pid_t daemon, char *errstr, size_t size)
{
	struct sockaddr_un address;
	socklen_t len = address_of(daemon, &address);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, len) == 0 && listen(fd, 1) == 0)
		return fd;
	snprintf(errstr, size, "%s",
		errno == EADDRINUSE ? "another `bridgepool reload` waits for the same daemon" : strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool await(int fd, int64_t until)
{
	struct pollfd p = {fd, POLLIN, 0};
	int64_t left;

	while ((left = (until - clock_mono_us()) / MS_US) > 0) {
		int n = poll(&p, 1, (int)left);

		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
	}
	return false;
}

bool reload_word_hear(int listener, int timeout_ms, struct buf *out)
{
	int64_t until = clock_mono_us() + timeout_ms * MS_US;
	char part[4096];
	ssize_t n = -1;
	int fd;

	if (!await(listener, until))
		return false;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return false;
	while (await(fd, until) && (n = read(fd, part, sizeof part)) > 0)
		buf_append(out, part, (size_t)n);
	close(fd);
	return n == 0;
}

static bool is_trusted(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

bool reload_word_tell(struct slice word)
{
	struct sockaddr_un address;
	socklen_t len = address_of(getpid(), &address);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool told = false;

	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, len) == 0 && is_trusted(fd))
		told = write(fd, word.data, word.len) == (ssize_t)word.len; /* it fits into the socket's buffer */
	if (fd >= 0)
		close(fd);
	return told;
}
