/* fuzz_codec_json.c: any bytes as a request, JSON above all. */
#include "codec_property.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	property_read((struct slice){data, size});
	return 0;
}
