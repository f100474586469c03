/* message.c: see message.h. */
#include "bridgepool/core/message.h"

#include <stdio.h>

void slot_ref_text(char out[WORKER_ID_MAX], const char *pool_name, struct slot_ref w)
{
	snprintf(out, WORKER_ID_MAX, "%.64s/%u.%u", pool_name ? pool_name : "", (unsigned)w.slot, (unsigned)w.generation);
}
