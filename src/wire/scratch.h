/* scratch.h: memory for libyajl during one reading. Each reading wants the same few blocks, the largest too large for the heap's
 * quick lists; a record is read in microseconds, so they come from the stack. What does not fit comes from the heap. */
#ifndef WIRE_SCRATCH_H
#define WIRE_SCRATCH_H

#include <stddef.h>
#include <yajl/yajl_common.h>

enum { SCRATCH_BYTES = 4096 };

struct scratch {
	_Alignas(max_align_t) unsigned char bytes[SCRATCH_BYTES];
	size_t used;
};

yajl_alloc_funcs scratch_funcs(struct scratch *s); /* empties s, which must live as long as what is allocated by them */

#endif
