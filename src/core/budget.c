/* budget.c: see budget.h. */
#include "budget.h"

#include "bridgepool/base/check.h"

void budget_charge(struct budget *b, enum budget_kind kind, uint64_t bytes)
{
	b->used[kind] += bytes;
}

void budget_release(struct budget *b, enum budget_kind kind, uint64_t bytes)
{
	CHECK(b->used[kind] >= bytes);
	b->used[kind] -= bytes;
}

uint64_t budget_used(const struct budget *b)
{
	uint64_t sum = 0;

	for (int i = 0; i < BUDGET_KINDS; i++)
		sum += b->used[i];
	return sum;
}

bool budget_open(const struct budget *b)
{
	return budget_used(b) < b->limit;
}

bool budget_takes_part(const struct budget *b)
{
	return b->used[BUDGET_PARTS] < b->limit / 8;
}

/* Its part without the one request by which it may pass that: however much the others have, there is room for what has less. */
uint64_t budget_share(const struct budget *b, uint64_t pools, uint64_t largest)
{
	uint64_t part = pools > 0 ? b->limit / pools : b->limit;

	if (pools < 2)
		return part;
	return part - (largest < part / 2 ? largest : part / 2);
}
