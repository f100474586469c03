/* headers.c: record headers between librdkafka and pairs.h lists. */
#include "headers.h"

#include "bridgepool/wire/pairs.h"

enum {
	LIMIT = 1 << 30,    /* a fetched record is under 100 MB; a list of tiny headers grows on the way */
	KEEP_MOST = 1 << 20 /* of the buffer, from record to record */
};

void headers_buf_init(struct buf *b)
{
	buf_init(b, LIMIT);
}

struct slice headers_read(const rd_kafka_message_t *m, struct buf *b)
{
	rd_kafka_headers_t *headers;
	const char *name;
	const void *value;
	size_t size;

	if (b->capacity > KEEP_MOST) {
		buf_free(b);
		headers_buf_init(b);
	}
	buf_reset(b);
	if (rd_kafka_message_headers(m, &headers))
		return (struct slice){NULL, 0};
	for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &name, &value, &size); i++)
		pairs_add(b, slice_of(name), (struct slice){value, size});
	return buf_slice(b);
}

rd_kafka_headers_t *headers_make(struct slice pairs)
{
	size_t n = pairs_count(pairs);
	struct slice name, value;
	rd_kafka_headers_t *headers;

	if (!n)
		return NULL;
	headers = rd_kafka_headers_new(n);
	while (pairs_next(&pairs, &name, &value))
		rd_kafka_header_add(headers, name.data, (ssize_t)name.len, value.data, (ssize_t)value.len);
	return headers;
}
