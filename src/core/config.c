/* config.c: see config.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "state.h"

static const char *keep(struct strings *k, const char *text)
{
	k->items = xrealloc(k->items, (k->n + 1) * sizeof(*k->items));
	return k->items[k->n++] = xstrdup(text);
}

static void keep_free(struct strings *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->items[i]);
	free(k->items);
}

static const char *const *keep_list(struct strings *k, const char *const *list, size_t n)
{
	const char **kept = xcalloc(n + 1, sizeof(*kept));

	for (size_t i = 0; i < n; i++)
		kept[i] = keep(k, list[i]);
	return kept;
}

/* All but the names, which are the caller's still. */
static void copy(struct engine *e, const struct engine_config *cfg)
{
	struct pool_config *pools = xcalloc(cfg->npools, sizeof(*pools));
	struct source_config *sources = xcalloc(cfg->nsources, sizeof(*sources));

	e->cfg = *cfg;
	for (size_t i = 0; i < cfg->npools; i++)
		pools[i] = cfg->pools[i];
	for (size_t i = 0; i < cfg->nsources; i++) {
		CHECK(cfg->sources[i].pool < cfg->npools);
		sources[i] = cfg->sources[i];
		sources[i].commands = keep_list(&e->patterns, cfg->sources[i].commands, cfg->sources[i].ncommands);
	}
	e->cfg.pools = pools;
	e->cfg.sources = sources;
	e->cfg.copy_headers = keep_list(&e->patterns, cfg->copy_headers, cfg->ncopy_headers);
}

void config_keep(struct engine *e, const struct engine_config *cfg)
{
	struct pool_config *pools;
	struct source_config *sources;

	copy(e, cfg);
	pools = (struct pool_config *)(uintptr_t)e->cfg.pools;
	sources = (struct source_config *)(uintptr_t)e->cfg.sources;
	e->cfg.instance_id = keep(&e->names, cfg->instance_id);
	for (size_t i = 0; i < cfg->npools; i++)
		pools[i].name = keep(&e->names, cfg->pools[i].name);
	for (size_t i = 0; i < cfg->nsources; i++)
		sources[i].topic = keep(&e->names, cfg->sources[i].topic);
}

static void free_lists(const struct engine_config *cfg)
{
	for (size_t i = 0; i < cfg->nsources; i++)
		free((void *)(uintptr_t)cfg->sources[i].commands);
	free((void *)(uintptr_t)cfg->pools);
	free((void *)(uintptr_t)cfg->sources);
	free((void *)(uintptr_t)cfg->copy_headers);
}

/* What cannot change while the engine lives stays as it was; names stay where they are, for whoever borrowed them. */
static void keep_fixed(struct engine_config *now, const struct engine_config *before)
{
	struct pool_config *pools = (struct pool_config *)(uintptr_t)now->pools;
	struct source_config *sources = (struct source_config *)(uintptr_t)now->sources;

	now->instance_id = before->instance_id;
	now->window_cap = before->window_cap;
	now->memory_limit = before->memory_limit;
	for (size_t i = 0; i < now->npools; i++) {
		CHECK(strcmp(pools[i].name, before->pools[i].name) == 0);
		pools[i].name = before->pools[i].name;
		pools[i].state = before->pools[i].state;
	}
	for (size_t i = 0; i < now->nsources; i++) {
		CHECK(strcmp(sources[i].topic, before->sources[i].topic) == 0);
		sources[i].topic = before->sources[i].topic;
		sources[i].pool = before->sources[i].pool;
	}
}

void config_retune(struct engine *e, const struct engine_config *cfg)
{
	struct engine_config before = e->cfg;
	struct strings former = e->patterns;

	CHECK(cfg->npools == before.npools && cfg->nsources == before.nsources);
	e->patterns = (struct strings){0};
	copy(e, cfg);
	keep_fixed(&e->cfg, &before);
	free_lists(&before);
	keep_free(&former);
}

void config_forget(struct engine *e)
{
	free_lists(&e->cfg);
	keep_free(&e->patterns);
	keep_free(&e->names);
}
