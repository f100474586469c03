/* supervisor.h: what systemd is told (sd_notify(3)); without NOTIFY_SOCKET in the environment nothing happens. */
#ifndef BRIDGEPOOL_OPS_SUPERVISOR_H
#define BRIDGEPOOL_OPS_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

void supervisor_ready(void);                 /* the service has started */
void supervisor_status(const char *text);    /* one line, for `systemctl status` */
void supervisor_reloading(void);             /* until supervisor_ready is called again */
void supervisor_stopping(int64_t within_us); /* it ends by itself in that time, which the supervisor is to grant */
int64_t supervisor_watchdog_us(void); /* how often supervisor_alive is to be called: half of what is allowed; 0: not wanted */
void supervisor_alive(void);

#endif
