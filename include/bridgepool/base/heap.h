/* heap.h: how the process keeps the memory that it has freed. */
#ifndef BRIDGEPOOL_BASE_HEAP_H
#define BRIDGEPOOL_BASE_HEAP_H

/* For programs with a loop; called once, at the start. Linked with jemalloc: what was freed goes back to the system over five
 * seconds, by a thread of its own. With glibc's allocator: all but 16 MiB at the top of the heap goes back when it is freed. */
void heap_keep(void);

#endif
