/* intake.c: see intake.h. */
#include "intake.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "bridgepool/wire/pairs.h"
#include "cancel.h"
#include "echo.h"
#include "mutant.h"
#include "result.h"
#include "retry.h"
#include "state.h"

static const char *const reserved_commands[] = {"ping", "shutdown", "cleanup_session", "open_session"};
static const char *const always_copied[] = {"traceparent", "tracestate", "baggage", "kafka_correlationId"};
static const char *const never_copied[] = {"__TypeId__", "spring_*", "authorization", "kafka_replyTopic", "kafka_replyPartition",
	"bridgepool.*", "content-type"};

static bool matches(const char *name, const char *const *patterns, size_t n, int flags)
{
	for (size_t i = 0; i < n; i++)
		if (fnmatch(patterns[i], name, flags) == 0)
			return true;
	return false;
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool text_of(struct slice s, char *out, size_t size)
{
	if (s.len >= size || memchr(s.data, '\0', s.len) != NULL)
		return false;
	memcpy(out, s.data, s.len);
	out[s.len] = '\0';
	return true;
}

static void copy_headers(const struct engine *e, struct request *r)
{
	struct slice rest = r->m.headers, name, value;
	char text[256];

	while (pairs_next(&rest, &name, &value)) {
		if (!text_of(name, text, sizeof(text)) ||
			(matches(text, never_copied, COUNT(never_copied), FNM_CASEFOLD) && !MUTANT(35)))
			continue;
		if (MUTANT(35) || matches(text, always_copied, COUNT(always_copied), FNM_CASEFOLD) ||
			matches(text, e->cfg.copy_headers, e->cfg.ncopy_headers, FNM_CASEFOLD))
			pairs_add(&r->copied, name, value);
	}
}

static void fill_request_id(const struct engine *e, struct request *r)
{
	if (r->fields.request_id.len > 0)
		return;
	/* Kept in the request's own memory: scratch never moves once the fields were read. */
	request_made_id(e, r->m.source, r->made_id);
	r->fields.request_id = slice_of(r->made_id);
}

static void fill_session_id(struct request *r)
{
	struct slice key = r->m.key;

	if (r->fields.session_id.data == NULL && key.len >= 1 && key.len <= SESSION_ID_MAX && slice_is_utf8(key))
		r->fields.session_id = key;
}

/* The client's own time: the earlier of its deadline and timestamp + timeout. */
static void set_deadline(const struct engine *e, struct request *r)
{
	int64_t begin = r->m.timestamp_ms >= 0 ? r->m.timestamp_ms : wall_ms(e), until = INT64_MAX;

	if (r->fields.timeout_ms >= 0 && __builtin_add_overflow(begin, r->fields.timeout_ms, &until))
		until = INT64_MAX; /* both are the client's to choose */
	if (r->fields.deadline_ms >= 0 && r->fields.deadline_ms < until)
		until = r->fields.deadline_ms;
	if (until < INT64_MAX / 4000 && !MUTANT(17))
		r->deadline = (until - e->wall_offset_ms) * MS_US;
}

static void reject(struct engine *e, struct request *r, const char *code, const char *message, bool dead)
{
	struct outcome o = outcome_of(r->fields.encoding, STATUS_REJECTED, code, message);

	fill_request_id(e, r);
	o.dead = dead;
	result_publish(e, r, &o);
}

/* What was asked is right; it cannot be done now. */
static void reject_for_now(struct engine *e, struct request *r, const char *code, const char *message, int64_t retry_after_ms)
{
	struct outcome o = outcome_of(r->fields.encoding, STATUS_REJECTED, code, message);

	o.retriable = true;
	o.retry_after_ms = retry_after_ms;
	result_publish(e, r, &o);
}

static bool within_limit(struct engine *e, struct request *r)
{
	size_t size = r->m.key.len + r->m.value.len + r->m.headers.len;
	char message[128];

	if (size <= e->cfg.request_limit)
		return true;
	snprintf(message, sizeof(message), "the record has %zu bytes, with its key and headers; limits.request allows %llu", size,
		(unsigned long long)e->cfg.request_limit);
	echo_bound(r);
	reject(e, r, "TOO_LARGE", message, true);
	return false;
}

/* Looked at before and after the fields are known: what cannot be repeated is no matter of the encoding. */
static bool repeatable(struct engine *e, struct request *r)
{
	size_t size = echo_size(r);
	char message[192];

	if (size <= ECHO_MAX)
		return true;
	snprintf(message, sizeof(message),
		"key, copied headers, attributes, request_id, session_id and command have %zu bytes together; results repeat them, so %d are allowed",
		size, ECHO_MAX);
	echo_bound(r);
	reject(e, r, "TOO_LARGE", message, true);
	return false;
}

static bool decode(struct engine *e, struct request *r)
{
	struct fault why = {0};

	if (r->m.value.data == NULL) {
		reject(e, r, "TOMBSTONE", "the record has no value: a request is a JSON object or an Avro ProgramRequest", false);
		return false;
	}
	if (codec_read_request(e->codec, r->m.value, &r->scratch, &r->fields, &why))
		return true;
	memset(&r->fields, 0, sizeof(r->fields));
	r->fields.encoding = why.encoding;
	r->fields.request_id = why.request_id;
	r->fields.timeout_ms = r->fields.deadline_ms = TIME_NONE;
	echo_bound(r);
	reject(e, r, why.code, why.message, !why.of_field);
	return false;
}

static const char *refusal_of_cancel(struct request *r, char *message, size_t size)
{
	struct buf id;
	bool named;

	if (r->m.key.data == NULL) {
		snprintf(message, size, "cancel needs the record key of the request that it is to end");
		return "KEY_REQUIRED";
	}
	buf_init(&id, SIZE_MAX);
	named = cancel_reads(r, &id);
	buf_free(&id);
	if (!named) {
		snprintf(message, size, "cancel needs args {\"request_id\": \"...\"}");
		return "INVALID_ARGS";
	}
	r->cancels = true;
	return NULL;
}

/* NULL: allowed. Else the code, with a message. */
static const char *refusal(const struct engine *e, struct request *r, char *message, size_t size)
{
	const struct source_config *from = &e->cfg.sources[r->m.source.tp.topic];
	const char *pool = e->cfg.pools[from->pool].name;
	char command[256];

	if (!text_of(r->fields.command, command, sizeof(command)) || command[0] == '\0') {
		snprintf(message, size, "command must have 1 to 255 bytes");
		return "INVALID_COMMAND";
	}
	if (r->fields.session_id.data != NULL && (r->fields.session_id.len < 1 || r->fields.session_id.len > SESSION_ID_MAX)) {
		snprintf(message, size, "session_id must have 1 to %d bytes; it has %zu", SESSION_ID_MAX,
			r->fields.session_id.len);
		return "INVALID_SESSION_ID";
	}
	if (r->fields.pool.data != NULL && !slice_is(r->fields.pool, pool)) {
		snprintf(message, size, "this topic serves the pool %s only; leave `pool` out or name that one", pool);
		return "POOL_NOT_ALLOWED";
	}
	if (matches(command, reserved_commands, COUNT(reserved_commands), 0)) {
		snprintf(message, size, "%s is bridgepool's own command to its workers", command);
		return "RESERVED_COMMAND";
	}
	if (strcmp(command, "cancel") == 0)
		return refusal_of_cancel(r, message, size);
	if (strcmp(command, "end_session") == 0) {
		r->ends_session = true;
		if (r->fields.session_id.data != NULL)
			return NULL;
		snprintf(message, size, "end_session needs a session_id");
		return "SESSION_REQUIRED";
	}
	if (matches(command, from->commands, from->ncommands, 0))
		return NULL;
	snprintf(message, size, "the source's `commands` do not allow %.200s", command);
	return "COMMAND_NOT_ALLOWED";
}

static void tell_violation(struct engine *e, struct session *s, const struct partition *p)
{
	struct note n = {.kind = NOTE_AFFINITY_VIOLATION, .tp = p->tp, .reason = session_id(s)};

	n.count = (int64_t)++e->counters.affinity_violations;
	if (s->told)
		return;
	s->told = true;
	engine_note(e, &n);
}

/* It names a state, and its session is not known here: no other has to make room for that answer. */
static bool names_unknown_state(const struct engine *e, const struct request *r)
{
	return r->fields.session_epoch.data != NULL && e->pools[r->pool].cfg.state == POOL_STATE_MEMORY && !MUTANT(32);
}

/* NULL: the request has ended: the state that it names is gone, or the pool is full of sessions in use. */
static struct session *session_for(struct engine *e, struct partition *p, struct request *r)
{
	struct session *s;

	if (r->fields.session_id.data == NULL && names_unknown_state(e, r)) { /* without a session there is none */
		result_dead_epoch(e, r);
		return NULL;
	}
	if (r->fields.session_id.data == NULL)
		return session_new(e, r->pool, (struct slice){NULL, 0}, NULL);
	s = session_find(&e->sessions, r->pool, r->fields.session_id);
	if (s != NULL && session_homeless(s)) {
		session_leave(e, s); /* its partition was elsewhere: that state is over */
		s = session_find(&e->sessions, r->pool, r->fields.session_id);
		if (s != NULL)
			session_home(s, p);
	}
	if (s != NULL) {
		if (s->home != p)
			tell_violation(e, s, p);
		return s;
	}
	if (names_unknown_state(e, r)) {
		result_dead_epoch(e, r);
		return NULL;
	}
	if (!r->ends_session && !pool_make_room(e, &e->pools[r->pool])) {
		reject_for_now(e, r, "SESSION_LIMIT",
			"max_sessions of this pool is reached and every session is in use; send it again later", TIME_NONE);
		return NULL;
	}
	return session_new(e, r->pool, r->fields.session_id, p);
}

static bool pool_is_full(const struct engine *e, const struct request *r)
{
	const struct pool *pool = &e->pools[r->pool];

	return !r->ends_session && pool->cfg.max_queued > 0 && pool->queued >= pool->cfg.max_queued;
}

static bool session_is_full(const struct engine *e, const struct session *s, const struct request *r)
{
	uint64_t most = e->pools[r->pool].cfg.max_queued_per_session, n = 0;
	const struct request *other;

	if (r->ends_session || most == 0 || s->anonymous)
		return false;
	TAILQ_FOREACH (other, &s->requests, line)
		if (++n + (MUTANT(59) ? 1 : 0) >= most)
			return true;
	return false;
}

void intake_take(struct engine *e, struct partition *p, struct request *r)
{
	struct outcome poison;
	char message[512];
	const char *code;
	struct session *s;

	r->pool = e->cfg.sources[r->m.source.tp.topic].pool;
	r->fields.timeout_ms = r->fields.deadline_ms = TIME_NONE;
	r->fields.encoding = ENCODING_JSON;
	copy_headers(e, r);
	if (!within_limit(e, r) || !repeatable(e, r) || !decode(e, r))
		return;
	fill_request_id(e, r);
	fill_session_id(r);
	if (!repeatable(e, r))
		return;
	set_deadline(e, r);
	request_recharge(e, r);
	if ((code = refusal(e, r, message, sizeof(message))) != NULL) {
		reject(e, r, code, message, false);
		return;
	}
	if (r->cancels) {
		cancel_serve(e, p, r);
		return;
	}
	if (e->pools[r->pool].circuit.state == CIRCUIT_OPEN && e->pools[r->pool].cfg.circuit_rejects) {
		reject_for_now(e, r, "pool_unavailable",
			"the workers of its pool fail one after the other; the pool is tried again after a while",
			circuit_wait_ms(e, &e->pools[r->pool]));
		return;
	}
	r->kills = MUTANT(19) ? 0 : partition_kills(p, r->m.source.offset);
	r->alone = r->kills > 0;
	if (r->kills >= POISON_KILLS) {
		poison = outcome_of(MUTANT(44) ? ENCODING_AVRO : r->fields.encoding, STATUS_WORKER_LOST, "POISON",
			"this request killed its worker each time it ran alone, also before this instance took over");
		poison.dead = true;
		result_publish(e, r, &poison);
		return;
	}
	if (pool_is_full(e, r)) {
		reject_for_now(e, r, "POOL_QUEUE_FULL", "max_queued requests of this pool wait already; send it again later",
			TIME_NONE);
		return;
	}
	s = session_for(e, p, r);
	if (s == NULL)
		return;
	if (session_is_full(e, s, r)) {
		reject_for_now(e, r, "SESSION_QUEUE_FULL",
			"max_queued_per_session requests of this session wait or run already; send it again later", TIME_NONE);
		return;
	}
	request_place(e, r, PLACE_QUEUED);
	r->session = s;
	TAILQ_INSERT_TAIL(&s->requests, r, line);
	request_arm(e, r);
	if (s->state == SESSION_NEW || s->state == SESSION_IDLE)
		session_next(e, s);
}
