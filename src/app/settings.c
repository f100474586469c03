/* settings.c: the one table of configuration keys, and what no single key can tell. */
#include "bridgepool/app/settings.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "bridgepool/kafka/consumer.h"
#include "bridgepool/kafka/producer.h"
#include "bridgepool/ops/http.h"
#include "bridgepool/worker/account.h"

enum { TOPIC_MAX = 249, POOL_NAME_MAX = 48, INSTANCE_MAX = 79, FRAME_MARGIN = 64 * 1024 };

const char *const settings_topics[] = {DEFAULT_REQUESTS, DEFAULT_RESULTS, DEFAULT_HEALTH, DEFAULT_DEAD_LETTERS, NULL};

#define TOP(path, type, member, dflt, range, reload, help)                                        \
	{                                                                                         \
		path, type, offsetof(struct settings, member), 0, dflt, range, reload, help, NULL \
	}
#define POOL(name, type, dflt, range, reload, help)                                                              \
	{                                                                                                        \
		"pools[]." #name, type, offsetof(struct pool_settings, name), 0, dflt, range, reload, help, NULL \
	}
#define SOURCE(name, type, dflt, reload, help)                                                                      \
	{                                                                                                           \
		"sources[]." #name, type, offsetof(struct source_settings, name), 0, dflt, NULL, reload, help, NULL \
	}
#define RESERVED(path, dflt, help)                                                  \
	{                                                                           \
		path, CONFIG_RESERVED, 0, 0, dflt, NULL, RELOAD_RESTART, help, NULL \
	}

#define COMMAND_EXAMPLE "[ \"python3\", \"-m\", \"bridgepool.worker\", \"app:app\" ]"

/* Order is that of the example file: keys of one group stand together. */
static const struct config_key table[] = {
	TOP("instance.id", CONFIG_STRING, instance.id, "\"\"", NULL, RELOAD_RESTART,
		"Name of this instance: a static member of the group, so its partitions wait for it through a restart. Empty: a random "
		"name."),

	TOP("kafka.brokers", CONFIG_STRING, kafka.brokers, "\"localhost:9092\"", NULL, RELOAD_RESTART,
		"Brokers to begin with, as host:port,host:port."),
	TOP("kafka.group", CONFIG_STRING, kafka.group, "\"bridgepool\"", NULL, RELOAD_RESTART,
		"Consumer group; instances of one group share the partitions."),
	TOP("kafka.results", CONFIG_STRING, kafka.results, "\"" DEFAULT_RESULTS "\"", NULL, RELOAD_RESTART,
		"Topic that results go to."),
	TOP("kafka.health", CONFIG_STRING, kafka.health, "\"" DEFAULT_HEALTH "\"", NULL, RELOAD_RESTART,
		"Topic that health events go to."),
	TOP("kafka.dead_letters", CONFIG_STRING, kafka.dead_letters, "\"" DEFAULT_DEAD_LETTERS "\"", NULL, RELOAD_RESTART,
		"Topic that requests go to which cannot be read or were given up."),
	TOP("kafka.properties", CONFIG_STRINGS, kafka.properties, "[ ]", NULL, RELOAD_RESTART,
		"Properties of librdkafka for all clients, each as \"name=value\", such as \"security.protocol=SSL\"."),
	TOP("kafka.consumer_properties", CONFIG_STRINGS, kafka.consumer_properties, "[ ]", NULL, RELOAD_RESTART,
		"Properties of librdkafka for the consumer alone, each as \"name=value\"."),
	TOP("kafka.producer_properties", CONFIG_STRINGS, kafka.producer_properties, "[ ]", NULL, RELOAD_RESTART,
		"Properties of librdkafka for the producer alone, each as \"name=value\"."),
	TOP("kafka.linger", CONFIG_DURATION, kafka.linger, "\"5ms\"", "0..1s", RELOAD_RESTART,
		"How long the producer gathers records into one batch."),
	TOP("kafka.start_timeout", CONFIG_DURATION, kafka.start_timeout, "\"30s\"", NULL, RELOAD_RESTART,
		"How long the start waits for a broker before it ends with exit code 69; 0: for ever."),

	{"sources[]", CONFIG_LIST, offsetof(struct settings, sources), sizeof(struct source_settings), "( { } )", NULL,
		RELOAD_RESTART, "Request topics, a group for each.", NULL},
	SOURCE(topic, CONFIG_STRING, "\"" DEFAULT_REQUESTS "\"", RELOAD_RESTART, "Topic that requests are read from."),
	{"sources[].pool", CONFIG_STRING, offsetof(struct source_settings, pool), 0, "\"\"", NULL, RELOAD_RESTART,
		"Pool that runs this topic's requests; a request may name it, and no other. Empty: the pool \"default\", or else the first.",
		"\"default\""},
	SOURCE(commands, CONFIG_STRINGS, "[ \"*\" ]", RELOAD_LIVE,
		"Commands that may be requested; * and ? match as in file names."),
	SOURCE(reply_topics, CONFIG_STRINGS, "[ ]", RELOAD_RESTART,
		"Topics that a request may name for its answer; none in this version."),

	{"pools[]", CONFIG_LIST, offsetof(struct settings, pools), sizeof(struct pool_settings), "( { } )", NULL, RELOAD_RESTART,
		"Pools of warm workers, a group for each.", NULL},
	POOL(name, CONFIG_STRING, "\"default\"", NULL, RELOAD_RESTART, "Name of the pool: 1 to 48 of a-z, 0-9 and -."),
	POOL(adapter, CONFIG_STRING, "\"process\"", NULL, RELOAD_RESTART,
		"What runs the work: \"process\", a child process for each worker; \"mock\", a scripted one inside the daemon, for "
		"tests."),
	{"pools[].command", CONFIG_STRINGS, offsetof(struct pool_settings, command), 0, "[ ]", NULL, RELOAD_ROLL,
		"The worker's program and its arguments. No shell reads it.", COMMAND_EXAMPLE},
	POOL(size, CONFIG_INT, "4", "1..1000", RELOAD_LIVE, "Workers that are kept running."),
	POOL(spare, CONFIG_INT, "0", "0..100", RELOAD_LIVE,
		"Workers beside them that are started and wait, to take the place of one that dies at once, also while others are replaced."),
	POOL(min_ready, CONFIG_INT, "0", "0..1000", RELOAD_LIVE,
		"Workers that must be READY before requests are read, and below which the pool is UNAVAILABLE; 0: all of them at the "
		"start, one as soon as a start has failed, and later."),
	POOL(concurrency, CONFIG_INT, "0", "0..10000", RELOAD_ROLL,
		"Calls in flight per worker at most; 0: as many as the worker says."),
	POOL(state, CONFIG_ENUM, "\"memory\"", "memory|none", RELOAD_RESTART,
		"Where a session's state lives: \"memory\" of its worker, which it then stays with; \"none\": there is none, any worker "
		"will do."),
	POOL(on_session_loss, CONFIG_ENUM, "\"run\"", "run|fail", RELOAD_LIVE,
		"What becomes of the queued requests of a session whose worker died: \"run\" in a new session, or \"fail\" as "
		"SESSION_LOST."),
	POOL(on_revoke, CONFIG_ENUM, "\"suspend\"", "suspend|end", RELOAD_LIVE,
		"What a revoke of their partition means for sessions: \"suspend\", they go on if it comes back untouched, else they are cleaned up "
		"after it went elsewhere; \"end\", they are cleaned up before it is given back, so that their next owner finds what session_end has "
		"saved; also those that would have come back."),
	POOL(request_timeout, CONFIG_DURATION, "\"30s\"", "1ms..7d", RELOAD_LIVE, "How long one run of a request may take."),
	POOL(partial_interval, CONFIG_DURATION, "\"100ms\"", "0..1m", RELOAD_LIVE,
		"Least time between two parts of a result that a client has asked to stream; what a worker says meanwhile goes into one."),
	POOL(partial_max, CONFIG_INT, "10000", "0..1000000", RELOAD_LIVE,
		"Parts that one run of a request may have; what its worker says after them is left out, its final result is not. 0: no bound."),
	POOL(partial_bytes_max, CONFIG_SIZE, "\"16MiB\"", NULL, RELOAD_LIVE, "And bytes in all its parts together. 0: no bound."),
	POOL(kill_grace, CONFIG_DURATION, "\"5s\"", NULL, RELOAD_LIVE,
		"How long a worker has to answer the cancel of a timed-out run before it is replaced."),
	POOL(session_ttl, CONFIG_DURATION, "\"1h\"", "1ms..", RELOAD_LIVE, "Idle time after which a session ends."),
	POOL(max_sessions, CONFIG_INT, "100000", "1..10000000", RELOAD_LIVE,
		"Live sessions at most; the longest idle one ends to make room. Are all in use, a new one's request is REJECTED as SESSION_LIMIT."),
	POOL(max_queued, CONFIG_INT, "0", "0..1000000000", RELOAD_LIVE,
		"Requests of the pool that may wait in an instance; more are REJECTED as POOL_QUEUE_FULL, also those of an old backlog. 0: no bound, "
		"what is too much waits in Kafka."),
	POOL(max_queued_per_session, CONFIG_INT, "0", "0..1000000000", RELOAD_LIVE,
		"Requests of one session that may wait or run; more are REJECTED as SESSION_QUEUE_FULL. 0: no bound."),
	POOL(session_hook_timeout, CONFIG_DURATION, "\"10s\"", "1ms..1d", RELOAD_LIVE,
		"How long a worker may take to open or to clean up a session; beyond it and kill_grace the worker is replaced."),
	POOL(start_timeout, CONFIG_DURATION, "\"60s\"", "1ms..1d", RELOAD_LIVE,
		"How long a worker may take from its start to its first answer."),
	POOL(start_batch, CONFIG_INT, "4", "1..1000", RELOAD_LIVE, "Workers that may be starting at the same time."),
	POOL(ping_interval, CONFIG_DURATION, "\"10s\"", "1ms..1d", RELOAD_LIVE,
		"How often an idle worker is asked whether it lives."),
	POOL(ping_timeout, CONFIG_DURATION, "\"10s\"", "1ms..1d", RELOAD_LIVE,
		"How long its answer may take before it is replaced."),
	POOL(backoff_min, CONFIG_DURATION, "\"100ms\"", "1ms..1d", RELOAD_LIVE,
		"Pause before a worker that did not start, or ended within 10 seconds of being READY, is started again; it doubles with "
		"each further such end."),
	POOL(backoff_max, CONFIG_DURATION, "\"30s\"", "1ms..1d", RELOAD_LIVE, "The longest such pause."),
	POOL(stop_grace, CONFIG_DURATION, "\"2s\"", "1ms..1d", RELOAD_ROLL,
		"Pause between the steps of stopping a worker: asked, input closed, SIGTERM, SIGKILL."),
	POOL(circuit_failures, CONFIG_INT, "10", "0..1000000", RELOAD_LIVE,
		"After so many workers in a row that crashed, broke the protocol, answered no pings, held more than resident_limit, or did not "
		"start while no other was able, with no answer between, nothing is run for a while, and no request is blamed; 0: never."),
	POOL(circuit_pause, CONFIG_DURATION, "\"5s\"", "1ms..1h", RELOAD_LIVE,
		"The first such pause, after which one request is tried; it doubles with each further one, up to ten times."),
	POOL(circuit, CONFIG_ENUM, "\"hold\"", "hold|reject", RELOAD_LIVE,
		"What becomes of requests that come in such a pause: \"hold\", they wait; \"reject\", they are REJECTED as pool_unavailable."),
	POOL(recycle_requests, CONFIG_INT, "0", "0..1000000000", RELOAD_LIVE,
		"A worker is replaced by a fresh one after so many runs, up to a fifth earlier; 0: never."),
	POOL(recycle_age, CONFIG_DURATION, "0", "0..365d", RELOAD_LIVE,
		"And when it is so old, up to a fifth earlier; 0: never."),
	POOL(recycle_memory, CONFIG_SIZE, "0", NULL, RELOAD_LIVE,
		"And when it, with what it started, holds so much memory, pages of files not counted; looked at once a second. Where fresh "
		"workers soon hold as much, ever less often. 0: never, or where resident_limit is a share of the control group's memory, at "
		"four fifths of it."),
	POOL(recycle_grace, CONFIG_DURATION, "\"5m\"", "0..30d", RELOAD_LIVE,
		"How long the sessions that live on a worker that is replaced may stay there; then they are cleaned up with the reason "
		"\"recycle\"."),
	POOL(resident_limit, CONFIG_SIZE, "0", NULL, RELOAD_LIVE,
		"A worker that holds more memory than that, with what it started, pages of files not counted, is killed; looked at once a "
		"second. Above recycle_memory. One that holds more than a limit which a reload has lowered is replaced first. 0: an equal share "
		"of what the daemon's control group has, if that has a limit and `memory` is 0; else none."),
	POOL(memory, CONFIG_SIZE, "0", NULL, RELOAD_ROLL,
		"Address space that one worker may have; programs map far more than they use. 0: no limit."),
	POOL(open_files, CONFIG_INT, "0", "0..1048576", RELOAD_ROLL,
		"Open files that one worker may have; 0: as many as the daemon."),
	POOL(core, CONFIG_SIZE, "0", NULL, RELOAD_ROLL, "Size of a core dump of a worker; 0: none."),
	POOL(cpu, CONFIG_DURATION, "0", "0..365d", RELOAD_ROLL,
		"Processor time that one worker may use in its life, in whole seconds; 0: no limit."),
	POOL(oom_score, CONFIG_INT, "500", "0..1000", RELOAD_ROLL,
		"Added to the daemon's own oom_score_adj: when memory runs out, the kernel ends workers first."),
	POOL(user, CONFIG_STRING, "\"\"", NULL, RELOAD_ROLL,
		"User that the workers run as, by name or number, without supplementary groups; only root may set it. Empty: the daemon's."),
	POOL(group, CONFIG_STRING, "\"\"", NULL, RELOAD_ROLL, "Their group, by name or number. Empty: the user's."),
	POOL(no_new_privileges, CONFIG_BOOL, "true", NULL, RELOAD_ROLL,
		"Workers cannot gain privileges, also not by set-user-ID programs such as sudo."),
	POOL(max_frame_bytes, CONFIG_SIZE, "\"16MiB\"", "64KiB..1GiB", RELOAD_ROLL,
		"The longest message from or to a worker; above limits.request and limits.result."),
	POOL(directory, CONFIG_STRING, "\"\"", NULL, RELOAD_ROLL, "Working directory of the workers. Empty: the daemon's."),
	POOL(environment, CONFIG_STRINGS, "[ ]", NULL, RELOAD_ROLL,
		"Environment variables to set for the workers, each as \"NAME=value\"."),
	POOL(pass_environment, CONFIG_STRINGS, "[ ]", NULL, RELOAD_ROLL,
		"Variables of the daemon's environment that workers get beside PATH, HOME and the like; * and ? match as in file names."),
	POOL(script, CONFIG_STRING, "\"\"", NULL, RELOAD_RESTART,
		"For adapter \"mock\": what it does. Empty: it answers with what it was asked."),

	TOP("delivery.guarantee", CONFIG_ENUM, delivery.guarantee, "\"at-least-once\"", "at-least-once|exactly-once",
		RELOAD_RESTART,
		"\"at-least-once\": no request is lost, and after a fault one may be answered twice. \"exactly-once\" is not in this "
		"version."),
	TOP("delivery.max_attempts", CONFIG_INT, delivery.max_attempts, "3", "1..100", RELOAD_LIVE,
		"Runs of one request at most."),
	TOP("delivery.retry_backoff", CONFIG_DURATION, delivery.retry_backoff, "\"100ms\"", "0..30s", RELOAD_LIVE,
		"Pause before the second run; it doubles with each further one, up to 30 seconds."),
	TOP("delivery.commit_interval", CONFIG_DURATION, delivery.commit_interval, "\"200ms\"", "1ms..60s", RELOAD_LIVE,
		"How long finished offsets may wait for their commit."),
	TOP("delivery.window", CONFIG_INT, delivery.window, "24000", "16..24000", RELOAD_RESTART,
		"Offsets per partition between the oldest unfinished request and the newest taken."),

	TOP("drain.shutdown", CONFIG_DURATION, drain.shutdown, "\"30s\"", "0..1d", RELOAD_LIVE,
		"How long running requests may go on after SIGTERM; what is left is put back."),
	TOP("drain.revoke", CONFIG_DURATION, drain.revoke, "\"2s\"", "0..5m", RELOAD_LIVE,
		"How long running requests may go on when their partition moves to another instance; the whole group waits meanwhile."),

	TOP("limits.memory", CONFIG_SIZE, limits.memory, "\"256MiB\"", "1MiB..1TiB", RELOAD_RESTART,
		"Memory for requests and results together; above it no new requests are taken."),
	TOP("limits.request", CONFIG_SIZE, limits.request, "\"1MiB\"", "1KiB..512MiB", RELOAD_RESTART,
		"The largest request; larger ones are rejected to the dead letters."),
	TOP("limits.result", CONFIG_SIZE, limits.result, "\"1MiB\"", "1KiB..512MiB", RELOAD_RESTART,
		"The largest result of a worker; a larger one becomes the error RESULT_TOO_LARGE."),

	TOP("encoding.results", CONFIG_ENUM, encoding.results, "\"mirror\"", "mirror|avro|json", RELOAD_LIVE,
		"How results are written; \"mirror\": like their request."),
	TOP("encoding.health", CONFIG_ENUM, encoding.health, "\"avro\"", "avro|json", RELOAD_RESTART,
		"How health events are written."),

	TOP("headers.copy", CONFIG_STRINGS, headers.copy, "[ \"x-*\" ]", NULL, RELOAD_LIVE,
		"Headers that go from a request to the worker and onto the result, beside those for tracing and correlation; * and ? "
		"match as in file names."),

	TOP("health.heartbeat", CONFIG_DURATION, health.heartbeat, "\"10s\"", "0..1d", RELOAD_LIVE,
		"How often a snapshot of the instance goes to the health topic; 0: never."),
	TOP("health.sessions", CONFIG_BOOL, health.sessions, "false", NULL, RELOAD_LIVE,
		"A health event SESSION for each session that begins or ends; those that are lost with their worker are in its WORKER_EXIT."),

	TOP("http.listen", CONFIG_STRING, http.listen, "\"127.0.0.1:9464\"", NULL, RELOAD_RESTART,
		"Address for status and metrics over HTTP, without a password: a loopback address, or one that only those reach who may "
		"see it. Port 0: any free one. Empty: none."),

	TOP("log.level", CONFIG_ENUM, log.level, "\"info\"", "debug|info|warn|error", RELOAD_LIVE,
		"The least level that is logged."),
	TOP("log.format", CONFIG_ENUM, log.format, "\"text\"", "text|json", RELOAD_LIVE, "Form of the log lines on stderr."),

	TOP("log.slow", CONFIG_DURATION, log.slow, "0", "0..30d", RELOAD_LIVE,
		"Requests that take so long from their record's timestamp to their result are logged, with where their time went; 0: none."),

	TOP("schemas.extra", CONFIG_STRINGS, schemas.extra, "[ ]", NULL, RELOAD_RESTART,
		"Directories of further Avro schemas (*.avsc) that requests may have been written with."),
	RESERVED("schemas.output", NULL, "an older schema to write with"),
};

const struct config_key *settings_keys(size_t *n)
{
	*n = sizeof table / sizeof *table;
	return table;
}

/* ---- what no single key can tell ---- */

const struct pool_settings *settings_pool(const struct settings *s, size_t i)
{
	CHECK(i < s->pools.n);
	return (const struct pool_settings *)s->pools.items + i;
}

const struct source_settings *settings_source(const struct settings *s, size_t i)
{
	CHECK(i < s->sources.n);
	return (const struct source_settings *)s->sources.items + i;
}

static const struct pool_settings *pool_named(const struct settings *s, const char *name)
{
	for (size_t i = 0; i < s->pools.n; i++)
		if (strcmp(settings_pool(s, i)->name, name) == 0)
			return settings_pool(s, i);
	return NULL;
}

/* "pools[2].name" and the like; the names are ours and short. */
static const char *place(char out[64], const char *list, size_t i, const char *member)
{
	snprintf(out, 64, "%s[%zu].%s", list, i, member);
	return out;
}

static bool made_of(const char *text, const char *more, size_t most)
{
	size_t n = strlen(text);

	for (const char *c = text; *c; c++)
		if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && !strchr(more, *c))
			return false;
	return n > 0 && n <= most;
}

static bool is_assignment(const char *text)
{
	const char *equals = strchr(text, '=');

	return equals && equals != text;
}

static void check_process(const struct pool_settings *p, size_t i, struct config_report *r)
{
	char at[64];

	if (strcmp(p->adapter, "process") != 0 && strcmp(p->adapter, "mock") != 0)
		config_fault(r, place(at, "pools", i, "adapter"),
			"there is no adapter \"%s\"; allowed are \"process\" and \"mock\"", p->adapter);
	if (strcmp(p->adapter, "process") == 0 && (p->command.n == 0 || !*p->command.items[0]))
		config_fault(r, place(at, "pools", i, "command"),
			"adapter \"process\" needs the worker's command; for example: command = %s;", COMMAND_EXAMPLE);
	for (size_t j = 0; j < p->environment.n; j++)
		if (!is_assignment(p->environment.items[j]))
			config_fault(r, place(at, "pools", i, "environment"), "item %zu is not of the form \"NAME=value\"", j);
}

static void check_account(const struct pool_settings *p, size_t i, struct config_report *r)
{
	struct account unused;
	char at[64], why[256];
	enum account_fault fault = account_find(p->user, p->group, &unused, why, sizeof why);

	if (fault)
		config_fault(r, place(at, "pools", i, fault == ACCOUNT_GROUP ? "group" : "user"), "%s", why);
}

static void check_pool(const struct settings *s, size_t i, struct config_report *r)
{
	const struct pool_settings *p = settings_pool(s, i);
	char at[64];

	if (!made_of(p->name, "-", POOL_NAME_MAX))
		config_fault(r, place(at, "pools", i, "name"), "found \"%.60s\"; a name is 1 to %d of a-z, 0-9 and -", p->name,
			POOL_NAME_MAX);
	else if (pool_named(s, p->name) != p)
		config_fault(r, place(at, "pools", i, "name"), "a pool \"%s\" stands before; each needs a name of its own",
			p->name);
	check_process(p, i, r);
	check_account(p, i, r);
	if (p->backoff_min > p->backoff_max)
		config_fault(r, place(at, "pools", i, "backoff_min"), "is above backoff_max; lower it or raise that");
	if (p->min_ready > p->size)
		config_fault(r, place(at, "pools", i, "min_ready"), "is above size; lower it or raise that");
	if (p->resident_limit > 0 && p->recycle_memory >= p->resident_limit)
		config_fault(r, place(at, "pools", i, "recycle_memory"), "must be below resident_limit; lower it or raise that");
	if (p->max_frame_bytes < s->limits.request + FRAME_MARGIN || p->max_frame_bytes < s->limits.result + FRAME_MARGIN)
		config_fault(r, place(at, "pools", i, "max_frame_bytes"),
			"must be at least 64KiB above limits.request and limits.result; raise it or lower those");
}

static void check_topic(const char *topic, const char *at, struct config_report *r)
{
	if (!made_of(topic, "ABCDEFGHIJKLMNOPQRSTUVWXYZ._-", TOPIC_MAX) || strcmp(topic, ".") == 0 || strcmp(topic, "..") == 0)
		config_fault(r, at, "found \"%.60s\"; a topic's name is 1 to %d of letters, digits, ., _ and -", topic,
			TOPIC_MAX);
}

static void check_source(const struct settings *s, size_t i, struct config_report *r)
{
	const struct source_settings *source = settings_source(s, i);
	char at[64];

	check_topic(source->topic, place(at, "sources", i, "topic"), r);
	for (size_t j = 0; j < i; j++)
		if (strcmp(settings_source(s, j)->topic, source->topic) == 0)
			config_fault(r, place(at, "sources", i, "topic"),
				"sources[%zu] reads \"%s\" already; each source needs a topic of its own", j, source->topic);
	if (*source->pool && !pool_named(s, source->pool))
		config_fault(r, place(at, "sources", i, "pool"),
			"there is no pool \"%.60s\"; name one of pools, or leave the key out", source->pool);
	if (source->commands.n == 0)
		config_fault(r, place(at, "sources", i, "commands"),
			"empty: no request would be allowed; write [ \"*\" ] for all");
	if (source->reply_topics.n > 0)
		config_fault(r, place(at, "sources", i, "reply_topics"),
			"not supported in this version: reply topics; leave the list empty");
}

static void check_output(const struct settings *s, const char *topic, const char *at, struct config_report *r)
{
	check_topic(topic, at, r);
	for (size_t i = 0; i < s->sources.n; i++)
		if (strcmp(settings_source(s, i)->topic, topic) == 0)
			config_fault(r, at, "\"%s\" is read as requests by sources[%zu]; what is written must go elsewhere",
				topic, i);
}

enum { OF_CONSUMER = 1, OF_PRODUCER = 2 };

/* Values may be secrets: only names are told. */
static bool check_properties(const struct config_strings *list, const char *at, int of, struct config_report *r)
{
	char why[512];
	bool good = true;

	for (size_t i = 0; i < list->n; i++) {
		const char *property = list->items[i];

		if (!is_assignment(property))
			config_fault(r, at, "item %zu is not of the form \"name=value\"", i);
		else if ((of & OF_CONSUMER && !consumer_takes_property(property, why, sizeof why)) ||
			 (of & OF_PRODUCER && !producer_takes_property(property, why, sizeof why)))
			config_fault(r, at, "%s", why);
		else
			continue;
		good = false;
	}
	return good;
}

static void check_membership(const struct settings *s, struct config_report *r)
{
	const struct consumer_config c = {
		.brokers = s->kafka.brokers,
		.group = s->kafka.group,
		.instance_id = s->instance.id,
		.properties = (const char *const *)s->kafka.properties.items,
		.more_properties = (const char *const *)s->kafka.consumer_properties.items,
	};
	char why[512];

	if (!consumer_config_fits(&c, why, sizeof why))
		config_fault(r, "kafka.consumer_properties", "%s", why);
}

static void check_kafka(const struct settings *s, struct config_report *r)
{
	bool both, consumer;

	check_output(s, s->kafka.results, "kafka.results", r);
	check_output(s, s->kafka.health, "kafka.health", r);
	check_output(s, s->kafka.dead_letters, "kafka.dead_letters", r);
	both = check_properties(&s->kafka.properties, "kafka.properties", OF_CONSUMER | OF_PRODUCER, r);
	consumer = check_properties(&s->kafka.consumer_properties, "kafka.consumer_properties", OF_CONSUMER, r);
	check_properties(&s->kafka.producer_properties, "kafka.producer_properties", OF_PRODUCER, r);
	if (both && consumer && *s->kafka.brokers && *s->kafka.group)
		check_membership(s, r);
	if (!*s->kafka.brokers)
		config_fault(r, "kafka.brokers", "empty; write host:port,host:port");
	if (!*s->kafka.group)
		config_fault(r, "kafka.group", "empty; name the consumer group");
	if (strlen(s->instance.id) > INSTANCE_MAX || !slice_is_utf8(slice_of(s->instance.id)))
		config_fault(r, "instance.id", "must be UTF-8 of at most %d bytes", INSTANCE_MAX);
}

static void check_settings(const void *out, struct config_report *r)
{
	const struct settings *s = out;
	char why[256];

	check_kafka(s, r);
	if (s->pools.n == 0)
		config_fault(r, "pools", "empty; write at least one: pools = ( { command = %s; } );", COMMAND_EXAMPLE);
	if (s->sources.n == 0)
		config_fault(r, "sources", "empty; leave the key out for one source, " DEFAULT_REQUESTS);
	for (size_t i = 0; i < s->pools.n; i++)
		check_pool(s, i, r);
	for (size_t i = 0; i < s->sources.n; i++)
		check_source(s, i, r);
	if (*s->http.listen && !http_address_fits(s->http.listen, why, sizeof why))
		config_fault(r, "http.listen", "%s", why);
	if (s->delivery.guarantee != 0)
		config_fault(r, "delivery.guarantee", "not supported in this version: \"exactly-once\"; write \"at-least-once\"");
	if (s->limits.memory < s->limits.request + s->limits.result)
		config_fault(r, "limits.memory",
			"must be at least limits.request and limits.result together; raise it or lower those");
}

/* Sources that name no pool get the pool "default", or else the first. */
static void choose_pools(struct settings *s)
{
	const struct pool_settings *chosen = pool_named(s, "default");

	for (size_t i = 0; i < s->sources.n; i++) {
		struct source_settings *source = (struct source_settings *)s->sources.items + i;

		if (*source->pool)
			continue;
		free(source->pool);
		source->pool = xstrdup((chosen ? chosen : settings_pool(s, 0))->name);
	}
}

bool settings_load(const char *path, const char *const *sets, size_t nsets, struct settings *out, struct buf *errors)
{
	size_t n;
	const struct config_key *keys = settings_keys(&n);

	if (!config_load_checked(path, sets, nsets, keys, n, out, check_settings, errors))
		return false;
	choose_pools(out);
	return true;
}

bool settings_judge(const struct settings *s, struct buf *errors)
{
	size_t n;
	const struct config_key *keys = settings_keys(&n);

	return config_judge(keys, n, s, check_settings, errors);
}

void settings_free(struct settings *s)
{
	size_t n;
	const struct config_key *keys = settings_keys(&n);

	config_free(keys, n, s);
}
