/* usage.c: see usage.h. What belongs to a worker is found from its guard downwards, so that a number that was given to another
 * process in the meantime is never taken for it. */
#include "usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROCESSES_MAX = 256 /* that are looked at; the loop waits meanwhile */ };

struct family {
	pid_t pids[PROCESSES_MAX];
	size_t n;
};

/* A small file of /proc as text. False: it is not there. */
static bool read_text(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);

	if (fd >= 0)
		close(fd);
	out[n > 0 ? n : 0] = '\0';
	return n >= 0;
}

/* "RssAnon:     1234 kB" */
static uint64_t kib_of(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* What is the process's own: pages of files, such as programs and libraries, are shared by all that use them, and the kernel
 * drops them when memory runs short. The proportional sizes of smaps_rollup would divide what several share, but walking the
 * pages takes 9 us for each MiB, and the loop waits meanwhile. */
static uint64_t held(pid_t pid)
{
	char path[64], text[4096];

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	if (!read_text(path, text, sizeof text))
		return 0;
	return (kib_of(text, "\nRssAnon:") + kib_of(text, "\nRssShmem:")) * 1024;
}

/* Each thread has a list of what it started. False: this kernel keeps none. */
static bool add_children(struct family *f, pid_t pid, const char *thread)
{
	char path[64], text[4096], *at = text, *end;
	long child;

	snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", (int)pid, thread);
	if (!read_text(path, text, sizeof text))
		return false;
	while (f->n < PROCESSES_MAX && (child = strtol(at, &end, 10)) > 0 && end != at) {
		f->pids[f->n++] = (pid_t)child;
		at = end;
	}
	return true;
}

static void add_all_children(struct family *f, pid_t pid)
{
	struct dirent *entry;
	char path[64];
	DIR *threads;

	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	threads = opendir(path);
	while (threads && (entry = readdir(threads)))
		if (*entry->d_name != '.')
			add_children(f, pid, entry->d_name);
	if (threads)
		closedir(threads);
}

uint64_t usage_held(pid_t guard, pid_t worker)
{
	struct family f = {.n = 0};
	uint64_t bytes = 0;
	char thread[16];

	snprintf(thread, sizeof thread, "%d", (int)guard);
	if (!add_children(&f, guard, thread)) /* the guard has one thread */
		return held(worker);
	for (size_t i = 0; i < f.n; i++) {
		bytes += held(f.pids[i]);
		add_all_children(&f, f.pids[i]);
	}
	return bytes;
}
