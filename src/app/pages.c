/* pages.c: see pages.h. One table of paths. */
#include "pages.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/clock.h"
#include "bridgepool/base/log.h"
#include "bridgepool/kafka/admin.h"
#include "bridgepool/ops/status.h"

static const char json_type[] = "application/json; charset=utf-8";
static const char schema_prefix[] = "/schemas/";

static void process_facts(const struct pages *p, struct process_facts *f)
{
	*f = (struct process_facts){
		.version = BRIDGEPOOL_VERSION,
		.library = admin_library_version(),
		.instance_id = p->identity->instance,
		.started_s = p->started_s,
		.now_s = (double)clock_wall_ms() / 1000,
		.health_dropped = flow_health_dropped(p->flow),
		.state = p->state,
	};
	metrics_process(f);
}

static void page_metrics(const struct pages *p, const struct http_query *q, struct http_answer *a)
{
	struct process_facts facts;
	struct snapshot s;

	(void)q;
	process_facts(p, &facts);
	engine_snapshot(flow_engine(p->flow), clock_mono_us(), &s);
	metrics_write(&s, &facts, a->body);
	metrics_write_workers(flow_engine(p->flow), s.npools, clock_mono_us(), a->body);
	snapshot_free(&s);
	a->type = metrics_content_type;
}

/* The loop turns, or nobody would answer. */
static void page_live(const struct pages *p, const struct http_query *q, struct http_answer *a)
{
	(void)p, (void)q;
	buf_text(a->body, "ok\n");
}

bool pages_readiness(const struct pages *p, const char *pool, struct buf *out)
{
	bool ready = p->state == HEALTH_READY && p->joined && !pool;

	if (ready)
		buf_text(out, "ok\n");
	else if (p->state == HEALTH_UNAVAILABLE)
		buf_printf(out, "the instance is %s: no broker answers: %s\n", health_state_name(p->state), p->state_why);
	else if (p->state != HEALTH_READY)
		buf_printf(out, "the instance is %s\n", health_state_name(p->state));
	else if (!p->joined && *p->out_why)
		buf_printf(out, "the instance is not in the group: %s\n", p->out_why);
	else if (!p->joined)
		buf_text(out, "the group was not joined yet\n");
	else
		buf_printf(out, "%s\n", pool);
	return ready;
}

static void page_ready(const struct pages *p, const struct http_query *q, struct http_answer *a)
{
	char why[256];
	bool good = engine_ready_why(flow_engine(p->flow), clock_mono_us(), why, sizeof why);

	(void)q;
	a->status = pages_readiness(p, good ? NULL : why, a->body) ? HTTP_OK : HTTP_UNAVAILABLE;
}

static void page_status(const struct pages *p, const struct http_query *q, struct http_answer *a)
{
	const struct engine *e = flow_engine(p->flow);
	static const char *const arguments[] = {"session", "request", NULL};
	struct slice session = http_argument(q, "session"), request = http_argument(q, "request"),
		     unknown = http_unknown_argument(q, arguments);
	int64_t now = clock_mono_us();
	struct process_facts facts;
	bool known = true;

	a->type = json_type;
	if (unknown.data) {
		status_write_unknown_argument(unknown, arguments, a->body);
		a->status = HTTP_BAD_REQUEST;
	} else if (session.data) {
		known = status_write_session(e, now, session, a->body);
	} else if (request.data) {
		known = status_write_request(e, now, request, a->body);
	} else {
		process_facts(p, &facts);
		status_write(e, now, &(struct status_facts){&facts, p->settings->kafka.group, p->identity->host, clock_wall_ms()},
			a->body);
	}
	if (!known)
		a->status = HTTP_NOT_FOUND;
}

static const char *const schema_names[] = {"ProgramRequest", "ProgramResult", "HealthEvent", "DeadLetter"};
enum { SCHEMAS = sizeof schema_names / sizeof *schema_names };

static void page_schemas(const struct pages *p, const struct http_query *q, struct http_answer *a)
{
	bool ok;

	(void)p, (void)q;
	a->type = json_type;
	for (int i = 0; i < SCHEMAS; i++)
		buf_printf(a->body, "%s\"%s\":\"%016" PRIx64 "\"", i ? "," : "{", schema_names[i],
			codec_fingerprint(codec_schema(schema_names[i]), &ok));
	buf_text(a->body, "}\n");
}

static void page_schema(const struct pages *p, const struct http_query *q, struct http_answer *a)
{
	const char *wanted = http_path(q) + strlen(schema_prefix);
	char *end;
	uint64_t fingerprint = strtoull(wanted, &end, 16);
	bool ok;

	(void)p;
	for (int i = 0; strlen(wanted) == 16 && !*end && i < SCHEMAS; i++)
		if (codec_fingerprint(codec_schema(schema_names[i]), &ok) == fingerprint) {
			a->type = json_type;
			buf_text(a->body, codec_schema(schema_names[i]));
			return;
		}
	a->status = HTTP_NOT_FOUND;
	buf_text(a->body, "no schema of ours has that CRC-64-AVRO fingerprint (16 hexadecimal digits); /schemas lists them\n");
}

static void page_index(const struct pages *p, const struct http_query *q, struct http_answer *a);

static const struct page {
	const char *path;
	void (*answer)(const struct pages *p, const struct http_query *q, struct http_answer *a);
	const char *help;
} table[] = {
	{"/", page_index, "this list"},
	{"/livez", page_live, "200 while the daemon's loop turns"},
	{"/readyz", page_ready, "200 while all pools can work and the group is joined, else 503 and why"},
	{"/status", page_status,
		"instance, pools, workers, partitions as JSON; ?session=ID or ?request=ID: where that one is, and what it waits for"},
	{"/metrics", page_metrics, "for Prometheus"},
	{"/schemas", page_schemas, "names and fingerprints; /schemas/FINGERPRINT: the Avro schema"},
};

static void page_index(const struct pages *p, const struct http_query *q, struct http_answer *a)
{
	(void)p, (void)q;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		buf_printf(a->body, "%-10s %s\n", table[i].path, table[i].help);
}

static void on_answer(void *ctx, const struct http_query *q, struct http_answer *a)
{
	const struct pages *p = ctx;
	const char *path = http_path(q);

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (strcmp(table[i].path, path) == 0) {
			table[i].answer(p, q, a);
			return;
		}
	if (strncmp(path, schema_prefix, strlen(schema_prefix)) == 0) {
		page_schema(p, q, a);
		return;
	}
	a->status = HTTP_NOT_FOUND;
	buf_text(a->body, "not here; there are:\n");
	page_index(p, q, a);
}

void pages_open(struct pages *p, uv_loop_t *loop)
{
	const struct http_config c = {.listen = p->settings->http.listen, .ctx = p, .answer = on_answer};
	struct log_word url = {.name = "url"};
	char why[256], text[128];

	p->started_s = (double)clock_wall_ms() / 1000;
	if (!*c.listen)
		return;
	p->http = http_new(loop, &c, why, sizeof why);
	if (!p->http) {
		log_line(LOG_WARN, "http_unavailable", "no status and metrics over HTTP: %s", why);
		return;
	}
	snprintf(text, sizeof text, "http://%s/", http_address(p->http));
	url.text = slice_of(text);
	log_write(&(struct log_entry){
		.level = LOG_INFO,
		.event = "http",
		.sentence = SLICE("status and metrics are served"),
		.words = &url,
		.nwords = 1,
	});
}

void pages_close(struct pages *p)
{
	if (p->http)
		http_close(p->http);
	p->http = NULL;
}
