/* fuzz.h: what libFuzzer calls. Inputs are foreign bytes; a property that does not hold is a failed CHECK. */
#ifndef BRIDGEPOOL_FUZZ_H
#define BRIDGEPOOL_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
