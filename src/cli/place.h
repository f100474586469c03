/* place.h: where the demo lives: a directory with an app.py that the user may change, a configuration, a log; and a Python for
 * it. */
#ifndef CLI_PLACE_H
#define CLI_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct place {
	char dir[PATH_MAX];     /* absolute */
	char program[PATH_MAX]; /* what to type for this program: its name if PATH leads to it, else its path */
	char app[PATH_MAX + 32], config[PATH_MAX + 32], log[PATH_MAX + 32];
	char python[PATH_MAX + 32], package[PATH_MAX + 32]; /* package: for PYTHONPATH; "" when Python has it installed */
	bool fresh;                                         /* app.py was put there just now */
	bool edited;                                        /* it is not as the package has it */
};

/* Fills program and package; python is the one that PATH leads to. */
void place_find(struct place *p);
void place_put_string(FILE *out, const char *text); /* as a libconfig string */
/* Makes the directory and app.py unless they are there. False: errstr says why. */
bool place_prepare(struct place *p, const char *dir, char *errstr, size_t size);
/* Writes the configuration, anew each time. */
bool place_configure(const struct place *p, const char *brokers, char *errstr, size_t size);

#endif
