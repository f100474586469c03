/* reload.c: `bridgepool reload`: a running daemon reads its configuration again, and says what came of it. */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/app/reload_word.h"
#include "bridgepool/base/clock.h"
#include "cli.h"
#include "commands.h"
#include "daemons.h"

enum { PID = 'p', TIMEOUT = CLI_PRIVATE, DAEMONS_SHOWN = 16 };

struct reload_command {
	struct cli_args args;
	int64_t pid, timeout_ms; /* pid 0: it is looked for */
};

/* ---- whom to ask ---- */

static bool find_daemon(struct reload_command *c)
{
	const char *config = cli_config(&c->args);
	pid_t pids[DAEMONS_SHOWN];
	size_t n;

	if (!config) {
		fprintf(stderr,
			"bridgepool reload: name the daemon by its process with --pid, or by its configuration with -c FILE\n");
		return false;
	}
	n = daemons_find(config, pids, DAEMONS_SHOWN);
	c->pid = n ? pids[0] : 0;
	if (n == 1)
		return true;
	if (n == 0) {
		fprintf(stderr,
			"bridgepool reload: no daemon runs with %s, or it is not to be seen by this user; name it with --pid\n",
			config);
		return false;
	}
	fprintf(stderr, "bridgepool reload: %zu daemons run with %s; name one with --pid:", n, config);
	for (size_t i = 0; i < n && i < DAEMONS_SHOWN; i++)
		fprintf(stderr, " %d", (int)pids[i]);
	fputc('\n', stderr);
	return false;
}

/* ---- asking ---- */

static bool send_signal(const struct reload_command *c)
{
	/* The number may be another's by now, whom this signal would end. */
	if (kill((pid_t)c->pid, 0) == 0 && !daemons_has((pid_t)c->pid)) {
		fprintf(stderr, "bridgepool reload: process %d is not seen to be a `bridgepool run`; it got no signal\n",
			(int)c->pid);
		return false;
	}
	if (kill((pid_t)c->pid, SIGHUP) == 0)
		return true;
	fprintf(stderr, "bridgepool reload: process %d cannot be signalled: %s\n", (int)c->pid, strerror(errno));
	return false;
}

/* The word's first line tells how it went. */
static int print_word(const struct buf *word)
{
	bool done = word->len >= 9 && memcmp(word->data, "reloaded:", 9) == 0;

	fwrite(word->data, 1, word->len, done ? stdout : stderr);
	return done ? EXIT_OK : EXIT_CONFIGURATION;
}

static int ask(const struct reload_command *c)
{
	char why[256];
	int listener = reload_word_listen((pid_t)c->pid, why, sizeof why), code = EXIT_TIMED_OUT;
	struct buf word;

	if (listener < 0) {
		fprintf(stderr, "bridgepool reload: %s\n", why);
		return EXIT_FAILED;
	}
	buf_init(&word, RELOAD_WORD_MAX);
	if (!send_signal(c))
		code = EXIT_FAILED;
	else if (reload_word_hear(listener, (int)c->timeout_ms, &word))
		code = print_word(&word);
	else
		fprintf(stderr,
			"bridgepool reload: process %d was asked and has not answered in time; its log tells what came of it\n",
			(int)c->pid);
	buf_free(&word);
	close(listener);
	return code;
}

static const struct cli_option options[] = {
	CLI_OPTION_CONFIG,
	{PID, "pid", "PID", "the daemon's process (default: the one that runs with this configuration)"},
	{TIMEOUT, "timeout", "TIME", "how long to wait for its answer (default: 30s)"},
	CLI_OPTION_HELP,
	{0},
};

static int run(int argc, char **argv)
{
	struct reload_command c = {.timeout_ms = 30 * 1000};
	int id, code;

	while ((id = cli_next(&c.args, &command_reload, argc, argv, &code)) >= 0) {
		if (id == PID && !cli_number(optarg, 2, INT32_MAX, &c.pid))
			return cli_usage(&command_reload, "--pid: \"%s\" is no process", optarg);
		if (id == TIMEOUT && (!cli_duration(optarg, &c.timeout_ms) || c.timeout_ms > INT32_MAX))
			return cli_usage(&command_reload, "--timeout: \"%s\" is no time; write 10s", optarg);
	}
	if (id == CLI_STOP)
		return code;
	if (c.pid == 0 && !find_daemon(&c))
		return EXIT_FAILED;
	return ask(&c);
}

const struct cli_command command_reload = {
	.name = "reload",
	.run = run,
	.summary = "Let a running daemon read its configuration again",
	.operands = "",
	.options = options,
	.more = "The daemon gets SIGHUP, reads its file with the options that it was started with, and judges it whole: if anything is wrong,\n"
		"nothing changes. Otherwise each changed key is told as \"live\" (it holds now), \"rolls\" (the pool's workers are replaced by\n"
		"fresh ones, each ready before the old one leaves) or \"restart\" (it stays as it was until the daemon is started again).\n"
		"Exit codes: 0 taken over, 1 no such daemon or more than one, 75 no answer in time, 78 refused; nothing was changed.",
};
