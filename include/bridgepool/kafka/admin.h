/* admin.h: topics and what the broker says about them. Blocking calls with a time limit: for start-up and commands, never on the
 * running loop. */
#ifndef BRIDGEPOOL_KAFKA_ADMIN_H
#define BRIDGEPOOL_KAFKA_ADMIN_H

#include "bridgepool/base/buf.h"

struct admin;

enum topic_state { TOPIC_OK, TOPIC_MISSING, TOPIC_FORBIDDEN, TOPIC_UNKNOWN };

struct topic_info {
	enum topic_state state;
	int partitions;
	char why[256];
};

struct topic_spec {
	const char *name;
	int partitions;
	int replication;           /* -1: the broker's default */
	const char *const *config; /* "retention.ms=..." pairs, NULL-terminated; may be NULL */
};

struct admin *admin_new(const char *brokers, const char *const *properties, char *errstr, size_t size);
/* False: no broker answered within timeout_ms; errstr says what was tried and what to look at. */
bool admin_reach(struct admin *a, int timeout_ms, char *errstr, size_t size);
bool admin_topic(struct admin *a, const char *topic, int timeout_ms, struct topic_info *out);
/* True also if it existed; *created says which. */
bool admin_create(struct admin *a, const struct topic_spec *t, int timeout_ms, bool *created, char *errstr, size_t size);
bool admin_setting(struct admin *a, const char *topic, const char *name, int timeout_ms, char *value, size_t size);
void admin_free(struct admin *a);
const char *admin_library_version(void);

#endif
