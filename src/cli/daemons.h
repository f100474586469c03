/* daemons.h: finds the daemons that run on this machine. */
#ifndef CLI_DAEMONS_H
#define CLI_DAEMONS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Processes that are a `bridgepool run` with that configuration file, as far as this user may see them: all that there are, the
 * first `most` into pids. */
size_t daemons_find(const char *config, pid_t *pids, size_t most);
/* Whether that process is a `bridgepool run`, whatever its configuration. */
bool daemons_has(pid_t pid);

#endif
