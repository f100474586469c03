/* account.c: see account.h. */
#include "bridgepool/worker/account.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* False: no number. */
static bool read_id(const char *text, unsigned *out)
{
	unsigned long n;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoul(text, &end, 10);
	*out = (unsigned)n;
	return !errno && !*end && n < (uid_t)-1;
}

/* Root, or who was given the capabilities in a way that the guard inherits, as by AmbientCapabilities= of systemd. CAP_KILL is
 * for the guard: it ends what then belongs to another user. */
static bool may_change(void)
{
	static const unsigned long needed[] = {CAP_SETUID, CAP_SETGID, CAP_KILL};

	if (geteuid() == 0)
		return true;
	for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, needed[i], 0, 0) != 1)
			return false;
	return true;
}

/* Fills uid, and what the entry says. *grouped: gid too. */
static bool find_user(const char *user, struct account *a, bool *grouped)
{
	bool number = read_id(user, &a->uid);
	const struct passwd *entry = number ? getpwuid(a->uid) : getpwnam(user);

	*grouped = entry != NULL;
	if (!entry)
		return number;
	a->uid = entry->pw_uid;
	a->gid = entry->pw_gid;
	snprintf(a->name, sizeof a->name, "%s", entry->pw_name);
	snprintf(a->home, sizeof a->home, "%s", entry->pw_dir);
	snprintf(a->shell, sizeof a->shell, "%s", entry->pw_shell);
	return true;
}

static bool find_group(const char *group, struct account *a)
{
	const struct group *entry;

	if (read_id(group, &a->gid))
		return true;
	entry = getgrnam(group);
	if (entry)
		a->gid = entry->gr_gid;
	return entry != NULL;
}

enum account_fault account_find(const char *user, const char *group, struct account *out, char *errstr, size_t size)
{
	bool has_user = user && *user, has_group = group && *group, grouped = true;

	*out = (struct account){.uid = geteuid(), .gid = getegid()};
	if (has_user && !find_user(user, out, &grouped)) {
		snprintf(errstr, size, "there is no user \"%.60s\" on this machine", user);
		return ACCOUNT_USER;
	}
	if (has_group && !find_group(group, out)) {
		snprintf(errstr, size, "there is no group \"%.60s\" on this machine", group);
		return ACCOUNT_GROUP;
	}
	if (!grouped && !has_group) {
		snprintf(errstr, size, "user %.60s has no entry on this machine, so that its group is not known; set `group` too",
			user);
		return ACCOUNT_USER;
	}
	out->changes = (has_user || has_group) && may_change();
	if (out->changes || (out->uid == geteuid() && out->gid == getegid()))
		return ACCOUNT_GOOD;
	snprintf(errstr, size,
		"only root may run workers as another user or group, and this is user %u: leave it out, or start the daemon as root",
		(unsigned)geteuid());
	return has_user && out->uid != geteuid() ? ACCOUNT_USER : ACCOUNT_GROUP;
}
