/* uthash_setup.h: uthash with our allocation, so that a table never grows into a null pointer. */
#ifndef CORE_UTHASH_SETUP_H
#define CORE_UTHASH_SETUP_H

#include "bridgepool/base/check.h"
#define uthash_malloc(size) xmalloc(size)
#include <uthash.h>

#endif
