/* account.h: the user and group that workers run as, by name or number. */
#ifndef BRIDGEPOOL_WORKER_ACCOUNT_H
#define BRIDGEPOOL_WORKER_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct account {
	bool changes; /* false: the daemon's own; nothing else counts */
	uid_t uid;
	gid_t gid;
	char name[64], home[256], shell[128]; /* "" where no user is named, or it has no entry */
};

enum account_fault { ACCOUNT_GOOD, ACCOUNT_USER, ACCOUNT_GROUP };

/* user "" or NULL: the daemon's; group likewise: the user's. A fault says of which it is, errstr why and how to mend it: it is
 * not known, or this process may not change to it (see may_change in account.c). Asks the system's user database, which may be
 * remote. */
enum account_fault account_find(const char *user, const char *group, struct account *out, char *errstr, size_t size);

#endif
