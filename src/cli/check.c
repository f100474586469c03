/* check.c: `bridgepool check`: configuration, broker, topics, one worker of each pool; what is wrong and how to mend it. */
#include <unistd.h>

#include "bridgepool/app/preflight.h"
#include "bridgepool/base/log.h"
#include "bridgepool/kafka/admin.h"
#include "cli.h"
#include "commands.h"

enum { REACH_TIMEOUT_MS = 10000, NO_WORKERS = CLI_PRIVATE };

static void print_finding(void *ctx, enum verdict verdict, const char *what, const char *mend)
{
	static const char *const plain[] = {"ok  ", "warn", "FAIL"};
	static const char *const coloured[] = {"\033[32mok\033[0m  ", "\033[33mwarn\033[0m", "\033[31mFAIL\033[0m"};

	(void)ctx;
	printf("%s  %s\n", (isatty(STDOUT_FILENO) ? coloured : plain)[verdict], what);
	if (mend)
		printf("      -> %s\n", mend);
	fflush(stdout);
}

static int check_kafka(const struct settings *s, const struct preflight_report *report)
{
	char why[512], what[640];
	struct admin *a = admin_new(s->kafka.brokers, (const char *const *)s->kafka.properties.items, why, sizeof why);
	int code;

	if (!a) {
		print_finding(NULL, VERDICT_FAIL, why, "mend kafka.properties");
		return EXIT_CONFIGURATION;
	}
	if (!admin_reach(a, REACH_TIMEOUT_MS, why, sizeof why)) {
		print_finding(NULL, VERDICT_FAIL, why, NULL); /* it says itself what to look at */
		code = EXIT_BROKER;
	} else {
		snprintf(what, sizeof what, "a broker answers at %s", s->kafka.brokers);
		print_finding(NULL, VERDICT_OK, what, NULL);
		code = preflight_topics(a, s, report);
		if (code == EXIT_OK)
			preflight_topic_settings(a, s, report);
	}
	admin_free(a);
	return code;
}

static const struct cli_option options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_SET,
	{NO_WORKERS, "no-workers", NULL, "do not start a worker of each pool"},
	CLI_OPTION_HELP,
	{0},
};

static int run(int argc, char **argv)
{
	struct cli_args a = {0};
	struct preflight_report report = {.found = print_finding};
	struct machine_memory memory;
	struct settings s;
	bool workers = true;
	int id, code, schemas, more = EXIT_OK;

	while ((id = cli_next(&a, &command_check, argc, argv, &code)) == NO_WORKERS)
		workers = false;
	if (id == CLI_STOP)
		return code;
	if (!cli_settings(&a, &s))
		return EXIT_CONFIGURATION;
	report.config = a.config;
	log_setup(LOG_ERROR, LOG_TEXT);
	print_finding(NULL, VERDICT_OK, "the configuration is well-formed", NULL);
	memory = machine_memory("");
	preflight_memory(&s, &memory, &report);
	preflight_environment(&s, &report);
	schemas = preflight_schemas(&s, &report);
	code = check_kafka(&s, &report);
	if (workers)
		more = preflight_workers(&s, &report);
	settings_free(&s);
	return schemas != EXIT_OK ? schemas : more != EXIT_OK ? more : code;
}

const struct cli_command command_check = {
	.name = "check",
	.run = run,
	.summary = "Check configuration, broker, topics and one worker of each pool, and say how to mend what is wrong",
	.operands = "",
	.options = options,
	.more = "Exit codes: 0 the daemon would run, 69 no broker, 78 something in the configuration, the topics or the workers must be mended.",
};
