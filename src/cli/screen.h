/* screen.h: a picture that is redrawn in place on the terminal. */
#ifndef CLI_SCREEN_H
#define CLI_SCREEN_H

#include <stdbool.h>

#include "picture.h"

/* before any thread: LINES and COLUMNS, where a shell exports them, are forgotten; ncurses would keep to them, whatever becomes
 * of the terminal */
void screen_prepare(void);
bool screen_open(void); /* false: this terminal (TERM) cannot do it */
unsigned screen_rows(void);
unsigned screen_columns(void);
void screen_show(const struct picture *p); /* what does not fit can be scrolled to */
enum screen_key {
	SCREEN_NOTHING,
	SCREEN_REDRAW,
	SCREEN_QUIT
} screen_key(void);      /* what all that was typed asks for; does not wait */
void screen_close(void); /* the terminal as it was */

#endif
