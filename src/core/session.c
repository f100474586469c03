/* session.c: see session.h. Sessions lie in 512 tables with a seeded hash: none of them stalls long when it grows, and foreign
 * keys cannot be chosen to collide. */
#include "session.h"

#include <string.h>
#include <stdlib.h>
#include <stdio.h>

#include <xxhash.h>

#include "dispatch.h"
#include "mutant.h"
#include "state.h"

static const char *const end_reasons[END_REASONS] = {"none", "end_session", "ttl", "max_sessions", "partition", "recycle",
	"shutdown", "open_failed"};

const char *end_reason_name(enum end_reason why)
{
	return end_reasons[why];
}

void epoch_text(uint64_t epoch, char out[EPOCH_TEXT_SIZE])
{
	for (int i = 15; i >= 0; i--, epoch >>= 4)
		out[i] = "0123456789abcdef"[epoch & 15];
	out[16] = '\0';
}

struct slice session_id(const struct session *s)
{
	return s->anonymous ? (struct slice){NULL, 0} : (struct slice){s->key + 2, s->key_len - 2u};
}

static void make_key(char *key, uint16_t pool, struct slice id)
{
	CHECK(id.len <= SESSION_ID_MAX);
	memcpy(key, &pool, 2);
	memcpy(key + 2, id.data, id.len);
}

struct session *session_find(const struct sessions *t, uint16_t pool, struct slice id)
{
	char key[2 + SESSION_ID_MAX];
	struct session *s;
	uint64_t hash;

	make_key(key, pool, id);
	hash = XXH3_64bits_withSeed(key, id.len + 2, t->seed);
	HASH_FIND_BYHASHVALUE(hh, t->shard[hash % SESSION_SHARDS], key, id.len + 2, (unsigned)(hash >> 32), s);
	return s;
}

static void join_home(struct session *s, struct partition *p)
{
	s->home = p;
	TAILQ_INSERT_TAIL(&p->sessions, s, of_partition);
	p->nsessions++;
	p->ending += s->ending != END_NONE;
}

static void leave_home(struct session *s)
{
	if (s->home == NULL)
		return;
	TAILQ_REMOVE(&s->home->sessions, s, of_partition);
	s->home->nsessions--;
	s->home->ending -= s->ending != END_NONE;
	s->home = NULL;
}

/* The only writer of `ending`: some wait until nothing of their pool or partition ends any more. */
static void set_ending(struct engine *e, struct session *s, enum end_reason why)
{
	bool was = s->ending != END_NONE, is = why != END_NONE;

	e->pools[s->pool].ending += (uint64_t)is - was;
	if (s->home != NULL)
		s->home->ending += (size_t)is - was;
	s->ending = (uint8_t)why;
}

struct session *session_new(struct engine *e, uint16_t pool, struct slice id, struct partition *home)
{
	struct session *s = xcalloc(1, sizeof(*s) + id.len + 2);
	struct pool *p = &e->pools[pool];
	uint64_t hash;

	s->pool = pool;
	TAILQ_INIT(&s->requests);
	if (id.data == NULL) {
		s->anonymous = true;
		TAILQ_INSERT_TAIL(&e->sessions.anonymous, s, of_partition);
		return s;
	}
	p->live++;
	make_key(s->key, pool, id);
	s->key_len = (uint16_t)(id.len + 2);
	join_home(s, home);
	hash = XXH3_64bits_withSeed(s->key, s->key_len, e->sessions.seed);
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, e->sessions.shard[hash % SESSION_SHARDS], s->key, s->key_len, (unsigned)(hash >> 32), s);
	e->sessions.count++;
	return s;
}

static struct session_line *ready_line(struct engine *e, const struct session *s)
{
	struct pool *p = &e->pools[s->pool];

	if (s->in_pool_line)
		return s->settled ? &p->settled : &p->ready;
	return &p->slots[s->at.slot].ready;
}

static void leave_line(struct engine *e, struct session *s)
{
	if (s->state == SESSION_IDLE) {
		TAILQ_REMOVE(&e->pools[s->pool].idle, s, line);
	} else if (s->state == SESSION_READY && s->reserved) {
		struct slot *w = &e->pools[s->pool].slots[s->reserved_slot];

		w->reserved = NULL;
		w->pool->restless = true; /* now it may leave */
		s->reserved = false;
		slot_feed_later(w);
	} else if (s->state == SESSION_READY) {
		TAILQ_REMOVE(ready_line(e, s), s, line);
	} else if (s->state == SESSION_WAITING) {
		TAILQ_REMOVE(&e->pools[s->pool].waiting, s, line);
	}
}

static void enter_line(struct engine *e, struct session *s)
{
	struct pool *p = &e->pools[s->pool];

	if (s->state == SESSION_IDLE) {
		if (!MUTANT(27) || s->since == 0)
			s->since = e->now;
		TAILQ_INSERT_TAIL(&p->idle, s, line);
		pool_idle_session(e, p);
	} else if (s->state == SESSION_READY) {
		s->in_pool_line = !session_bound(e, s) || MUTANT(16);
		s->settled = s->in_pool_line && dispatch_settles(e, s);
		TAILQ_INSERT_TAIL(ready_line(e, s), s, line);
		if (s->in_pool_line)
			p->hungry = true;
		else
			slot_feed_later(&p->slots[s->at.slot]);
	} else if (s->state == SESSION_WAITING) {
		TAILQ_INSERT_TAIL(&p->waiting, s, line);
	}
}

/* Lines follow the state. READY to READY moves the session to the line that its binding now wants. What waits for a turn or for
 * its next run forgets a state that is gone: nothing of it is to be ended any more. */
void session_set(struct engine *e, struct session *s, enum session_state to)
{
	CHECK((to == SESSION_RUNNING) == (s->call != NULL));
	leave_line(e, s);
	if ((to == SESSION_READY || to == SESSION_WAITING) && !session_bound(e, s))
		session_unbind(e, s);
	s->state = to;
	enter_line(e, s);
}

bool session_bound(const struct engine *e, const struct session *s)
{
	const struct slot *w;

	if (s->at.generation == 0)
		return false;
	w = &e->pools[s->pool].slots[s->at.slot];
	return w->ref.generation == s->at.generation && w->state != HEALTH_TERMINATED;
}

void session_bind(struct engine *e, struct session *s, struct slot *w)
{
	CHECK(s->at.generation == 0);
	s->at = w->ref;
	s->epoch = random_next(&e->random);
	s->opened = false;
	s->fresh = s->untold = true;
	s->ran = false;
	w->bound++;
	w->pool->bound++;
	TAILQ_INSERT_TAIL(&w->sessions, s, of_slot);
	e->pools[s->pool].created++;
	session_tell(e, s, "begins");
}

void session_unbind(struct engine *e, struct session *s)
{
	struct slot *w;

	if (s->at.generation == 0)
		return;
	w = &e->pools[s->pool].slots[s->at.slot];
	if (session_bound(e, s)) {
		CHECK(w->bound > 0);
		w->bound--;
		w->pool->bound--;
		TAILQ_REMOVE(&w->sessions, s, of_slot);
	} else {
		TAILQ_REMOVE(&w->pool->strays, s, of_slot);
	}
	s->at = (struct slot_ref){0};
	s->epoch = 0;
	s->opened = s->fresh = s->untold = false;
	set_ending(e, s, END_NONE); /* what was to be ended is gone */
}

/* Nothing is kept for a session that has neither work nor state. */
static bool useless(const struct engine *e, const struct session *s)
{
	return s->anonymous || !session_bound(e, s) || e->pools[s->pool].cfg.state == POOL_STATE_NONE;
}

static void head_ready(struct engine *e, struct session *s, struct request *head)
{
	request_turn(e, head);
	session_set(e, s, SESSION_READY);
}

static void forget(struct engine *e, struct session *s)
{
	uint64_t hash = XXH3_64bits_withSeed(s->key, s->key_len, e->sessions.seed);

	HASH_DELETE(hh, e->sessions.shard[hash % SESSION_SHARDS], s);
	e->sessions.count--;
	e->pools[s->pool].live--;
	leave_home(s);
}

/* It has no request and no call. */
static void free_session(struct engine *e, struct session *s)
{
	CHECK(TAILQ_EMPTY(&s->requests) && s->call == NULL);
	leave_line(e, s);
	session_unbind(e, s);
	if (s->anonymous)
		TAILQ_REMOVE(&e->sessions.anonymous, s, of_partition);
	else
		forget(e, s);
	free(s);
}

void session_next(struct engine *e, struct session *s)
{
	struct request *head = TAILQ_FIRST(&s->requests);

	if (s->call != NULL)
		session_set(e, s, SESSION_RUNNING);
	else if (s->ending != END_NONE && session_bound(e, s))
		session_set(e, s, SESSION_READY);
	else if (head != NULL && head->place == PLACE_WAITING)
		session_set(e, s, SESSION_WAITING);
	else if (head != NULL)
		head_ready(e, s, head);
	else if (useless(e, s))
		free_session(e, s);
	else
		session_set(e, s, SESSION_IDLE);
}

void sessions_init(struct sessions *t, uint64_t seed)
{
	*t = (struct sessions){.seed = seed};
	TAILQ_INIT(&t->anonymous);
}

void sessions_cleanup(struct sessions *t)
{
	struct session *s, *next;

	for (int i = 0; i < SESSION_SHARDS; i++) {
		HASH_ITER (hh, t->shard[i], s, next) {
			HASH_DELETE(hh, t->shard[i], s);
			free(s);
		}
	}
	while ((s = TAILQ_FIRST(&t->anonymous)) != NULL) {
		TAILQ_REMOVE(&t->anonymous, s, of_partition);
		free(s);
	}
}

bool session_homeless(const struct session *s)
{
	return s->home == NULL || s->home->state == PARTITION_GONE;
}

void session_home(struct session *s, struct partition *p)
{
	CHECK(s->home == NULL && s->state != SESSION_IDLE && !s->anonymous);
	join_home(s, p);
}

void session_leave(struct engine *e, struct session *s)
{
	if (s->home != NULL)
		s->home->ended += session_bound(e, s) && s->ending == END_NONE;
	leave_home(s);
	session_end(e, s, END_PARTITION);
}

void session_end(struct engine *e, struct session *s, enum end_reason why)
{
	if (s->ending != END_NONE)
		return;
	if (!session_bound(e, s)) { /* no state to clean up; requests that wait begin a new one */
		session_unbind(e, s);
		if (s->state == SESSION_IDLE)
			free_session(e, s);
		return;
	}
	set_ending(e, s, why);
	if (s->state == SESSION_IDLE)
		session_set(e, s, SESSION_READY);
	else if (s->state == SESSION_WAITING)
		session_next(e, s);
}

bool session_keeps_state(const struct engine *e, const struct session *s)
{
	return !s->anonymous && e->pools[s->pool].cfg.state == POOL_STATE_MEMORY;
}

void session_tell(struct engine *e, const struct session *s, const char *what)
{
	struct note n = {.kind = NOTE_SESSION, .worker = s->at, .has_pool = true};
	char text[SESSION_ID_MAX + 64], epoch[EPOCH_TEXT_SIZE];

	if (!e->cfg.tell_sessions)
		return;
	epoch_text(s->epoch, epoch);
	snprintf(text, sizeof(text), "%s: session %.*s, epoch %s", what, (int)session_id(s).len, (const char *)session_id(s).data,
		epoch);
	n.reason = slice_of(text);
	engine_note(e, &n);
}

void session_ran(struct session *s)
{
	s->ran = true;
}
