/* supervisor.c: see supervisor.h. */
#include "bridgepool/ops/supervisor.h"

#include <systemd/sd-daemon.h>

void supervisor_ready(void)
{
	sd_notify(0, "READY=1");
}

void supervisor_status(const char *text)
{
	sd_notifyf(0, "STATUS=%s", text);
}

void supervisor_stopping(void)
{
	sd_notify(0, "STOPPING=1");
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
