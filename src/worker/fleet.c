/* fleet.c: the `process` kind of adapter: the child processes of one pool, found by slot and generation. */
#include "fleet.h"

#include <signal.h>
#include <stdlib.h>

#include "bridgepool/base/check.h"
#include "process.h"

enum {
	FRAME_DEFAULT = 16 << 20, /* max_frame_bytes where none is set */
	SCRATCH_MARGIN = 4096,    /* beyond a frame, for bridge_read */
	LOOK_AT = 8,              /* processes whose memory is read at a time */
	CLOSE_WAIT_MS = 5000,     /* for guards to kill what they guard, before adapter_close goes without them */
};

static struct fleet *fleet_of(struct adapter *a)
{
	return (struct fleet *)a;
}

static struct process *find(struct fleet *f, struct slot_ref w)
{
	struct process *p;

	HASH_FIND(hh, f->processes, &w, sizeof w, p);
	return p;
}

/* ---- close ---- */

static void on_handle_closed(uv_handle_t *handle)
{
	struct fleet *f = handle->data;

	if (--f->handles > 0)
		return;
	launch_plan_free(&f->plan);
	buf_free(&f->scratch);
	free(f);
}

/* Once, when the last process is gone. */
static void close_handles(struct fleet *f)
{
	uv_close((uv_handle_t *)&f->child_signal, on_handle_closed);
	uv_close((uv_handle_t *)&f->turn, on_handle_closed);
	uv_close((uv_handle_t *)&f->patience, on_handle_closed);
	uv_close((uv_handle_t *)&f->look, on_handle_closed);
}

static void on_patience(uv_timer_t *timer)
{
	struct fleet *f = timer->data;
	struct process *p, *next;

	HASH_ITER (hh, f->processes, p, next)
		process_abandon(p);
}

/* Guards kill at once when their orders end. They are waited for, so that nothing of a pool lives when its adapter is gone. */
static void fleet_close(struct adapter *a)
{
	struct fleet *f = fleet_of(a);
	struct process *p, *next;

	if (!f->processes) {
		close_handles(f);
		return;
	}
	uv_timer_start(&f->patience, on_patience, CLOSE_WAIT_MS, 0);
	HASH_ITER (hh, f->processes, p, next)
		process_stop(p, STOP_KILL);
}

/* ---- for processes ---- */

void fleet_unsaid(struct fleet *f, struct process *p)
{
	if (p->is_unsaid)
		return;
	p->is_unsaid = true;
	TAILQ_INSERT_TAIL(&f->unsaid, p, unsaid_link);
}

static void on_turn(uv_idle_t *idle)
{
	struct fleet *f = idle->data;
	struct process *p;

	/* Those that come back during this turn wait for the next. */
	for (size_t n = f->ndue; n > 0 && (p = TAILQ_FIRST(&f->due)); n--) {
		TAILQ_REMOVE(&f->due, p, due_link);
		p->is_due = false;
		f->ndue--;
		process_turn(p);
	}
	if (f->ndue == 0)
		uv_idle_stop(idle);
}

void fleet_due(struct fleet *f, struct process *p)
{
	if (p->is_due)
		return;
	p->is_due = true;
	TAILQ_INSERT_TAIL(&f->due, p, due_link);
	if (f->ndue++ == 0)
		uv_idle_start(&f->turn, on_turn);
}

static void unlink_process(struct fleet *f, struct process *p)
{
	HASH_DEL(f->processes, p);
	TAILQ_REMOVE(&f->known, p, known_link);
	if (p->is_unsaid)
		TAILQ_REMOVE(&f->unsaid, p, unsaid_link);
	if (p->is_due) {
		TAILQ_REMOVE(&f->due, p, due_link);
		f->ndue--;
	}
}

void fleet_bury(struct fleet *f, struct process *p)
{
	bool was_closing = f->adapter.closing;

	unlink_process(f, p);
	process_last_line(p);
	if (!was_closing)
		f->events.gone(f->events.ctx, p->slot, &p->exit);
	process_free(p);
	if (was_closing && !f->processes)
		close_handles(f);
}

/* ---- memory ---- */

static void on_look(uv_timer_t *timer);

/* Each is looked at once a second: a few at a time, so that the loop does not stand still for a large fleet. */
static unsigned looks_a_second(const struct fleet *f)
{
	return (HASH_COUNT(f->processes) + LOOK_AT - 1) / LOOK_AT;
}

static void look_later(struct fleet *f)
{
	uv_timer_start(&f->look, on_look, 1000 / looks_a_second(f), 0);
}

static void on_look(uv_timer_t *timer)
{
	struct fleet *f = timer->data;
	unsigned n = HASH_COUNT(f->processes);
	struct process *p;

	if (n == 0 || f->adapter.closing)
		return;
	for (n = n < LOOK_AT ? n : LOOK_AT; n > 0 && (p = TAILQ_FIRST(&f->known)); n--) {
		TAILQ_REMOVE(&f->known, p, known_link);
		TAILQ_INSERT_TAIL(&f->known, p, known_link);
		process_look(p);
	}
	look_later(f);
}

/* One signal may stand for several children, so all are looked at. */
static void on_child_signal(uv_signal_t *signal, int number)
{
	struct fleet *f = signal->data;
	struct process *p, *next;

	(void)number;
	HASH_ITER (hh, f->processes, p, next)
		process_reap(p);
}

/* ---- the kind ---- */

static void open_handles(struct fleet *f)
{
	uv_signal_init(f->loop, &f->child_signal);
	uv_idle_init(f->loop, &f->turn);
	uv_timer_init(f->loop, &f->patience);
	uv_timer_init(f->loop, &f->look);
	f->handles = 4;
	f->child_signal.data = f->turn.data = f->patience.data = f->look.data = f;
	CHECK(uv_signal_start(&f->child_signal, on_child_signal, SIGCHLD) == 0);
}

/* A worker that closes its stdin must be an error of write, not the daemon's end. */
static void ignore_broken_pipes(void)
{
	struct sigaction now;

	if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
		signal(SIGPIPE, SIG_IGN);
}

static bool read_plan(const struct adapter_config *c, struct launch_plan *plan, size_t *max_frame, char *errstr, size_t size)
{
	struct adapter_config full = *c;

	if (!full.max_frame_bytes)
		full.max_frame_bytes = FRAME_DEFAULT;
	*max_frame = full.max_frame_bytes;
	return launch_plan_init(plan, &full, errstr, size);
}

static bool fleet_fits(const struct adapter_config *c, char *errstr, size_t size)
{
	struct launch_plan plan;
	size_t unused;

	if (!read_plan(c, &plan, &unused, errstr, size))
		return false;
	launch_plan_free(&plan);
	return true;
}

/* Processes that run keep the limit of frames that they were started with; the scratch is for the longest of all. */
static bool fleet_reconfigure(struct adapter *a, const struct adapter_config *c, char *errstr, size_t size)
{
	struct fleet *f = fleet_of(a);
	struct launch_plan plan;
	size_t max_frame;

	if (!read_plan(c, &plan, &max_frame, errstr, size))
		return false;
	launch_plan_free(&f->plan);
	f->plan = plan;
	f->max_frame = max_frame;
	if (f->scratch.limit < max_frame + SCRATCH_MARGIN) {
		buf_free(&f->scratch);
		buf_init(&f->scratch, max_frame + SCRATCH_MARGIN);
	}
	return true;
}

static struct adapter *fleet_open(uv_loop_t *loop, const struct adapter_config *c, const struct worker_events *ev, char *errstr,
	size_t size)
{
	struct fleet *f = xcalloc(1, sizeof *f);

	if (!read_plan(c, &f->plan, &f->max_frame, errstr, size)) {
		free(f);
		return NULL;
	}
	f->loop = loop;
	f->events = *ev;
	TAILQ_INIT(&f->unsaid);
	TAILQ_INIT(&f->due);
	TAILQ_INIT(&f->known);
	buf_init(&f->scratch, f->max_frame + SCRATCH_MARGIN);
	ignore_broken_pipes();
	open_handles(f);
	return &f->adapter;
}

static void fleet_start(struct adapter *a, struct slot_ref w)
{
	struct fleet *f = fleet_of(a);
	struct process *p;

	CHECK(!find(f, w));
	p = process_start(f, w);
	HASH_ADD(hh, f->processes, slot, sizeof p->slot, p);
	TAILQ_INSERT_HEAD(&f->known, p, known_link);
	if (f->events.memory && !uv_is_active((uv_handle_t *)&f->look))
		look_later(f);
}

static void fleet_call(struct adapter *a, struct slot_ref w, const struct call *c)
{
	struct process *p = find(fleet_of(a), w);

	if (p)
		channel_call(p, c);
}

static void fleet_stop(struct adapter *a, struct slot_ref w, enum stop_step s)
{
	struct process *p = find(fleet_of(a), w);

	if (p)
		process_stop(p, s);
}

static void fleet_flush(struct adapter *a)
{
	struct fleet *f = fleet_of(a);
	struct process *p;

	while ((p = TAILQ_FIRST(&f->unsaid))) {
		TAILQ_REMOVE(&f->unsaid, p, unsaid_link);
		p->is_unsaid = false;
		channel_flush(p);
	}
}

static size_t fleet_live(const struct adapter *a)
{
	return HASH_COUNT(((const struct fleet *)a)->processes);
}

const struct adapter_kind kind_process = {
	.name = "process",
	.open = fleet_open,
	.fits = fleet_fits,
	.reconfigure = fleet_reconfigure,
	.start = fleet_start,
	.call = fleet_call,
	.stop = fleet_stop,
	.flush = fleet_flush,
	.live = fleet_live,
	.close = fleet_close,
};
