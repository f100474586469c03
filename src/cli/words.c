/* words.c: `bridgepool help`, `version` and `man`: what the tables say, as text. */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <uv.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/man.h"
#include "bridgepool/kafka/admin.h"
#include "cli.h"
#include "commands.h"
#include "words.h"

const struct cli_command *const cli_commands[] = {&command_run, &command_demo, &command_dev, &command_check, &command_submit,
	&command_tail, &command_watch, &command_reload, &command_topics, &command_mock_worker, &command_broker, &command_version,
	&command_help, &command_man, NULL};

void words_usage(FILE *out)
{
	fprintf(out, "bridgepool runs program requests from Kafka on pools of warm workers, in order for each session.\n\n"
		     "Usage: bridgepool COMMAND [options]\n\n");
	for (const struct cli_command *const *c = cli_commands; *c; c++)
		if (!(*c)->hidden)
			fprintf(out, "  %-12s %s\n", (*c)->name, (*c)->summary);
	fprintf(out, "\n`bridgepool COMMAND --help` tells more; `bridgepool run --help` lists every configuration key.\n");
}

static int run_help(int argc, char **argv)
{
	const struct cli_command *c = argc > 1 ? cli_find(argv[1]) : NULL;
	const char *meant = argc > 1 ? cli_nearest(argv[1]) : NULL;
	size_t n;
	const struct config_key *keys = settings_keys(&n);
	struct buf reference;

	if (argc > 1 && argv[1][0] != '-' && !c)
		return cli_usage(&command_help, "there is no command \"%s\"%s%s", argv[1], meant ? "; did you mean " : "",
			meant ? meant : "");
	if (c) {
		cli_help(c, stdout);
		return EXIT_OK;
	}
	words_usage(stdout);
	buf_init(&reference, 256 * 1024);
	config_reference(keys, n, &reference);
	printf("\nConfiguration keys:\n%.*s", (int)reference.len, (const char *)reference.data);
	buf_free(&reference);
	return EXIT_OK;
}

static const struct cli_option options[] = {CLI_OPTION_HELP, {0}};

static int run_version(int argc, char **argv)
{
	struct cli_args a = {0};
	int code;

	if (!cli_parse(&a, &command_version, argc, argv, &code))
		return code;
	printf("bridgepool %s\nlibrdkafka %s\nlibuv %s\njansson %s\n", BRIDGEPOOL_VERSION, admin_library_version(),
		uv_version_string(), jansson_version_str());
	return EXIT_OK;
}

/* ---- man ---- */

static void man_command(const struct cli_command *c, struct buf *out)
{
	buf_printf(out, ".SS bridgepool %s [options] %s\n", c->name, c->operands);
	man_text(c->summary, out);
	buf_text(out, ".\n");
	for (const struct cli_option *o = c->options; o && o->name; o++) {
		buf_text(out, ".TP\n.B ");
		if (o->id < CLI_SET)
			buf_printf(out, "\\-%c, ", o->id);
		buf_text(out, "\\-\\-");
		man_text(o->name, out);
		buf_printf(out, "%s%s\n", o->arg ? " " : "", o->arg ? o->arg : "");
		man_text(o->help, out);
		buf_text(out, "\n");
	}
	if (c->more) {
		buf_text(out, ".PP\n");
		man_text(c->more, out);
		buf_text(out, "\n");
	}
}

static int run_man(int argc, char **argv)
{
	size_t n;
	const struct config_key *keys = settings_keys(&n);
	struct cli_args a = {0};
	struct buf man;
	int code;

	if (!cli_parse(&a, &command_man, argc, argv, &code))
		return code;
	buf_init(&man, 512 * 1024);
	buf_printf(&man,
		".TH BRIDGEPOOL 1 \"\" \"bridgepool %s\" \"bridgepool manual\"\n.SH NAME\nbridgepool \\- run program requests from Kafka on warm "
		"workers\n.SH SYNOPSIS\n.B bridgepool\n.I COMMAND\n[options]\n.SH COMMANDS\n",
		BRIDGEPOOL_VERSION);
	for (const struct cli_command *const *c = cli_commands; *c; c++)
		if (!(*c)->hidden)
			man_command(*c, &man);
	buf_text(&man, ".SH CONFIGURATION\n");
	config_man(keys, n, &man);
	buf_text(&man, ".SH EXIT STATUS\n");
	man_text(
		"0 done; 1 a request did not end OK (submit), a topic was not created (topics), something went otherwise than told (demo),\n"
		"or output could not be written; 64 usage; 69 no broker; 70 internal, or stopped at once; 75 not all results came in\n"
		"time (submit), nobody was heard (watch --once); 78 configuration, topics or workers must be mended; 130 interrupted (submit, demo).\n",
		&man);
	buf_text(&man, ".SH FILES\n.I ./bridgepool.cfg\n.br\n.I /etc/bridgepool/bridgepool.cfg\n");
	fwrite(man.data, 1, man.len, stdout);
	buf_free(&man);
	return EXIT_OK;
}

const struct cli_command command_help = {
	.name = "help",
	.run = run_help,
	.summary = "Tell about the commands and every configuration key",
	.operands = "[COMMAND]",
};
const struct cli_command command_version = {
	.name = "version",
	.run = run_version,
	.summary = "Print the versions of bridgepool and its libraries",
	.operands = "",
	.options = options,
};
const struct cli_command command_man = {
	.name = "man",
	.run = run_man,
	.summary = "Print the man page",
	.operands = "",
	.options = options,
	.hidden = true,
};
