/* wave.h: when a record may go to librdkafka, and when it waits for what is under way.
 *
 * With enable.idempotence a partition takes nothing new while five of its records or more are on their way, and as long as a
 * record waits for that beyond linger.ms, librdkafka's thread polls without a pause: a whole core, for as long as the broker
 * takes to answer. So what would wait there waits here. Records go in waves: what comes within linger.ms after a wave began goes
 * with it, the rest when all but a few of the wave are acknowledged. */
#ifndef KAFKA_WAVE_H
#define KAFKA_WAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WAVE_FEW = 5,           /* on their way in all: no partition has as many */
	WAVE_PATIENCE_MS = 100, /* one broker that does not answer must not hold up what the others take */
};

struct wave {
	int64_t linger_us, began_us;
};

/* Whether a record may go now; true may begin a new wave. */
bool wave_takes(struct wave *w, size_t on_their_way, int64_t now_us);

#endif
