/* fuzz_pairs.c: what can be walked is what was added, byte for byte. */
#include "fuzz.h"
#include "bridgepool/base/check.h"
#include "bridgepool/wire/pairs.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = {data, size}, name, value;
	struct buf again;
	size_t n = 0;

	buf_init(&again, size + 64);
	while (pairs_next(&rest, &name, &value)) {
		CHECK(pairs_add(&again, name, value));
		n++;
	}
	CHECK(again.len + rest.len == size);
	CHECK(again.len == 0 || !memcmp(again.data, data, again.len));
	CHECK(pairs_count((struct slice){data, size}) == n);
	buf_free(&again);
	return 0;
}
