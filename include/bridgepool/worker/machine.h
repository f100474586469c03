/* machine.h: what the machine has for workers. */
#ifndef BRIDGEPOOL_WORKER_MACHINE_H
#define BRIDGEPOOL_WORKER_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

struct machine_memory {
	int64_t bytes;   /* that this process and its children may use together; 0: unknown */
	const char *who; /* sets the bound: "the control group", "the machine" */
	bool group;      /* it is a control group */
};

/* The least of the machine's memory and the limits of the control groups (v1 and v2) that this process is in. root: where /proc
 * and /sys are looked for, "" but for tests. */
struct machine_memory machine_memory(const char *root);

#endif
