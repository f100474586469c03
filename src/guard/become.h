/* become.h: how the guard's child becomes the worker: its limits, who it is, where it runs. Between fork and exec. */
#ifndef GUARD_BECOME_H
#define GUARD_BECOME_H

#include <signal.h>
#include <stdbool.h>

#include "guard_protocol.h"

/* What the command line asked for; numbers are -1 where things stay as they are. */
struct order_sheet {
	const char *directory;
	long long open_files, core_bytes, address_space, cpu_seconds, oom_score, user, group;
	bool may_gain; /* privileges, by set-user-ID programs and the like */
	char **command;
};

/* False: not what the daemon would say. */
bool become_read(struct order_sheet *sheet, int argc, char **argv);

/* Each returns the step that failed, errno says why; 0: none. The second comes back only if it failed. */
enum guard_step become_prepare(const struct order_sheet *sheet);
enum guard_step become_enter(const struct order_sheet *sheet, const sigset_t *mask);

#endif
