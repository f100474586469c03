/* environment.c: what of the daemon's environment a worker gets to see: a short list, so that no secret of the daemon leaks into
 * programs. */
#include "environment.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"

/* What programs need to find themselves, their language, their time and their certificates. */
static const char *const always[] = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR",
	"PYTHON*", "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH", "SSL_CERT_*", NULL};

static bool name_matches(const char *const *patterns, const char *name)
{
	for (; patterns && *patterns; patterns++) {
		if (!fnmatch(*patterns, name, 0))
			return true;
	}
	return false;
}

static bool is_allowed(const char *item, const char *const *pass)
{
	size_t len = strcspn(item, "=");
	char *name = xmalloc(len + 1);
	bool allowed;

	memcpy(name, item, len);
	name[len] = '\0';
	allowed = item[len] == '=' && (name_matches(always, name) || name_matches(pass, name));
	free(name);
	return allowed;
}

static char **find(const struct environment *e, const char *name, size_t len)
{
	for (size_t i = 0; i < e->n; i++) {
		if (!strncmp(e->items[i], name, len) && e->items[i][len] == '=')
			return &e->items[i];
	}
	return NULL;
}

static void put(struct environment *e, const char *item)
{
	char **there = find(e, item, strcspn(item, "="));

	if (there) {
		free(*there);
		*there = xstrdup(item);
		return;
	}
	e->items = xrealloc(e->items, (e->n + 2) * sizeof *e->items);
	e->items[e->n++] = xstrdup(item);
	e->items[e->n] = NULL;
}

void environment_init(struct environment *e, char *const *from, const char *const *pass, const char *const *set,
	const char *pool_name, size_t max_frame_bytes, int64_t stop_grace_us)
{
	char pool[128], max_frame[64], stop_grace[64];

	*e = (struct environment){xcalloc(1, sizeof *e->items), 0};
	for (; from && *from; from++) {
		if (is_allowed(*from, pass))
			put(e, *from);
	}
	for (; set && *set; set++) {
		if (strchr(*set, '='))
			put(e, *set);
	}
	snprintf(pool, sizeof pool, "BRIDGEPOOL_POOL=%s", pool_name ? pool_name : "");
	put(e, pool);
	/* A worker that knows the limit answers with an error instead of a frame that would cost it its life. */
	snprintf(max_frame, sizeof max_frame, "BRIDGEPOOL_MAX_FRAME_BYTES=%zu", max_frame_bytes);
	put(e, max_frame);
	snprintf(stop_grace, sizeof stop_grace, "BRIDGEPOOL_STOP_GRACE=%.3f", (double)stop_grace_us / SECOND_US);
	if (stop_grace_us > 0)
		put(e, stop_grace);
}

void environment_free(struct environment *e)
{
	for (size_t i = 0; i < e->n; i++)
		free(e->items[i]);
	free(e->items);
	*e = (struct environment){0};
}

const char *environment_get(const struct environment *e, const char *name)
{
	char **there = find(e, name, strlen(name));

	return there ? *there + strlen(name) + 1 : NULL;
}

char **environment_list(const struct environment *e, const char *worker_id, uint32_t generation)
{
	char **list = xcalloc(e->n + 3, sizeof *list);
	char *id = xmalloc(128), *number = xmalloc(64);

	snprintf(id, 128, "BRIDGEPOOL_WORKER_ID=%s", worker_id);
	snprintf(number, 64, "BRIDGEPOOL_GENERATION=%u", generation);
	list[0] = id; /* ahead of all, so that no `environment` key of the same name wins */
	list[1] = number;
	memcpy(list + 2, e->items, e->n * sizeof *list);
	return list;
}

void environment_list_free(char **list)
{
	free(list[0]);
	free(list[1]);
	free(list);
}
