/* props.h: librdkafka's properties: which are ours and why, which values are better than the library's, what the user adds. */
#ifndef KAFKA_PROPS_H
#define KAFKA_PROPS_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stddef.h>

struct property {
	const char *name, *value; /* value NULL: given with props_make's `given`, or not to be set at all */
	const char *reason;       /* owned properties: why nobody else may set it */
};

/* Tables end with a name of NULL. newer, or NULL: defaults that an older librdkafka does not know, and is spared. */
struct props {
	const struct property *owned, *defaults, *newer;
};

extern const struct props props_consumer, props_producer, props_client;

/* New; defaults first, then `lists` ("name=value", each NULL-terminated or NULL), then what is ours. NULL: errstr says which
 * property, why, and how to mend it. */
rd_kafka_conf_t *props_make(const struct props *p, const struct property *given, const char *const *const *lists, size_t nlists,
	char *errstr, size_t size);

/* Whether a user may give this line. False: errstr as above. */
bool props_take(const struct props *p, const char *line, char *errstr, size_t size);

/* "cooperative-sticky" loses assignments in older librdkafka. False: errstr says so. */
bool props_assignor_fits(const char *strategy, int library_version, char *errstr, size_t size);

/* For tests: names, NULL-terminated. */
const char *const *props_consumer_owned(void);
const char *const *props_producer_owned(void);

#endif
