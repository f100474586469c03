/* spent.c: see spent.h. */
#include "spent.h"

#include <stddef.h>

#include "bridgepool/wire/json.h"

/* The numbers of one answer, as it names them. */
struct said {
	double input, output, total, cost;
};

static const struct {
	const char *name;
	size_t field;
} names[] = {
	{"prompt_tokens", offsetof(struct said, input)},
	{"input_tokens", offsetof(struct said, input)},
	{"completion_tokens", offsetof(struct said, output)},
	{"output_tokens", offsetof(struct said, output)},
	{"total_tokens", offsetof(struct said, total)},
	{"tokens", offsetof(struct said, total)},
	{"cost", offsetof(struct said, cost)},
};

/* Of two names for the same the larger counts. */
static bool take(void *ctx, struct slice key, struct slice value, enum json_kind kind)
{
	double number, *field;

	(void)kind;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!slice_is(key, names[i].name))
			continue;
		field = (double *)((char *)ctx + names[i].field);
		if (json_double(value, &number) && number > *field)
			*field = number;
	}
	return true;
}

void spent_add(struct used_up *total, struct slice json)
{
	struct said s = {0};

	if (json.data == NULL)
		return;
	json_each(json, take, &s);
	total->tokens[TOKENS_INPUT] += s.input;
	total->tokens[TOKENS_OUTPUT] += s.output;
	if (s.total > s.input + s.output)
		total->tokens[TOKENS_OTHER] += s.total - s.input - s.output;
	total->cost += s.cost;
}
