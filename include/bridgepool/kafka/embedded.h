/* embedded.h: librdkafka's mock cluster as a broker on loopback, for `demo`, `dev` and `broker`. Keeps nothing on disk; no proof
 * of any guarantee. */
#ifndef BRIDGEPOOL_KAFKA_EMBEDDED_H
#define BRIDGEPOOL_KAFKA_EMBEDDED_H

#include "bridgepool/base/buf.h"

struct embedded;
struct embedded *embedded_start(const char *const *topics /* NULL-terminated */, int partitions, char *errstr, size_t size);
const char *embedded_brokers(const struct embedded *b); /* "127.0.0.1:port" */
void embedded_stop(struct embedded *b);

#endif
