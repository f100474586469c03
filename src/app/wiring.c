/* wiring.c: the settings cut into the configurations of the rooms. */
#include "wiring.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/base/random.h"
#include "shares.h"

enum { COMMIT_EVERY = 200 }; /* finished requests that bring a commit forward */

void wiring_identity(const struct settings *s, struct identity *id)
{
	if (s->instance.id && *s->instance.id)
		snprintf(id->instance, sizeof id->instance, "%s", s->instance.id);
	else
		snprintf(id->instance, sizeof id->instance, "bridgepool-%08" PRIx32, (uint32_t)random_entropy());
	snprintf(id->incarnation, sizeof id->incarnation, "%016" PRIx64, random_entropy());
	if (gethostname(id->host, sizeof id->host) != 0)
		snprintf(id->host, sizeof id->host, "unknown");
	id->host[sizeof id->host - 1] = '\0';
}

static const char *const *strings(const struct config_strings *s)
{
	return (const char *const *)s->items;
}

static struct pool_config pool_config(const struct pool_settings *p)
{
	return (struct pool_config){
		.name = p->name,
		.size = (uint32_t)p->size,
		.spare = (uint32_t)p->spare,
		.min_ready = (uint32_t)p->min_ready,
		.circuit_failures = (uint32_t)p->circuit_failures,
		.circuit_pause_us = p->circuit_pause,
		.circuit_rejects = p->circuit != 0,
		.recycle_requests = (uint64_t)p->recycle_requests,
		.recycle_age_us = p->recycle_age,
		.recycle_memory = (uint64_t)p->recycle_memory,
		.recycle_grace_us = p->recycle_grace,
		.resident_limit = (uint64_t)p->resident_limit,
		.concurrency = (uint32_t)p->concurrency,
		.state = (enum pool_state)p->state,
		.on_session_loss = (enum session_loss)p->on_session_loss,
		.on_revoke = (enum revoke_policy)p->on_revoke,
		.request_timeout_us = p->request_timeout,
		.partial_interval_us = p->partial_interval,
		.partial_max = (uint32_t)p->partial_max,
		.partial_bytes_max = (uint64_t)p->partial_bytes_max,
		.kill_grace_us = p->kill_grace,
		.session_ttl_us = p->session_ttl,
		.max_sessions = (uint64_t)p->max_sessions,
		.max_queued = (uint64_t)p->max_queued,
		.max_queued_per_session = (uint64_t)p->max_queued_per_session,
		.session_hook_timeout_us = p->session_hook_timeout,
		.start_timeout_us = p->start_timeout,
		.start_batch = (uint32_t)p->start_batch,
		.ping_interval_us = p->ping_interval,
		.ping_timeout_us = p->ping_timeout,
		.backoff_min_us = p->backoff_min,
		.backoff_max_us = p->backoff_max,
		.stop_grace_us = p->stop_grace,
	};
}

/* What was said of a pool stands: one that is to be replaced above its share is not killed there. */
static void share(struct pool_config *c, const struct pool_settings *p, const struct shares *shares)
{
	if (!shares_apply(p) || (p->recycle_memory && (uint64_t)p->recycle_memory >= shares->limit))
		return;
	c->resident_limit = shares->limit;
	if (!p->recycle_memory)
		c->recycle_memory = shares->recycle;
}

static uint16_t pool_index(const struct settings *s, const char *name)
{
	for (size_t i = 0; i < s->pools.n; i++)
		if (slice_is(slice_of(settings_pool(s, i)->name), name))
			return (uint16_t)i;
	CHECK(!"settings_load has checked that a source's pool exists");
	return 0;
}

static void fill_lists(struct wiring *w, const struct settings *s, const struct machine_memory *m)
{
	const struct shares shares = shares_of(s, m);

	w->pools = xcalloc(s->pools.n, sizeof *w->pools);
	w->sources = xcalloc(s->sources.n, sizeof *w->sources);
	w->topics = xcalloc(s->sources.n + 1, sizeof *w->topics);
	for (size_t i = 0; i < s->pools.n; i++) {
		w->pools[i] = pool_config(settings_pool(s, i));
		share(&w->pools[i], settings_pool(s, i), &shares);
	}
	for (size_t i = 0; i < s->sources.n; i++) {
		const struct source_settings *from = settings_source(s, i);
		w->topics[i] = from->topic;
		w->sources[i] = (struct source_config){
			.topic = from->topic,
			.pool = pool_index(s, from->pool),
			.commands = strings(&from->commands),
			.ncommands = from->commands.n,
		};
	}
}

static struct engine_config engine_config(const struct wiring *w, const struct settings *s, const struct identity *id)
{
	return (struct engine_config){
		.instance_id = id->instance,
		.pools = w->pools,
		.npools = s->pools.n,
		.sources = w->sources,
		.nsources = s->sources.n,
		.max_attempts = (uint32_t)s->delivery.max_attempts,
		.slow_us = s->log.slow,
		.tell_sessions = s->health.sessions,
		.retry_backoff_us = s->delivery.retry_backoff,
		.drain_revoke_us = s->drain.revoke,
		.commit_interval_us = s->delivery.commit_interval,
		.commit_every = COMMIT_EVERY,
		.window_cap = (uint32_t)s->delivery.window,
		.memory_limit = (uint64_t)s->limits.memory,
		.request_limit = (uint64_t)s->limits.request,
		.result_limit = (uint64_t)s->limits.result,
		.results_encoding = s->encoding.results - 1, /* "mirror|avro|json" */
		.copy_headers = strings(&s->headers.copy),
		.ncopy_headers = s->headers.copy.n,
	};
}

/* Some seconds of small requests, and not much beside limits.memory. */
static uint64_t ahead_bytes(uint64_t memory)
{
	const uint64_t least = 8 << 20, most = 64 << 20;

	return memory / 4 < least ? least : memory / 4 > most ? most : memory / 4;
}

struct codec_config wiring_codec(const struct settings *s)
{
	return (struct codec_config){
		.extra_dirs = strings(&s->schemas.extra),
		.nextra_dirs = s->schemas.extra.n,
		.max_request = (size_t)s->limits.request,
	};
}

void wiring_init(struct wiring *w, const struct settings *s, const struct identity *id, const struct machine_memory *m)
{
	*w = (struct wiring){0};
	fill_lists(w, s, m);
	w->engine = engine_config(w, s, id);
	w->codec = wiring_codec(s);
	w->consumer = (struct consumer_config){
		.brokers = s->kafka.brokers,
		.group = s->kafka.group,
		.instance_id = s->instance.id,
		.topics = w->topics,
		.ntopics = s->sources.n,
		.ahead_bytes = ahead_bytes((uint64_t)s->limits.memory),
		.properties = strings(&s->kafka.properties),
		.more_properties = strings(&s->kafka.consumer_properties),
	};
	w->producer = (struct producer_config){
		.brokers = s->kafka.brokers,
		.properties = strings(&s->kafka.properties),
		.more_properties = strings(&s->kafka.producer_properties),
		.linger_us = s->kafka.linger,
	};
	w->health_encoding = s->encoding.health == 0 ? ENCODING_AVRO : ENCODING_JSON; /* "avro|json" */
}

void wiring_free(struct wiring *w)
{
	free(w->pools);
	free(w->sources);
	free(w->topics);
	*w = (struct wiring){0};
}

struct adapter_config wiring_adapter(const struct pool_settings *p)
{
	return (struct adapter_config){
		.kind = p->adapter,
		.command = strings(&p->command),
		.directory = p->directory,
		.environment = strings(&p->environment),
		.pass = strings(&p->pass_environment),
		.max_frame_bytes = (size_t)p->max_frame_bytes,
		.stop_grace_us = p->stop_grace,
		.address_space = p->memory,
		.open_files = p->open_files,
		.core_bytes = p->core,
		.cpu_seconds = (p->cpu + SECOND_US - 1) / SECOND_US,
		.oom_score = p->oom_score,
		.user = p->user,
		.group = p->group,
		.may_gain_privileges = !p->no_new_privileges,
		.pool_name = p->name,
		.script = p->script && *p->script ? p->script : NULL,
	};
}
