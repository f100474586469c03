/* uthash_setup.h: uthash with our allocation, so that a table never grows into a null pointer. */
#ifndef CORE_UTHASH_SETUP_H
#define CORE_UTHASH_SETUP_H

#include "bridgepool/base/check.h"
#define uthash_malloc(size) xmalloc(size)
#include <uthash.h>

/* Each step of a chain is a line of memory that no cache holds: shorter chains than uthash's own ten; among a million
 * sessions 12 bytes each. */
#undef HASH_BKT_CAPACITY_THRESH
#define HASH_BKT_CAPACITY_THRESH 6U

#endif
