/* picture.c: see picture.h. Numbers of pools are sums over the instances that live. */
#include "picture.h"

#include <stdio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bridgepool/base/check.h"

enum { NAME_MAX_WIDTH = 32 };

/* ---- lines ---- */

static void line(struct picture *p, enum colour colour, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void line(struct picture *p, enum colour colour, const char *format, ...)
{
	struct picture_line *l;
	va_list args;

	p->lines = xrealloc(p->lines, (p->n + 1) * sizeof *p->lines);
	l = &p->lines[p->n++];
	l->colour = colour;
	va_start(args, format);
	vsnprintf(l->text, sizeof l->text, format, args);
	va_end(args);
	for (size_t n = strlen(l->text); n > 0 && l->text[n - 1] == ' '; n--)
		l->text[n - 1] = '\0';
}

void picture_free(struct picture *p)
{
	free(p->lines);
	*p = (struct picture){0};
}

/* ---- values ---- */

static const char *clock_text(int64_t wall_ms, char out[16])
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm t;

	if (!localtime_r(&seconds, &t) || strftime(out, 16, "%H:%M:%S", &t) == 0)
		strcpy(out, "--:--:--");
	return out;
}

/* "850ms", "3.2s", "90s", "12m", "5h" */
static const char *age_text(int64_t ms, char out[24])
{
	if (ms < 1000)
		snprintf(out, 24, "%lldms", (long long)ms);
	else if (ms < 10 * 1000)
		snprintf(out, 24, "%.1fs", (double)ms / 1000);
	else if (ms < 120 * 1000)
		snprintf(out, 24, "%llds", (long long)ms / 1000);
	else if (ms < 120 * 60 * 1000)
		snprintf(out, 24, "%lldm", (long long)ms / 60000);
	else
		snprintf(out, 24, "%lldh", (long long)ms / 3600000);
	return out;
}

static const char *bytes_text(int64_t bytes, char out[24])
{
	static const char units[] = "BKMGT";
	double value = (double)bytes;
	int unit = 0;

	for (; value >= 1024 && unit < 4; unit++)
		value /= 1024;
	snprintf(out, 24, "%.*f%c", unit && value < 10 ? 1 : 0, value, units[unit]);
	return out;
}

static const char *rate_text(double rate, char out[24])
{
	if (rate < 0)
		return "-";
	snprintf(out, 24, rate < 100 ? "%.1f" : "%.0f", rate);
	return out;
}

/* The edge of the bucket that holds that part of the runs, such as "30ms"; the last has none: "+". */
static const char *quantile_text(const int64_t buckets[DURATION_BUCKETS], double part, char out[24])
{
	int64_t sum = 0, so_far = 0;
	size_t i;

	for (i = 0; i < DURATION_BUCKETS; i++)
		sum += buckets[i];
	if (sum <= 0)
		return "-";
	for (i = 0; i < DURATION_BUCKETS - 1; i++) {
		so_far += buckets[i];
		if ((double)so_far >= part * (double)sum)
			return age_text(duration_edge_ms[i], out);
	}
	return "longer";
}

static enum colour state_colour(enum health_state s)
{
	static const enum colour colours[HEALTH_STATE_COUNT] = {[HEALTH_INITIALIZING] = COLOUR_YELLOW, [HEALTH_STARTING] = COLOUR_YELLOW,
		[HEALTH_DEGRADED] = COLOUR_YELLOW, [HEALTH_DRAINING] = COLOUR_YELLOW, [HEALTH_UNAVAILABLE] = COLOUR_RED, [HEALTH_STOPPED] = COLOUR_DIM};

	return colours[s];
}

/* The worst of what lives stands for a pool. */
static int badness(enum health_state s)
{
	static const int order[HEALTH_STATE_COUNT] = {[HEALTH_STOPPED] = 1, [HEALTH_READY] = 2, [HEALTH_DRAINING] = 3, [HEALTH_STARTING] = 4,
		[HEALTH_DEGRADED] = 5, [HEALTH_UNAVAILABLE] = 6};

	return order[s];
}

/* ---- instances ---- */

static int name_width(const struct group *g)
{
	size_t width = strlen("INSTANCE");

	for (const struct member *m = g->members; m; m = m->hh.next)
		width = strlen(m->id) > width ? strlen(m->id) : width;
	return width < NAME_MAX_WIDTH ? (int)width : NAME_MAX_WIDTH;
}

/* What of an instance needs a person. */
static void remarks(const struct member *m, int64_t now_ms, char *out, size_t size)
{
	char age[24];
	int n = 0;

	*out = '\0';
	if (m->silent)
		n = snprintf(out, size, "no heartbeat for %s ", age_text(now_ms - m->heard_ms, age));
	for (size_t i = 0; member_lives(m) && i < m->last.npools && n < (int)size; i++)
		if (m->last.pools[i].state != HEALTH_READY)
			n += snprintf(out + n, size - (size_t)n, "pool %s %s ", m->last.pools[i].name, health_state_name(m->last.pools[i].state));
	if (m->last.held && n < (int)size)
		n += snprintf(out + n, size - (size_t)n, "%lld held ", (long long)m->last.held);
	if (m->missed && n < (int)size)
		snprintf(out + n, size - (size_t)n, "%lld events lost ", (long long)m->missed);
}

static void draw_member(struct picture *p, const struct member *m, int width, int64_t now_ms)
{
	char age[24], oldest[24], used[24], limit[24], rate[24], failed[24], memory[64], more[160];
	const struct beat *b = &m->last;

	remarks(m, now_ms, more, sizeof more);
	snprintf(memory, sizeof memory, "%s/%s", bytes_text(b->memory_used, used), bytes_text(b->memory_limit, limit));
	if (!m->has_last)
		line(p, m->silent ? COLOUR_RED : state_colour(m->state), "%-*.*s %-12s %6s  %s", width, NAME_MAX_WIDTH, m->id,
			health_state_name(m->state), "-", more);
	else
		line(p, m->silent ? COLOUR_RED : state_colour(m->state), "%-*.*s %-12s %6s %10lld %8lld %7s %11s %8s %8s  %.24s  %s", width, NAME_MAX_WIDTH,
			m->id, health_state_name(m->state), age_text(now_ms - b->seen_ms, age), (long long)b->partitions, (long long)b->backlog,
			b->backlog ? age_text(b->oldest_ms, oldest) : "-", memory, rate_text(member_rate(m, false), rate),
			rate_text(member_rate(m, true), failed), m->host, more);
}

static void draw_members(struct picture *p, const struct group *g, int64_t now_ms)
{
	int width = name_width(g);

	line(p, COLOUR_BOLD, "%-*s %-12s %6s %10s %8s %7s %11s %8s %8s  HOST", width, "INSTANCE", "STATE", "BEAT", "PARTITIONS", "BACKLOG", "OLDEST",
		"MEMORY", "DONE/S", "FAILED/S");
	for (const struct member *m = g->members; m; m = m->hh.next)
		draw_member(p, m, width, now_ms);
	if (!g->members)
		line(p, COLOUR_DIM, "nothing was heard yet");
}

/* ---- pools ---- */

struct pool_sum {
	struct pool_beat sum, gone; /* gone: what it was a heartbeat before, where that is known */
	double rate, failed_rate;
	bool has_rate;
};

static void add_pool(struct pool_sum *s, const struct member *m, const struct pool_beat *b)
{
	const struct pool_beat *before = m->has_before ? beat_pool(&m->before, b->name) : NULL;
	double seconds = (double)(m->last.at_ms - m->before.at_ms) / 1000;

	memcpy(s->sum.name, b->name, sizeof s->sum.name);
	if (badness(b->state) > badness(s->sum.state))
		s->sum.state = b->state;
	for (int i = 0; i < HEALTH_STATE_COUNT; i++)
		s->sum.workers[i] += b->workers[i];
	s->sum.busy += b->busy;
	s->sum.used += b->used;
	s->sum.places += b->places;
	s->sum.queued += b->queued;
	s->sum.sessions += b->sessions;
	s->sum.lost += b->lost;
	if (!before || seconds <= 0)
		return;
	s->has_rate = true;
	s->rate += (double)(b->finished - before->finished) / seconds;
	s->failed_rate += (double)(b->failed - before->failed) / seconds;
	for (int i = 0; i < DURATION_BUCKETS; i++)
		s->sum.durations[i] += b->durations[i] - before->durations[i];
}

/* Sums by name, in the order in which they are met. Freed by the caller. */
static struct pool_sum *sum_pools(const struct group *g, size_t *n)
{
	struct pool_sum *sums = NULL;

	*n = 0;
	for (const struct member *m = g->members; m; m = m->hh.next)
		for (size_t i = 0; member_lives(m) && i < m->last.npools; i++) {
			const struct pool_beat *b = &m->last.pools[i];
			size_t k = 0;

			while (k < *n && strcmp(sums[k].sum.name, b->name) != 0)
				k++;
			if (k == *n) {
				sums = xrealloc(sums, (*n + 1) * sizeof *sums);
				sums[(*n)++] = (struct pool_sum){0};
			}
			add_pool(&sums[k], m, b);
		}
	return sums;
}

static void draw_pool(struct picture *p, const struct pool_sum *s)
{
	const int64_t *w = s->sum.workers;
	char places[48], rate[24], failed[24], middle[24], slow[24];

	snprintf(places, sizeof places, "%lld/%lld", (long long)s->sum.used, (long long)s->sum.places);
	line(p, state_colour(s->sum.state), "%-20.48s %-12s %6lld %5lld %5lld %5lld %5lld %12s %7lld %9lld %7lld %8s %8s %7s %7s", s->sum.name,
		health_state_name(s->sum.state), (long long)w[HEALTH_READY], (long long)s->sum.busy, (long long)w[HEALTH_INITIALIZING],
		(long long)w[HEALTH_DEGRADED], (long long)(w[HEALTH_TERMINATING] + w[HEALTH_TERMINATED]), places, (long long)s->sum.queued,
		(long long)s->sum.sessions, (long long)s->sum.lost, rate_text(s->has_rate ? s->rate : -1, rate),
		rate_text(s->has_rate ? s->failed_rate : -1, failed), quantile_text(s->sum.durations, 0.5, middle),
		quantile_text(s->sum.durations, 0.95, slow));
}

static void draw_pools(struct picture *p, const struct group *g)
{
	size_t n;
	struct pool_sum *sums = sum_pools(g, &n);

	line(p, COLOUR_BOLD, "%-20s %-12s %6s %5s %5s %5s %5s %12s %7s %9s %7s %8s %8s %7s %7s", "POOL", "STATE", "READY", "BUSY", "INIT", "DEGR", "DOWN",
		"PLACES", "QUEUED", "SESSIONS", "LOST", "DONE/S", "FAILED/S", "P50<", "P95<");
	for (size_t i = 0; i < n; i++)
		draw_pool(p, &sums[i]);
	free(sums);
}

/* ---- events ---- */

static enum colour severity_colour(enum severity s)
{
	return s == SEVERITY_ERROR ? COLOUR_RED : s == SEVERITY_WARN ? COLOUR_YELLOW : COLOUR_PLAIN;
}

void picture_event(const struct group_event *e, char *out, size_t size)
{
	char at[16];

	snprintf(out, size, "%s %-5s %s", clock_text(e->at_ms, at), severity_name(e->severity), e->text);
}

/* The newest first. */
static void draw_events(struct picture *p, const struct group *g, size_t most)
{
	uint64_t kept = g->nevents < GROUP_EVENTS ? g->nevents : GROUP_EVENTS;
	char text[PICTURE_WIDTH];

	line(p, COLOUR_BOLD, "EVENTS");
	for (uint64_t i = 0; i < kept && i < most; i++) {
		const struct group_event *e = &g->events[(g->nevents - 1 - i) % GROUP_EVENTS];

		picture_event(e, text, sizeof text);
		line(p, severity_colour(e->severity), "%s", text);
	}
}

/* ---- the whole ---- */

void picture_draw(struct picture *p, const struct group *g, const char *title, int64_t now_ms, int64_t wall_ms, size_t events)
{
	char at[16];

	p->n = 0;
	line(p, COLOUR_BOLD, "%s  %s", title, clock_text(wall_ms, at));
	line(p, COLOUR_PLAIN, "%s", "");
	draw_members(p, g, now_ms);
	line(p, COLOUR_PLAIN, "%s", "");
	draw_pools(p, g);
	line(p, COLOUR_PLAIN, "%s", "");
	draw_events(p, g, events);
}

void picture_beat(const struct member *m, char *out, size_t size)
{
	const struct beat *b = &m->last;
	char at[16], rate[24];
	int64_t ready = 0, workers = 0, sessions = 0, queued = 0;

	for (size_t i = 0; i < b->npools; i++) {
		for (int k = 0; k < HEALTH_STATE_COUNT; k++)
			workers += b->pools[i].workers[k];
		ready += b->pools[i].workers[HEALTH_READY];
		sessions += b->pools[i].sessions;
		queued += b->pools[i].queued;
	}
	snprintf(out, size, "%s INFO  %s HEARTBEAT %s workers=%lld ready=%lld sessions=%lld queued=%lld partitions=%lld backlog=%lld done/s=%s",
		clock_text(b->at_ms, at), m->id, health_state_name(m->state), (long long)workers, (long long)ready, (long long)sessions,
		(long long)queued, (long long)b->partitions, (long long)b->backlog, rate_text(member_rate(m, false), rate));
}
