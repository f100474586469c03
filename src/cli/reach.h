/* reach.h: is there a broker? What the commands that read and write topics ask first. */
#ifndef CLI_REACH_H
#define CLI_REACH_H

#include "bridgepool/app/settings.h"

/* Waits until a broker answers, for timeout_ms at most; stderr tells after a while that it waits, and why it gives up. Returns
 * EXIT_OK, or the exit code for what is wrong. */
int reach_broker(const char *command, const struct settings *s, int timeout_ms);

#endif
