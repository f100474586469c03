/* metrics.h: a snapshot as Prometheus text (exposition format 0.0.4): base units, _total for counters, no label that clients can
 * make grow without bound. */
#ifndef BRIDGEPOOL_OPS_METRICS_H
#define BRIDGEPOOL_OPS_METRICS_H

#include "bridgepool/core/view.h"

extern const char metrics_content_type[];

struct process_facts {
	const char *version, *library, *instance_id;         /* library: version of librdkafka */
	double started_s, now_s, cpu_s;                      /* calendar times; user and system */
	uint64_t resident_bytes, open_files, health_dropped; /* the last: see health_dropped */
	enum health_state state;                             /* of the instance */
};

/* cpu_s, resident_bytes and open_files of this process; the rest is the caller's to fill. */
void metrics_process(struct process_facts *p);
void metrics_write(const struct snapshot *s, const struct process_facts *p, struct buf *out);
/* what is known of each; follows the rest */
void metrics_write_workers(const struct engine *e, size_t npools, int64_t now, struct buf *out);

#endif
