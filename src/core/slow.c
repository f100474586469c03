/* slow.c: see slow.h. */
#include "slow.h"

#include <inttypes.h>
#include <stdio.h>

#include "state.h"

enum { ID_MOST = 64 };

static int shown(struct slice s)
{
	return s.len < ID_MOST ? (int)s.len : ID_MOST;
}

static const char *text_of(struct slice s)
{
	return s.data ? (const char *)s.data : "";
}

void slow_told(struct engine *e, const struct request *r, const struct outcome *o, const struct timings *t)
{
	const struct request_fields *f = &r->fields;
	int64_t total = t->broker_us + t->session_wait_us + t->worker_wait_us + t->retry_wait_us + t->run_us;
	char text[768];
	struct note n = {
		.kind = NOTE_REQUEST_SLOW,
		.worker = {r->pool, 0, 0},
		.has_pool = true,
		.count = total / MS_US,
	};

	if (e->cfg.slow_us == 0 || total < e->cfg.slow_us)
		return;
	snprintf(text, sizeof(text),
		"request %.*s%s%.*s%s%.*s, worker %s: %s after %" PRIu32 " attempts; ms in broker %" PRId64
		", behind its session %" PRId64 ", for a worker %" PRId64 ", between attempts %" PRId64 ", running %" PRId64,
		shown(f->request_id), text_of(f->request_id), f->session_id.len ? " of session " : "", shown(f->session_id),
		text_of(f->session_id), f->command.len ? ", command " : "", shown(f->command), text_of(f->command),
		o->worker ? o->worker->name : "none", status_name(o->status), r->attempts, t->broker_us / MS_US,
		t->session_wait_us / MS_US, t->worker_wait_us / MS_US, t->retry_wait_us / MS_US, t->run_us / MS_US);
	n.reason = slice_of(text);
	engine_note_of(e, r->partition, &n);
}
