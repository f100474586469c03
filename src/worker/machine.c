/* machine.c: see machine.h. A control group is looked for from its own directory upwards: each above it bounds it too. Inside a
 * container the path that /proc/self/cgroup tells may not exist below /sys/fs/cgroup; then the mount's top is what bounds us. */
#include "bridgepool/worker/machine.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* A file of one number, "max" for none. False: not there, or no number. */
static bool read_number(const char *path, int64_t *out)
{
	FILE *f = fopen(path, "re");
	bool good = f && fscanf(f, "%" SCNd64, out) == 1 && *out > 0;

	if (f)
		fclose(f);
	return good;
}

static int64_t installed(const char *root)
{
	char path[PATH_MAX], line[128];
	int64_t kib = 0;
	FILE *f;

	snprintf(path, sizeof path, "%s/proc/meminfo", root);
	f = fopen(path, "re");
	while (f && !kib && fgets(line, sizeof line, f))
		if (sscanf(line, "MemTotal: %" SCNd64, &kib) != 1)
			kib = 0;
	if (f)
		fclose(f);
	return kib * 1024;
}

static void bound(struct machine_memory *m, int64_t bytes)
{
	/* v1 says "none" as a number beyond any machine. */
	if (m->bytes == 0 || bytes < m->bytes)
		*m = (struct machine_memory){bytes, "the control group", true};
}

/* group: "/a/b", cut shorter here up to "". */
static void walk(struct machine_memory *m, const char *root, const char *mount, const char *file, char *group)
{
	char path[PATH_MAX], *slash;
	int64_t bytes;

	for (;;) {
		snprintf(path, sizeof path, "%s%s%s/%s", root, mount, group, file);
		if (read_number(path, &bytes))
			bound(m, bytes);
		slash = strrchr(group, '/');
		if (!slash)
			return;
		*slash = '\0';
	}
}

/* A line of /proc/self/cgroup: number:controllers:path. */
static void look_at(struct machine_memory *m, const char *root, char *line)
{
	char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;

	if (!group)
		return;
	*controllers++ = *group++ = '\0';
	group[strcspn(group, "\n")] = '\0';
	if (!*controllers)
		walk(m, root, "/sys/fs/cgroup", "memory.max", group);
	else if (strcmp(controllers, "memory") == 0)
		walk(m, root, "/sys/fs/cgroup/memory", "memory.limit_in_bytes", group);
}

struct machine_memory machine_memory(const char *root)
{
	struct machine_memory m = {installed(root), "the machine", false};
	char path[PATH_MAX], line[2048];
	FILE *f;

	snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof line, f))
		look_at(&m, root, line);
	if (f)
		fclose(f);
	return m;
}
