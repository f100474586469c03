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

uint64_t budget_share(const struct budget *b, uint64_t partitions)
{
	return partitions ? b->limit / partitions : b->limit;
}
