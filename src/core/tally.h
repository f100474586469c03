/* tally.h: counts by a name that clients choose, such as a command. At most TALLY_NAMES of them; further ones count as "other",
 * so that nobody fills the memory, or a monitoring system, with names. Half of them are kept for names that come with OK first:
 * whoever sends nonsense does not take the place of what works. */
#ifndef CORE_TALLY_H
#define CORE_TALLY_H

#include "bridgepool/wire/record.h"

enum { TALLY_NAMES = 100, TALLY_NAME_BYTES = 128 /* the longest name that counts by itself */ };

struct tally_row;

struct tally {
	struct tally_row *rows; /* uthash, by name */
	size_t n;
};

void tally_begin(struct tally *t, struct slice name); /* it counts by itself, from 0 on; it is not there yet */
void tally_add(struct tally *t, struct slice name, enum status status);
bool tally_knows(const struct tally *t, struct slice name);         /* it counts by itself already */
struct command_count *tally_view(const struct tally *t, size_t *n); /* new: the caller frees it and its names */
void tally_cleanup(struct tally *t);

#endif
