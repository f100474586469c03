/* story.h: the demo's story of five scenes: what is sent, what must come of it, and how both are shown. */
#ifndef CLI_STORY_H
#define CLI_STORY_H

#include <signal.h>

#include "bridgepool/kafka/client.h"
#include "child.h"
#include "requester.h"
#include "terminal.h"

/* The first four are the demo's and are only borrowed. */
struct story {
	const struct terminal *terminal;
	const volatile sig_atomic_t *interrupted;
	struct child *daemon;
	bool edited;        /* the app.py is not the package's: its answers may be others */
	unsigned wrong;     /* what did not go as told */
	unsigned different; /* the same, where app.py was edited */
	struct requester *requester;
	struct client *watcher; /* of the health topic */
	struct codec *codec;
	struct buf event;
	char epoch[256]; /* of the first scene's first session */
};

/* From here on no result and no event is missed. False: errstr says why; story_close is due all the same. */
bool story_open(struct story *s, const char *brokers, char *errstr, size_t size);
void story_close(struct story *s);
void story_tell(struct story *s);                    /* to its end, or as far as it goes: s->wrong */
bool story_wrong(struct story *s, const char *what); /* counts and shows it; false */

#endif
