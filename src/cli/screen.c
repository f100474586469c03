/* screen.c: see screen.h. ncurses sends only what has changed. There is one screen in a program, as there is one in ncurses. */
#include "screen.h"

#include <locale.h>
#include <ncurses.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "table.h"

static SCREEN *screen;
enum { SIDEWAYS = 16 };
static size_t scrolled, shifted; /* lines; columns */
static FILE *keys;

static void close_keys(void)
{
	if (keys && keys != stdin)
		fclose(keys);
	keys = NULL;
}

void screen_prepare(void)
{
	unsetenv("LINES");
	unsetenv("COLUMNS");
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

unsigned screen_columns(void)
{
	return (unsigned)COLS;
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

		const char *text = l->text + table_fit(l->text, shifted, NULL), *more;

		attrset(look_of(l->colour));
		mvaddnstr((int)i, 0, text, (int)table_cut(text, (size_t)COLS, &more));
		addstr(more);
	}
	refresh();
}

static void move_by(int key)
{
	size_t page = (size_t)LINES;

	switch (key) {
	case KEY_DOWN: scrolled++; break;
	case KEY_UP: scrolled -= scrolled > 0; break;
	case KEY_RIGHT: shifted += shifted < PICTURE_WIDTH ? SIDEWAYS : 0; break;
	case KEY_LEFT: shifted -= shifted < SIDEWAYS ? shifted : SIDEWAYS; break;
	case KEY_NPAGE: scrolled += page; break;
	case KEY_PPAGE: scrolled -= scrolled < page ? scrolled : page; break;
	case KEY_RESIZE:
		clearok(stdscr, TRUE);
		break; /* LINES and COLS are new already; what the terminal made of the old picture is not known */
	default: break;
	}
}

enum screen_key screen_key(void)
{
	enum screen_key typed = SCREEN_NOTHING;
	int key;

	while ((key = getch()) != ERR) {
		if (key == 'q')
			return SCREEN_QUIT;
		move_by(key);
		typed = SCREEN_REDRAW;
	}
	return typed;
}

void screen_close(void)
{
	endwin();
	delscreen(screen);
	close_keys();
	screen = NULL;
}
