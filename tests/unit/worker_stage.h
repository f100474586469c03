/* worker_stage.h: a loop, an adapter and all that its workers were seen to do, for the tests of the worker room. */
#ifndef WORKER_STAGE_H
#define WORKER_STAGE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "bridgepool/base/check.h"
#include "bridgepool/wire/record.h"
#include "bridgepool/worker/adapter.h"

enum { STAGE_WORKERS = 8, STAGE_FAULTS = 4, STAGE_PATIENCE_MS = 30000 };

struct stage_answer {
	uint64_t id;
	bool has_id;
	enum answer_kind kind;
	char *payload, *code; /* copies; NULL: absent */
	size_t payload_len;
	uint32_t concurrency, capabilities;
};

/* One slot, over all its generations. */
struct stage_seen {
	int started, gone, lines, looks;
	int pid;
	uint64_t memory; /* as it was told last */
	struct {
		enum worker_fault kind;
		char detail[1024];
	} faults[STAGE_FAULTS];
	int nfaults;
	struct stage_answer *answers;
	size_t nanswers;
	struct exit_report exit;
	char last[2048];  /* of the exit report */
	char line[16384]; /* the last one */
	size_t line_len;
	char text[65536]; /* the first of them, each with a newline */
	size_t text_len;
};

struct stage {
	uv_loop_t loop;
	uv_timer_t patience;
	struct adapter *adapter;
	struct stage_seen seen[STAGE_WORKERS];
	bool inside;    /* an adapter_ function runs: no event may come */
	bool impatient; /* the event that was waited for did not come */
	uint64_t next_id;
	char errstr[1024];
};

static inline struct stage_seen *stage_event(struct stage *s, struct slot_ref w)
{
	ck_assert_msg(!s->inside, "an event came from inside an adapter_ function");
	ck_assert_uint_lt(w.slot, STAGE_WORKERS);
	ck_assert_msg(w.generation > (uint32_t)s->seen[w.slot].gone, "an event came after the last word of its worker");
	return &s->seen[w.slot];
}

static inline void stage_on_started(void *ctx, struct slot_ref w, int pid)
{
	struct stage_seen *seen = stage_event(ctx, w);

	seen->started++;
	seen->pid = pid;
}

static inline char *stage_copy(struct slice s)
{
	char *copy = s.data ? xmalloc(s.len + 1) : NULL;

	if (copy) {
		memcpy(copy, s.data, s.len);
		copy[s.len] = '\0';
	}
	return copy;
}

static inline void stage_on_answer(void *ctx, struct slot_ref w, const struct answer *a)
{
	struct stage_seen *seen = stage_event(ctx, w);

	seen->answers = xrealloc(seen->answers, (seen->nanswers + 1) * sizeof *seen->answers);
	seen->answers[seen->nanswers++] = (struct stage_answer){a->id, a->has_id, a->kind, stage_copy(a->payload),
		stage_copy(a->code), a->payload.len, a->concurrency, a->capabilities};
}

static inline void stage_on_fault(void *ctx, struct slot_ref w, enum worker_fault f, struct slice detail)
{
	struct stage_seen *seen = stage_event(ctx, w);

	ck_assert_int_lt(seen->nfaults, STAGE_FAULTS);
	seen->faults[seen->nfaults].kind = f;
	snprintf(seen->faults[seen->nfaults].detail, sizeof seen->faults[0].detail, "%.*s", (int)detail.len,
		detail.data ? (const char *)detail.data : "");
	seen->nfaults++;
}

static inline void stage_on_gone(void *ctx, struct slot_ref w, const struct exit_report *x)
{
	struct stage_seen *seen = stage_event(ctx, w);

	seen->gone++;
	seen->exit = *x;
	snprintf(seen->last, sizeof seen->last, "%.*s", (int)x->last.len, x->last.data ? (const char *)x->last.data : "");
}

static inline void stage_on_line(void *ctx, struct slot_ref w, struct slice line)
{
	struct stage_seen *seen = stage_event(ctx, w);

	seen->lines++;
	ck_assert_uint_lt(line.len, sizeof seen->line);
	memcpy(seen->line, line.data, line.len);
	seen->line[line.len] = '\0';
	seen->line_len = line.len;
	if (seen->text_len + line.len + 2 > sizeof seen->text)
		return;
	memcpy(seen->text + seen->text_len, line.data, line.len);
	seen->text_len += line.len;
	seen->text[seen->text_len++] = '\n';
	seen->text[seen->text_len] = '\0';
}

static inline void stage_on_memory(void *ctx, struct slot_ref w, uint64_t bytes)
{
	struct stage_seen *seen = stage_event(ctx, w);

	seen->looks++;
	seen->memory = bytes;
}

static inline void stage_on_patience(uv_timer_t *timer)
{
	((struct stage *)timer->data)->impatient = true;
}

static inline const char *stage_path(const char *below_build)
{
	static char path[2][4096];
	static int which;
	const char *build = getenv("BUILD_DIR");

	ck_assert_msg(build != NULL, "BUILD_DIR is not set: run this by ctest");
	which = !which;
	snprintf(path[which], sizeof path[which], "%s/%s", build, below_build);
	return path[which];
}

#define STAGE_GUARD "src/guard/bridgepool-guard"
#define STAGE_MOCK "src/worker/mock-worker"

/* The adapter is NULL if it could not be made; errstr says why. */
static inline void stage_open(struct stage *s, const struct adapter_config *c)
{
	const struct worker_events ev = {s, stage_on_started, stage_on_answer, stage_on_fault, stage_on_gone, stage_on_line,
		stage_on_memory};
	struct adapter_config full = *c;
	char guard[4096];

	memset(s, 0, sizeof *s);
	snprintf(guard, sizeof guard, "%s", stage_path(STAGE_GUARD));
	full.guard_path = c->guard_path ? c->guard_path : guard;
	full.pool_name = "test";
	if (!full.max_frame_bytes)
		full.max_frame_bytes = 4 << 20;
	ck_assert_int_eq(uv_loop_init(&s->loop), 0);
	uv_timer_init(&s->loop, &s->patience);
	s->patience.data = s;
	s->adapter = adapter_new(&s->loop, &full, &ev, s->errstr, sizeof s->errstr);
}

/* mock-worker with up to seven options; ends with NULL. */
static inline void stage_open_mock(struct stage *s, const char *const *options)
{
	const char *command[10] = {stage_path(STAGE_MOCK)};
	static const char *const pass[] = {"*SAN_OPTIONS", NULL};
	struct adapter_config c = {.kind = "process", .command = command, .pass = pass};

	for (int i = 0; options && options[i]; i++)
		command[i + 1] = options[i];
	stage_open(s, &c);
	ck_assert_msg(s->adapter != NULL, "%s", s->errstr);
}

#define stage_wait(s, condition)                                                                                \
	do {                                                                                                    \
		(s)->impatient = false;                                                                         \
		uv_timer_start(&(s)->patience, stage_on_patience, STAGE_PATIENCE_MS, 0);                        \
		while (!(condition)) {                                                                          \
			uv_run(&(s)->loop, UV_RUN_ONCE);                                                        \
			ck_assert_msg(!(s)->impatient, "this was waited for and did not come: %s", #condition); \
		}                                                                                               \
		uv_timer_stop(&(s)->patience);                                                                  \
	} while (0)

static inline struct slot_ref stage_slot(uint16_t slot)
{
	return (struct slot_ref){0, slot, 1};
}

static inline void stage_start_only(struct stage *s, uint16_t slot)
{
	s->inside = true;
	adapter_start(s->adapter, stage_slot(slot));
	s->inside = false;
}

static inline void stage_start(struct stage *s, uint16_t slot)
{
	stage_start_only(s, slot);
	stage_wait(s, s->seen[slot].started);
}

static inline uint64_t stage_say(struct stage *s, uint16_t slot, struct call c)
{
	c.id = ++s->next_id;
	c.remaining_ms = TIME_NONE;
	c.sent_wall_ms = 0;
	s->inside = true;
	adapter_call(s->adapter, stage_slot(slot), &c);
	s->inside = false;
	return c.id;
}

static inline uint64_t stage_request(struct stage *s, uint16_t slot, const char *command, struct slice args)
{
	return stage_say(s, slot, (struct call){.kind = CALL_REQUEST, .command = slice_of(command), .args = args});
}

static inline void stage_flush(struct stage *s)
{
	s->inside = true;
	adapter_flush(s->adapter);
	s->inside = false;
}

static inline void stage_stop(struct stage *s, uint16_t slot, enum stop_step step)
{
	s->inside = true;
	adapter_stop(s->adapter, stage_slot(slot), step);
	s->inside = false;
}

static inline const struct stage_answer *stage_find(const struct stage_seen *seen, uint64_t id)
{
	for (size_t i = 0; i < seen->nanswers; i++) {
		if (seen->answers[i].has_id && seen->answers[i].id == id)
			return &seen->answers[i];
	}
	return NULL;
}

/* One request and its answer. */
static inline const struct stage_answer *stage_ask(struct stage *s, uint16_t slot, const char *command, struct slice args)
{
	uint64_t id = stage_request(s, slot, command, args);

	stage_flush(s);
	stage_wait(s, stage_find(&s->seen[slot], id));
	return stage_find(&s->seen[slot], id);
}

static inline int stage_parent(int pid)
{
	char path[64], text[256];
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_nonnull(fgets(text, sizeof text, f));
	fclose(f);
	ck_assert_int_eq(sscanf(strrchr(text, ')'), ") %*c %d", &parent), 1);
	return parent;
}

static inline void stage_close(struct stage *s)
{
	if (s->adapter)
		adapter_close(s->adapter);
	uv_close((uv_handle_t *)&s->patience, NULL);
	s->inside = true; /* no event after close */
	uv_run(&s->loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&s->loop), 0);
	for (int i = 0; i < STAGE_WORKERS; i++) {
		for (size_t k = 0; k < s->seen[i].nanswers; k++) {
			free(s->seen[i].answers[k].payload);
			free(s->seen[i].answers[k].code);
		}
		free(s->seen[i].answers);
	}
}

static inline int stage_main(const char *name, TCase *cases)
{
	Suite *suite = suite_create(name);
	SRunner *runner;
	int failed;

	tcase_set_timeout(cases, 60);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
