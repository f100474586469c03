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
	dev_t device; /* which one it is that is watched: another may take its name */
	ino_t inode;
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

/* The one that is watched, under the name that it had. */
static bool is_there(const struct directory *d)
{
	struct stat st;

	return lstat(d->path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_dev == d->device && st.st_ino == d->inode;
}

static bool is_of_others(const char *path, const char *name)
{
	char mark[PATH_MAX + 16];

	snprintf(mark, sizeof mark, "%s/pyvenv.cfg", path);
	return *name == '.' || strcmp(name, "__pycache__") == 0 || strcmp(name, "node_modules") == 0 || access(mark, F_OK) == 0;
}

static int watch_below(struct dev_sources *s, const char *path, bool *found);

/* Told of the directory and not of what is in it: it was deleted, or moved. Another may have its name by now, and even its
 * number. */
static bool is_itself(const struct directory *d, const char *name)
{
	const char *slash = strrchr(d->path, '/');

	return name && slash && strcmp(slash + 1, name) == 0;
}

/* True: there is another now, with a wanted file in it or below it. */
static bool watch_again(struct directory *d)
{
	struct dev_sources *s = d->sources;
	char path[PATH_MAX];
	bool found = false;

	snprintf(path, sizeof path, "%s", d->path);
	forget(d);
	return is_directory(path) && watch_below(s, path, &found) == 0 && found;
}

static void begin_burst(struct dev_sources *s, const char *name)
{
	snprintf(s->name, sizeof s->name, "%s", name);
	uv_timer_again(&s->burst);
}

/* True: what is wanted has changed. A directory is not: applications make them for their own files, while they run and when they
 * are loaded, and what is saved in it later is told by its own watch. */
static bool is_save(struct dev_sources *s, const char *path, const char *name)
{
	bool found = false;

	if (!is_directory(path))
		return wanted(s, name);
	if (!is_of_others(path, name))
		watch_below(s, path, &found);
	return found;
}

static void on_change(uv_fs_event_t *watch, const char *name, int events, int status)
{
	struct directory *d = watch->data;
	struct dev_sources *s = d->sources;
	char path[PATH_MAX];
	bool saved;

	(void)events;
	if (status != 0 || !is_there(d) || is_itself(d, name)) {
		saved = name && !is_itself(d, name) && wanted(s, name);
		saved |= watch_again(d);
	} else {
		saved = name && snprintf(path, sizeof path, "%s/%s", d->path, name) < (int)sizeof path && is_save(s, path, name);
	}
	if (saved && name)
		begin_burst(s, name);
}

/* NULL: none is watched under that name. */
static struct directory *find(const struct dev_sources *s, const char *path)
{
	struct directory *d;

	LIST_FOREACH (d, &s->directories, link)
		if (strcmp(d->path, path) == 0)
			break;
	return d;
}

static int watch_one(struct dev_sources *s, const char *path)
{
	struct directory *d = xcalloc(1, sizeof *d + strlen(path) + 1);
	struct stat st;
	int code;

	strcpy(d->path, path);
	d->sources = s;
	d->watch.data = d;
	uv_fs_event_init(s->loop, &d->watch);
	LIST_INSERT_HEAD(&s->directories, d, link);
	s->n++;
	s->handles++;
	if (lstat(path, &st) == 0) { /* before it is watched: who comes in between is found to be another */
		d->device = st.st_dev;
		d->inode = st.st_ino;
	}
	code = uv_fs_event_start(&d->watch, on_change, path, 0);
	if (code != 0)
		forget(d);
	return code;
}

/* The first error, or 0. What came and went meanwhile is none. Found: a wanted file is there that was not watched before; set
 * after the directory is watched, so that of a file that comes at that time one of both is told. */
static int watch_below(struct dev_sources *s, const char *path, bool *found)
{
	struct directory *known = find(s, path);
	struct dirent *entry;
	char below[PATH_MAX];
	DIR *directory;
	int code;

	if (known && !is_there(known)) { /* deleted and made again: the watch is on what was deleted */
		forget(known);
		known = NULL;
	}
	if (known || s->n >= DIRECTORIES_MAX)
		return 0;
	code = watch_one(s, path);
	directory = code == 0 ? opendir(path) : NULL;
	while (directory && code == 0 && (entry = readdir(directory)) != NULL) {
		if (snprintf(below, sizeof below, "%s/%s", path, entry->d_name) >= (int)sizeof below)
			continue;
		if (!is_directory(below))
			*found |= wanted(s, entry->d_name);
		else if (!is_of_others(below, entry->d_name))
			code = watch_below(s, below, found);
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
	bool found = false; /* what is there from the start is no save */
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
	code = watch_below(s, dir, &found);
	if (code == 0)
		return s;
	snprintf(errstr, size, "cannot watch the files in %s: %s; sysctl fs.inotify.max_user_watches may be too low", dir,
		uv_strerror(code));
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
