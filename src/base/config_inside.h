/* config_inside.h: what the files of the configuration share. */
#ifndef BASE_CONFIG_INSIDE_H
#define BASE_CONFIG_INSIDE_H

#include <libconfig.h>

#include "bridgepool/base/config.h"

enum { CONFIG_PATH_MAX = 256 };

/* The table. */
struct config_keys {
	const struct config_key *rows;
	size_t n;
};

/* One reading of a configuration: where it stands, and what was wrong with it. */
struct config_report {
	struct config_keys keys;
	const char *file; /* NULL: there is none */
	config_t *tree;
	struct buf *errors;
	size_t count;  /* of errors */
	size_t single; /* bytes of them that tell of single keys; what follows tells of keys together */
	bool hollow;   /* a field has no value at all: checks across keys would stumble over it */
};

/* config_report.c. A setting's hook is the text of the --set that made it. */
void config_say(struct config_report *r, const config_setting_t *at, const char *key, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void config_unknown(struct config_report *r, const config_setting_t *at, const char *path); /* names the nearest key */
bool config_said(const struct config_report *r, const char *path);                          /* that key alone was wrong */
/* "pools[3].size" -> "pools[].size", as the table writes it. False: too long for any key. */
bool config_schematic(const char *path, char out[CONFIG_PATH_MAX]);
const struct config_key *config_find(const struct config_keys *keys, const char *schematic); /* NULL: none */
bool config_is_group(const struct config_keys *keys, const char *schematic);                 /* keys begin with it and a dot */

/* config.c */
/* The rest of the key's path if it belongs to the struct of `level` ("" or "pools[]") itself. */
const char *config_in_level(const struct config_key *key, const char *level);
void config_free_field(const struct config_keys *keys, const struct config_key *key, void *field);
void config_free_level(const struct config_keys *keys, const char *level, void *out);

/* config_set.c: one --set into the tree. */
void config_set(struct config_report *r, const char *set);

/* config_expand.c: ${NAME} and ${file:PATH}. The caller frees; NULL: why says what to mend. */
char *config_expand(const char *text, char *why, size_t size);

/* config_value.c: one setting into one field. False: said, and the field is empty. */
bool config_value(struct config_report *r, const struct config_key *key, const config_setting_t *s, const char *path,
	void *field);
size_t config_value_size(enum config_type type);

#endif
