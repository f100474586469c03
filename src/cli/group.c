/* group.c: see group.h. */
#include "group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"

enum { FORGOTTEN_INTERVALS = 30, STOPPED_MS = 60 * 1000, INTERVAL_MOST_MS = 24 * 3600 * 1000 };

/* ---- JSON ---- */

static const char *text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text ? text : "";
}

static int64_t bounded(int64_t n)
{
	return n < 0 ? 0 : n < GROUP_MOST ? n : GROUP_MOST;
}

static int64_t number_of(const json_t *o, const char *name)
{
	return bounded(json_integer_value(json_object_get(o, name)));
}

static void add(int64_t *sum, int64_t n)
{
	*sum = bounded(*sum + bounded(n));
}

static enum health_state state_of(const json_t *o, const char *name)
{
	const char *text = text_of(o, name);

	for (int i = 0; i < HEALTH_STATE_COUNT; i++)
		if (strcmp(health_state_name((enum health_state)i), text) == 0)
			return (enum health_state)i;
	return HEALTH_UNKNOWN;
}

static enum severity severity_of(const json_t *o)
{
	const char *text = text_of(o, "severity");

	return strcmp(text, "ERROR") == 0 ? SEVERITY_ERROR : strcmp(text, "WARN") == 0 ? SEVERITY_WARN : SEVERITY_INFO;
}

/* Nothing in foreign text steers a terminal, or begins a line: neither a control character nor one of the second set, U+0080 to
 * U+009F. */
static void clean(char *text)
{
	for (; *text; text++) {
		bool second = (unsigned char)text[0] == 0xc2 && (unsigned char)text[1] >= 0x80 && (unsigned char)text[1] < 0xa0;

		if ((unsigned char)*text < ' ' || *text == 0x7f || second)
			*text = ' ';
		if (second)
			*++text = ' ';
	}
}

static void keep_text(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%.*s", (int)slice_cut(slice_of(text), size - 1).len, text);
	clean(out);
}

/* ---- heartbeats ---- */

static void read_pool(const json_t *o, struct pool_beat *p)
{
	const json_t *workers = json_object_get(o, "workers"), *requests = json_object_get(o, "requests"),
		     *durations = json_object_get(o, "durations");
	const char *status;
	json_t *n;

	*p = (struct pool_beat){
		.state = state_of(o, "state"),
		.busy = number_of(o, "busy"),
		.used = number_of(o, "slots_used"),
		.places = number_of(o, "slots_total"),
		.queued = number_of(o, "queued"),
		.sessions = number_of(o, "sessions"),
		.lost = number_of(o, "sessions_lost"),
	};
	keep_text(p->name, sizeof p->name, text_of(o, "name"));
	for (int i = 0; i < HEALTH_STATE_COUNT; i++)
		p->workers[i] = number_of(workers, health_state_name((enum health_state)i));
	json_object_foreach ((json_t *)(uintptr_t)requests, status, n) {
		add(&p->finished, json_integer_value(n));
		if (strcmp(status, "OK") != 0)
			add(&p->failed, json_integer_value(n));
	}
	for (size_t i = 0; i < DURATION_BUCKETS; i++)
		p->durations[i] = bounded(json_integer_value(json_array_get(durations, i)));
}

static void read_partitions(const json_t *list, struct beat *b)
{
	b->partitions = (int64_t)json_array_size(list);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *p = json_array_get(list, i);
		int64_t oldest = number_of(p, "oldest_ms");

		add(&b->backlog, number_of(p, "backlog"));
		b->held += json_is_true(json_object_get(p, "held"));
		b->oldest_ms = oldest > b->oldest_ms ? oldest : b->oldest_ms;
	}
}

static void read_beat(const json_t *event, const json_t *snapshot, int64_t seen_ms, struct beat *b)
{
	const json_t *pools = json_object_get(snapshot, "pools");

	*b = (struct beat){
		.at_ms = number_of(event, "at"),
		.seen_ms = seen_ms,
		.npools = json_array_size(pools) < GROUP_POOLS ? json_array_size(pools) : GROUP_POOLS,
		.memory_used = number_of(snapshot, "memory_used"),
		.memory_limit = number_of(snapshot, "memory_limit"),
	};
	b->pools = xcalloc(b->npools + 1, sizeof *b->pools);
	b->more_pools = json_array_size(pools) - b->npools;
	for (size_t i = 0; i < b->npools; i++)
		read_pool(json_array_get(pools, i), &b->pools[i]);
	read_partitions(json_object_get(snapshot, "partitions"), b);
}

static int64_t interval(int64_t ms)
{
	return ms < INTERVAL_MOST_MS ? ms : INTERVAL_MOST_MS;
}

/* As it says itself; an older one does not, and its last two heartbeats tell. */
static int64_t interval_of(const struct member *m, const json_t *snapshot)
{
	const json_t *said = json_object_get(snapshot, "heartbeat_ms");

	if (json_is_integer(said) && json_integer_value(said) >= 0)
		return interval(json_integer_value(said));
	if (m->has_before && m->last.at_ms > m->before.at_ms)
		return interval(m->last.at_ms - m->before.at_ms);
	return m->interval_ms;
}

static void member_beat(struct member *m, const json_t *event, const json_t *snapshot, int64_t seen_ms)
{
	if (m->has_last) {
		free(m->before.pools);
		m->before = m->last;
		m->has_before = true;
	}
	read_beat(event, snapshot, seen_ms, &m->last);
	m->has_last = true;
	m->state = state_of(snapshot, "state");
	m->interval_ms = interval_of(m, snapshot);
}

const struct pool_beat *beat_pool(const struct beat *b, const char *name)
{
	for (size_t i = 0; i < b->npools; i++)
		if (strcmp(b->pools[i].name, name) == 0)
			return &b->pools[i];
	return NULL;
}

static int64_t total(const struct beat *b, bool failed)
{
	int64_t n = 0;

	for (size_t i = 0; i < b->npools; i++)
		add(&n, failed ? b->pools[i].failed : b->pools[i].finished);
	return n;
}

double member_rate(const struct member *m, bool failed)
{
	int64_t ms = m->last.at_ms - m->before.at_ms;

	if (!m->has_before || ms <= 0)
		return -1;
	return (double)(total(&m->last, failed) - total(&m->before, failed)) * 1000 / (double)ms;
}

/* ---- members ---- */

static void forget_beats(struct member *m)
{
	free(m->last.pools);
	free(m->before.pools);
	m->last = m->before = (struct beat){0};
	m->has_last = m->has_before = false;
}

static int by_name(const struct member *a, const struct member *b)
{
	return strcmp(a->id, b->id);
}

static void member_drop(struct group *g, struct member *m)
{
	HASH_DEL(g->members, m);
	forget_beats(m);
	free(m);
}

/* Of a topic that anybody may write to not every name is kept; who has gone makes room first. */
static bool make_room(struct group *g)
{
	struct member *gone = NULL;

	if (HASH_COUNT(g->members) < GROUP_MEMBERS)
		return true;
	for (struct member *m = g->members; m; m = m->hh.next)
		if (!member_lives(m) && (!gone || m->heard_ms < gone->heard_ms))
			gone = m;
	if (gone)
		member_drop(g, gone);
	g->left_out |= !gone;
	return gone;
}

/* NULL: there is no room for one more. */
static struct member *member_find(struct group *g, const char *id)
{
	struct member *m;
	char name[sizeof m->id];

	keep_text(name, sizeof name, id);
	HASH_FIND_STR(g->members, name, m);
	if (m || !make_room(g))
		return m;
	m = xcalloc(1, sizeof *m);
	memcpy(m->id, name, sizeof m->id);
	m->interval_ms = g->interval_ms;
	HASH_ADD_STR(g->members, id, m);
	HASH_SORT(g->members, by_name);
	return m;
}

/* The sequence counts from 1 in each incarnation; the first that is seen may be any. */
static void member_hear(struct member *m, const json_t *event, int64_t seen_ms)
{
	const char *incarnation = text_of(event, "incarnation");
	int64_t sequence = number_of(event, "sequence");

	if (strncmp(m->incarnation, incarnation, sizeof m->incarnation - 1) != 0) {
		forget_beats(m);
		m->sequence = m->missed = 0;
		snprintf(m->incarnation, sizeof m->incarnation, "%s", incarnation);
	}
	if (m->sequence && sequence > m->sequence + 1)
		add(&m->missed, sequence - m->sequence - 1);
	m->sequence = sequence > m->sequence ? sequence : m->sequence;
	keep_text(m->host, sizeof m->host, text_of(event, "host"));
	m->heard_ms = seen_ms;
}

bool member_lives(const struct member *m)
{
	return !m->silent && m->state != HEALTH_STOPPED;
}

/* ---- events ---- */

static struct group_event *event_add(struct group *g, int64_t at_ms, enum severity severity)
{
	struct group_event *e = &g->events[g->nevents++ % GROUP_EVENTS];

	*e = (struct group_event){.at_ms = at_ms, .severity = severity};
	return e;
}

static void event_keep(struct group *g, const struct member *m, const json_t *event)
{
	struct group_event *e = event_add(g, number_of(event, "at"), severity_of(event));
	const char *from = text_of(event, "from_state"), *to = text_of(event, "to_state"), *reason = text_of(event, "reason"),
		   *worker = text_of(event, "worker_id");
	int64_t count = number_of(event, "count");
	char text[sizeof e->text + 4]; /* longer, so that the cut is seen */
	int n = snprintf(text, sizeof text, "%s %s", m->id, text_of(event, "kind"));
	const struct {
		bool said;
		const char *before, *text;
	} parts[] = {{true, " ", *worker ? worker : text_of(event, "pool")}, {*to, " ", from}, {*to, *from ? " -> " : " ", to},
		{*reason, ": ", reason}};

	for (size_t i = 0; i < sizeof parts / sizeof *parts && n < (int)sizeof text; i++)
		if (parts[i].said && *parts[i].text)
			n += snprintf(text + n, sizeof text - (size_t)n, "%s%s", parts[i].before, parts[i].text);
	if (count && n < (int)sizeof text)
		snprintf(text + n, sizeof text - (size_t)n, " (%lld)", (long long)count);
	keep_text(e->text, sizeof e->text, text);
}

/* ---- the door ---- */

void group_init(struct group *g, int64_t interval_ms)
{
	memset(g, 0, sizeof *g);
	g->interval_ms = interval_ms;
}

void group_free(struct group *g)
{
	struct member *m, *next;

	HASH_ITER (hh, g->members, m, next)
		member_drop(g, m);
}

static void hear_again(struct group *g, struct member *m, const json_t *event)
{
	struct group_event *e;

	if (!m->silent)
		return;
	m->silent = false;
	e = event_add(g, number_of(event, "at"), SEVERITY_INFO);
	snprintf(e->text, sizeof e->text, "%s is heard again", m->id);
}

const struct member *group_take(struct group *g, const json_t *event, int64_t seen_ms)
{
	const json_t *snapshot = json_object_get(event, "snapshot");
	struct member *m;

	if (!*text_of(event, "instance_id") || !*text_of(event, "kind"))
		return NULL;
	m = member_find(g, text_of(event, "instance_id"));
	if (!m)
		return NULL;
	hear_again(g, m, event);
	member_hear(m, event, seen_ms);
	if (json_is_object(snapshot)) {
		member_beat(m, event, snapshot, seen_ms);
		return m;
	}
	if (strcmp(text_of(event, "kind"), "INSTANCE_STATE") == 0 && *text_of(event, "to_state"))
		m->state = state_of(event, "to_state");
	event_keep(g, m, event);
	return NULL;
}

static void fall_silent(struct group *g, struct member *m, int64_t now_ms, int64_t wall_ms)
{
	struct group_event *e = event_add(g, wall_ms, SEVERITY_ERROR);

	m->silent = true;
	snprintf(e->text, sizeof e->text, "%s is not heard any more: no heartbeat for %lld s; it was %s", m->id,
		(long long)(now_ms - m->heard_ms) / 1000, health_state_name(m->state));
}

void group_look(struct group *g, int64_t now_ms, int64_t wall_ms)
{
	struct member *m, *next;

	HASH_ITER (hh, g->members, m, next) {
		int64_t away = now_ms - m->heard_ms;

		if (m->state == HEALTH_STOPPED ? away > STOPPED_MS
					       : m->interval_ms && away > FORGOTTEN_INTERVALS * m->interval_ms)
			member_drop(g, m);
		else if (member_lives(m) && m->interval_ms && away > GROUP_INTERVALS * m->interval_ms)
			fall_silent(g, m, now_ms, wall_ms);
	}
	g->left_out &= HASH_COUNT(g->members) >= GROUP_MEMBERS;
}

bool group_is_whole(const struct group *g)
{
	bool some = false;

	for (const struct member *m = g->members; m; m = m->hh.next) {
		bool shown = m->has_last || !m->interval_ms;

		if (member_lives(m) && !shown)
			return false;
		some |= member_lives(m) && shown;
	}
	return some;
}
