/* world.c: the loop: the earliest of all planned events and all due ticks happens next. */
#include "world.h"

#include <stdlib.h>

#include "broker.h"
#include "chaos.h"
#include "client.h"
#include "group.h"
#include "instance.h"
#include "oracle.h"
#include "workers.h"

static const int64_t begin_us = 1000 * SECOND_US, begin_wall_ms = INT64_C(1767225600000);
static const int64_t stall_us = 200 * SECOND_US; /* without faults something is published or committed within so long */
static const int64_t rest_us = 5 * SECOND_US;    /* watched after the end, for things that spin */

static void ask(struct world *w, struct instance *unused, const struct event *ev)
{
	(void)unused;
	client_ask(w, ev);
}

static void (*const happen[EVENT_KINDS])(struct world *, struct instance *, const struct event *) = {
	[EV_ASK] = ask,
	[EV_QUIET] = chaos_quiet,
	[EV_CHAOS] = chaos_strike,
	[EV_RESTART] = instance_birth,
	[EV_THAW] = instance_thaw,
	[EV_CLOCK] = chaos_clock,
	[EV_ACCEPT] = chaos_accept,
	[EV_MEMBER_TIMEOUT] = group_member_timeout,
	[EV_ASSIGN] = group_assign,
	[EV_REVOKE] = group_revoke,
	[EV_RELEASE_CHECK] = group_release_check,
	[EV_DRAIN_CHECK] = instance_drain_check,
	[EV_PROMPT_CHECK] = oracle_prompt_check,
	[EV_WEAR_CHECK] = oracle_wear_check,
	[EV_OFFSETS] = group_offsets,
	[EV_LATE] = group_late,
	[EV_POLL] = broker_poll,
	[EV_LAND] = broker_land,
	[EV_REPORT] = broker_report,
	[EV_COMMIT_APPLY] = broker_commit_apply,
	[EV_COMMIT_ANSWER] = broker_commit_answer,
	[EV_COMMIT_LATE] = broker_commit_late,
	[EV_STARTED] = workers_started,
	[EV_ANSWER] = workers_answer,
	[EV_FAULT] = workers_fault,
	[EV_CRASH] = workers_crash,
	[EV_GONE] = workers_gone,
};

int64_t world_wall_ms(const struct world *w)
{
	return begin_wall_ms + (w->now - begin_us) / MS_US + w->wall_skew_ms;
}

bool world_chance(struct world *w, unsigned permille)
{
	return permille > 0 && random_below(&w->random, 1000) < permille;
}

int64_t world_delay(struct world *w, int64_t most)
{
	return most > 0 ? (int64_t)random_below(&w->random, (uint64_t)most + 1) : 0;
}

void world_plan(struct world *w, const struct instance *i, int64_t delay, struct event ev)
{
	ev.at = w->now + delay;
	ev.instance = i ? i->index : -1;
	ev.life = i ? i->life : 0;
	events_add(&w->events, ev);
}

static void name_sources(struct world *w)
{
	static const char *const topics[MAX_TOPICS] = {"requests-0", "requests-1"}, *const commands[] = {"work"};
	static const char *const pools[MAX_POOLS] = {"pool-0", "pool-1"};

	for (unsigned t = 0; t < w->k.topics; t++)
		w->sources[t] = (struct source_config){
			.topic = topics[t],
			.pool = (uint16_t)(t % w->k.npools),
			.commands = commands,
			.ncommands = 1,
		};
	for (unsigned p = 0; p < w->k.npools; p++)
		w->k.pool[p].name = pools[p];
}

struct world *world_new(uint64_t seed, struct codec *codec, bool verbose)
{
	struct world *w = xcalloc(1, sizeof(*w));

	w->seed = seed;
	w->codec = codec;
	w->now = begin_us;
	w->trace.verbose = verbose;
	random_seed(&w->random, seed);
	knobs_draw(&w->k, seed);
	name_sources(w);
	client_init(w);
	chaos_init(w);
	for (unsigned k = 0; k < w->k.engines; k++) {
		instance_init(w, (int)k);
		world_plan(w, NULL, k ? world_delay(w, 2 * SECOND_US) : 0, (struct event){.kind = EV_RESTART, .a = (int)k});
	}
	return w;
}

void world_free(struct world *w)
{
	for (unsigned k = 0; k < w->k.engines; k++)
		instance_free(w, &w->instance[k]);
	client_cleanup(w);
	events_free(&w->events);
	free(w);
}

static struct instance *next_tick(struct world *w, int64_t *at)
{
	struct instance *first = NULL;

	*at = INT64_MAX;
	for (unsigned k = 0; k < w->k.engines; k++) {
		int64_t due = instance_tick_at(w, &w->instance[k]);

		if (due < *at) {
			*at = due;
			first = &w->instance[k];
		}
	}
	return first;
}

static void fire(struct world *w, const struct event *ev)
{
	struct instance *i = ev->instance < 0 ? NULL : &w->instance[ev->instance];
	struct event later = *ev;

	if (i != NULL && (!i->alive || i->life != ev->life))
		return;
	if (i != NULL && i->frozen) { /* all of it waits in its sockets */
		later.at = i->frozen_until > w->now ? i->frozen_until : w->now + 1;
		events_add(&w->events, later);
		return;
	}
	happen[ev->kind](w, i, ev);
}

static void check_engines(struct world *w)
{
	for (unsigned k = 0; k < w->k.engines; k++)
		if (w->instance[k].alive) {
			engine_check(w->instance[k].engine);
			oracle_snapshot(w, &w->instance[k]);
		}
}

static void step(struct world *w)
{
	struct event ev;
	int64_t tick_at;
	struct instance *i = next_tick(w, &tick_at);
	bool any = events_first(&w->events, &ev);

	if (!any && i == NULL)
		breach(w, "26: nothing is planned any more and %zu records are unfinished", w->unfinished);
	if (i != NULL && (!any || tick_at <= ev.at)) {
		w->now = tick_at;
		instance_tick(w, i);
	} else {
		events_drop_first(&w->events);
		w->now = ev.at;
		fire(w, &ev);
	}
	if (++w->steps % w->k.check_every == 0)
		check_engines(w);
}

/* Pings, sessions that end and the like, but no more than so many ticks in a second in which nothing else happens. */
static void rest(struct world *w)
{
	int64_t until = w->now + rest_us, due;
	uint64_t ticks = w->ticks, steps = w->steps, most = 2000 + 100 * w->k.engines;

	while (w->now < until && w->steps - steps < 100000 && (w->events.n > 0 || next_tick(w, &due) != NULL))
		step(w);
	if (w->ticks - ticks > most)
		breach(w, "26: %llu ticks in %lld seconds of rest", (unsigned long long)(w->ticks - ticks),
			(long long)(rest_us / SECOND_US));
}

void world_run(struct world *w, uint64_t max_steps)
{
	while (!(w->quiet && w->unfinished == 0) && w->steps < max_steps) {
		step(w);
		if (w->quiet && w->now - w->progress_at > stall_us)
			breach(w,
				"26: nothing was published or committed for %lld s although faults are off; %zu records are unfinished",
				(long long)(stall_us / SECOND_US), w->unfinished);
	}
	if (w->steps >= max_steps)
		return;
	rest(w);
	check_engines(w);
	oracle_end(w);
}
