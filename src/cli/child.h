/* child.h: the daemon as a child process of the demo and of dev, so that signals and loops stay simple. */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child {
	pid_t pid; /* 0: not running */
	int code;  /* once it has ended: its exit code, or 128 + signal */
};

/* Runs this program again with these arguments (argv[0] included, NULL-terminated), its stderr into a file, or into a descriptor
 * that it gets a copy of. It is killed when we die, for the broker that it needs dies with us. */
bool child_start(struct child *c, char *const *argv, const char *log, char *errstr, size_t size);
bool child_start_into(struct child *c, char *const *argv, int fd, char *errstr, size_t size);
bool child_alive(struct child *c);
/* SIGTERM, wait, SIGKILL if it takes longer. Then it is gone. */
void child_stop(struct child *c, int timeout_ms);

#endif
