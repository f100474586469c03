/* program.h: finds the programs that are run, and tells people why one cannot be. */
#ifndef WORKER_PROGRAM_H
#define WORKER_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

/* As execvp would find it from `directory` (NULL: the daemon's) with search path `path` (NULL: the system's default). False:
 * errstr says what is wrong with it and how to mend it. Looks through scripts: a missing interpreter is named. */
bool program_check(const char *command, const char *directory, const char *path, char *errstr, size_t size);
/* The guard: `configured` if it is set, else beside the running program, else the installed one. */
bool program_find_guard(const char *configured, char *out, size_t out_size, char *errstr, size_t size);

#endif
