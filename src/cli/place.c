/* place.c: the demo's directory, its configuration, its Python. */
#include "place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the demo's app.py and the Python package may be: installed beside the program, else the source tree. */
static const struct {
	bool beside; /* below the parent of the program's directory; else absolute */
	const char *app, *package, *python;
} homes[] = {
	{true, "share/bridgepool/demo/app.py", "share/bridgepool/python", NULL},
	{false, BRIDGEPOOL_DATADIR "/demo/app.py", BRIDGEPOOL_DATADIR "/python", NULL},
	{false, BRIDGEPOOL_SOURCE_DIR "/deploy/demo/app.py", BRIDGEPOOL_SOURCE_DIR "/src/bridges/python",
		BRIDGEPOOL_SOURCE_DIR "/.cache/venv/bin/python"},
};

static void program_path(char out[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);

	out[n > 0 ? n : 0] = '\0';
}

/* Fills program: after a build in a source tree the bare name is not found by the user's shell. */
static void find_program(struct place *p)
{
	char found[PATH_MAX], *path = strdup(getenv("PATH") ? getenv("PATH") : ""), *rest = path, *name, *dir;

	program_path(p->program);
	name = strrchr(p->program, '/');
	while (name && (dir = strsep(&rest, ":"))) {
		char candidate[2 * PATH_MAX];

		snprintf(candidate, sizeof candidate, "%s%s", dir, name);
		if (access(candidate, X_OK) != 0)
			continue;
		if (realpath(candidate, found) && strcmp(found, p->program) == 0)
			memmove(p->program, name + 1, strlen(name));
		break;
	}
	free(path);
}

/* The directory above the one that our program lies in. */
static void program_parent(char out[PATH_MAX])
{
	program_path(out);
	for (int i = 0; i < 2; i++) {
		char *slash = strrchr(out, '/');
		if (slash)
			*slash = '\0';
	}
}

static void home_path(bool beside, const char *parent, const char *path, char *out, size_t size)
{
	if (beside)
		snprintf(out, size, "%s/%s", parent, path);
	else
		snprintf(out, size, "%s", path);
}

/* Fills python and package; app is where app.py can be copied from. */
static bool find_home(struct place *p, char *app, size_t size)
{
	char parent[PATH_MAX];

	program_parent(parent);
	for (size_t i = 0; i < sizeof homes / sizeof *homes; i++) {
		home_path(homes[i].beside, parent, homes[i].app, app, size);
		if (access(app, R_OK) != 0)
			continue;
		home_path(homes[i].beside, parent, homes[i].package, p->package, sizeof p->package);
		if (access(p->package, R_OK) != 0)
			p->package[0] = '\0';
		snprintf(p->python, sizeof p->python, "%s",
			homes[i].python && access(homes[i].python, X_OK) == 0 ? homes[i].python : "python3");
		return true;
	}
	return false;
}

void place_find(struct place *p)
{
	char app[PATH_MAX + 32];

	find_program(p);
	if (!find_home(p, app, sizeof app))
		p->package[0] = '\0';
	snprintf(p->python, sizeof p->python, "python3");
}

static bool copy_file(const char *from, const char *to, char *errstr, size_t size)
{
	FILE *in = fopen(from, "r"), *out = in ? fopen(to, "w") : NULL;
	char bytes[4096];
	size_t n;
	bool good = out != NULL;

	while (good && (n = fread(bytes, 1, sizeof bytes, in)) > 0)
		good = fwrite(bytes, 1, n, out) == n;
	if (out && fclose(out) != 0)
		good = false;
	if (in)
		fclose(in);
	if (!good)
		snprintf(errstr, size, "cannot copy %s to %s: %s; name another directory with --dir", from, to, strerror(errno));
	return good;
}

static bool same_content(const char *one, const char *other)
{
	FILE *a = fopen(one, "r"), *b = fopen(other, "r");
	bool same = a && b;
	int c = 0;

	while (same && c != EOF) {
		c = getc(a);
		same = c == getc(b);
	}
	if (a)
		fclose(a);
	if (b)
		fclose(b);
	return same;
}

bool place_prepare(struct place *p, const char *dir, char *errstr, size_t size)
{
	char app[PATH_MAX + 32];

	find_program(p);
	if (!find_home(p, app, sizeof app)) {
		snprintf(errstr, size,
			"the demo's app.py was found neither beside this program, nor in " BRIDGEPOOL_DATADIR
			", nor in " BRIDGEPOOL_SOURCE_DIR "; install bridgepool, or build it in its source tree");
		return false;
	}
	if (mkdir(dir, 0777) != 0 && errno != EEXIST) {
		snprintf(errstr, size, "cannot make the directory %s: %s; name another with --dir", dir, strerror(errno));
		return false;
	}
	if (!realpath(dir, p->dir)) {
		snprintf(errstr, size, "%s: %s; name another directory with --dir", dir, strerror(errno));
		return false;
	}
	snprintf(p->app, sizeof p->app, "%s/app.py", p->dir);
	snprintf(p->config, sizeof p->config, "%s/bridgepool.cfg", p->dir);
	snprintf(p->log, sizeof p->log, "%s/daemon.log", p->dir);
	p->fresh = access(p->app, F_OK) != 0;
	if (p->fresh && !copy_file(app, p->app, errstr, size))
		return false;
	p->edited = !same_content(app, p->app);
	return true;
}

void place_put_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static void put_pool(FILE *out, const struct place *p)
{
	char path[PATH_MAX + 64];

	fprintf(out, "pools = ( {\n\tname = \"default\";\n\tcommand = [ ");
	place_put_string(out, p->python);
	fprintf(out, ", \"-m\", \"bridgepool.worker\", \"app:app\" ];\n\tdirectory = ");
	place_put_string(out, p->dir);
	fprintf(out, ";\n");
	if (*p->package) {
		snprintf(path, sizeof path, "PYTHONPATH=%s", p->package);
		fprintf(out, "\tenvironment = [ ");
		place_put_string(out, path);
		fprintf(out, " ];\n");
	}
	fprintf(out, "\tsize = 2;\n\tbackoff_min = \"200ms\";\n} );\n");
}

bool place_configure(const struct place *p, const char *brokers, char *errstr, size_t size)
{
	FILE *out = fopen(p->config, "w");

	if (!out) {
		snprintf(errstr, size, "cannot write %s: %s; name another directory with --dir", p->config, strerror(errno));
		return false;
	}
	fprintf(out, "# Written anew by each `bridgepool demo`. A start for your own: copy it, and change the brokers.\n"
		     "kafka = {\n\tbrokers = ");
	place_put_string(out, brokers);
	fprintf(out, ";\n\t# The embedded broker does not wake a waiting fetch; a real one does, and needs no such line.\n"
		     "\tconsumer_properties = [ \"fetch.wait.max.ms=5\" ];\n};\n");
	put_pool(out, p);
	fprintf(out, "health = { heartbeat = \"5s\"; };\n");
	if (fclose(out) == 0)
		return true;
	snprintf(errstr, size, "cannot write %s: %s", p->config, strerror(errno));
	return false;
}
