/* main.c: runs seeds, and tells how to see a breach again.
 *
 *   sim --seed N [--steps M] [--verbose]   one run
 *   sim --seeds A..B [--steps M]           all of them; M bounds each
 *   sim --total M                          seeds from 1 on until M steps are done
 *   sim --minutes M [--seed N]             seeds from N on
 *   sim --twice --seeds A..B               each seed twice: the traces have to be the same
 *   sim --list FILE                        the seeds at the beginning of its lines; # begins a comment
 *   sim --expect-breach --seeds A..B       succeeds if one of them breaks an invariant
 *   sim --bare N                           N requests through one engine with nothing around it: requests per second
 *   sim --sessions N                       N live sessions: bytes each, the longest stall
 *   sim_mutants --mutant N ...             with a bug planted in the engine */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "figures.h"
#include "world.h"

#ifdef BRIDGEPOOL_MUTANTS
int mutant_planted; /* see src/core/mutant.h */
#endif

struct options {
	uint64_t first, last, steps, total;
	int64_t until_us;
	bool verbose, twice, expect_breach, each;
	const char *list;
	uint64_t bare, sessions;
};

static struct world *running; /* for the report when a CHECK of the engine aborts */
static struct options options = {.first = 1, .last = 1, .steps = UINT64_MAX, .total = UINT64_MAX};

static _Noreturn void report(const struct world *w, const char *why)
{
	fprintf(stderr,
		"\nsim: an invariant is broken\n  seed %" PRIu64 ", step %" PRIu64
		", virtual time %.3f ms, trace hash %016" PRIx64 "\n  %s\n\n",
		w->seed, w->steps, (double)w->now / 1e3, w->trace.hash, why);
	if (!options.expect_breach) {
		knobs_print(&w->k);
		fprintf(stderr, "\nlast of the trace:\n");
		trace_print(&w->trace);
	}
	fprintf(stderr, "\nto see it again: sim --seed %" PRIu64 " --verbose\n", w->seed);
	_exit(options.expect_breach ? 0 : 1);
}

void breach(struct world *w, const char *format, ...)
{
	char why[1000];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	report(w, why);
}

/* The engine's own CHECKs abort; they have said on stderr what was wrong. */
static void aborted(int signal)
{
	(void)signal;
	if (running != NULL)
		report(running, "a CHECK of the engine failed (see above)");
}

static struct codec *new_codec(void)
{
	struct codec_config config = {.max_request = 1 << 20};
	char why[256];
	struct codec *codec = codec_new(&config, why, sizeof(why));

	if (codec == NULL) {
		fprintf(stderr, "sim: %s\n", why);
		exit(1);
	}
	return codec;
}

static uint64_t run(struct codec *codec, uint64_t seed, uint64_t *hash)
{
	struct world *w = world_new(seed, codec, options.verbose);
	uint64_t steps;

	running = w;
	world_run(w, options.steps);
	running = NULL;
	steps = w->steps;
	*hash = w->trace.hash;
	if (options.each)
		printf("seed %" PRIu64 ": %" PRIu64 " steps, %" PRIu64
		       " runs, %u instances, virtual %.3f s, trace hash %016" PRIx64 "\n",
			seed, steps, w->runs, w->lives, (double)(w->now - 1000 * SECOND_US) / 1e6, *hash);
	world_free(w);
	return steps;
}

static void run_again(struct codec *codec, uint64_t seed, uint64_t first)
{
	uint64_t second;

	run(codec, seed, &second);
	if (first == second)
		return;
	fprintf(stderr, "sim: 25: seed %" PRIu64 " gives trace hash %016" PRIx64 " and then %016" PRIx64 "\n", seed, first,
		second);
	exit(1);
}

static int run_all(void)
{
	struct codec *codec = new_codec();
	uint64_t steps = 0, seed = options.first, hash, all = 0;

	for (; seed <= options.last && steps < options.total && (options.until_us == 0 || clock_mono_us() < options.until_us);
		seed++) {
		steps += run(codec, seed, &hash);
		all = all * 31 + hash;
		if (options.twice)
			run_again(codec, seed, hash);
	}
	codec_free(codec);
	printf("%" PRIu64 " seeds, %" PRIu64 " steps, hash of all traces %016" PRIx64 "\n", seed - options.first, steps, all);
	if (options.expect_breach)
		fprintf(stderr, "sim: no invariant was broken, and one should have been\n");
	return options.expect_breach;
}

static bool seed_of(const char *line, uint64_t *seed)
{
	return sscanf(line, "%" SCNu64, seed) == 1;
}

static int run_list(const char *path)
{
	struct codec *codec;
	FILE *file = fopen(path, "r");
	uint64_t seed, hash;
	unsigned n = 0;
	char line[512];

	if (file == NULL) {
		fprintf(stderr, "sim: %s cannot be read: %m\n", path);
		return 66;
	}
	codec = new_codec();
	while (fgets(line, sizeof(line), file) != NULL) {
		if (!seed_of(line, &seed))
			continue;
		run(codec, seed, &hash);
		n++;
	}
	fclose(file);
	codec_free(codec);
	printf("%u seeds\n", n);
	return 0;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: sim [--seed N | --seeds A..B | --total STEPS | --minutes M | --list FILE | --bare N | --sessions N] [--steps M] [--verbose] [--twice] [--expect-breach]\n");
	return 64;
}

static bool read_range(const char *text)
{
	return sscanf(text, "%" SCNu64 "..%" SCNu64, &options.first, &options.last) == 2 && options.first <= options.last;
}

static bool read_option(int c, const char *text)
{
	switch (c) {
	case 's':
		options.each = true;
		options.first = options.last = strtoull(text, NULL, 10);
		return true;
	case 'r': return read_range(text);
	case 'n': options.steps = strtoull(text, NULL, 10); return true;
	case 't':
		options.total = strtoull(text, NULL, 10);
		options.last = UINT64_MAX;
		return true;
	case 'm':
		options.until_us = clock_mono_us() + strtoll(text, NULL, 10) * 60 * SECOND_US;
		options.last = UINT64_MAX;
		return true;
	case 'v': options.verbose = options.each = true; return true;
	case 'w': options.twice = true; return true;
	case 'a': return (options.bare = strtoull(text, NULL, 10)) > 0;
	case 'e': return (options.sessions = strtoull(text, NULL, 10)) > 1000;
	case 'l': options.list = text; return true;
	case 'b': options.expect_breach = true; return true;
#ifdef BRIDGEPOOL_MUTANTS
	case 'p': mutant_planted = atoi(text); return mutant_planted > 0;
#endif
	default: return false;
	}
}

int main(int argc, char **argv)
{
	static const struct option names[] = {{"seed", required_argument, NULL, 's'}, {"seeds", required_argument, NULL, 'r'},
		{"steps", required_argument, NULL, 'n'}, {"total", required_argument, NULL, 't'},
		{"minutes", required_argument, NULL, 'm'}, {"verbose", no_argument, NULL, 'v'}, {"twice", no_argument, NULL, 'w'},
		{"expect-breach", no_argument, NULL, 'b'}, {"list", required_argument, NULL, 'l'},
		{"bare", required_argument, NULL, 'a'}, {"sessions", required_argument, NULL, 'e'},
		{"mutant", required_argument, NULL, 'p'}, {NULL, 0, NULL, 0}};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1)
		if (!read_option(c, optarg))
			return usage();
	if (optind != argc)
		return usage();
	if (options.bare)
		return figures_rate(options.bare);
	if (options.sessions)
		return figures_sessions(options.sessions);
	signal(SIGABRT, aborted);
	return options.list ? run_list(options.list) : run_all();
}
