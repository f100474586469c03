/* trace.c: see trace.h. */
#include "trace.h"

#include <stdio.h>

static const struct {
	const char *what, *names[TRACE_ARGS];
} words[TRACE_CODES] = {
#define TRACE_WORDS(code, text, ...) [TRACE_##code] = {text, {__VA_ARGS__}},
	TRACE_LINES(TRACE_WORDS)
#undef TRACE_WORDS
};

static void print_line(const struct trace_line *l)
{
	fprintf(stderr, "%14.3f ms  %s", (double)l->at / 1e3, words[l->code].what);
	for (int i = 0; i < TRACE_ARGS && words[l->code].names[i][0] != '\0'; i++)
		fprintf(stderr, " %s=%lld", words[l->code].names[i], (long long)l->args[i]);
	fprintf(stderr, "\n");
}

static uint64_t mix(uint64_t hash, uint64_t x)
{
	hash = (hash ^ x) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ (hash >> 29);
}

void trace_add(struct trace *t, int64_t at, enum trace_code code, const int64_t args[TRACE_ARGS])
{
	struct trace_line *l = &t->last[t->lines++ % TRACE_KEEP];

	l->at = at;
	l->code = code;
	t->hash = mix(mix(t->hash, (uint64_t)at), (uint64_t)code);
	for (int i = 0; i < TRACE_ARGS; i++) {
		l->args[i] = args[i];
		t->hash = mix(t->hash, (uint64_t)args[i]);
	}
	if (t->verbose)
		print_line(l);
}

void trace_print(const struct trace *t)
{
	uint64_t first = t->lines > TRACE_KEEP ? t->lines - TRACE_KEEP : 0;

	for (uint64_t i = first; i < t->lines; i++)
		print_line(&t->last[i % TRACE_KEEP]);
}
