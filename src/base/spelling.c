/* spelling.c: how far a word is from the one that may have been meant. */
#include "bridgepool/base/spelling.h"

#include <stdint.h>
#include <string.h>

enum { NAME_LEN_MAX = 96, NEAR = 3 /* one wrong letter in so many may be meant */ };

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t spelling_distance(const char *a, const char *b)
{
	size_t row[NAME_LEN_MAX + 1], na = strlen(a), nb = strlen(b);

	if (na > NAME_LEN_MAX || nb > NAME_LEN_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t next = least(least(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] != b[j - 1]));

			diagonal = row[j];
			row[j] = next;
		}
	}
	return row[nb];
}

size_t spelling_near(const char *word)
{
	return strlen(word) / NEAR;
}
