/* cancel.c: see cancel.h. */
#include "cancel.h"

#include "bridgepool/wire/json.h"
#include "mutant.h"
#include "patience.h"
#include "result.h"
#include "state.h"

/* The first that has that ID: of what waits undecoded nobody knows it, but such a cancel waits behind it. */
static struct request *find(const struct partition *p, const struct request *cancel, struct slice id)
{
	struct request *r;

	TAILQ_FOREACH (r, &p->requests, of_partition)
		if (r->session != NULL && slice_equal(r->fields.request_id, id) &&
			(slice_equal(r->m.key, cancel->m.key) || MUTANT(57)))
			return r;
	return NULL;
}

static void answer(struct engine *e, struct request *cancel, struct slice id, const char *was)
{
	struct outcome o = outcome_of(cancel->fields.encoding, STATUS_OK, NULL, NULL);
	struct buf text;

	buf_init(&text, SIZE_MAX);
	buf_text(&text, "{\"request_id\":");
	json_quote(&text, id);
	buf_text(&text, ",\"was\":\"");
	buf_text(&text, was);
	buf_text(&text, "\"}");
	o.result = buf_slice(&text);
	result_publish(e, cancel, &o);
	buf_free(&text);
}

static void not_found(struct engine *e, struct request *cancel)
{
	const struct outcome o = outcome_of(cancel->fields.encoding, STATUS_ERROR, "request_not_found",
		"no request of this key has that request_id here: it has ended, or never came, or has another key");

	result_publish(e, cancel, &o);
}

bool cancel_reads(const struct request *cancel, struct buf *id)
{
	struct json_member member = {.name = "request_id"};
	char why[128];

	return cancel->fields.args.data != NULL &&
	       json_read_object(cancel->fields.args, &member, 1, JSON_MAX_DEPTH, why, sizeof(why)) &&
	       member.kind == JSON_KIND_STRING && json_unescape(member.value, id) && id->len > 0;
}

void cancel_serve(struct engine *e, struct partition *p, struct request *cancel)
{
	static const char *const places[PLACES] = {
		[PLACE_QUEUED] = "queued",
		[PLACE_RUNNING] = "running",
		[PLACE_WAITING] = "waiting",
	};
	struct request *target;
	const char *was;
	struct buf id;

	buf_init(&id, e->cfg.request_limit);
	CHECK(cancel_reads(cancel, &id));
	target = find(p, cancel, buf_slice(&id));
	if (target == NULL) {
		not_found(e, cancel);
	} else {
		was = places[target->place];
		if (!MUTANT(58))
			patience_cancelled(e, target);
		answer(e, cancel, buf_slice(&id), was);
	}
	buf_free(&id);
}
