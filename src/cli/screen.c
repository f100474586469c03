/* screen.c: see screen.h. ncurses sends only what has changed. There is one screen in a program, as there is one in ncurses. */
#include "screen.h"

#include <locale.h>
#include <ncurses.h>
#include <stdio.h>
#include <unistd.h>

static SCREEN *screen;
static size_t scrolled; /* lines */
static FILE *keys;

static void close_keys(void)
{
	if (keys && keys != stdin)
		fclose(keys);
	keys = NULL;
}

bool screen_open(void)
{
	static const struct {
		enum colour colour;
		short code;
	} rows[] = {{COLOUR_GREEN, COLOR_GREEN}, {COLOUR_YELLOW, COLOR_YELLOW}, {COLOUR_RED, COLOR_RED}};

	setlocale(LC_CTYPE, "");
	keys = isatty(STDIN_FILENO) ? stdin : fopen("/dev/tty", "re");
	screen = newterm(NULL, stdout, keys ? keys : stdin);
	if (!screen) {
		close_keys();
		return false;
	}
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	if (start_color() == OK && use_default_colors() == OK)
		for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
			init_pair((short)rows[i].colour, rows[i].code, -1);
	return true;
}

unsigned screen_rows(void)
{
	return (unsigned)LINES;
}

static attr_t look_of(enum colour c)
{
	switch (c) {
	case COLOUR_BOLD: return A_BOLD;
	case COLOUR_DIM: return A_DIM;
	case COLOUR_PLAIN: return A_NORMAL;
	default: return has_colors() ? COLOR_PAIR(c) : A_NORMAL;
	}
}

void screen_show(const struct picture *p)
{
	size_t rows = (size_t)LINES;

	if (scrolled + rows > p->n)
		scrolled = p->n > rows ? p->n - rows : 0;
	erase();
	for (size_t i = 0; i < rows && scrolled + i < p->n; i++) {
		const struct picture_line *l = &p->lines[scrolled + i];

		attrset(look_of(l->colour));
		mvaddnstr((int)i, 0, l->text, COLS);
	}
	refresh();
}

enum screen_key screen_key(void)
{
	int key = getch();

	switch (key) {
	case ERR: return SCREEN_NOTHING;
	case 'q': return SCREEN_QUIT;
	case KEY_DOWN: scrolled++; break;
	case KEY_UP: scrolled -= scrolled > 0; break;
	case KEY_NPAGE: scrolled += (size_t)LINES; break;
	case KEY_PPAGE: scrolled -= scrolled < (size_t)LINES ? scrolled : (size_t)LINES; break;
	default: break; /* KEY_RESIZE too: LINES and COLS are new already */
	}
	return SCREEN_REDRAW;
}

void screen_close(void)
{
	endwin();
	delscreen(screen);
	close_keys();
	screen = NULL;
}
