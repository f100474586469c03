/* wake.h: librdkafka's queues wake the loop: queue -> eventfd -> uv_poll. Work per wake-up is bounded. */
#ifndef KAFKA_WAKE_H
#define KAFKA_WAKE_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* What one wake-up may do. */
struct work {
	unsigned left;
	int64_t until_us;
	bool spent;
};

bool work_take(struct work *work); /* false: enough for this wake-up; it goes on in the next turn of the loop */

struct wake;

/* serve is called when a watched queue has something, when signalled, and at least once a second. NULL: errno says what the
 * machine has not. */
struct wake *wake_new(uv_loop_t *loop, void (*serve)(void *ctx, struct work *work), void *ctx);
/* Only for queues that are not forwarded. librdkafka tells only that a queue is no longer empty: serve drains it, or leaves the
 * rest knowingly and signals later. */
void wake_watch(struct wake *w, rd_kafka_queue_t *queue);
void wake_ignore(struct wake *w, rd_kafka_queue_t *queue);
void wake_signal(struct wake *w);
void wake_within(struct wake *w, uint64_t ms);              /* serve is called after ms at the latest */
void wake_stop(struct wake *w);                             /* serve is not called any more */
void wake_close(struct wake *w, void (*closed)(void *ctx)); /* frees w, then calls closed. Every queue has been ignored before */

#endif
