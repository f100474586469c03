/* result.c: see result.h. */
#include "result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/wire/pairs.h"
#include "mutant.h"
#include "partials.h"
#include "slow.h"
#include "state.h"

/* Above TWIN_ABOVE a result gets a small twin, published instead where the topic's limit turns out to be lower than ours.
 * SAID_MAX: bytes of an error's code or message in the headers of a dead letter, and of the usage in a twin; NOTED_MAX: in a
 * note. */
enum { TWIN_ABOVE = 8192, SAID_MAX = 4096, NOTED_MAX = 300, SCRATCH_KEPT = 65536 };

struct outcome outcome_of(enum encoding encoding, enum status status, const char *code, const char *message)
{
	return (struct outcome){
		.status = status,
		.code = code,
		.message = message,
		.encoding = encoding,
		.retry_after_ms = TIME_NONE,
	};
}

/* All codes under which dead letters are counted. They count from 0 on: of a counter that begins with 1 a monitoring system sees
 * no increase. */
static const char *const dead_codes[] = {
	"INVALID_ENCODING",
	"INVALID_RECORD",
	"POISON",
	"TOO_LARGE",
	"UNKNOWN_SCHEMA",
	"UNSUPPORTED_ENCODING",
	"WORKER_LOST",
	"worker",
};

void result_count_dead(struct tally *t)
{
	for (size_t i = 0; i < sizeof(dead_codes) / sizeof(*dead_codes); i++)
		tally_begin(t, slice_of(dead_codes[i]));
}

static int bucket_of(int64_t us)
{
	int i = 0;

	while (i < DURATION_BUCKETS - 1 && us > duration_edge_ms[i] * MS_US)
		i++;
	return i;
}

static void count_times(struct pool *p, const struct timings *t)
{
	const int64_t us[PHASES] = {t->broker_us, t->session_wait_us, t->worker_wait_us, t->retry_wait_us, t->run_us,
		t->broker_us + t->session_wait_us + t->worker_wait_us + t->retry_wait_us + t->run_us};

	for (int i = 0; i < PHASES; i++) {
		p->times[i].bucket[bucket_of(us[i])]++;
		p->times[i].count++;
		p->times[i].sum_s += (double)us[i] / 1e6;
	}
}

static struct timings timings_of(const struct engine *e, const struct request *r)
{
	int64_t broker_ms = r->received / MS_US + e->wall_offset_ms - r->m.timestamp_ms;
	struct timings t = r->timings;

	t.broker_us = r->m.timestamp_ms >= 0 && broker_ms > 0 ? broker_ms * MS_US : 0;
	return t;
}

/* The label that a request counts under: what was rejected, or what no worker knows, may name anything. */
static struct slice command_of(const struct pool *p, const struct request *r, const struct outcome *o)
{
	bool unknown = o->status == STATUS_ERROR && slice_is(o->code_said, "UNKNOWN_COMMAND");

	if ((o->status != STATUS_REJECTED && !unknown) || tally_knows(&p->commands, r->fields.command))
		return r->fields.command;
	return unknown ? SLICE("(unknown)") : SLICE("(rejected)");
}

static void count_request(struct engine *e, const struct request *r, const struct outcome *o)
{
	struct pool *p = &e->pools[r->pool];
	const struct timings t = timings_of(e, r);

	p->finished[o->status]++;
	tally_add(&p->commands, command_of(p, r, o), o->status);
	if (o->dead)
		tally_add(&e->dead_letters, o->code_said.data ? SLICE("worker") : slice_of(o->code), STATUS_UNKNOWN);
	count_times(p, &t);
	slow_told(e, r, o, &t);
}

static void fill_error(struct result_fields *f, const struct outcome *o)
{
	f->error.code = o->code_said.data ? o->code_said : slice_of(o->code);
	f->error.message = o->code_said.data ? o->message_said : slice_of(o->message);
	f->error.retriable = o->retriable;
	f->error.retry_after_ms = o->retry_after_ms;
	f->error.details = o->details;
}

static void fill(struct engine *e, struct request *r, const struct outcome *o, struct result_fields *f,
	char epoch[EPOCH_TEXT_SIZE])
{
	const struct session *s = r->session;

	*f = (struct result_fields){
		.request_id = r->fields.request_id,
		.session_id = r->fields.session_id,
		.command = r->fields.command,
		.pool = slice_of(e->cfg.pools[r->pool].name),
		.status = o->status,
		.result = o->result,
		.instance_id = slice_of(e->cfg.instance_id),
		.attempts = (int32_t)r->attempts,
		.usage = o->usage,
		.source_topic = slice_of(e->cfg.sources[r->m.source.tp.topic].topic),
		.source_partition = r->m.source.tp.partition,
		.source_offset = r->m.source.offset,
		.part = partials_next(r),
		.final = true,
		.attributes = MUTANT(25) ? (struct slice){NULL, 0} : r->fields.attributes,
		.completed_at_ms = wall_ms(e),
	};
	if (f->command.data == NULL)
		f->command = SLICE("");
	f->timings = timings_of(e, r);
	fill_error(f, o);
	if (s != NULL && session_bound(e, s)) {
		epoch_text(s->epoch, epoch);
		f->session_epoch = slice_of(epoch);
		f->session_new = r->began && !MUTANT(24);
	}
	if (o->worker != NULL) {
		f->worker_id = slice_of(o->worker->name);
		f->worker_version = o->worker->version[0] ? slice_of(o->worker->version) : (struct slice){NULL, 0};
	}
}

static void add_twin(struct engine *e, struct outgoing *out, struct result_fields *f, enum encoding as)
{
	struct buf small;

	buf_init(&small, SIZE_MAX);
	f->status = STATUS_ERROR;
	f->result = f->error.details = (struct slice){NULL, 0};
	if (f->usage.len > SAID_MAX)
		f->usage = (struct slice){NULL, 0};
	f->error = (struct error_fields){
		.code = SLICE("RESULT_TOO_LARGE"),
		.retry_after_ms = TIME_NONE,
		.message = SLICE("the results topic refuses a record of this size: raise its max.message.bytes or answer less"),
	};
	CHECK(codec_write_result(e->codec, f, as, &small));
	out->twin = buf_take(&small, &out->twin_len);
}

/* Memory for records in the making; what one large record needed is not kept. */
static struct buf *scratch(struct buf *b)
{
	if (b->capacity > SCRATCH_KEPT)
		buf_free(b);
	buf_reset(b);
	return b;
}

static enum encoding result_encoding(const struct engine *e, const struct outcome *o)
{
	return e->cfg.results_encoding >= 0 ? (enum encoding)e->cfg.results_encoding : o->encoding;
}

static void add_headers(struct buf *headers, const struct request *r, enum encoding as)
{
	pairs_add(headers, SLICE("content-type"), slice_of(codec_content_type(as)));
	buf_add(headers, buf_slice(&r->copied));
}

static struct outgoing *make_result(struct engine *e, struct request *r, const struct outcome *o)
{
	enum encoding as = result_encoding(e, o);
	struct buf *value = scratch(&e->value), *headers = scratch(&e->headers);
	struct outgoing *out;
	struct result_fields f;
	char epoch[EPOCH_TEXT_SIZE];

	fill(e, r, o, &f, epoch);
	CHECK(codec_write_result(e->codec, &f, as, value));
	add_headers(headers, r, as);
	out = outgoing_new(RECORD_RESULT, r->key, buf_slice(value), buf_slice(headers));
	if (value->len > TWIN_ABOVE)
		add_twin(e, out, &f, as);
	return out;
}

static void add_number(struct buf *headers, const char *name, long long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", value);
	pairs_add(headers, slice_of(name), slice_of(text));
}

/* A worker may say much. */
static struct slice short_text(struct slice s)
{
	return slice_cut(s, SAID_MAX);
}

/* The original key, value and headers, byte for byte, and what happened. */
static struct outgoing *make_dead_letter(struct engine *e, const struct request *r, const struct outcome *o)
{
	struct buf *headers = scratch(&e->headers);
	struct outgoing *out;

	if (!MUTANT(36))
		buf_add(headers, r->m.headers);
	pairs_add(headers, SLICE("bridgepool.error.code"), short_text(o->code_said.data ? o->code_said : slice_of(o->code)));
	pairs_add(headers, SLICE("bridgepool.error.message"),
		short_text(o->code_said.data ? o->message_said : slice_of(o->message)));
	add_number(headers, "bridgepool.attempts", r->attempts);
	pairs_add(headers, SLICE("bridgepool.original.topic"), slice_of(e->cfg.sources[r->m.source.tp.topic].topic));
	add_number(headers, "bridgepool.original.partition", r->m.source.tp.partition);
	add_number(headers, "bridgepool.original.offset", r->m.source.offset);
	add_number(headers, "bridgepool.original.timestamp", r->m.timestamp_ms);
	pairs_add(headers, SLICE("bridgepool.instance"), slice_of(e->cfg.instance_id));
	out = outgoing_new(RECORD_DEAD_LETTER, r->m.key, r->m.value, buf_slice(headers));
	out->foreign_len = r->m.headers.len;
	return out;
}

void result_part(struct engine *e, struct request *r, struct slice values, uint32_t n, bool ahead)
{
	struct outcome o = outcome_of(r->fields.encoding, STATUS_OK, NULL, NULL);
	struct buf *value = scratch(&e->value), *headers = scratch(&e->headers), list;
	enum encoding as = result_encoding(e, &o);
	struct outgoing *out;
	struct result_fields f;
	char epoch[EPOCH_TEXT_SIZE];

	o.worker = r->session->call->slot;
	buf_init(&list, SIZE_MAX);
	buf_text(&list, "[");
	buf_add(&list, values);
	buf_text(&list, "]");
	fill(e, r, &o, &f, epoch);
	f.result = buf_slice(&list);
	f.final = false;
	CHECK(codec_write_result(e->codec, &f, as, value));
	buf_free(&list);
	add_headers(headers, r, as);
	out = outgoing_new(RECORD_RESULT, r->key, buf_slice(value), buf_slice(headers));
	out->pool = r->pool;
	out->values = n;
	outbox_add_part(e, out, r->partition->tp, ahead);
}

/* Refused or given up: who watches the log sees it too, and where to find it. */
static void tell_refusal(struct engine *e, const struct request *r, const struct outcome *o)
{
	struct result_fields f = {0};
	struct buf text;
	struct note n = {
		.kind = o->status == STATUS_REJECTED ? NOTE_REQUEST_REJECTED : NOTE_REQUEST_DEAD,
		.count = r->m.source.offset,
	};

	if (o->status != STATUS_REJECTED && !o->dead)
		return;
	fill_error(&f, o);
	buf_init(&text, SIZE_MAX);
	buf_add(&text, slice_cut(r->fields.request_id, NOTED_MAX));
	buf_text(&text, ": ");
	buf_add(&text, slice_cut(f.error.code, NOTED_MAX));
	buf_text(&text, ": ");
	buf_add(&text, slice_cut(f.error.message, NOTED_MAX));
	n.reason = buf_slice(&text);
	engine_note_of(e, r->partition, &n);
	buf_free(&text);
}

void result_publish(struct engine *e, struct request *r, const struct outcome *o)
{
	struct partition *p = r->partition;
	struct outgoing *dead;
	struct ticket *t;

	partials_end(e, r);
	t = outbox_ticket(e, p->tp, r->m.source.offset);
	dead = o->dead ? make_dead_letter(e, r, o) : NULL;

	if (r->place == PLACE_RUNNING)
		e->pools[r->pool].duration[bucket_of(e->now - r->since)]++;
	request_spend(e, r);
	count_request(e, r, o);
	tell_refusal(e, r, o);
	if (dead != NULL)
		outbox_add(e, dead, t);
	outbox_add(e, make_result(e, r, o), t);
	if (r->began)
		r->session->untold = false;
	request_drop(e, r);
	if (p->state == PARTITION_ACTIVE)
		partition_hold(e, p);
}

void result_session_lost(struct engine *e, struct request *r, const char *message)
{
	struct outcome o = outcome_of(r->fields.encoding, STATUS_SESSION_LOST, "SESSION_LOST", message);

	result_publish(e, r, &o);
}

void result_dead_epoch(struct engine *e, struct request *r)
{
	result_session_lost(e, r,
		"the session state that the request names lives no more: open the session again without session_epoch");
}
