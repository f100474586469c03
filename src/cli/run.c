/* run.c: `bridgepool run`: the daemon. */
#include "cli.h"
#include "commands.h"

static int run(int argc, char **argv)
{
	struct cli_args a = {0};
	struct settings_origin origin;
	struct settings s;
	int code;

	if (!cli_parse(&a, &command_run, argc, argv, &code))
		return code;
	if (!cli_settings(&a, &s))
		return EXIT_CONFIGURATION;
	origin = (struct settings_origin){cli_config(&a), a.sets, a.nsets};
	code = daemon_run(&s, &origin, NULL);
	settings_free(&s);
	return code;
}

static const struct cli_option options[] = {CLI_OPTION_CONFIG, CLI_OPTION_SET, CLI_OPTION_HELP, {0}};

const struct cli_command command_run = {
	.name = "run",
	.run = run,
	.summary = "Run the daemon",
	.operands = "",
	.options = options,
	.more = "Stops with SIGTERM or SIGINT: nothing new is taken, what runs may finish within drain.shutdown, results are\n"
		"acknowledged, offsets committed, workers asked to end. A second signal stops at once.\n"
		"SIGUSR1 replaces every worker by a fresh one, which is ready before the old one leaves.\n"
		"Exit codes: 0 drained, 64 usage, 69 no broker, 70 internal or stopped at once, 78 configuration.",
	.configuration = true,
};
