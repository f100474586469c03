/* guard.c: bridgepool-guard stands between the daemon and one worker, so that whatever happens to either, nothing is left alive.
 *
 *     bridgepool-guard [OPTION...] COMMAND [ARGUMENT...]          options: guard_protocol.h
 *
 * Descriptors (constants in guard_protocol.h):
 *     0, 1, 2   the worker's; the guard lets go of them once the worker runs
 *     3 orders  read: T sends SIGTERM to the worker's process group; K kills everything below. End of file is the lifeline: it
 *               comes when the daemon closes it or dies, however it dies, and means K
 *     4 report  write: struct guard_report, in this order: STARTED or FAILED, then EXITED or SIGNALED (a FAILED worker exits
 *               too), then ALL_GONE. After that the guard exits
 *
 * The guard is a session of its own (no terminal's ^C reaches it) and the subreaper of all below: what a worker leaves behind,
 * also by double fork and setsid, becomes a child of the guard. When the worker ends, or on K, it kills its children until it has
 * none. Should the guard itself be killed, the worker is killed with it (PR_SET_PDEATHSIG); only then what the worker left can
 * live on. One that was stopped goes on when the daemon dies.
 *
 * Libc only and one loop on poll: nothing here waits without watching the lifeline. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "become.h"

enum { EXIT_NO_USE = 64, EXIT_NO_EXEC = 127, KILL_WAIT_MAX_MS = 100 };

struct guard {
	int signals;     /* signalfd: SIGCHLD, SIGTERM */
	int exec_result; /* the worker's word from before its exec, or end of file; -1 once read */
	pid_t worker;    /* 0: reaped */
	bool killing;
	long long oom_kills; /* the kernel's count when the worker started; -1: unknown */
};

static void report(enum guard_word word, int a, int b)
{
	struct guard_report r = {(int32_t)word, a, b};

	/* An error means that the daemon is dead; then the lifeline says so too. */
	while (write(GUARD_FD_REPORT, &r, sizeof r) < 0 && errno == EINTR)
		;
}

/* ---- the worker before its exec ---- */

static _Noreturn void run_worker(const struct order_sheet *sheet, const sigset_t *mask, pid_t guard, int result)
{
	enum guard_step step;
	struct guard_report r;

	setpgid(0, 0);
	step = become_prepare(sheet);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user would have cleared it */
	if (getppid() != guard)
		_exit(EXIT_NO_EXEC); /* the guard died before it could be watched */
	if (!step)
		step = become_enter(sheet, mask);
	r = (struct guard_report){GUARD_FAILED, (int32_t)step, errno};
	if (write(result, &r, sizeof r) != (ssize_t)sizeof r)
		_exit(EXIT_NO_EXEC + 1);
	_exit(EXIT_NO_EXEC);
}

/* ---- the guard ---- */

/* How many processes the kernel has killed for their memory since it started; -1 if it does not tell. */
static long long oom_kills(void)
{
	char line[128];
	long long count = -1;
	FILE *f = fopen("/proc/vmstat", "re");

	while (f && count < 0 && fgets(line, sizeof line, f)) {
		if (sscanf(line, "oom_kill %lld", &count) != 1)
			count = -1;
	}
	if (f)
		fclose(f);
	return count;
}

/* The worker's pipes must end when the worker and its children let go of them. */
static void drop_worker_descriptors(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd <= 2; fd++) {
		if (null < 0 || dup2(null, fd) < 0)
			close(fd);
	}
	if (null > 2)
		close(null);
}

static bool start_worker(struct guard *g, const struct order_sheet *sheet, const sigset_t *mask)
{
	pid_t guard = getpid();
	int result[2];

	if (pipe2(result, O_CLOEXEC))
		return false;
	g->oom_kills = oom_kills();
	g->worker = fork();
	if (g->worker < 0)
		return false;
	if (g->worker == 0)
		run_worker(sheet, mask, guard, result[1]);
	setpgid(g->worker, g->worker); /* here too: an order may come before the child has run */
	close(result[1]);
	g->exec_result = result[0];
	drop_worker_descriptors();
	return true;
}

static void read_exec_result(struct guard *g)
{
	struct guard_report r;
	ssize_t n;

	if (g->exec_result < 0)
		return;
	while ((n = read(g->exec_result, &r, sizeof r)) < 0 && errno == EINTR)
		;
	close(g->exec_result);
	g->exec_result = -1;
	if (n == (ssize_t)sizeof r)
		report(r.word, r.a, r.b);
	else
		report(GUARD_STARTED, g->worker, 0);
}

/* Signal 9 that is not ours, and the kernel has killed for memory in the meantime: it cannot be known better from here. */
static bool killed_for_memory(const struct guard *g, int signal)
{
	return signal == SIGKILL && !g->killing && (g->oom_kills < 0 || oom_kills() > g->oom_kills);
}

static void note_death(struct guard *g, pid_t pid, int status)
{
	if (pid != g->worker)
		return;
	read_exec_result(g); /* does not wait: who could still write is dead */
	if (WIFSIGNALED(status))
		report(GUARD_SIGNALED, WTERMSIG(status), killed_for_memory(g, WTERMSIG(status)));
	else
		report(GUARD_EXITED, WEXITSTATUS(status), 0);
	g->worker = 0;
}

/* False: there are no children. */
static bool reap(struct guard *g)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		note_death(g, pid, status);
	return pid == 0;
}

/* While the worker is not reaped its process group's number cannot be another's. */
static void signal_worker(const struct guard *g, int signal)
{
	if (g->worker > 0 && kill(-g->worker, signal) && errno == ESRCH)
		kill(g->worker, signal);
}

/* A signalfd gives SIGCHLD once for several; the reaping loops. */
static void read_signals(struct guard *g)
{
	struct signalfd_siginfo info;

	while (read(g->signals, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo == SIGTERM)
			signal_worker(g, SIGTERM);
	}
}

static void read_orders(struct guard *g)
{
	char orders[16];
	ssize_t n = read(GUARD_FD_ORDERS, orders, sizeof orders);

	if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
		g->killing = true;
	for (ssize_t i = 0; i < n; i++) {
		if (orders[i] == GUARD_ORDER_KILL)
			g->killing = true;
		else if (orders[i] == GUARD_ORDER_TERM)
			signal_worker(g, SIGTERM);
	}
}

static void watch(struct guard *g)
{
	while (g->worker && !g->killing) {
		struct pollfd fds[] = {{GUARD_FD_ORDERS, POLLIN, 0}, {g->signals, POLLIN, 0}, {g->exec_result, POLLIN, 0}};

		if (poll(fds, 3, -1) < 0)
			continue;
		if (fds[2].revents)
			read_exec_result(g);
		if (fds[1].revents) {
			read_signals(g);
			reap(g);
		}
		if (fds[0].revents)
			read_orders(g);
	}
}

/* ---- killing all below ---- */

static bool is_my_child(const char *pid, pid_t me)
{
	char path[64], stat[512], *after_name;
	size_t n = 0;
	int parent;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
	f = fopen(path, "re");
	if (f) {
		n = fread(stat, 1, sizeof stat - 1, f);
		fclose(f);
	}
	stat[n] = '\0';
	after_name = strrchr(stat, ')'); /* the name before it may hold anything */
	return after_name && sscanf(after_name, ") %*c %d", &parent) == 1 && parent == me;
}

/* For kernels that list no children. */
static void kill_children_by_search(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	while (proc && (entry = readdir(proc))) {
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && is_my_child(entry->d_name, getpid()))
			kill((pid_t)atol(entry->d_name), SIGKILL);
	}
	if (proc)
		closedir(proc);
}

/* A child that is not reaped keeps its number, so none of these can be another's. */
static void kill_children(void)
{
	FILE *children = fopen("/proc/thread-self/children", "re");
	int pid;

	if (!children) {
		kill_children_by_search();
		return;
	}
	while (fscanf(children, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	fclose(children);
}

/* Children of the killed become ours, so this ends when there are none. It never gives up: what lives may still have the
 * session's work in its hands. */
static void kill_all_below(struct guard *g)
{
	struct pollfd signals = {g->signals, POLLIN, 0};
	int wait_ms = 1;

	while (reap(g)) {
		signal_worker(g, SIGKILL);
		kill_children();
		poll(&signals, 1, wait_ms);
		read_signals(g);
		if (wait_ms < KILL_WAIT_MAX_MS)
			wait_ms *= 2;
	}
}

/* ---- start ---- */

static bool read_arguments(struct order_sheet *sheet, int argc, char **argv)
{
	return become_read(sheet, argc, argv) && fcntl(GUARD_FD_ORDERS, F_GETFD) >= 0 && fcntl(GUARD_FD_REPORT, F_GETFD) >= 0;
}

static bool guard_init(struct guard *g, sigset_t *old_mask)
{
	sigset_t all, read_here;

	*g = (struct guard){.signals = -1, .exec_result = -1};
	prctl(PR_SET_PDEATHSIG, SIGCONT); /* one that was stopped would not read its lifeline */
	closefrom(GUARD_FD_END);
	setsid(); /* refused only if the daemon has seen to it */
	/* The orders' end must not be held by anything below. */
	if (fcntl(GUARD_FD_ORDERS, F_SETFD, FD_CLOEXEC) || fcntl(GUARD_FD_REPORT, F_SETFD, FD_CLOEXEC))
		return false;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
		return false;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, old_mask);
	sigemptyset(&read_here);
	sigaddset(&read_here, SIGCHLD);
	sigaddset(&read_here, SIGTERM);
	g->signals = signalfd(-1, &read_here, SFD_CLOEXEC | SFD_NONBLOCK);
	return g->signals >= 0;
}

int main(int argc, char **argv)
{
	struct order_sheet sheet;
	sigset_t mask;
	struct guard g;

	if (!read_arguments(&sheet, argc, argv)) {
		fprintf(stderr, "bridgepool-guard is started by bridgepool, for one worker; it is of no use by hand.\n");
		return EXIT_NO_USE;
	}
	if (guard_init(&g, &mask) && start_worker(&g, &sheet, &mask))
		watch(&g);
	else
		report(GUARD_FAILED, GUARD_STEP_FORK, errno);
	kill_all_below(&g);
	report(GUARD_ALL_GONE, 0, 0);
	_exit(0); /* at once: whatever would look at it now, like a leak checker, can be disturbed by a signal of the daemon's */
}
