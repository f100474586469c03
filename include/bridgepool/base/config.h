/* config.h: a libconfig file read against one table of keys. Parsing, `check`, --help, the man page and the reference all come
 * from that table.
 *
 * A path names a key: "kafka.brokers", or "pools[].size" for a member of each group in a list. Structs are filled at
 * `offset`; for a list the table has one CONFIG_LIST row whose offset names a struct config_list. */
#ifndef BRIDGEPOOL_BASE_CONFIG_H
#define BRIDGEPOOL_BASE_CONFIG_H

#include "bridgepool/base/buf.h"

enum config_type {
	CONFIG_STRING,   /* char *            ; owned by the result */
	CONFIG_INT,      /* int64_t           ; range "min..max" */
	CONFIG_BOOL,     /* bool */
	CONFIG_DURATION, /* int64_t, us       ; number of seconds or "250ms" "30s" "5m" "1h" "2d" */
	CONFIG_SIZE,     /* int64_t, bytes    ; number or "64KiB" "256MiB" "1GiB" */
	CONFIG_ENUM,     /* int               ; range "a|b|c", value is the index */
	CONFIG_STRINGS,  /* struct config_strings */
	CONFIG_LIST,     /* struct config_list of groups */
	CONFIG_RESERVED  /* nothing is stored; a word of a later version: refused unless it is dflt */
};

/* What a reload can do with a changed key. */
enum config_reload { RELOAD_LIVE, RELOAD_ROLL /* the pool's workers are replaced one by one */, RELOAD_RESTART };

struct config_strings {
	char **items; /* items[n] == NULL, so it is an argv too */
	size_t n;
};

struct config_list {
	void *items; /* n structs of `stride` bytes, one after the other */
	size_t n, stride;
};

struct config_key {
	const char *path; /* "kafka.brokers", "pools[]", "pools[].name" */
	enum config_type type;
	size_t offset; /* into the top struct, or into one list item for "x[].y" */
	size_t stride; /* CONFIG_LIST only: size of one item */
	/* as it would stand in the file; NULL: must be given. A list's default is a list of one group of defaults, or "()" */
	const char *dflt;
	const char *range; /* "1..1000", "a|b", or NULL */
	enum config_reload reload;
	const char *help;    /* one sentence, with the unit */
	const char *example; /* as it would stand in an example; NULL: dflt */
};

/* Reads `path` (NULL: defaults only), then the `sets` ("pools[0].size=8"), expands ${NAME} and ${file:PATH} in strings ($${ is a
 * plain ${), fills `out`. A number may also stand as a string, so that it can come from a variable. All errors at once, a line
 * each: file:line: key: what was found, what is allowed, how to mend it. False: `out` is zeroed. */
bool config_load(const char *path, const char *const *sets, size_t nsets, const struct config_key *keys, size_t n, void *out,
	struct buf *errors);

/* The same, then what no single key can tell: `check` (called only when all is well so far) says each error with config_fault, by
 * the key's place, like "sources[1].pool"; the key need not stand in the file. */
struct config_report;
bool config_load_checked(const char *path, const char *const *sets, size_t nsets, const struct config_key *keys, size_t n,
	void *out, void (*check)(const void *out, struct config_report *r), struct buf *errors);
/* The check alone, of values that no file holds in this form; its errors name keys, not lines. */
bool config_judge(const struct config_key *keys, size_t n, const void *values,
	void (*check)(const void *values, struct config_report *r), struct buf *errors);
void config_fault(struct config_report *r, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));
void config_free(const struct config_key *keys, size_t n, void *out);

/* One thing that is different in a later reading. */
struct config_change {
	const struct config_key *key;
	enum { CONFIG_CHANGED, CONFIG_ADDED, CONFIG_REMOVED } what; /* ADDED, REMOVED: an item of a list, whose key it is */
	const char *place;          /* "pools[1].size", as in the earlier reading; of what was added as in the later */
	const char *item;           /* name of the list's item; NULL: not in a list */
	size_t index;               /* of that item */
	const void *before, *after; /* the fields; NULL where there is none */
};

/* Tells all that is different between two readings, in the order of the table. What `take` returns false for, and whatever was
 * added to or removed from a list, is in `after` as it was before: its lists end with the items of `before`, in their order.
 * Items are the same if their first member, a string, is. */
void config_merge(const struct config_key *keys, size_t n, const void *before, void *after,
	bool (*take)(void *ctx, const struct config_change *c), void *ctx);
/* A value as it would stand in the file. False: it is text, which may be a secret, and is not shown. */
bool config_show(const struct config_key *key, const void *field, char *out, size_t size);

/* The same table as text. */
void config_reference(const struct config_key *keys, size_t n, struct buf *out); /* a line or two per key, for --help and check */
void config_man(const struct config_key *keys, size_t n, struct buf *out);       /* man(7) macros */
void config_example(const struct config_key *keys, size_t n, struct buf *out);   /* a whole configuration file with comments */

#endif
