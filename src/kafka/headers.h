/* headers.h: record headers between librdkafka and pairs.h lists. */
#ifndef KAFKA_HEADERS_H
#define KAFKA_HEADERS_H

#include <librdkafka/rdkafka.h>

#include "bridgepool/base/buf.h"

void headers_buf_init(struct buf *b);
struct slice headers_read(const rd_kafka_message_t *m, struct buf *b); /* into b, which is emptied first; borrowed from b */
rd_kafka_headers_t *headers_make(struct slice pairs);                  /* new, or NULL when there are none */

#endif
