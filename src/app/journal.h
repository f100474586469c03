/* journal.h: what the log says of notes, of Kafka's faults and of what workers print. Each kind of note and fault, and each
 * worker, has a limit of its own: none drowns the others, and what was left out is counted. */
#ifndef APP_JOURNAL_H
#define APP_JOURNAL_H

#include "bridgepool/base/buf.h"
#include "bridgepool/core/note.h"
#include "bridgepool/kafka/consumer.h"

struct settings;
struct journal;

struct journal *journal_new(const struct settings *s); /* borrows s */
void journal_note(struct journal *j, const struct note *n, bool draining);
void journal_fault(struct journal *j, enum kafka_fault fault, const char *why);
void journal_line(struct journal *j, struct slot_ref w, struct slice line); /* of a worker's stderr or stdout */
void journal_free(struct journal *j);                                       /* NULL: nothing */

#endif
