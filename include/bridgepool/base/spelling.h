/* spelling.h: how far a word is from the one that may have been meant. */
#ifndef BRIDGEPOOL_BASE_SPELLING_H
#define BRIDGEPOOL_BASE_SPELLING_H

#include <stddef.h>

/* Letters that are wrong, missing, too much, or swapped with the next; SIZE_MAX: one of them is longer than any name. */
size_t spelling_distance(const char *a, const char *b);
/* As far as a word may be from the one that is meant by it. */
size_t spelling_near(const char *word);

#endif
