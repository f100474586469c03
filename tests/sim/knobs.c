/* knobs.c: see knobs.h. Swarm testing: each seed has some faults and not others, small limits and large ones, so that rare
 * meetings of few things are not drowned by everything happening at once. */
#include "knobs.h"

#include <stdio.h>
#include <string.h>

#include "bridgepool/base/clock.h"
#include "bridgepool/base/random.h"
#include "bridgepool/wire/offsetmap.h"

static int64_t between(struct random *r, int64_t least, int64_t most)
{
	return least + (int64_t)random_below(r, (uint64_t)(most - least) + 1);
}

static bool one_in(struct random *r, unsigned n)
{
	return random_below(r, n) == 0;
}

/* Zero in half of the seeds. */
static unsigned some(struct random *r, unsigned most)
{
	return one_in(r, 2) ? 0 : (unsigned)between(r, 1, most);
}

static int64_t pick(struct random *r, const int64_t *values, size_t n)
{
	return values[random_below(r, n)];
}
#define PICK(r, ...) pick((r), (const int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

static void draw_pool(struct random *r, const struct knobs *k, struct pool_config *p)
{
	memset(p, 0, sizeof(*p));
	p->size = (uint32_t)between(r, 1, MAX_WORKERS);
	p->spare = (uint32_t)PICK(r, 0, 0, 1, MAX_SPARE);
	p->min_ready = one_in(r, 2) ? 0 : (uint32_t)between(r, 1, p->size);
	p->recycle_requests = (uint64_t)PICK(r, 0, 0, 0, 5, 30, 200);
	p->recycle_age_us = PICK(r, 0, 0, 0, 2 * SECOND_US, 20 * SECOND_US);
	p->recycle_grace_us = PICK(r, 0, 50 * MS_US, SECOND_US, 60 * SECOND_US);
	p->circuit_failures = (uint32_t)PICK(r, 0, 1, 3, 10);
	p->circuit_pause_us = PICK(r, 20 * MS_US, 500 * MS_US);
	p->circuit_rejects = one_in(r, 2);
	p->recycle_memory = one_in(r, 2) ? 0 : MODEL_WORN_BYTES;
	p->resident_limit = one_in(r, 2) ? 0 : MODEL_MOST_BYTES;
	p->concurrency = (uint32_t)PICK(r, 0, 1, 1, 2, 4, 8);
	p->state = one_in(r, 4) ? POOL_STATE_NONE : POOL_STATE_MEMORY;
	p->on_session_loss = one_in(r, 3) ? SESSION_LOSS_FAIL : SESSION_LOSS_RUN;
	p->request_timeout_us = k->run_us * between(r, 2, 6) + 100 * MS_US;
	p->partial_interval_us = PICK(r, 0, MS_US, 100 * MS_US);
	p->partial_max = (uint32_t)PICK(r, 0, 1, 3, 10000);
	p->partial_bytes_max = (uint64_t)PICK(r, 0, 50, 250, 10000, 1 << 20);
	p->kill_grace_us = PICK(r, 20 * MS_US, 200 * MS_US, 2 * SECOND_US);
	p->session_ttl_us = PICK(r, 50 * MS_US, SECOND_US, 60 * SECOND_US, 3600 * SECOND_US);
	p->max_sessions = (uint64_t)PICK(r, 2, 8, 1000, 100000);
	p->max_queued = (uint64_t)PICK(r, 0, 0, 10, 100);
	p->max_queued_per_session = (uint64_t)PICK(r, 0, 0, 3, 20);
	p->session_hook_timeout_us = PICK(r, 100 * MS_US, SECOND_US);
	p->start_timeout_us = k->start_us + SECOND_US;
	p->start_batch = (uint32_t)between(r, 1, 4);
	p->ping_interval_us = PICK(r, 200 * MS_US, SECOND_US, 10 * SECOND_US);
	p->ping_timeout_us = PICK(r, 100 * MS_US, SECOND_US);
	p->backoff_min_us = PICK(r, 10 * MS_US, 100 * MS_US, SECOND_US);
	p->stop_grace_us = PICK(r, 50 * MS_US, 500 * MS_US);
	p->backoff_max_us = p->backoff_min_us * 8;
	if (k->faultless) {
		p->request_timeout_us = k->run_us * 3 + 10 * SECOND_US;
		p->session_hook_timeout_us = p->ping_timeout_us = 10 * SECOND_US;
		p->max_sessions = 1000;
	}
}

static void draw_engine(struct random *r, const struct knobs *k, struct engine_config *e)
{
	static const char *const copied[] = {"x-*"};

	memset(e, 0, sizeof(*e));
	e->max_attempts = (uint32_t)between(r, 1, 4);
	e->retry_backoff_us = PICK(r, MS_US, 20 * MS_US, 200 * MS_US);
	e->drain_revoke_us = PICK(r, 0, 50 * MS_US, 500 * MS_US, 2 * SECOND_US);
	e->commit_interval_us = PICK(r, MS_US, 50 * MS_US, 200 * MS_US);
	e->commit_every = (uint32_t)PICK(r, 1, 20, 200);
	e->window_cap = (uint32_t)PICK(r, 16, 17, 64, 300, OFFSETMAP_SPAN_MAX, OFFSETMAP_SPAN_MAX);
	e->memory_limit = (uint64_t)PICK(r, 30000, 200000, 64 << 20, 64 << 20);
	e->request_limit = 20000;
	e->result_limit = 30000;
	e->copy_headers = copied;
	e->ncopy_headers = 1;
	e->results_encoding = (int)PICK(r, -1, -1, -1, ENCODING_JSON);
	if (k->faultless)
		e->drain_revoke_us = 2 * SECOND_US;
}

static void draw_clients(struct random *r, struct knobs *k)
{
	k->sessions = (unsigned)PICK(r, 1, 3, 10, 30, MAX_SESSIONS);
	k->requests = (unsigned)PICK(r, 60, 200, 400, 800);
	k->arrival_us = PICK(r, 100, MS_US, 5 * MS_US, 20 * MS_US);
	k->anonymous_permille = some(r, 300);
	k->avro_permille = some(r, 300);
	k->gap_permille = some(r, 200);
	k->odd_permille = some(r, 60);
	k->headers_permille = some(r, 300);
	k->attributes_permille = some(r, 300);
	k->deadline_permille = k->faultless ? 0 : some(r, 200);
	k->deadline_us = PICK(r, 20 * MS_US, SECOND_US, 10 * SECOND_US);
	k->epoch_permille = some(r, 500);
	k->idempotent_permille = some(r, 600);
	k->stream_permille = some(r, 900);
	k->cancel_permille = some(r, 100);
	k->end_permille = some(r, 60);
	k->big_permille = some(r, 20);
	k->poison_permille = k->faultless ? 0 : some(r, 20);
	k->violate_permille = one_in(r, 8) ? 200 : 0;
}

static void draw_workers(struct random *r, struct knobs *k)
{
	static const unsigned most[BEHAVIOURS] = {
		[DO_ERROR] = 100,
		[DO_RETRIABLE] = 150,
		[DO_CRASH] = 60,
		[DO_HANG] = 30,
		[DO_TWICE] = 100,
		[DO_NEVER_ISSUED] = 20,
		[DO_UNREADABLE] = 40,
		[DO_UNREADABLE_BARE] = 20,
		[DO_GARBAGE] = 20,
		[DO_PARTIALS] = 100,
		[DO_HUGE] = 20,
	};
	static const bool harmless[BEHAVIOURS] = {[DO_ERROR] = true, [DO_RETRIABLE] = true, [DO_PARTIALS] = true};

	for (int i = 1; i < BEHAVIOURS; i++)
		k->rate[i] = k->faultless && !harmless[i] ? 0 : some(r, most[i]);
	k->partials = (unsigned)between(r, 1, MAX_PARTIALS);
	if (k->faultless)
		return;
	k->start_failure_permille = some(r, 200);
	k->slow_start_permille = some(r, 100);
	k->hook_failure_permille = some(r, 100);
	k->deaf_permille = some(r, 300);
	k->mute_ping_permille = some(r, 100);
}

static void draw_broker(struct random *r, struct knobs *k)
{
	k->delivery_us = PICK(r, 0, 2 * MS_US, 20 * MS_US, 300 * MS_US);
	k->report_us = PICK(r, 0, 2 * MS_US, 100 * MS_US);
	k->offsets_us = PICK(r, 0, 20 * MS_US, SECOND_US);
	k->commit_us = PICK(r, 0, 10 * MS_US, 500 * MS_US);
	k->rebalance_us = PICK(r, MS_US, 100 * MS_US, SECOND_US);
	k->session_timeout_us = PICK(r, 500 * MS_US, 3 * SECOND_US, 10 * SECOND_US);
	k->cooperative = one_in(r, 3);
	k->fixed_members = one_in(r, 3);
	k->output_limit = one_in(r, 3) ? 9000 : 100000; /* some results and dead letters are larger */
	k->metadata_limit = 4096;
	k->offsets_split_permille = some(r, 500);
	k->empty_permille = (unsigned)PICK(r, 0, 700, 1000);
	if (k->faultless)
		return;
	k->small_batches = k->output_limit == 9000 && k->report_us > 0;
	k->needs_key = k->offsets_us == SECOND_US;
	k->metadata_limit = (size_t)PICK(r, 4096, 4096, 4096, 24);
	k->again_permille = some(r, 50);
	k->landed_again_permille = some(r, 30);
	k->queue_full_permille = some(r, 50);
	k->commit_unknown_permille = some(r, 200);
	k->foreign_map_permille = some(r, 100);
	k->late_permille = some(r, 500);
}

/* Some things meet too seldom by themselves: partitions go one by one, while little memory is full of what the topics refuse. */
static void draw_stuffed(struct random *r, struct knobs *k)
{
	k->engines = (unsigned)between(r, 2, 3);
	k->cooperative = true;
	k->empty_permille = 0;
	for (unsigned i = 0; i < k->topics; i++)
		k->partitions[i] = (unsigned)between(r, 2, MAX_PARTITIONS);
	k->requests = 400;
	k->arrival_us = MS_US;
	k->engine.memory_limit = 8000;
	k->chaos_us = PICK(r, 300 * MS_US, SECOND_US);
	k->chaos[CHAOS_REBALANCE] = k->chaos[CHAOS_REFUSE] = true;
	k->chaos[CHAOS_KILL] = k->chaos[CHAOS_FREEZE] = k->chaos[CHAOS_DRAIN] = false;
}

/* With numbers of their own, so that seeds from before mean the same worlds. */
static void draw_later_ones(struct knobs *k, uint64_t seed)
{
	struct random r;

	random_seed(&r, seed * UINT64_C(0x9e3779b97f4a7c15) + 2);
	for (unsigned i = 0; i < k->npools; i++)
		k->pool[i].on_revoke = one_in(&r, 3) ? REVOKE_ENDS : REVOKE_SUSPENDS;
	if (k->engine.memory_limit <= 30000 && one_in(&r, 2)) /* many parts in little memory */
		k->rate[DO_PARTIALS] = 300;
	if (!k->faultless) /* one for each request would be told of a run in which nothing goes wrong */
		k->engine.slow_us = PICK(&r, 0, k->run_us, 4 * k->run_us);
}

/* Requests of one pool wait and fill the memory, while another has nothing to do but its own. */
static void draw_crowded(struct random *r, struct knobs *k)
{
	k->topics = k->npools = 2;
	for (unsigned i = 0; i < 2; i++) {
		k->partitions[i] = (unsigned)between(r, 1, MAX_PARTITIONS);
		draw_pool(r, k, &k->pool[i]);
		k->pool[i].max_queued = k->pool[i].max_queued_per_session = 0;
	}
	k->pool[0].circuit_failures = 1;
	k->pool[0].circuit_rejects = false;
	k->engines = (unsigned)between(r, 1, 2);
	k->sessions = 30;
	k->requests = 800;
	k->arrival_us = MS_US;
	k->deadline_permille = k->big_permille = k->cancel_permille = 0;
	k->engine.memory_limit = 30000;
	k->chaos_us = 50 * MS_US;
	k->chaos[CHAOS_WORKER] = true;
	k->chaos[CHAOS_REFUSE] = k->chaos[CHAOS_KILL] = k->chaos[CHAOS_FREEZE] = k->chaos[CHAOS_DRAIN] = false;
}

void knobs_draw(struct knobs *k, uint64_t seed)
{
	struct random r;

	random_seed(&r, seed * UINT64_C(0x9e3779b97f4a7c15) + 1);
	memset(k, 0, sizeof(*k));
	k->faultless = one_in(&r, 8);
	k->engines = (unsigned)PICK(&r, 1, 1, 2, 2, 3, MAX_ENGINES);
	k->topics = (unsigned)between(&r, 1, MAX_TOPICS);
	k->npools = (unsigned)between(&r, 1, MAX_POOLS);
	for (unsigned i = 0; i < k->topics; i++)
		k->partitions[i] = (unsigned)between(&r, 1, MAX_PARTITIONS);
	k->run_us = PICK(&r, MS_US, 10 * MS_US, 50 * MS_US);
	k->start_us = PICK(&r, MS_US, 100 * MS_US, SECOND_US);
	k->guard_us = PICK(&r, 0, 5 * MS_US, 200 * MS_US);
	k->late_us = PICK(&r, 0, 500, 10 * MS_US);
	k->check_every = (unsigned)PICK(&r, 40, 200, 200, 1000);
	k->fetch_max = (unsigned)PICK(&r, 1, 20, 500);
	draw_clients(&r, k);
	draw_workers(&r, k);
	draw_broker(&r, k);
	for (unsigned i = 0; i < k->npools; i++)
		draw_pool(&r, k, &k->pool[i]);
	draw_engine(&r, k, &k->engine);
	draw_later_ones(k, seed);
	if (k->faultless)
		return;
	k->chaos_us = PICK(&r, 0, 50 * MS_US, 300 * MS_US, 2 * SECOND_US);
	for (int i = 0; i < CHAOS_KINDS; i++)
		k->chaos[i] = one_in(&r, 2);
	k->freeze_us = PICK(&r, 100 * MS_US, 20 * SECOND_US);
	k->drain_us = PICK(&r, 0, 100 * MS_US, 3 * SECOND_US);
	k->clock_steps = one_in(&r, 6);
	if (one_in(&r, 12))
		draw_stuffed(&r, k);
	else if (one_in(&r, 12))
		draw_crowded(&r, k);
}

int64_t knobs_longest_hook(const struct knobs *k)
{
	int64_t most = 0;

	for (unsigned i = 0; i < k->npools; i++)
		if (k->pool[i].session_hook_timeout_us > most)
			most = k->pool[i].session_hook_timeout_us;
	return most;
}

void knobs_print(const struct knobs *k)
{
	fprintf(stderr,
		"%s, %u engines, %u topics, %u pools, %u sessions, %u requests, window %u, memory %llu, attempts %u, %s%s\n",
		k->faultless ? "faultless" : "faults", k->engines, k->topics, k->npools, k->sessions, k->requests,
		k->engine.window_cap, (unsigned long long)k->engine.memory_limit, k->engine.max_attempts,
		k->cooperative ? "cooperative" : "eager", k->fixed_members ? ", static members" : "");
	for (unsigned i = 0; i < k->npools; i++)
		fprintf(stderr,
			"pool %u: %u workers, concurrency %u, state %s, on loss %s, on revoke %s, timeout %lld us, grace %lld us, ttl %lld us, %llu sessions at most, "
			"%u spare, recycled after %llu runs or %lld us, grace %lld us\n",
			i, k->pool[i].size, k->pool[i].concurrency, k->pool[i].state == POOL_STATE_NONE ? "none" : "memory",
			k->pool[i].on_session_loss == SESSION_LOSS_FAIL ? "fail" : "run",
			k->pool[i].on_revoke == REVOKE_ENDS ? "end" : "suspend", (long long)k->pool[i].request_timeout_us,
			(long long)k->pool[i].kill_grace_us, (long long)k->pool[i].session_ttl_us,
			(unsigned long long)k->pool[i].max_sessions, k->pool[i].spare,
			(unsigned long long)k->pool[i].recycle_requests, (long long)k->pool[i].recycle_age_us,
			(long long)k->pool[i].recycle_grace_us);
}
