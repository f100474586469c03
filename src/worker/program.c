/* program.c: finds the programs that are run, and tells people why one cannot be. */
#include "program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridgepool/base/spelling.h"

#define DEFAULT_PATH "/bin:/usr/bin" /* execvp's own, when PATH is not set */
#define GUARD_NAME "bridgepool-guard"

enum { FIRST_LINE_MAX = 256 /* the kernel reads no more of a script */ };

static bool is_file(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode);
}

static bool is_program(const char *path)
{
	return is_file(path) && !access(path, X_OK);
}

/* The interpreter that a script's first line names; "" for what is no script. */
static void read_interpreter(const char *path, char out[FIRST_LINE_MAX])
{
	char line[FIRST_LINE_MAX] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof line - 1);
	size_t start;

	if (fd >= 0)
		close(fd);
	line[n > 0 ? n : 0] = '\0';
	*out = '\0';
	if (strncmp(line, "#!", 2))
		return;
	start = 2 + strspn(line + 2, " \t");
	line[start + strcspn(line + start, " \t\r\n")] = '\0';
	memcpy(out, line + start, strlen(line + start) + 1);
}

/* path: where it was found or should be. */
static bool check_file(const char *path, char *errstr, size_t size)
{
	char interpreter[FIRST_LINE_MAX];
	struct stat st;

	if (stat(path, &st)) {
		snprintf(errstr, size, "the command %s cannot be run: %s; correct pools[].command", path, strerror(errno));
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		snprintf(errstr, size, "the command %s is not a file; correct pools[].command", path);
		return false;
	}
	if (access(path, X_OK)) {
		snprintf(errstr, size,
			"the command %s is not executable: chmod +x it, or name its interpreter first in pools[].command", path);
		return false;
	}
	read_interpreter(path, interpreter);
	if (*interpreter == '/' && !is_program(interpreter)) {
		snprintf(errstr, size,
			"the command %s needs the interpreter %s (its first line), which cannot be run: %s; install it or correct that line",
			path, interpreter, access(interpreter, F_OK) ? strerror(errno) : "it is not an executable file");
		return false;
	}
	return true;
}

/* The next directory of a search path; an empty one is the current. False: there is none left. */
static bool next_directory(const char **rest, const char *directory, const char *command, char out[PATH_MAX])
{
	const char *start = *rest;
	size_t len;
	bool relative;

	if (!start)
		return false;
	len = strcspn(start, ":");
	*rest = start[len] ? start + len + 1 : NULL;
	relative = len == 0 || *start != '/';
	snprintf(out, PATH_MAX, "%s%s%.*s%s%s", relative ? directory : "", relative ? "/" : "", (int)len, start, len ? "/" : "",
		command);
	return true;
}

static void look_near(const char *command, const char *in, size_t *best, char near[NAME_MAX + 1])
{
	DIR *dir = opendir(in);
	const struct dirent *entry;
	char candidate[PATH_MAX];

	while (dir && (entry = readdir(dir))) {
		size_t d = spelling_distance(entry->d_name, command);

		if (d >= *best || snprintf(candidate, sizeof candidate, "%s/%s", in, entry->d_name) >= PATH_MAX ||
			!is_program(candidate))
			continue;
		*best = d;
		snprintf(near, NAME_MAX + 1, "%s", entry->d_name);
	}
	if (dir)
		closedir(dir);
}

/* The program whose name is nearest to the command's; false: none is near enough to be meant. */
static bool find_near(const char *command, const char *directory, const char *path, char near[NAME_MAX + 1])
{
	size_t best = spelling_near(command) + 1, none = best;
	const char *rest = path;
	char in[PATH_MAX];

	while (next_directory(&rest, directory, ".", in))
		look_near(command, in, &best, near);
	return best < none;
}

static bool check_search(const char *command, const char *directory, const char *path, char *errstr, size_t size)
{
	char candidate[PATH_MAX], refused[PATH_MAX] = "", near[NAME_MAX + 1];
	const char *rest = path;

	while (next_directory(&rest, directory, command, candidate)) {
		if (is_program(candidate))
			return check_file(candidate, errstr, size);
		if (!*refused && is_file(candidate))
			memcpy(refused, candidate, sizeof refused);
	}
	if (*refused)
		return check_file(refused, errstr, size);
	if (find_near(command, directory, path, near))
		snprintf(errstr, size, "the command \"%s\" was not found in PATH (%s); did you mean %s? correct pools[].command",
			command, path, near);
	else
		snprintf(errstr, size,
			"the command \"%s\" was not found in PATH (%s): install it or give its full path in pools[].command",
			command, path);
	return false;
}

static bool check_directory(const char *directory, char *errstr, size_t size)
{
	struct stat st;

	if (stat(directory, &st) == 0) {
		if (S_ISDIR(st.st_mode) && !access(directory, X_OK))
			return true;
		errno = S_ISDIR(st.st_mode) ? EACCES : ENOTDIR;
	}
	snprintf(errstr, size, "the working directory %s cannot be entered: %s; correct pools[].directory", directory,
		strerror(errno));
	return false;
}

bool program_check(const char *command, const char *directory, const char *path, char *errstr, size_t size)
{
	const char *in = directory && *directory ? directory : ".";
	char full[PATH_MAX];

	if (!check_directory(in, errstr, size))
		return false;
	if (!*command) {
		snprintf(errstr, size, "the command is empty; set pools[].command");
		return false;
	}
	if (!strchr(command, '/'))
		return check_search(command, in, path ? path : DEFAULT_PATH, errstr, size);
	if (*command == '/' || !strcmp(in, "."))
		return check_file(command, errstr, size);
	snprintf(full, sizeof full, "%s/%s", in, command);
	return check_file(full, errstr, size);
}

/* Where the running program is, without its name. */
static bool own_directory(char out[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
	char *slash;

	if (n <= 0)
		return false;
	out[n] = '\0';
	slash = strrchr(out, '/');
	if (slash)
		*slash = '\0';
	return slash != NULL;
}

bool program_find_guard(const char *configured, char *out, size_t out_size, char *errstr, size_t size)
{
	/* From the program's directory: installed together, moved together; the last two are the places in a build tree. */
	static const char *const places[] = {".", BRIDGEPOOL_BIN_TO_LIBEXEC, "src/guard", "../src/guard"};
	char own[PATH_MAX];

	if (configured && *configured) {
		snprintf(out, out_size, "%s", configured);
		if (is_program(out))
			return true;
		snprintf(errstr, size, "%s is not there or not executable; it is needed to start workers", configured);
		return false;
	}
	for (size_t i = 0; own_directory(own) && i < sizeof places / sizeof places[0]; i++) {
		snprintf(out, out_size, "%s/%s/" GUARD_NAME, own, places[i]);
		if (is_program(out))
			return true;
	}
	snprintf(out, out_size, "%s/" GUARD_NAME, BRIDGEPOOL_LIBEXECDIR);
	if (is_program(out))
		return true;
	snprintf(errstr, size,
		GUARD_NAME " was not found, neither beside the program nor as %s; install bridgepool whole (cmake --install)",
		out);
	return false;
}
