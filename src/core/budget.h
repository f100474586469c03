/* budget.h: bytes that requests and unacknowledged records hold. Gates admission only: an answer never waits for memory. */
#ifndef CORE_BUDGET_H
#define CORE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

/* RECORDS: without the results that are not final */
enum budget_kind { BUDGET_REQUESTS, BUDGET_RECORDS, BUDGET_PARTS, BUDGET_KINDS };

struct budget {
	uint64_t limit, used[BUDGET_KINDS];
};

void budget_charge(struct budget *b, enum budget_kind kind, uint64_t bytes);
void budget_release(struct budget *b, enum budget_kind kind, uint64_t bytes); /* CHECKs that it was charged */
uint64_t budget_used(const struct budget *b);
bool budget_open(const struct budget *b);       /* more may come in */
bool budget_takes_part(const struct budget *b); /* parts that nobody has acknowledged hold less than an eighth of all */
/* What the requests of one of so many pools may hold, each of at most `largest` bytes. */
uint64_t budget_share(const struct budget *b, uint64_t pools, uint64_t largest);

#endif
