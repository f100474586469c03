/* terminal.h: text for a person: colours, and lines that are broken between words where the terminal ends. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>

enum colour { COLOUR_PLAIN, COLOUR_BOLD, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_RED, COLOUR_DIM };

struct terminal {
	bool coloured;
	unsigned columns; /* 0: standard output is no terminal, lines are not broken */
};

/* Of standard output. */
void terminal_init(struct terminal *t);
const char *terminal_colour(const struct terminal *t, enum colour c); /* "" where there are no colours */
/* One line, without its end. What does not fit goes on in the next line, so far indented. */
void terminal_say(const struct terminal *t, unsigned indent, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
