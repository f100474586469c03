/* starts.h: watches the first starts of each pool: can its workers start at all? */
#ifndef APP_STARTS_H
#define APP_STARTS_H

#include "bridgepool/core/note.h"

struct starts;

struct starts *starts_new(size_t npools);
void starts_free(struct starts *s);
void starts_note(struct starts *s, const struct note *n);
void starts_exec_failed(struct starts *s, uint16_t pool, struct slice why);
/* True: no start of this pool has ever worked and there is no hope that one will; *why is the last worker's last word. */
bool starts_hopeless(const struct starts *s, uint16_t *pool, const char **why);

#endif
