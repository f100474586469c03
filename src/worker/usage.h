/* usage.h: how much memory a worker holds. */
#ifndef WORKER_USAGE_H
#define WORKER_USAGE_H

#include <stdint.h>
#include <sys/types.h>

/* Bytes that are resident in all processes below the guard, pages that several share counted in each; 0: none was found. worker is
 * looked at alone where the kernel does not tell who started whom. About 20 us, and 8 for each further thread or process. */
uint64_t usage_resident(pid_t guard, pid_t worker);

#endif
