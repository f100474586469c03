/* knobs.h: what one seed decides before anything happens: sizes, limits, and which faults are on and how often. */
#ifndef SIM_KNOBS_H
#define SIM_KNOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "bridgepool/core/engine.h"

enum {
	MAX_ENGINES = 4,
	MAX_TOPICS = 2,
	MAX_PARTITIONS = 6,
	MAX_POOLS = 2,
	MAX_WORKERS = 8,
	MAX_SPARE = 2,
	MAX_RESIZES = 3, /* in an instance's life */
	MAX_SLOTS = (MAX_RESIZES + 1) * (MAX_WORKERS + MAX_SPARE) + 1,
	MAX_SESSIONS = 64
};

enum { MAX_PARTIALS = 6 }; /* what one run says before its answer */

/* What a worker may hold, where it is limited. */
enum { MODEL_WORN_BYTES = 100 << 20, MODEL_MOST_BYTES = 200 << 20 };

/* What a run does on a worker. Rates are per thousand runs. */
enum behaviour {
	DO_OK,
	DO_ERROR,
	DO_RETRIABLE,
	DO_CRASH,
	/* no answer until it is cancelled, if it can be, or until its time is over, if the worker looks at it; else never */
	DO_HANG,
	DO_TWICE,           /* the right answer, and later once more */
	DO_NEVER_ISSUED,    /* answers an id that nobody gave */
	DO_UNREADABLE,      /* its id can be read, the rest cannot */
	DO_UNREADABLE_BARE, /* not even the id */
	DO_GARBAGE,         /* the stream itself breaks */
	DO_PARTIALS,        /* some parts, then the right answer, or none and it is to be run again */
	DO_HUGE,            /* a result over the limit */
	BEHAVIOURS
};

/* What happens to the world from time to time. */
enum chaos {
	CHAOS_REBALANCE,
	CHAOS_KILL, /* kill -9 of an instance */
	CHAOS_FREEZE,
	CHAOS_DRAIN,  /* SIGTERM, and a new one later */
	CHAOS_WORKER, /* a worker dies on its own */
	CHAOS_STALE,  /* late and foreign things knock at the engine */
	CHAOS_REFUSE, /* the output topics are refused for a while */
	CHAOS_ROLL,   /* somebody wants fresh workers */
	CHAOS_RETUNE, /* the configuration is read again, and is the same but for the size of pools */
	CHAOS_MEMORY, /* a worker grows */
	CHAOS_KINDS
};

struct knobs {
	bool faultless;
	unsigned engines, topics, partitions[MAX_TOPICS], npools;
	unsigned sessions, requests, anonymous_permille, avro_permille;
	int64_t arrival_us;    /* mean time between two records */
	unsigned gap_permille; /* records after which offsets are missing */
	unsigned headers_permille, attributes_permille;
	unsigned odd_permille; /* records that are no valid request */
	unsigned deadline_permille, epoch_permille, idempotent_permille, stream_permille, end_permille, cancel_permille,
		poison_permille, big_permille, violate_permille;
	int64_t deadline_us; /* at most so far away */

	struct pool_config pool[MAX_POOLS];
	struct engine_config engine; /* pools, sources and names are put in by the world */
	unsigned rate[BEHAVIOURS];
	int64_t run_us;    /* most of a normal run */
	int64_t start_us;  /* most of a normal start */
	unsigned partials; /* that a run of DO_PARTIALS says */
	unsigned start_failure_permille, slow_start_permille, hook_failure_permille,
		deaf_permille /* workers that obey nothing but KILL */;
	unsigned mute_ping_permille;
	int64_t guard_us; /* most between a death and the report that nothing of it lives */

	int64_t delivery_us, report_us;
	unsigned again_permille, landed_again_permille, queue_full_permille;
	bool small_batches;  /* ..which takes no more than that at once either */
	bool needs_key;      /* output topics take no record without a key, nor what came with one */
	size_t output_limit; /* bytes of a record's value that an output topic takes */

	unsigned empty_permille;         /* assignments that bring nothing, and are told */
	bool cooperative, fixed_members; /* fixed: static membership */
	int64_t session_timeout_us, rebalance_us;
	int64_t offsets_us, commit_us;
	unsigned commit_unknown_permille, offsets_split_permille, foreign_map_permille;
	unsigned late_permille; /* partitions that were given back and about which something was under way */
	size_t metadata_limit;

	int64_t chaos_us; /* mean time between two of them; 0: none */
	bool chaos[CHAOS_KINDS];
	int64_t freeze_us, drain_us;
	bool clock_steps;
	int64_t late_us;      /* how late a tick may come */
	unsigned check_every; /* steps between two engine_check */
	unsigned fetch_max;
};

void knobs_draw(struct knobs *k, uint64_t seed);
int64_t knobs_longest_hook(const struct knobs *k);
void knobs_print(const struct knobs *k);

#endif
