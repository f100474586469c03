/* Properties: what is ours is refused with a reason, what is the user's arrives, what is wrong is named. */
#include "props.h"

#include <check.h>
#include <string.h>

#include "bridgepool/kafka/consumer.h"
#include "bridgepool/kafka/producer.h"

static char why[512];

static rd_kafka_conf_t *make(const struct props *p, const char *const *one, const char *const *two)
{
	const char *const *lists[] = {one, two};
	const struct property given[] = {{"bootstrap.servers", "host:1", NULL}, {NULL, NULL, NULL}};

	*why = '\0';
	return props_make(p, given, lists, 2, why, sizeof why);
}

static void expect(const struct props *p, const char *const *one, const char *const *two, const char *name, const char *value)
{
	rd_kafka_conf_t *conf = make(p, one, two);
	char got[256];
	size_t size = sizeof got;

	ck_assert_msg(conf != NULL, "%s", why);
	ck_assert_int_eq(rd_kafka_conf_get(conf, name, got, &size), RD_KAFKA_CONF_OK);
	ck_assert_str_eq(got, value);
	rd_kafka_conf_destroy(conf);
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

START_TEST(defaults_then_lists_in_order_then_ours)
{
	expect(&props_consumer, NULL, NULL, "client.id", "bridgepool");
	expect(&props_consumer, LIST("client.id=a"), LIST("client.id=b"), "client.id", "b");
	expect(&props_consumer, LIST("fetch.min.bytes=7"), NULL, "fetch.min.bytes", "7");
	expect(&props_consumer, NULL, NULL, "enable.auto.commit", "false");
	expect(&props_consumer, NULL, NULL, "partition.assignment.strategy", "range");
	expect(&props_producer, NULL, NULL, "enable.idempotence", "true");
	expect(&props_producer, NULL, NULL, "bootstrap.servers", "host:1");
	expect(&props_producer, LIST("sasl.password=a=b=c"), NULL, "sasl.password", "a=b=c"); /* the first = is the one */
}
END_TEST

static void refuse(const struct props *p, const char *line, const char *part)
{
	ck_assert_msg(make(p, NULL, LIST(line)) == NULL, "%s was taken", line);
	ck_assert_msg(strstr(why, part) != NULL, "%s: \"%s\" does not say \"%s\"", line, why, part);
}

START_TEST(wrong_lines_are_named)
{
	refuse(&props_consumer, "no.such.thing=1", "no.such.thing");
	refuse(&props_consumer, "session.timeout.ms=soon", "session.timeout.ms");
	refuse(&props_consumer, "no equals sign", "name=value");
	refuse(&props_consumer, "=5", "name=value");
	refuse(&props_producer, "compression.type=middle-out", "compression.type");
}
END_TEST

START_TEST(what_is_ours_cannot_be_set)
{
	refuse(&props_consumer, "enable.auto.commit=true", "done map");
	refuse(&props_consumer, "group.id=x", "kafka.group");
	refuse(&props_consumer, "check.crcs=true", "lost");
	refuse(&props_consumer, "metadata.broker.list=x", "kafka.brokers");
	refuse(&props_producer, "acks=1", "replicas");
	refuse(&props_producer, "transactional.id=x", "delivery.guarantee");
	for (const char *const *name = props_consumer_owned(); *name; name++) {
		char line[128];
		snprintf(line, sizeof line, "%s=1", *name);
		refuse(&props_consumer, line, *name);
	}
	for (const char *const *name = props_producer_owned(); *name; name++) {
		char line[128];
		snprintf(line, sizeof line, "%s=1", *name);
		refuse(&props_producer, line, *name);
	}
}
END_TEST

START_TEST(a_secret_is_never_told)
{
	refuse(&props_consumer, "sasl.passwrd=hunter2", "sasl.passwrd");
	ck_assert(strstr(why, "hunter2") == NULL);
	refuse(&props_consumer, "hunter2-without-name", "name=value");
	ck_assert(strstr(why, "hunter2") == NULL);
}
END_TEST

START_TEST(cooperative_assignors_need_a_library_that_can)
{
	ck_assert(props_assignor_fits("range", 0x020002ff, why, sizeof why));
	ck_assert(!props_assignor_fits("cooperative-sticky", 0x020002ff, why, sizeof why));
	ck_assert(strstr(why, "2.10") != NULL);
	ck_assert(props_assignor_fits("cooperative-sticky", 0x020a00ff, why, sizeof why));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("kafka props");
	TCase *t = tcase_create("all");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_test(t, defaults_then_lists_in_order_then_ours);
	tcase_add_test(t, wrong_lines_are_named);
	tcase_add_test(t, what_is_ours_cannot_be_set);
	tcase_add_test(t, a_secret_is_never_told);
	tcase_add_test(t, cooperative_assignors_need_a_library_that_can);
	suite_add_tcase(s, t);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
