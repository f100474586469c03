/* config.c: the engine's own copy of its configuration. */
#include <stdlib.h>

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

void config_forget(struct engine *e)
{
	for (size_t i = 0; i < e->cfg.nsources; i++)
		free((void *)(uintptr_t)e->cfg.sources[i].commands);
	free((void *)(uintptr_t)e->cfg.pools);
	free((void *)(uintptr_t)e->cfg.sources);
	free((void *)(uintptr_t)e->cfg.copy_headers);
	for (size_t i = 0; i < e->nstrings; i++)
		free(e->strings[i]);
	free(e->strings);
}
