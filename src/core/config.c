/* config.c: see config.h. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "state.h"

static const char *keep(struct engine *e, const char *text)
{
	e->strings = xrealloc(e->strings, (e->nstrings + 1) * sizeof(*e->strings));
	return e->strings[e->nstrings++] = xstrdup(text);
}

static const char *const *keep_list(struct engine *e, const char *const *list, size_t n)
{
	const char **kept = xcalloc(n + 1, sizeof(*kept));

	for (size_t i = 0; i < n; i++)
		kept[i] = keep(e, list[i]);
	return kept;
}

void config_keep(struct engine *e, const struct engine_config *cfg)
{
	struct pool_config *pools = xcalloc(cfg->npools, sizeof(*pools));
	struct source_config *sources = xcalloc(cfg->nsources, sizeof(*sources));

	e->cfg = *cfg;
	e->cfg.instance_id = keep(e, cfg->instance_id);
	for (size_t i = 0; i < cfg->npools; i++) {
		pools[i] = cfg->pools[i];
		pools[i].name = keep(e, cfg->pools[i].name);
	}
	for (size_t i = 0; i < cfg->nsources; i++) {
		CHECK(cfg->sources[i].pool < cfg->npools);
		sources[i] = cfg->sources[i];
		sources[i].topic = keep(e, cfg->sources[i].topic);
		sources[i].commands = keep_list(e, cfg->sources[i].commands, cfg->sources[i].ncommands);
	}
	e->cfg.pools = pools;
	e->cfg.sources = sources;
	e->cfg.copy_headers = keep_list(e, cfg->copy_headers, cfg->ncopy_headers);
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

	CHECK(cfg->npools == before.npools && cfg->nsources == before.nsources);
	config_keep(e, cfg);
	keep_fixed(&e->cfg, &before);
	free_lists(&before);
}

void config_forget(struct engine *e)
{
	free_lists(&e->cfg);
	for (size_t i = 0; i < e->nstrings; i++)
		free(e->strings[i]);
	free(e->strings);
}
