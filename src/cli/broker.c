/* broker.c: `bridgepool broker`: the embedded broker alone, for development. */
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "bridgepool/kafka/embedded.h"
#include "cli.h"
#include "commands.h"

enum { TOPICS = CLI_PRIVATE, PARTITIONS, TOPICS_MAX = 64 };

static const char default_topics[] = DEFAULT_REQUESTS "," DEFAULT_RESULTS "," DEFAULT_HEALTH "," DEFAULT_DEAD_LETTERS;

static const struct cli_option options[] = {
	{TOPICS, "topics", "A,B,...", "topics that are there from the start (default: our four)"},
	{PARTITIONS, "partitions", "N", "of each topic (default 4)"},
	CLI_OPTION_HELP,
	{0},
};

/* Signals are blocked before librdkafka's threads are made, so that sigwait gets them. */
static int serve(const char *const *topics, int partitions)
{
	struct embedded *broker;
	sigset_t signals;
	char why[512];
	int number;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	broker = embedded_start(topics, partitions, why, sizeof why);
	if (!broker) {
		fprintf(stderr, "bridgepool broker: %s\n", why);
		return EXIT_INTERNAL;
	}
	if (printf("%s\n", embedded_brokers(broker)) < 0 || fflush(stdout) != 0) {
		embedded_stop(broker); /* nobody was told where it is; main() says why */
		return EXIT_INTERNAL;
	}
	fprintf(stderr,
		"The embedded broker keeps nothing on disk and promises nothing: it is for development. Ctrl-C ends it.\n");
	sigwait(&signals, &number);
	embedded_stop(broker);
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct cli_args a = {0};
	const char *topics[TOPICS_MAX + 1] = {NULL}, *wanted = default_topics;
	int64_t partitions = 4;
	size_t n = 0;
	char *copy, *rest;
	int id, code;

	while ((id = cli_next(&a, &command_broker, argc, argv, &code)) >= 0) {
		if (id == TOPICS)
			wanted = optarg;
		else if (!cli_number(optarg, 1, 1000, &partitions))
			return cli_usage(&command_broker, "--partitions: \"%s\" is no number from 1 to 1000", optarg);
	}
	if (id == CLI_STOP)
		return code;
	copy = rest = xstrdup(wanted);
	for (char *topic; n < TOPICS_MAX && (topic = strsep(&rest, ","));)
		if (*topic)
			topics[n++] = topic;
	code = serve(topics, (int)partitions);
	free(copy);
	return code;
}

const struct cli_command command_broker = {
	.name = "broker",
	.run = run,
	.summary = "Run the embedded broker alone, for development",
	.operands = "",
	.options = options,
	.more = "Prints its address on standard output. It listens on a free port of the loopback interface. Create topics with --topics;\n"
		"others are made with 4 partitions when they are first used.",
};
