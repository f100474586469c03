/* picture.h: a group as lines of text: a table of its instances, one of its pools, the last events. */
#ifndef CLI_PICTURE_H
#define CLI_PICTURE_H

#include "group.h"
#include "terminal.h"

enum { PICTURE_WIDTH = 512 };

struct picture_line {
	enum colour colour;
	char text[PICTURE_WIDTH];
};

struct picture {
	struct picture_line *lines; /* owned */
	size_t n, width;
};

/* Draws anew, for so many columns: less important ones of the tables are left out, long remarks get a line of their own; 0: as
 * wide as it gets. Below 120 columns instances are named without "bridgepool-". Events may still be wider. wall_ms and now_ms are
 * the same moment, since the epoch and by the group's clock; at most `events` of the last events. */
void picture_draw(struct picture *p, const struct group *g, const char *title, size_t width, int64_t now_ms, int64_t wall_ms,
	size_t events);
void picture_free(struct picture *p);

/* One heartbeat as one line, for a log: words of the form key=value. */
void picture_beat(const struct member *m, char *out, size_t size);
void picture_event(const struct group_event *e, char *out, size_t size);

#endif
