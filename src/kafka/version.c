/* version.c: which librdkafka runs. */
#include <librdkafka/rdkafka.h>

#include "bridgepool/kafka/admin.h"

const char *admin_library_version(void)
{
	return rd_kafka_version_str();
}
