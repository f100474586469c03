/* port.c: see port.h. */
#include "bridgepool/core/port.h"

const char *worker_fault_text(enum worker_fault f)
{
	static const char *const texts[] = {
		[FAULT_EXEC] = "it could not be started",
		[FAULT_START] = "it could not be started this time",
		[FAULT_EOF] = "its stdout ended",
		[FAULT_WRITE] = "its stdin broke",
		[FAULT_FRAME] = "its stdout is no stream of frames",
	};

	return texts[f];
}
