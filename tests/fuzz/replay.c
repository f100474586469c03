/* replay.c: stands in for libFuzzer where it is not there: gives every file of the named directories to the target once. */
#include "fuzz.h"
#include "bridgepool/base/check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 1 << 20 };

static void replay_file(const char *path)
{
	FILE *file = fopen(path, "re");
	uint8_t *all = xmalloc(FILE_MAX), *exact;
	size_t n;

	CHECK(file);
	n = fread(all, 1, FILE_MAX, file);
	fclose(file);
	/* Of exactly this size, so that a sanitizer sees a byte too far. */
	exact = xmalloc(n);
	memcpy(exact, all, n);
	free(all);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
}

static unsigned replay_dir(const char *dir)
{
	DIR *entries = opendir(dir);
	unsigned files = 0;
	char path[4096];

	if (!entries)
		return 0;
	for (struct dirent *e; (e = readdir(entries));) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		replay_file(path);
		files++;
	}
	closedir(entries);
	return files;
}

int main(int argc, char **argv)
{
	unsigned files = 0;

	for (int i = 1; i < argc; i++)
		files += replay_dir(argv[i]);
	printf("%u inputs\n", files);
	return files ? EXIT_SUCCESS : EXIT_FAILURE;
}
