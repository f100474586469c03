/* launch.c: starts bridgepool-guard with a worker below it, by posix_spawn: to fork a large daemon would stop it for many
 * milliseconds. */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/base/check.h"
#include "guard_protocol.h"
#include "kind.h"
#include "program.h"

extern char **environ;

/* ---- the plan ---- */

struct argv {
	char **items;
	size_t n;
};

static void argv_add(struct argv *a, const char *text)
{
	a->items = xrealloc(a->items, (a->n + 2) * sizeof *a->items);
	a->items[a->n++] = xstrdup(text);
	a->items[a->n] = NULL;
}

static void argv_free(char **items)
{
	for (size_t i = 0; items && items[i]; i++)
		free(items[i]);
	free(items);
}

static void argv_add_number(struct argv *a, const char *option, int64_t value)
{
	char text[32];

	snprintf(text, sizeof text, "%" PRId64, value);
	argv_add(a, option);
	argv_add(a, text);
}

static char **guard_argv(const struct launch_plan *p, const struct adapter_config *c, const char **command)
{
	struct argv a = {0};
	size_t first;

	argv_add(&a, p->guard);
	if (p->directory) {
		argv_add(&a, "-d");
		argv_add(&a, p->directory);
	}
	if (c->open_files > 0)
		argv_add_number(&a, "-f", c->open_files);
	argv_add_number(&a, "-c", c->core_bytes > 0 ? c->core_bytes : 0);
	if (c->address_space > 0)
		argv_add_number(&a, "-m", c->address_space);
	if (c->cpu_seconds > 0)
		argv_add_number(&a, "-t", c->cpu_seconds);
	if (c->oom_score > 0)
		argv_add_number(&a, "-o", c->oom_score);
	if (p->account.changes) {
		argv_add_number(&a, "-u", p->account.uid);
		argv_add_number(&a, "-g", p->account.gid);
	}
	if (c->may_gain_privileges)
		argv_add(&a, "-p");
	argv_add(&a, "--");
	first = a.n;
	for (size_t i = 0; c->command[i]; i++)
		argv_add(&a, c->command[i]);
	*command = a.items[first];
	return a.items;
}

/* A worker that is another user has that user's home; what the configuration sets wins. */
static void plan_environment(struct launch_plan *p, const struct adapter_config *c)
{
	const struct account *a = &p->account;
	const struct {
		const char *name, *value;
	} rows[] = {{"HOME", a->home}, {"USER", a->name}, {"LOGNAME", a->name}, {"SHELL", a->shell}};
	struct argv set = {0};
	char item[512];

	for (size_t i = 0; a->changes && i < sizeof rows / sizeof *rows; i++) {
		snprintf(item, sizeof item, "%s=%s", rows[i].name, rows[i].value);
		if (*rows[i].value)
			argv_add(&set, item);
	}
	for (size_t i = 0; c->environment && c->environment[i]; i++)
		argv_add(&set, c->environment[i]);
	environment_init(&p->environment, environ, c->pass, (const char *const *)set.items, c->pool_name, c->max_frame_bytes,
		c->stop_grace_us);
	argv_free(set.items);
}

bool launch_plan_init(struct launch_plan *p, const struct adapter_config *c, char *errstr, size_t size)
{
	char guard[PATH_MAX];

	*p = (struct launch_plan){0};
	if (!c->command || !c->command[0]) {
		snprintf(errstr, size, "there is no command; set pools[].command");
		return false;
	}
	if (account_find(c->user, c->group, &p->account, errstr, size) != ACCOUNT_GOOD ||
		!program_find_guard(c->guard_path, guard, sizeof guard, errstr, size))
		return false;
	p->guard = xstrdup(guard);
	p->directory = c->directory && *c->directory ? xstrdup(c->directory) : NULL;
	p->pool_name = xstrdup(c->pool_name ? c->pool_name : "");
	p->argv = guard_argv(p, c, &p->command);
	plan_environment(p, c);
	if (!launch_plan_explain(p, errstr, size))
		return true;
	launch_plan_free(p);
	return false;
}

void launch_plan_free(struct launch_plan *p)
{
	argv_free(p->argv);
	free(p->guard);
	free(p->directory);
	free(p->pool_name);
	environment_free(&p->environment);
	*p = (struct launch_plan){0};
}

bool launch_plan_explain(const struct launch_plan *p, char *errstr, size_t size)
{
	return !program_check(p->command, p->directory, environment_get(&p->environment, "PATH"), errstr, size);
}

/* ---- one start ---- */

/* The pipes by the number that the guard's end gets. `ours` is which end of pipe2's pair stays here. */
static const int ours[GUARD_FD_END] = {[0] = 1, [1] = 0, [2] = 0, [GUARD_FD_ORDERS] = 1, [GUARD_FD_REPORT] = 0};

struct pipes {
	int fd[GUARD_FD_END][2];
};

static void pipes_close(struct pipes *p, bool all)
{
	for (int i = 0; i < GUARD_FD_END; i++) {
		for (int end = 0; end < 2; end++) {
			if (p->fd[i][end] >= 0 && (all || end != ours[i]))
				close(p->fd[i][end]);
		}
	}
}

/* Above the numbers that the guard's ends are moved to, so that no move overwrites one that is still to be moved. */
static bool lift(int *fd)
{
	int high;

	if (*fd >= GUARD_FD_END)
		return true;
	high = fcntl(*fd, F_DUPFD_CLOEXEC, GUARD_FD_END);
	if (high < 0)
		return false;
	close(*fd);
	*fd = high;
	return true;
}

static bool pipes_open(struct pipes *p)
{
	memset(p, -1, sizeof *p);
	for (int i = 0; i < GUARD_FD_END; i++) {
		if (pipe2(p->fd[i], O_CLOEXEC) || !lift(&p->fd[i][0]) || !lift(&p->fd[i][1]) ||
			fcntl(p->fd[i][ours[i]], F_SETFL, O_NONBLOCK) < 0) {
			int error = errno;
			pipes_close(p, true);
			errno = error;
			return false;
		}
	}
	return true;
}

/* Signals as a fresh program expects them: the daemon ignores SIGPIPE, and its threads block much. */
static void set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(attributes, &none);
	posix_spawnattr_setsigdefault(attributes, &all);
	/* The new session from the first moment: a ^C at the terminal is the daemon's to answer. */
	posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
}

static int spawn_guard(const struct launch_plan *plan, const struct pipes *p, char **environment, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int error;

	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	for (int i = 0; i < GUARD_FD_END; i++)
		posix_spawn_file_actions_adddup2(&actions, p->fd[i][!ours[i]], i);
	set_attributes(&attributes);
	error = posix_spawn(pid, plan->guard, &actions, &attributes, plan->argv, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

int launch_guarded(const struct launch_plan *plan, struct slot_ref w, struct launched *out, char *errstr, size_t size)
{
	char id[WORKER_ID_MAX], **environment;
	struct pipes p;
	pid_t pid = 0;
	int error;

	if (!pipes_open(&p)) {
		error = errno;
		snprintf(errstr, size, "no pipes for a worker: %s%s", strerror(error),
			error == EMFILE
				? "; raise the limit of open files (ulimit -n, or LimitNOFILE= of systemd): a worker needs five"
				: "");
		return error;
	}
	slot_ref_text(id, plan->pool_name, w);
	environment = environment_list(&plan->environment, id, w.generation);
	error = spawn_guard(plan, &p, environment, &pid);
	environment_list_free(environment);
	pipes_close(&p, error != 0);
	if (error) {
		snprintf(errstr, size, "%s cannot be started: %s", plan->guard, strerror(error));
		return error;
	}
	*out = (struct launched){
		.guard = pid,
		.in = p.fd[0][1],
		.out = p.fd[1][0],
		.err = p.fd[2][0],
		.orders = p.fd[GUARD_FD_ORDERS][1],
		.report = p.fd[GUARD_FD_REPORT][0],
	};
	return 0;
}
