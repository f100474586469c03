/* become.c: see become.h. The order counts: what needs privileges comes before the change of user, the directory and the program
 * are looked for as that user, and the limit of memory comes last, so that nothing of ours fails by it. */
#include "become.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { CPU_GRACE_S = 5 /* from SIGXCPU to SIGKILL */, OOM_SCORE_MAX = 1000 };

/* ---- the command line ---- */

static bool read_number(const char *text, long long *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	return !errno && end != text && !*end && *out >= 0;
}

static bool read_option(struct order_sheet *sheet, int option)
{
	switch (option) {
	case 'd': sheet->directory = optarg; return true;
	case 'f': return read_number(optarg, &sheet->open_files);
	case 'c': return read_number(optarg, &sheet->core_bytes);
	case 'm': return read_number(optarg, &sheet->address_space);
	case 't': return read_number(optarg, &sheet->cpu_seconds);
	case 'o': return read_number(optarg, &sheet->oom_score);
	case 'u': return read_number(optarg, &sheet->user);
	case 'g': return read_number(optarg, &sheet->group);
	case 'p': sheet->may_gain = true; return true;
	default: return false;
	}
}

bool become_read(struct order_sheet *sheet, int argc, char **argv)
{
	bool good = true;
	int option;

	*sheet = (struct order_sheet){
		.open_files = -1,
		.core_bytes = -1,
		.address_space = -1,
		.cpu_seconds = -1,
		.oom_score = -1,
		.user = -1,
		.group = -1,
	};
	while ((option = getopt(argc, argv, GUARD_OPTIONS)) != -1)
		good = read_option(sheet, option) && good;
	sheet->command = argv + optind;
	return good && optind < argc;
}

/* ---- the steps ---- */

static bool limit(int resource, long long soft, long long hard)
{
	struct rlimit l = {(rlim_t)soft, (rlim_t)hard};

	return soft < 0 || setrlimit(resource, &l) == 0;
}

/* Only upwards, which needs no privilege. Where /proc cannot be written, nothing that this would order is there either. */
static bool raise_oom_score(long long more)
{
	int fd, n;
	char text[16] = "";
	bool good;

	if (more <= 0)
		return true;
	fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == EROFS;
	if (read(fd, text, sizeof text - 1) > 0)
		more += atoi(text);
	n = snprintf(text, sizeof text, "%d", more > OOM_SCORE_MAX ? OOM_SCORE_MAX : (int)more);
	good = write(fd, text, (size_t)n) == n;
	close(fd);
	return good;
}

static enum guard_step change_user(const struct order_sheet *sheet)
{
	if (sheet->group >= 0 && setgroups(0, NULL))
		return GUARD_STEP_GROUPS;
	if (sheet->group >= 0 && setresgid((gid_t)sheet->group, (gid_t)sheet->group, (gid_t)sheet->group))
		return GUARD_STEP_GROUP;
	if (sheet->user >= 0 && setresuid((uid_t)sheet->user, (uid_t)sheet->user, (uid_t)sheet->user))
		return GUARD_STEP_USER;
	/* What a service manager gave the daemon for this change is not for the worker. */
	if (sheet->user > 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) && errno != EINVAL)
		return GUARD_STEP_PRIVILEGES;
	return 0;
}

enum guard_step become_prepare(const struct order_sheet *sheet)
{
	enum guard_step step;

	if (!raise_oom_score(sheet->oom_score))
		return GUARD_STEP_OOM_SCORE;
	if (!limit(RLIMIT_NOFILE, sheet->open_files, sheet->open_files))
		return GUARD_STEP_OPEN_FILES;
	if (!limit(RLIMIT_CORE, sheet->core_bytes, sheet->core_bytes))
		return GUARD_STEP_CORE;
	if (!limit(RLIMIT_CPU, sheet->cpu_seconds, sheet->cpu_seconds + CPU_GRACE_S))
		return GUARD_STEP_CPU;
	step = change_user(sheet);
	if (step)
		return step;
	if (!sheet->may_gain && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return GUARD_STEP_PRIVILEGES;
	return 0;
}

enum guard_step become_enter(const struct order_sheet *sheet, const sigset_t *mask)
{
	if (sheet->directory && chdir(sheet->directory))
		return GUARD_STEP_DIRECTORY;
	if (!limit(RLIMIT_AS, sheet->address_space, sheet->address_space))
		return GUARD_STEP_MEMORY;
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(sheet->command[0], sheet->command);
	return GUARD_STEP_EXEC;
}
