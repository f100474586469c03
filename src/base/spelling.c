/* spelling.c: how far a word is from the one that may have been meant. */
#include "bridgepool/base/spelling.h"

#include <stdint.h>
#include <string.h>

enum { NAME_LEN_MAX = 96, NEAR = 3 /* one wrong letter in so many may be meant */ };

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The optimal string alignment distance: rows of its table are those of the letters of a, and a swap looks two rows back. */
size_t spelling_distance(const char *a, const char *b)
{
	size_t rows[3][NAME_LEN_MAX + 1], na = strlen(a), nb = strlen(b);

	if (na > NAME_LEN_MAX || nb > NAME_LEN_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= nb; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t *row = rows[i % 3];
		const size_t *above = rows[(i - 1) % 3], *swapped = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], swapped[j - 2] + 1);
		}
	}
	return rows[na % 3][nb];
}

size_t spelling_near(const char *word)
{
	return strlen(word) / NEAR;
}
