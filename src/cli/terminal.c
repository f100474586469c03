/* terminal.c: text for a person: colours, and lines that are broken between words where the terminal ends. */
#include "terminal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bridgepool/base/check.h"

enum { NARROWEST = 20 }; /* below that a line that is too long is the lesser evil */

void terminal_init(struct terminal *t)
{
	struct winsize size;

	*t = (struct terminal){.coloured = isatty(STDOUT_FILENO)};
	if (t->coloured && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= NARROWEST)
		t->columns = size.ws_col;
}

const char *terminal_colour(const struct terminal *t, enum colour c)
{
	static const char *const codes[] = {"\033[0m", "\033[1m", "\033[32m", "\033[33m", "\033[31m", "\033[2m"};

	return t->coloured ? codes[c] : "";
}

/* Colours and the later bytes of a character take no room. */
static unsigned width_of(const char *text, size_t n)
{
	unsigned width = 0;
	bool in_code = false;

	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\033')
			in_code = true;
		else if (!in_code && ((unsigned char)text[i] & 0xc0) != 0x80)
			width++;
		else if (in_code && text[i] == 'm')
			in_code = false;
	}
	return width;
}

static void put_words(const struct terminal *t, unsigned indent, const char *text)
{
	unsigned column = 0;

	while (*text) {
		size_t spaces = strspn(text, " "), word = strcspn(text + spaces, " ");
		unsigned width = width_of(text + spaces, word);
		if (t->columns && column > indent && column + spaces + width > t->columns) {
			printf("\n%*s", (int)indent, "");
			column = indent;
			text += spaces;
			spaces = 0;
		}
		fwrite(text, 1, spaces + word, stdout);
		column += (unsigned)spaces + width;
		text += spaces + word;
	}
	putchar('\n');
}

void terminal_say(const struct terminal *t, unsigned indent, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	CHECK(vasprintf(&text, format, args) >= 0);
	va_end(args);
	put_words(t, indent, text);
	free(text);
	fflush(stdout);
}
