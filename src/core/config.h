/* config.h: the engine's own copy of its configuration. */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H

#include "bridgepool/core/engine.h"

void config_keep(struct engine *e, const struct engine_config *cfg);   /* copies cfg */
void config_retune(struct engine *e, const struct engine_config *cfg); /* what may change while it lives */
void config_forget(struct engine *e);

#endif
