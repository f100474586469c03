/* reload.h: a configuration that is read again while the daemon runs: judged whole, then taken over as far as a running daemon
 * can. */
#ifndef APP_RELOAD_H
#define APP_RELOAD_H

#include "bridgepool/app/settings.h"
#include "shares.h"

struct reload_change {
	enum config_reload how;
	bool is_item; /* of a list, that came or went */
	char *text;   /* "pools[0].size (default): 4 -> 8"; owned */
};

struct reload {
	bool good;                     /* false: nothing is to change, errors say why */
	struct settings settings;      /* good: what holds from now on, with all that needs a restart as it was; else empty */
	struct buf errors;             /* a line each */
	struct reload_change *changes; /* owned; good: in the order of the table */
	size_t n, by_how[RELOAD_RESTART + 1];
	bool *rolls; /* owned; by pool of the former settings: its workers are to be replaced */
};

/* `now` is what holds; borrowed for the call. Reads files and starts nothing. */
void reload_judge(struct reload *r, const struct settings_origin *from, const struct settings *now);
/* What came of it in one sentence, without an end. */
void reload_summary(const struct reload *r, char *out, size_t size);
/* The summary, then each change or error on a line of its own. Those that out has no room for are counted in a last line. */
void reload_report(const struct reload *r, struct buf *out);
/* One change more, if what a worker may hold where nobody has said it is another share of the control group's memory now. */
void reload_shares(struct reload *r, const struct shares *before, const struct shares *after);
/* But for the settings, if they were good: the caller keeps those. */
void reload_free(struct reload *r);

#endif
