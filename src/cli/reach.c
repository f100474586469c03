/* reach.c: see reach.h. */
#include "reach.h"

#include <stdio.h>
#include <unistd.h>

#include "bridgepool/base/clock.h"
#include "bridgepool/kafka/admin.h"
#include "cli.h"

enum { SILENT_MS = 2000, RETRY_US = 100 * 1000 };

/* An attempt may fail before its time is over. */
static bool ask_for(struct admin *a, int timeout_ms, char *why, size_t size)
{
	int64_t left = timeout_ms, until = clock_mono_us() + timeout_ms * MS_US;

	while (!admin_reach(a, (int)left, why, size)) {
		left = (until - clock_mono_us()) / MS_US;
		if (left <= 0)
			return false;
		usleep(RETRY_US);
	}
	return true;
}

static bool ask(struct admin *a, const char *command, const char *brokers, int timeout_ms, char *why, size_t size)
{
	int silent = timeout_ms < SILENT_MS ? timeout_ms : SILENT_MS;

	if (ask_for(a, silent, why, size))
		return true;
	if (timeout_ms == silent)
		return false;
	fprintf(stderr, "bridgepool %s: waiting for a broker at %s ...\n", command, brokers);
	return ask_for(a, timeout_ms - silent, why, size);
}

int reach_broker(const char *command, const struct settings *s, int timeout_ms)
{
	char why[512];
	struct admin *a = admin_new(s->kafka.brokers, (const char *const *)s->kafka.properties.items, why, sizeof why);
	int code = EXIT_CONFIGURATION;

	if (a)
		code = ask(a, command, s->kafka.brokers, timeout_ms, why, sizeof why) ? EXIT_OK : EXIT_BROKER;
	if (code != EXIT_OK)
		fprintf(stderr, "bridgepool %s: %s\n", command, why);
	if (a)
		admin_free(a);
	return code;
}
