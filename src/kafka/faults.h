/* faults.h: what librdkafka's error codes mean to us, as tables. */
#ifndef KAFKA_FAULTS_H
#define KAFKA_FAULTS_H

#include <librdkafka/rdkafka.h>

#include "bridgepool/kafka/consumer.h"

enum error_class {
	ERROR_OTHER,        /* librdkafka deals with it */
	ERROR_CONNECTION,   /* a broker could not be reached; maybe another can */
	ERROR_TOPIC,        /* topic or partition does not exist */
	ERROR_FORBIDDEN,    /* authorisation or authentication */
	ERROR_TOO_LARGE,    /* the record */
	ERROR_INVALID,      /* the record, or another of its batch, for what is in it */
	ERROR_REFUSED,      /* what the topic does not take, whatever is in it */
	ERROR_STALE,        /* this membership of the group is over */
	ERROR_METADATA_SIZE /* of a commit */
};

enum error_class faults_class(rd_kafka_resp_err_t err);
enum delivery faults_delivery(rd_kafka_resp_err_t err);
enum commit_verdict faults_commit(rd_kafka_resp_err_t err);

#endif
