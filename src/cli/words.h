/* words.h: the overview of all commands. */
#ifndef CLI_WORDS_H
#define CLI_WORDS_H

#include <stdio.h>

void words_usage(FILE *out);

#endif
