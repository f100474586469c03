/* planted.c: which bug is planted in the daemon of the tests (src/core/mutant.h): the environment names it. */
#include <stdlib.h>

extern int mutant_planted; /* see src/core/mutant.h */
int mutant_planted;

static void __attribute__((constructor)) plant(void)
{
	const char *number = getenv("BRIDGEPOOL_PLANTED_BUG");

	mutant_planted = number ? atoi(number) : 0;
}
