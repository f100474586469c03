/* screen.h: a picture that is redrawn in place on the terminal. */
#ifndef CLI_SCREEN_H
#define CLI_SCREEN_H

#include <stdbool.h>

#include "picture.h"

bool screen_open(void);                          /* false: this terminal (TERM) cannot do it */
unsigned screen_rows(void);
void screen_show(const struct picture *p);       /* what does not fit can be scrolled to */
enum screen_key { SCREEN_NOTHING, SCREEN_REDRAW, SCREEN_QUIT } screen_key(void); /* what was typed; does not wait */
void screen_close(void);                         /* the terminal as it was */

#endif
