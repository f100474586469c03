/* main.c: words to functions. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "commands.h"
#include "words.h"

/* What people type instead of a command. */
static const struct {
	const char *word, *command;
} aliases[] = {{"--help", "help"}, {"-h", "help"}, {"--version", "version"}, {"-V", "version"}};

static const char *without_dashes(const char *word)
{
	for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
		if (strcmp(aliases[i].word, word) == 0)
			return aliases[i].command;
	return word;
}

/* What could not be written is not done, whatever the command thinks of itself. */
static int close_output(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	fprintf(stderr, "bridgepool: not all could be written to standard output\n");
	return code != EXIT_OK ? code : EXIT_FAILED;
}

/* A standard descriptor that the caller closed would be given to the next file or socket, which our lines would then go into. It
 * is filled with one that cannot be used, so that it fails as a closed one does. */
static void fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", fcntl(STDIN_FILENO, F_GETFD) < 0 ? O_WRONLY : O_RDONLY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* Signals that the caller blocked stay blocked over its exec: neither SIGTERM nor the end of a worker would be heard of. */
static void unblock_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int refuse(const char *word)
{
	const char *meant = cli_nearest(word);

	fprintf(stderr, "bridgepool: there is no command \"%s\"", word);
	if (meant) {
		fprintf(stderr, "; did you mean %s? `bridgepool help` lists all\n", meant);
	} else {
		fprintf(stderr, "\n\n");
		words_usage(stderr);
	}
	return EXIT_USAGE_ERROR;
}

int main(int argc, char **argv)
{
	const struct cli_command *command;

	fill_standard_descriptors();
	unblock_signals();
	if (argc < 2) {
		words_usage(stderr);
		return EXIT_USAGE_ERROR;
	}
	command = cli_find(without_dashes(argv[1]));
	if (!command)
		return refuse(argv[1]);
	return close_output(command->run(argc - 1, argv + 1));
}
