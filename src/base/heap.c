/* heap.c: see heap.h. */
#include "bridgepool/base/heap.h"

#include <malloc.h>

enum { KEPT = 16 << 20, STEP = 1 << 20 /* bytes */ };

/* jemalloc reads it before main(). Its own thread gives back what is not needed, so that the loop never stands for it. */
extern const char *malloc_conf;
const char *malloc_conf = "background_thread:true,max_background_threads:1,narenas:2,dirty_decay_ms:5000,muzzy_decay_ms:0";

/* glibc's gives back in the midst of a free(): what was freed stays for the next batch, which would fetch it again, a fault for
 * each page. */
void heap_keep(void)
{
	mallopt(M_TRIM_THRESHOLD, KEPT);
	mallopt(M_TOP_PAD, STEP);
}
