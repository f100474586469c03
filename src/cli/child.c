/* child.c: the daemon as a child process of the demo and of dev. */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bridgepool/base/clock.h"

/* Only calls that are safe after fork in a program with threads. A group of its own: Ctrl-C on the terminal is for us, we pass it
 * on. */
_Noreturn static void run_child(char *const *argv, int log, pid_t parent)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* the broker was ours: a drain would wait for it until its time is over */
	if (getppid() != parent)
		_exit(1);
	dup2(log, STDERR_FILENO);
	execv("/proc/self/exe", argv);
	_exit(127);
}

bool child_start_into(struct child *c, char *const *argv, int fd, char *errstr, size_t size)
{
	pid_t parent = getpid();

	c->pid = fork();
	if (c->pid == 0)
		run_child(argv, fd, parent);
	if (c->pid > 0)
		return true;
	snprintf(errstr, size, "cannot start another process: %s", strerror(errno));
	c->pid = 0;
	return false;
}

bool child_start(struct child *c, char *const *argv, const char *log, char *errstr, size_t size)
{
	int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	bool started;

	if (fd < 0) {
		snprintf(errstr, size, "cannot write %s: %s", log, strerror(errno));
		return false;
	}
	started = child_start_into(c, argv, fd, errstr, size);
	close(fd);
	return started;
}

bool child_alive(struct child *c)
{
	int status;

	if (c->pid && waitpid(c->pid, &status, WNOHANG) == c->pid) {
		c->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		c->pid = 0;
	}
	return c->pid != 0;
}

void child_stop(struct child *c, int timeout_ms)
{
	int64_t until = clock_mono_us() + timeout_ms * MS_US;

	if (!child_alive(c))
		return;
	kill(c->pid, SIGTERM);
	while (child_alive(c) && clock_mono_us() < until)
		usleep(10 * 1000);
	if (!child_alive(c))
		return;
	kill(c->pid, SIGKILL);
	while (child_alive(c))
		usleep(1000);
}
