/* dev_sources.c: see dev_sources.h. One watch per directory, because that is what the system offers. */
#include "dev_sources.h"

#include <dirent.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridgepool/base/check.h"

enum { DIRECTORIES_MAX = 2000, BURST_MS = 100 /* editors write a file in several steps, and people save several */ };

struct directory {
	uv_fs_event_t watch;
	LIST_ENTRY(directory) link;
	struct dev_sources *sources;
	char path[];
};

struct dev_sources {
	LIST_HEAD(, directory) directories;
	uv_loop_t *loop;
	uv_timer_t burst;
	const char *const *patterns;
	void (*saved)(void *ctx, const char *name);
	void *ctx;
	size_t n, handles; /* directories that are watched; handles that are open */
	char name[NAME_MAX + 1];
};

static void on_handle_closed(struct dev_sources *s)
{
	if (--s->handles == 0)
		free(s);
}

static void on_directory_closed(uv_handle_t *handle)
{
	struct directory *d = handle->data;
	struct dev_sources *s = d->sources;

	free(d);
	on_handle_closed(s);
}

static void forget(struct directory *d)
{
	LIST_REMOVE(d, link);
	d->sources->n--;
	uv_close((uv_handle_t *)&d->watch, on_directory_closed);
}

static bool wanted(const struct dev_sources *s, const char *name)
{
	for (const char *const *p = s->patterns; *p; p++)
		if (fnmatch(*p, name, FNM_PERIOD) == 0)
			return true;
	return false;
}

static bool is_directory(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool is_of_others(const char *path, const char *name)
{
	char mark[PATH_MAX + 16];

	snprintf(mark, sizeof mark, "%s/pyvenv.cfg", path);
	return *name == '.' || strcmp(name, "__pycache__") == 0 || strcmp(name, "node_modules") == 0 || access(mark, F_OK) == 0;
}

static int watch_below(struct dev_sources *s, const char *path);

static void on_change(uv_fs_event_t *watch, const char *name, int events, int status)
{
	struct directory *d = watch->data;
	struct dev_sources *s = d->sources;
	char path[PATH_MAX];

	(void)events;
	if (status != 0 || !is_directory(d->path)) {
		forget(d);
		return;
	}
	if (!name || snprintf(path, sizeof path, "%s/%s", d->path, name) >= (int)sizeof path)
		return;
	if (is_directory(path) && !is_of_others(path, name))
		watch_below(s, path);
	else if (!wanted(s, name))
		return;
	snprintf(s->name, sizeof s->name, "%s", name);
	uv_timer_again(&s->burst);
}

static bool is_known(const struct dev_sources *s, const char *path)
{
	const struct directory *d;

	LIST_FOREACH (d, &s->directories, link)
		if (strcmp(d->path, path) == 0)
			return true;
	return false;
}

static int watch_one(struct dev_sources *s, const char *path)
{
	struct directory *d = xcalloc(1, sizeof *d + strlen(path) + 1);
	int code;

	strcpy(d->path, path);
	d->sources = s;
	d->watch.data = d;
	uv_fs_event_init(s->loop, &d->watch);
	LIST_INSERT_HEAD(&s->directories, d, link);
	s->n++;
	s->handles++;
	code = uv_fs_event_start(&d->watch, on_change, path, 0);
	if (code != 0)
		forget(d);
	return code;
}

/* The first error, or 0. What came and went meanwhile is none. */
static int watch_below(struct dev_sources *s, const char *path)
{
	struct dirent *entry;
	char below[PATH_MAX];
	DIR *directory;
	int code;

	if (is_known(s, path) || s->n >= DIRECTORIES_MAX)
		return 0;
	code = watch_one(s, path);
	directory = code == 0 ? opendir(path) : NULL;
	while (directory && code == 0 && (entry = readdir(directory)) != NULL) {
		if (snprintf(below, sizeof below, "%s/%s", path, entry->d_name) < (int)sizeof below && is_directory(below) &&
			!is_of_others(below, entry->d_name))
			code = watch_below(s, below);
	}
	if (directory)
		closedir(directory);
	return code == UV_ENOENT ? 0 : code;
}

static void on_burst_over(uv_timer_t *timer)
{
	struct dev_sources *s = timer->data;

	uv_timer_stop(timer);
	s->saved(s->ctx, s->name);
}

static void on_burst_closed(uv_handle_t *handle)
{
	on_handle_closed(handle->data);
}

struct dev_sources *dev_sources_watch(uv_loop_t *loop, const char *dir, const char *const *patterns,
	void (*saved)(void *ctx, const char *name), void *ctx, char *errstr, size_t size)
{
	struct dev_sources *s = xcalloc(1, sizeof *s);
	int code;

	s->loop = loop;
	s->patterns = patterns;
	s->saved = saved;
	s->ctx = ctx;
	uv_timer_init(loop, &s->burst);
	s->burst.data = s;
	s->handles = 1;
	uv_timer_start(&s->burst, on_burst_over, BURST_MS, BURST_MS); /* for its period: again() begins it anew */
	uv_timer_stop(&s->burst);
	code = watch_below(s, dir);
	if (code == 0)
		return s;
	snprintf(errstr, size, "cannot watch the files in %s: %s; sysctl fs.inotify.max_user_watches may be too low", dir, uv_strerror(code));
	dev_sources_close(s);
	return NULL;
}

bool dev_sources_full(const struct dev_sources *s)
{
	return s->n >= DIRECTORIES_MAX;
}

void dev_sources_close(struct dev_sources *s)
{
	while (!LIST_EMPTY(&s->directories))
		forget(LIST_FIRST(&s->directories));
	uv_close((uv_handle_t *)&s->burst, on_burst_closed);
}
