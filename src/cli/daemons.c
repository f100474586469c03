/* daemons.c: see daemons.h. A daemon tells its configuration by its command line, which is read as it reads it: from its own
 * working directory. */
#include "daemons.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

enum { COMMAND_MAX = 64 * 1024, ARGUMENTS_MAX = 256 };

/* What it was called when it was started, for all to read. */
static bool is_called_so(const char *pid)
{
	char path[64], name[32] = "";
	FILE *f;

	snprintf(path, sizeof path, "/proc/%.16s/comm", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(name, sizeof name, f))
		*name = '\0';
	fclose(f);
	return strcmp(name, "bridgepool\n") == 0;
}

/* The program is called bridgepool, also if another has been installed in its place since. */
static bool is_ours(const char *pid)
{
	char path[64], exe[PATH_MAX], *name;
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%.16s/exe", pid);
	n = readlink(path, exe, sizeof exe - 1);
	if (n < 0 && errno == EACCES) /* root of a container may signal another user's process, but not see its program */
		return is_called_so(pid);
	exe[n > 0 ? n : 0] = '\0';
	name = strrchr(exe, '/');
	return name && (strcmp(name, "/bridgepool") == 0 || strcmp(name, "/bridgepool (deleted)") == 0);
}

/* Arguments of a process; they point into `text`. */
static int read_command(const char *pid, char text[COMMAND_MAX], char *argv[ARGUMENTS_MAX + 1])
{
	char path[64];
	size_t n = 0;
	int argc = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%.16s/cmdline", pid);
	f = fopen(path, "re");
	if (f) {
		n = fread(text, 1, COMMAND_MAX - 1, f);
		fclose(f);
	}
	text[n] = '\0';
	for (size_t at = 0; at < n && argc < ARGUMENTS_MAX; at += strlen(text + at) + 1)
		argv[argc++] = text + at;
	argv[argc] = NULL;
	return argc;
}

/* What -c of `bridgepool run` said, in one of its forms; else where it looks by itself. */
static const char *config_of(char **argv)
{
	const char *found = NULL;

	for (char **a = argv + 2; *a; a++) {
		if ((strcmp(*a, "-c") == 0 || strcmp(*a, "--config") == 0) && a[1])
			found = *++a;
		else if (strcmp(*a, "--set") == 0 && a[1])
			a++;
		else if (strncmp(*a, "--config=", 9) == 0)
			found = *a + 9;
		else if (strncmp(*a, "-c", 2) == 0 && (*a)[2])
			found = *a + 2;
	}
	return found;
}

/* path as that process means it. */
static bool is_file_of(const char *pid, const char *path, const struct stat *config)
{
	char full[PATH_MAX];
	struct stat st;

	if (*path == '/')
		snprintf(full, sizeof full, "/proc/%.16s/root%s", pid, path);
	else
		snprintf(full, sizeof full, "/proc/%.16s/cwd/%s", pid, path);
	return stat(full, &st) == 0 && st.st_dev == config->st_dev && st.st_ino == config->st_ino;
}

/* argv is that of the daemon; it points into memory that the next call takes. */
static bool is_daemon(const char *pid, char *argv[ARGUMENTS_MAX + 1])
{
	static char text[COMMAND_MAX];

	return is_ours(pid) && read_command(pid, text, argv) >= 2 && strcmp(argv[1], "run") == 0;
}

static bool runs_with(const char *pid, const struct stat *config)
{
	char *argv[ARGUMENTS_MAX + 1];
	const char *path;

	if (!is_daemon(pid, argv))
		return false;
	path = config_of(argv);
	if (path)
		return is_file_of(pid, path, config);
	for (const char *const *usual = cli_default_configs; *usual; usual++) {
		char there[PATH_MAX];

		snprintf(there, sizeof there, "/proc/%.16s/%s%s", pid, **usual == '/' ? "root" : "cwd/", *usual);
		if (access(there, R_OK) == 0)
			return is_file_of(pid, *usual, config);
	}
	return false;
}

bool daemons_has(pid_t pid)
{
	char *argv[ARGUMENTS_MAX + 1], name[16];

	snprintf(name, sizeof name, "%d", (int)pid);
	return is_daemon(name, argv);
}

size_t daemons_find(const char *config, pid_t *pids, size_t most)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	struct stat st;
	size_t n = 0;

	if (proc && stat(config, &st) == 0)
		while ((entry = readdir(proc)))
			if (*entry->d_name >= '1' && *entry->d_name <= '9' && runs_with(entry->d_name, &st)) {
				if (n < most)
					pids[n] = (pid_t)atoi(entry->d_name);
				n++;
			}
	if (proc)
		closedir(proc);
	return n;
}
