/* wave.c: see wave.h. */
#include "wave.h"

#include "bridgepool/base/clock.h"

bool wave_takes(struct wave *w, size_t on_their_way, int64_t now_us)
{
	if (on_their_way >= WAVE_FEW && now_us - w->began_us < WAVE_PATIENCE_MS * MS_US)
		return now_us - w->began_us < w->linger_us;
	w->began_us = now_us;
	return true;
}
