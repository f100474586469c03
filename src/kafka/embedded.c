/* embedded.c: librdkafka's mock cluster as a broker on loopback. */
#include "bridgepool/kafka/embedded.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "bridgepool/base/check.h"

struct embedded {
	rd_kafka_t *rk; /* the cluster lives in a client */
	rd_kafka_mock_cluster_t *cluster;
};

static rd_kafka_t *new_host(char *errstr, size_t size)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char why[256];
	rd_kafka_t *rk;

	rd_kafka_conf_set_log_cb(conf, NULL);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
	if (!rk) {
		snprintf(errstr, size, "the embedded broker cannot start: %s", why);
		rd_kafka_conf_destroy(conf);
	}
	return rk;
}

/* Its thread ends when a signal interrupts its poll, as the end of each worker would: it gets none. */
static rd_kafka_mock_cluster_t *new_cluster(rd_kafka_t *rk)
{
	rd_kafka_mock_cluster_t *cluster;
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	cluster = rd_kafka_mock_cluster_new(rk, 1);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return cluster;
}

static bool create_topics(struct embedded *b, const char *const *topics, int partitions, char *errstr, size_t size)
{
	for (; topics && *topics; topics++) {
		rd_kafka_resp_err_t err = rd_kafka_mock_topic_create(b->cluster, *topics, partitions, 1);
		if (err) {
			snprintf(errstr, size, "the embedded broker cannot make topic %s: %s", *topics, rd_kafka_err2str(err));
			return false;
		}
	}
	return true;
}

struct embedded *embedded_start(const char *const *topics, int partitions, char *errstr, size_t size)
{
	struct embedded *b = xcalloc(1, sizeof *b);

	b->rk = new_host(errstr, size);
	if (!b->rk) {
		free(b);
		return NULL;
	}
	b->cluster = new_cluster(b->rk);
	if (!b->cluster)
		snprintf(errstr, size, "the embedded broker cannot listen on the loopback interface");
	else if (create_topics(b, topics, partitions, errstr, size))
		return b;
	embedded_stop(b);
	return NULL;
}

const char *embedded_brokers(const struct embedded *b)
{
	return rd_kafka_mock_cluster_bootstraps(b->cluster);
}

void embedded_stop(struct embedded *b)
{
	if (b->cluster)
		rd_kafka_mock_cluster_destroy(b->cluster);
	rd_kafka_destroy(b->rk);
	free(b);
}
