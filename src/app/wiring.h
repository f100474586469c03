/* wiring.h: the settings cut into the configurations of the rooms. */
#ifndef APP_WIRING_H
#define APP_WIRING_H

#include "bridgepool/app/settings.h"
#include "bridgepool/core/engine.h"
#include "bridgepool/kafka/producer.h"
#include "bridgepool/worker/adapter.h"
#include "bridgepool/worker/machine.h"

/* Who we are in this run: instance names the member, incarnation this process, host the machine. */
struct identity {
	char instance[80], incarnation[24], host[80];
};

void wiring_identity(const struct settings *s, struct identity *id);

/* Configurations for the rooms; all strings borrow the settings and the identity. */
struct wiring {
	struct engine_config engine;
	struct codec_config codec;
	struct consumer_config consumer;
	struct producer_config producer;
	enum encoding health_encoding;
	struct pool_config *pools;     /* owned */
	struct source_config *sources; /* owned */
	const char **topics;           /* owned; source topics by index */
};

/* m: what there is for workers that have no limit of their own; see shares.h. */
void wiring_init(struct wiring *w, const struct settings *s, const struct identity *id, const struct machine_memory *m);
void wiring_free(struct wiring *w);
struct codec_config wiring_codec(const struct settings *s);
struct adapter_config wiring_adapter(const struct pool_settings *p);

#endif
