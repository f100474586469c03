/* cli.h: what all subcommands share: their table, their options, the configuration they work with. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <signal.h>
#include <stdio.h>

#include "bridgepool/app/daemon.h"

/* An option of a subcommand. From one table come getopt_long's arrays, --help and the man page. */
struct cli_option {
	int id;           /* comes back from cli_next; a letter is also the short form */
	const char *name; /* the long form */
	const char *arg;  /* what follows, for people; NULL: nothing */
	const char *help;
};

struct cli_command {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the command's name */
	const char *summary;               /* one line */
	const char *operands;              /* "TOPIC", or "" */
	const struct cli_option *options;  /* ends with name NULL; NULL: the command reads its arguments itself */
	const char *more;                  /* paragraphs under --help and in the man page; may be NULL */
	bool configuration;                /* --help also lists the configuration keys */
	bool hidden;
};

/* In the order of --help; ends with name NULL. */
extern const struct cli_command *const cli_commands[];
const struct cli_command *cli_find(const char *name);
const char *cli_nearest(const char *name); /* the command that a misspelt word may mean; NULL: none */

enum { EXIT_FAILED = 1, EXIT_TIMED_OUT = 75, EXIT_INTERRUPTED = 130 /* as a shell says of SIGINT */ };

/* Options that more than one command has; ids above every letter. */
enum { CLI_SET = 1000, CLI_PRIVATE };
/* clang-format off */
#define CLI_OPTION_CONFIG {'c', "config", "FILE", "the configuration (default: ./bridgepool.cfg, else /etc/bridgepool/bridgepool.cfg)"}
#define CLI_OPTION_SET {CLI_SET, "set", "KEY=VALUE", "one key of the configuration, like kafka.brokers=host:9092; may be repeated"}
#define CLI_OPTION_BROKERS {'b', "brokers", "LIST", "brokers; with it no configuration is needed"}
#define CLI_OPTION_HELP {'h', "help", NULL, "this help"}
/* clang-format on */

enum { CLI_SETS_MAX = 64 };

/* What the shared options said. */
struct cli_args {
	const struct cli_command *command;
	const char *config, *brokers;
	const char *sets[CLI_SETS_MAX];
	size_t nsets;
};

/* The next option that is not a shared one, its argument in optarg; CLI_END after the last (operands start at optind, if the
 * command has any); CLI_STOP: the command is over, *code says how (help was printed, or usage was wrong). */
enum { CLI_END = -1, CLI_STOP = -2 };
int cli_next(struct cli_args *a, const struct cli_command *command, int argc, char **argv, int *code);
/* For commands without options of their own: reads all. True: go on. */
bool cli_parse(struct cli_args *a, const struct cli_command *command, int argc, char **argv, int *code);
/* Says what is wrong and where help is; EXIT_USAGE_ERROR. */
int cli_usage(const struct cli_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_help(const struct cli_command *command, FILE *out);

/* The first SIGINT or SIGTERM sets `flag` and ends a call that waits, a second one ends the program. */
void cli_catch_signals(volatile sig_atomic_t *flag);

extern const char *const cli_default_configs[]; /* where it is looked for; ends with NULL */
/* The configuration's file: that which -c names, else the first of the usual ones that is there; NULL: none is. */
const char *cli_config(const struct cli_args *a);
/* The whole configuration, checked; errors are printed. */
bool cli_settings(const struct cli_args *a, struct settings *s);
/* Enough of it to talk to Kafka: the kafka keys alone if no file is named or found. *whole says which. Free: cli_client_free. */
bool cli_client_settings(const struct cli_args *a, struct settings *s, bool *whole);
void cli_client_free(struct settings *s, bool whole);

/* "--timeout 30s" and the like: a number of seconds, or with ms, s, m, h. False: not a duration. */
bool cli_duration(const char *text, int64_t *ms);
bool cli_number(const char *text, int64_t least, int64_t most, int64_t *out);

#endif
