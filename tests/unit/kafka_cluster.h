/* kafka_cluster.h: brokers that can be told to misbehave, and a loop; for each test anew. */
#ifndef KAFKA_CLUSTER_H
#define KAFKA_CLUSTER_H

#include <librdkafka/rdkafka.h>

#include <librdkafka/rdkafka_mock.h>

#include "kafka_member.h"

static rd_kafka_t *cluster_owner;
static rd_kafka_mock_cluster_t *cluster;
static uv_loop_t loop;

static inline void cluster_open(int brokers)
{
	char why[512];

	cluster_owner = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), why, sizeof why);
	ck_assert_msg(cluster_owner != NULL, "%s", why);
	cluster = rd_kafka_mock_cluster_new(cluster_owner, brokers);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
}

static inline void cluster_close(void)
{
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(cluster_owner);
}

#endif
