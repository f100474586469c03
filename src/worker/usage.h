/* usage.h: how much memory a worker holds. */
#ifndef WORKER_USAGE_H
#define WORKER_USAGE_H

#include <stdint.h>
#include <sys/types.h>

/* Bytes that are resident in all processes below the guard, without pages of files; those that several share, after a fork or as
 * shared memory, count in each. 0: none was found. worker is looked at alone where the kernel does not tell who started whom.
 * About 20 us, and as much for each further process. */
uint64_t usage_held(pid_t guard, pid_t worker);

#endif
