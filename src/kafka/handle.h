/* handle.h: one librdkafka client on the loop: its wake-ups, its side thread, its log lines, whether a broker answers, its end.
 * Consumer and producer each have one. */
#ifndef KAFKA_HANDLE_H
#define KAFKA_HANDLE_H

#include <librdkafka/rdkafka.h>
#include <uv.h>

#include "bridgepool/base/log.h"
#include "bridgepool/kafka/consumer.h"
#include "faults.h"
#include "lane.h"
#include "wake.h"

/* GOOD -> an error came, a broker is asked: SUSPECT -> none answers: AWAY, told -> a later question is answered: GOOD, told. */
enum reach_state { REACH_GOOD, REACH_SUSPECT, REACH_AWAY };

struct handle_events {
	void *ctx;
	void (*serve)(void *ctx, struct work *work); /* drains the queues */
	void (*fault)(void *ctx, enum kafka_fault fault, const char *why);
	void (*leave)(void *ctx);  /* in the side thread, before the client is destroyed: gives back what was taken from it */
	void (*closed)(void *ctx); /* the last event: the struct may be freed */
	void (*left)(void *ctx);   /* leave is over, the client is being destroyed; or NULL */
};

struct handle {
	rd_kafka_t *rk;
	struct wake *wake;
	struct lane *lane;
	struct handle_events events;
	void (*refused)(void *ctx, const char *why); /* us, by the group: each time; ctx is that of events. Or NULL */
	const char *name;                            /* for log lines */
	bool closing, serving;
	enum reach_state reach; /* handle_reach is its only writer */
	bool asking;
	int64_t ask_at_us;
	char reach_why[256];
	struct log_limit log_limit, refusal_limit, fault_limits[KAFKA_FATAL + 1];
};

/* Takes conf in any case. False: errstr says what librdkafka found wrong, with errno 0, or what the machine has not, with its
 * errno; h is empty. */
bool handle_open(struct handle *h, uv_loop_t *loop, rd_kafka_type_t type, rd_kafka_conf_t *conf, const struct handle_events *ev,
	char *errstr, size_t size);
void handle_event(struct handle *h, rd_kafka_event_t *event); /* ERROR, LOG and whatever else nobody wants; does not destroy it */
void handle_error(struct handle *h, rd_kafka_resp_err_t err, const char *why);
void handle_fault(struct handle *h, enum kafka_fault fault, const char *why); /* limited */
void handle_close(struct handle *h);                                          /* no event but closed comes any more */

#endif
