/* kind.h: what a kind of adapter implements. Each kind's struct begins with a struct adapter. */
#ifndef WORKER_KIND_H
#define WORKER_KIND_H

#include "bridgepool/worker/adapter.h"

struct adapter_kind {
	const char *name;
	struct adapter *(*open)(struct uv_loop_s *loop, const struct adapter_config *c, const struct worker_events *ev,
		char *errstr, size_t size);
	bool (*fits)(const struct adapter_config *c, char *errstr, size_t size);
	bool (*reconfigure)(struct adapter *a, const struct adapter_config *c, char *errstr, size_t size);
	void (*start)(struct adapter *a, struct slot_ref w);
	void (*call)(struct adapter *a, struct slot_ref w, const struct call *c);
	void (*stop)(struct adapter *a, struct slot_ref w, enum stop_step s);
	void (*flush)(struct adapter *a);
	size_t (*live)(const struct adapter *a);
	void (*close)(struct adapter *a);
};

struct adapter {
	const struct adapter_kind *kind;
	bool closing; /* no event, and no order counts any more */
};

extern const struct adapter_kind kind_process, kind_mock;

#endif
