/* settings.h: the one table of configuration keys and the structs it fills.
 *
 * A member has the name of its key, whose help in settings.c says what it is for. Durations are microseconds, sizes are bytes,
 * the other int64_t are counts. 0 is no limit of that kind, or never, where the help says so. Nothing is negative here: what is
 * -1 in the engine's configuration, wiring.c makes so. An int with words beside it is the index of one of them: they are those of
 * its range in settings.c, in that order. Texts that nobody gave are "", not NULL. */
#ifndef BRIDGEPOOL_APP_SETTINGS_H
#define BRIDGEPOOL_APP_SETTINGS_H

#include "bridgepool/base/config.h"

/* Topics where the configuration names none. */
#define DEFAULT_REQUESTS "bridgepool.requests"
#define DEFAULT_RESULTS "bridgepool.results"
#define DEFAULT_HEALTH "bridgepool.health"
#define DEFAULT_DEAD_LETTERS "bridgepool.dead-letters"
extern const char *const settings_topics[]; /* these four; NULL at its end */

struct pool_settings {
	char *name, *adapter, *directory, *user, *group, *script;
	struct config_strings command, environment, pass_environment;
	int64_t size, spare, min_ready, concurrency;
	int state;           /* memory|none: enum pool_state */
	int on_session_loss; /* run|fail: enum session_loss */
	int on_revoke;       /* suspend|end: enum revoke_policy */
	int64_t request_timeout, partial_interval, partial_max, partial_bytes_max, kill_grace, session_ttl, session_hook_timeout,
		start_timeout;
	int64_t max_sessions, max_queued, max_queued_per_session, start_batch;
	int64_t ping_interval, ping_timeout, backoff_min, backoff_max, stop_grace;
	int64_t circuit_failures, circuit_pause;
	int circuit; /* hold|reject: whether circuit_rejects */
	int64_t recycle_requests, recycle_age, recycle_memory, recycle_grace, resident_limit;
	int64_t memory, open_files;
	int64_t core; /* bytes of a dump; 0: none is written, which is what a limit of 0 says */
	int64_t cpu;  /* microseconds, up to 365 days; workers get whole seconds, rounded up; 0: no limit */
	int64_t oom_score, max_frame_bytes;
	bool no_new_privileges;
};

struct source_settings {
	char *topic, *pool;
	struct config_strings commands, reply_topics;
};

struct settings {
	struct {
		char *id;
	} instance;
	struct {
		char *brokers, *group, *results, *health, *dead_letters;
		struct config_strings properties, consumer_properties, producer_properties;
		int64_t linger, start_timeout; /* start_timeout 0: for ever */
	} kafka;
	struct config_list sources; /* of struct source_settings */
	struct config_list pools;   /* of struct pool_settings */
	struct {
		int guarantee; /* at-least-once|exactly-once: the first, the other is refused */
		int64_t max_attempts, retry_backoff, commit_interval, window;
	} delivery;
	struct {
		int64_t shutdown, revoke;
	} drain;
	struct {
		int64_t memory, request, result;
	} limits;
	struct {
		int results; /* mirror|avro|json: one more than enum encoding */
		int health;  /* avro|json: enum encoding */
	} encoding;
	struct {
		struct config_strings copy;
	} headers;
	struct {
		int64_t heartbeat;
		bool sessions;
	} health;
	struct {
		char *listen;
	} http;
	struct {
		int level;  /* debug|info|warn|error: enum log_level */
		int format; /* text|json: enum log_format */
		int64_t slow;
	} log;
	struct {
		struct config_strings extra;
	} schemas;
};

const struct config_key *settings_keys(size_t *n);
/* config_load with our table, then what no single key can tell (a source's pool exists, names are unique, properties are not
 * ours). */
bool settings_load(const char *path, const char *const *sets, size_t nsets, struct settings *out, struct buf *errors);
/* The second part alone, of settings that were put together from two readings. */
bool settings_judge(const struct settings *s, struct buf *errors);
const struct pool_settings *settings_pool(const struct settings *s, size_t i); /* i: below pools.n, in the order of the file */
const struct source_settings *settings_source(const struct settings *s, size_t i); /* below sources.n */
void settings_free(struct settings *s);

/* Where a configuration came from, so that it can be read again. */
struct settings_origin {
	const char *path;
	const char *const *sets;
	size_t nsets;
};

#endif
