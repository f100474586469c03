/* supervisor.c: see supervisor.h. */
#include "bridgepool/ops/supervisor.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "bridgepool/base/clock.h"

void supervisor_ready(void)
{
	sd_notify(0, "READY=1");
}

void supervisor_status(const char *text)
{
	sd_notifyf(0, "STATUS=%s", text);
}

void supervisor_reloading(void)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_mono_us());
}

/* The unit's TimeoutStopSec is fixed, what we may take is not. */
void supervisor_stopping(int64_t within_us)
{
	sd_notifyf(0, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRId64, within_us);
}

int64_t supervisor_watchdog_us(void)
{
	uint64_t us;

	return sd_watchdog_enabled(0, &us) > 0 ? (int64_t)(us / 2) : 0;
}

void supervisor_alive(void)
{
	sd_notify(0, "WATCHDOG=1");
}
