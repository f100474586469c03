/* life.h: the daemon's state, as the files of its life see it. */
#ifndef APP_LIFE_H
#define APP_LIFE_H

#include "bridgepool/app/daemon.h"
#include "bridgepool/worker/machine.h"
#include "flow.h"
#include "pages.h"
#include "starts.h"

/* How far a drain has come. Each step begins when the one before is over. */
enum leaving { LEAVING_WORK, LEAVING_GROUP, LEAVING_WORKERS, LEAVING_RECORDS, LEAVING_DONE };

struct daemon {
	struct settings settings;             /* what holds; borrows the caller's, or `reading` */
	struct settings reading;              /* the newest that was taken over; empty: none yet */
	const struct settings_origin *origin; /* NULL: nothing is read again */
	const struct daemon_hooks *hooks;
	struct identity identity;
	struct machine_memory memory; /* as it was when the settings were read */
	struct wiring wiring;
	uv_loop_t loop;
	uv_signal_t signals[4];
	uv_timer_t patience; /* a drain or close that takes too long */
	uv_timer_t watchdog; /* tells the supervisor that the loop turns */
	struct flow *flow;
	struct starts *starts;
	struct pages pages;
	enum health_state state; /* daemon_move is its only writer */
	enum leaving leaving;
	bool told_ready; /* hooks.ready was called */
	bool serving;    /* the pools were started */
	bool stop_asked; /* a signal came */
	bool reload_asked;
	bool halt;       /* close everything at the next turn */
	bool flush_over; /* no more waiting for the last records */
	int exit_code;
	struct daemon *abandoned; /* the one before it that did not close in time */
};

/* daemon.c: the start has failed, though a broker is there: who watches the group is told before the end */
void daemon_give_up(struct daemon *d, int code, const char *reason);

/* beginning.c */
/* Waits for a broker, meanwhile answers who asks for a reload, and looks at the topics. False: no work; exit_code says how it
 * ended, a signal ends it well. */
bool beginning_await(struct daemon *d);
/* Which limits hold that nobody has written down, and what workers shall get that is not there, is worth a line. */
void beginning_tell_surroundings(const struct daemon *d);

/* reloading.c: that was asked for */
void reloading_serve(struct daemon *d);

#endif
