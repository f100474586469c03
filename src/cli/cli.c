/* cli.c: what all subcommands share: options, help, the configuration they work with. */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/spelling.h"

enum { OPTIONS_MAX = 32, ERRORS_LIMIT = 64 * 1024, HELP_LIMIT = 256 * 1024 };

const char *const cli_default_configs[] = {"bridgepool.cfg", "/etc/bridgepool/bridgepool.cfg", NULL};

const struct cli_command *cli_find(const char *name)
{
	for (const struct cli_command *const *c = cli_commands; *c; c++)
		if (strcmp((*c)->name, name) == 0)
			return *c;
	return NULL;
}

const char *cli_nearest(const char *name)
{
	const char *found = NULL;
	size_t best = spelling_near(name) + 1;

	for (const struct cli_command *const *c = cli_commands; *c; c++) {
		size_t d = spelling_distance((*c)->name, name);

		if (d < best && !(*c)->hidden) {
			best = d;
			found = (*c)->name;
		}
	}
	return found;
}

/* ---- options ---- */

static void fill_getopt(const struct cli_option *options, struct option *longs, char *shorts)
{
	size_t n = 0;

	for (const struct cli_option *o = options; o->name; o++, n++) {
		CHECK(n < OPTIONS_MAX);
		longs[n] = (struct option){o->name, o->arg ? required_argument : no_argument, NULL, o->id};
		if (o->id < CLI_SET) {
			*shorts++ = (char)o->id;
			if (o->arg)
				*shorts++ = ':';
		}
	}
	longs[n] = (struct option){0};
	*shorts = '\0';
}

static void hint(const struct cli_command *command)
{
	fprintf(stderr, "`bridgepool %s --help` tells more.\n", command->name);
}

static bool add_set(struct cli_args *a, const char *set)
{
	if (a->nsets == CLI_SETS_MAX)
		return false;
	a->sets[a->nsets++] = set;
	return true;
}

int cli_next(struct cli_args *a, const struct cli_command *command, int argc, char **argv, int *code)
{
	struct option longs[OPTIONS_MAX + 1];
	char shorts[2 * OPTIONS_MAX + 1];
	static char name[64];
	int id;

	a->command = command;
	snprintf(name, sizeof name, "bridgepool %s", command->name);
	argv[0] = name; /* getopt_long complains under it */
	fill_getopt(command->options, longs, shorts);
	while ((id = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		switch (id) {
		case 'c': a->config = optarg; break;
		case 'b': a->brokers = optarg; break;
		case CLI_SET:
			if (!add_set(a, optarg)) {
				*code = cli_usage(command, "--set: at most %d of them", CLI_SETS_MAX);
				return CLI_STOP;
			}
			break;
		case 'h':
			cli_help(command, stdout);
			*code = EXIT_OK;
			return CLI_STOP;
		case '?': /* getopt_long has said what is wrong */
			hint(command);
			*code = EXIT_USAGE_ERROR;
			return CLI_STOP;
		default: return id;
		}
	}
	if (optind == argc || *command->operands)
		return CLI_END;
	*code = cli_usage(command, "it takes no \"%s\"", argv[optind]);
	return CLI_STOP;
}

bool cli_parse(struct cli_args *a, const struct cli_command *command, int argc, char **argv, int *code)
{
	int id = cli_next(a, command, argc, argv, code);

	CHECK(id == CLI_END || id == CLI_STOP);
	return id == CLI_END;
}

int cli_usage(const struct cli_command *command, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "bridgepool %s: ", command->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	hint(command);
	return EXIT_USAGE_ERROR;
}

static void help_option(const struct cli_option *o, FILE *out)
{
	char left[64];

	if (o->id < CLI_SET)
		snprintf(left, sizeof left, "-%c, --%s%s%s", o->id, o->name, o->arg ? " " : "", o->arg ? o->arg : "");
	else
		snprintf(left, sizeof left, "    --%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
	fprintf(out, "  %-28s %s\n", left, o->help);
}

void cli_help(const struct cli_command *command, FILE *out)
{
	struct buf reference;
	size_t n;
	const struct config_key *keys = settings_keys(&n);

	fprintf(out, "Usage: bridgepool %s [options]%s%s\n\n%s.\n\n", command->name, *command->operands ? " " : "",
		command->operands, command->summary);
	for (const struct cli_option *o = command->options; o && o->name; o++)
		help_option(o, out);
	if (command->more)
		fprintf(out, "\n%s\n", command->more);
	if (!command->configuration)
		return;
	buf_init(&reference, HELP_LIMIT);
	config_reference(keys, n, &reference);
	fprintf(out, "\nConfiguration keys:\n%.*s", (int)reference.len, (const char *)reference.data);
	buf_free(&reference);
}

/* ---- signals ---- */

static volatile sig_atomic_t *caught;

static void on_signal(int number)
{
	(void)number;
	*caught = 1;
}

void cli_catch_signals(volatile sig_atomic_t *flag)
{
	/* No SA_RESTART: a read from a terminal ends. The second signal ends the program. */
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};

	caught = flag;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* ---- configuration ---- */

const char *cli_config(const struct cli_args *a)
{
	if (a->config)
		return a->config;
	for (const char *const *usual = cli_default_configs; *usual; usual++)
		if (access(*usual, R_OK) == 0)
			return *usual;
	return NULL;
}

static bool print_errors(struct buf *errors, bool good)
{
	if (!good)
		fprintf(stderr, "%.*s", (int)errors->len, (const char *)errors->data);
	buf_free(errors);
	return good;
}

bool cli_settings(const struct cli_args *a, struct settings *s)
{
	struct buf errors;
	const char *path = cli_config(a);

	if (!path) {
		fprintf(stderr, "bridgepool %s: no configuration: there is neither ./%s nor %s; name one with -c FILE\n",
			a->command->name, cli_default_configs[0], cli_default_configs[1]);
		return false;
	}
	buf_init(&errors, ERRORS_LIMIT);
	return print_errors(&errors, settings_load(path, a->sets, a->nsets, s, &errors));
}

/* The rows of the one table that a client of Kafka needs. The caller frees them. */
static struct config_key *client_keys(size_t *nkeys)
{
	size_t n;
	const struct config_key *all = settings_keys(&n);
	struct config_key *keys = xcalloc(n, sizeof *keys);

	*nkeys = 0;
	for (size_t i = 0; i < n; i++)
		if (strncmp(all[i].path, "kafka.", 6) == 0)
			keys[(*nkeys)++] = all[i];
	return keys;
}

static bool load_client(const struct cli_args *a, struct settings *s)
{
	const char *sets[CLI_SETS_MAX + 1];
	size_t n = a->nsets, nkeys;
	struct config_key *keys = client_keys(&nkeys);
	struct buf errors, brokers;
	bool good;

	memcpy(sets, a->sets, n * sizeof *sets);
	buf_init(&brokers, 4096);
	if (a->brokers) {
		buf_printf(&brokers, "kafka.brokers=%s", a->brokers);
		buf_append(&brokers, "", 1);
		sets[n++] = (const char *)brokers.data;
	}
	buf_init(&errors, ERRORS_LIMIT);
	good = print_errors(&errors, config_load(NULL, sets, n, keys, nkeys, s, &errors));
	buf_free(&brokers);
	free(keys);
	return good;
}

bool cli_client_settings(const struct cli_args *a, struct settings *s, bool *whole)
{
	memset(s, 0, sizeof *s);
	*whole = !a->brokers && cli_config(a);
	if (*whole)
		return cli_settings(a, s);
	return load_client(a, s);
}

void cli_client_free(struct settings *s, bool whole)
{
	size_t n;
	struct config_key *keys;

	if (whole) {
		settings_free(s);
		return;
	}
	keys = client_keys(&n);
	config_free(keys, n, s);
	free(keys);
}

/* ---- values ---- */

bool cli_number(const char *text, int64_t least, int64_t most, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	return errno == 0 && end != text && *end == '\0' && *out >= least && *out <= most;
}

bool cli_duration(const char *text, int64_t *ms)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}};
	char *end;
	double value = strtod(text, &end);

	if (end == text || !(value >= 0) || value > 1e9)
		return false;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		if (strcmp(end, units[i].unit) == 0) {
			*ms = (int64_t)(value * (double)units[i].ms);
			return true;
		}
	}
	return false;
}
