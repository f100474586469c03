/* picture.c: see picture.h. Numbers of pools are sums over the instances that live. */
#include "picture.h"

#include <stdio.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bridgepool/base/check.h"
#include "table.h"

enum { NAME_MAX_WIDTH = 32, STATE_WIDTH = 12, REMARKS_MAX = 400, ROOMY = 120 /* columns; with less, names are shorter */ };

/* ---- lines ---- */

static void line(struct picture *p, enum colour colour, const char *format, ...) __attribute__((format(printf, 3, 4)));

static void line(struct picture *p, enum colour colour, const char *format, ...)
{
	char text[2 * PICTURE_WIDTH];
	struct picture_line *l;
	va_list args;

	p->lines = xrealloc(p->lines, (p->n + 1) * sizeof *p->lines);
	l = &p->lines[p->n++];
	l->colour = colour;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	snprintf(l->text, sizeof l->text, "%.*s", (int)slice_cut(slice_of(text), PICTURE_WIDTH - 1).len, text);
	for (size_t n = strlen(l->text); n > 0 && l->text[n - 1] == ' '; n--)
		l->text[n - 1] = '\0';
}

void picture_free(struct picture *p)
{
	free(p->lines);
	*p = (struct picture){0};
}

/* `more` stands behind a row, or below it where there is no room. */
static void draw_row(struct picture *p, struct table *t, enum colour colour, struct slice more)
{
	char row[PICTURE_WIDTH];
	size_t used = table_row(t, row, sizeof row) + 2 + more.len;
	const char *text = more.len ? more.data : "";

	if (!p->width || used <= p->width) {
		line(p, colour, "%s  %.*s", row, (int)more.len, text);
		return;
	}
	line(p, colour, "%s", row);
	if (more.len)
		line(p, colour, "  %.*s", (int)more.len, text);
}

static void draw_head(struct picture *p, struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		table_cell(t, "%s", t->columns[i].head);
	draw_row(p, t, COLOUR_BOLD, (struct slice){"", 0});
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
	static const enum colour colours[HEALTH_STATE_COUNT] = {
		[HEALTH_INITIALIZING] = COLOUR_YELLOW,
		[HEALTH_STARTING] = COLOUR_YELLOW,
		[HEALTH_DEGRADED] = COLOUR_YELLOW,
		[HEALTH_DRAINING] = COLOUR_YELLOW,
		[HEALTH_UNAVAILABLE] = COLOUR_RED,
		[HEALTH_STOPPED] = COLOUR_DIM,
	};

	return colours[s];
}

/* The worst of what lives stands for a pool. */
static int badness(enum health_state s)
{
	static const int order[HEALTH_STATE_COUNT] = {
		[HEALTH_STOPPED] = 1,
		[HEALTH_READY] = 2,
		[HEALTH_DRAINING] = 3,
		[HEALTH_STARTING] = 4,
		[HEALTH_DEGRADED] = 5,
		[HEALTH_UNAVAILABLE] = 6,
	};

	return order[s];
}

/* ---- instances ---- */

static size_t wider(size_t width, const char *text)
{
	size_t used;

	table_fit(text, NAME_MAX_WIDTH, &used);
	return used > width ? used : width;
}

/* Names get what the states beside them leave: a state is seen at every width. */
static size_t narrower(const struct picture *p, size_t width, const char *head)
{
	size_t least = strlen(head), room = p->width > STATE_WIDTH + 1 ? p->width - STATE_WIDTH - 1 : 0;

	if (!p->width || width <= room)
		return width;
	return room > least ? room : least;
}

/* Of an instance, or of a text that begins with one: the part of the name that every instance of no name of its own has says
 * nothing. */
static const char *short_name(const struct picture *p, const char *text)
{
	static const char common[] = "bridgepool-";
	const char *rest = text + strlen(common);

	if (!p->width || p->width >= ROOMY || strncmp(text, common, strlen(common)) != 0 || *rest == '\0' || *rest == ' ')
		return text;
	return rest;
}

/* What of an instance needs a person. */
static void remarks(const struct member *m, int64_t now_ms, struct buf *out)
{
	char age[24];

	if (m->silent)
		buf_printf(out, "no heartbeat for %s, it was %s ", age_text(now_ms - m->heard_ms, age),
			health_state_name(m->state));
	if (m->last.held)
		buf_printf(out, "%lld held ", (long long)m->last.held);
	if (m->missed)
		buf_printf(out, "%lld events lost ", (long long)m->missed);
	for (size_t i = 0; member_lives(m) && i < m->last.npools; i++)
		if (m->last.pools[i].state != HEALTH_READY)
			buf_printf(out, "pool %s %s ", m->last.pools[i].name, health_state_name(m->last.pools[i].state));
	if (m->last.more_pools)
		buf_printf(out, "%zu more pools ", m->last.more_pools);
}

static const struct column member_columns[] = {
	{"INSTANCE", 0, true, 0},
	{"STATE", STATE_WIDTH, true, 0},
	{"BEAT", 6, false, 2},
	{"PARTITIONS", 10, false, 6},
	{"BACKLOG", 8, false, 1},
	{"OLDEST", 7, false, 3},
	{"MEMORY", 11, false, 7},
	{"DONE/S", 8, false, 4},
	{"FAILED/S", 8, false, 5},
	{"HOST", 24, true, 8},
};

static void beat_cells(struct table *t, const struct member *m, int64_t now_ms)
{
	char age[24], oldest[24], used[24], limit[24], rate[24], failed[24];
	const struct beat *b = &m->last;

	table_cell(t, "%s", age_text(now_ms - b->seen_ms, age));
	table_cell(t, "%lld", (long long)b->partitions);
	table_cell(t, "%lld", (long long)b->backlog);
	table_cell(t, "%s", b->backlog ? age_text(b->oldest_ms, oldest) : "-");
	table_cell(t, "%s/%s", bytes_text(b->memory_used, used), bytes_text(b->memory_limit, limit));
	table_cell(t, "%s", rate_text(member_rate(m, false), rate));
	table_cell(t, "%s", rate_text(member_rate(m, true), failed));
	table_cell(t, "%s", m->host);
}

static void draw_member(struct picture *p, struct table *t, const struct member *m, int64_t now_ms)
{
	struct buf more;

	buf_init(&more, REMARKS_MAX);
	remarks(m, now_ms, &more);
	table_cell(t, "%s", short_name(p, m->id));
	table_cell(t, "%s", m->silent ? "SILENT" : health_state_name(m->state)); /* what it said last holds no longer */
	if (m->has_last)
		beat_cells(t, m, now_ms);
	draw_row(p, t, m->silent ? COLOUR_RED : state_colour(m->state), buf_slice(&more));
	buf_free(&more);
}

static void draw_members(struct picture *p, const struct group *g, int64_t now_ms)
{
	size_t width = strlen(member_columns[0].head);
	struct table t;

	for (const struct member *m = g->members; m; m = m->hh.next)
		width = wider(width, short_name(p, m->id));
	width = narrower(p, width, member_columns[0].head);
	table_open(&t, member_columns, sizeof member_columns / sizeof *member_columns, width, p->width);
	draw_head(p, &t);
	for (const struct member *m = g->members; m; m = m->hh.next)
		draw_member(p, &t, m, now_ms);
	if (!g->members)
		line(p, COLOUR_DIM, "nothing was heard yet");
	if (g->left_out)
		line(p, COLOUR_YELLOW, "there are more: only %d instances are shown", GROUP_MEMBERS);
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

static const struct column pool_columns[] = {
	{"POOL", 0, true, 0},
	{"STATE", STATE_WIDTH, true, 0},
	{"READY", 6, false, 1},
	{"BUSY", 5, false, 6},
	{"INIT", 5, false, 10},
	{"DEGR", 5, false, 11},
	{"DOWN", 5, false, 3},
	{"PLACES", 12, false, 7},
	{"QUEUED", 7, false, 2},
	{"SESSIONS", 9, false, 4},
	{"LOST", 7, false, 5},
	{"DONE/S", 8, false, 8},
	{"FAILED/S", 8, false, 9},
	{"P50<", 7, false, 13},
	{"P95<", 7, false, 12},
};

static void draw_pool(struct picture *p, struct table *t, const struct pool_sum *s)
{
	const int64_t *w = s->sum.workers;
	char rate[24], failed[24], middle[24], slow[24];

	table_cell(t, "%s", s->sum.name);
	table_cell(t, "%s", health_state_name(s->sum.state));
	table_cell(t, "%lld", (long long)w[HEALTH_READY]);
	table_cell(t, "%lld", (long long)s->sum.busy);
	table_cell(t, "%lld", (long long)w[HEALTH_INITIALIZING]);
	table_cell(t, "%lld", (long long)w[HEALTH_DEGRADED]);
	table_cell(t, "%lld", (long long)(w[HEALTH_TERMINATING] + w[HEALTH_TERMINATED]));
	table_cell(t, "%lld/%lld", (long long)s->sum.used, (long long)s->sum.places);
	table_cell(t, "%lld", (long long)s->sum.queued);
	table_cell(t, "%lld", (long long)s->sum.sessions);
	table_cell(t, "%lld", (long long)s->sum.lost);
	table_cell(t, "%s", rate_text(s->has_rate ? s->rate : -1, rate));
	table_cell(t, "%s", rate_text(s->has_rate ? s->failed_rate : -1, failed));
	table_cell(t, "%s", quantile_text(s->sum.durations, 0.5, middle));
	table_cell(t, "%s", quantile_text(s->sum.durations, 0.95, slow));
	draw_row(p, t, state_colour(s->sum.state), (struct slice){"", 0});
}

static void draw_pools(struct picture *p, const struct group *g)
{
	size_t n, width = strlen(pool_columns[0].head);
	struct pool_sum *sums = sum_pools(g, &n);
	struct table t;

	for (size_t i = 0; i < n; i++)
		width = wider(width, sums[i].sum.name);
	width = narrower(p, width, pool_columns[0].head);
	table_open(&t, pool_columns, sizeof pool_columns / sizeof *pool_columns, width, p->width);
	draw_head(p, &t);
	for (size_t i = 0; i < n; i++)
		draw_pool(p, &t, &sums[i]);
	free(sums);
}

/* ---- events ---- */

static enum colour severity_colour(enum severity s)
{
	return s == SEVERITY_ERROR ? COLOUR_RED : s == SEVERITY_WARN ? COLOUR_YELLOW : COLOUR_PLAIN;
}

static void event_text(const struct group_event *e, const char *what, char *out, size_t size)
{
	char at[16];

	snprintf(out, size, "%s %-5s %s", clock_text(e->at_ms, at), severity_name(e->severity), what);
}

void picture_event(const struct group_event *e, char *out, size_t size)
{
	event_text(e, e->text, out, size);
}

/* The newest first. */
static void draw_events(struct picture *p, const struct group *g, size_t most)
{
	uint64_t kept = g->nevents < GROUP_EVENTS ? g->nevents : GROUP_EVENTS;
	char text[PICTURE_WIDTH];

	line(p, COLOUR_BOLD, "EVENTS");
	for (uint64_t i = 0; i < kept && i < most; i++) {
		const struct group_event *e = &g->events[(g->nevents - 1 - i) % GROUP_EVENTS];

		event_text(e, short_name(p, e->text), text, sizeof text);
		line(p, severity_colour(e->severity), "%s", text);
	}
}

/* ---- the whole ---- */

void picture_draw(struct picture *p, const struct group *g, const char *title, size_t width, int64_t now_ms, int64_t wall_ms,
	size_t events)
{
	char at[16];

	p->n = 0;
	p->width = width;
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
	snprintf(out, size,
		"%s INFO  %s HEARTBEAT %s workers=%lld ready=%lld sessions=%lld queued=%lld partitions=%lld backlog=%lld done/s=%s",
		clock_text(b->at_ms, at), m->id, health_state_name(m->state), (long long)workers, (long long)ready,
		(long long)sessions, (long long)queued, (long long)b->partitions, (long long)b->backlog,
		rate_text(member_rate(m, false), rate));
}
