/* reload.c: see reload.h. What a changed key means stands in the table of settings: it holds at once, it holds for the workers
 * that are started from now on, and theirs are replaced, or it needs a restart. */
#include "reload.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "wiring.h"

enum {
	ERRORS_LIMIT = 32 * 1024,
	SHOWN_MAX = 96,
	TEXT_MAX = 512,
	TOLD_LINE_MAX = 2048,
	LEFT_OUT_MAX = 64, /* the line that says how many have no room */
};

struct judging {
	struct reload *reload;
	const struct settings *now;
};

static void add_change(struct reload *r, enum config_reload how, bool is_item, const char *text)
{
	r->changes = xrealloc(r->changes, (r->n + 1) * sizeof *r->changes);
	r->changes[r->n++] = (struct reload_change){how, is_item, xstrdup(text)};
	r->by_how[how]++;
}

static bool take_change(void *ctx, const struct config_change *c)
{
	struct judging *j = ctx;
	char text[TEXT_MAX], from[SHOWN_MAX], to[SHOWN_MAX], item[80] = "";
	bool stays = c->what != CONFIG_CHANGED;

	if (c->item)
		snprintf(item, sizeof item, " (%.60s)", c->item);
	if (stays)
		snprintf(text, sizeof text, "%s%s: %s", c->place, item, c->what == CONFIG_ADDED ? "it is new" : "it is gone");
	else if (config_show(c->key, c->before, from, sizeof from) && config_show(c->key, c->after, to, sizeof to))
		snprintf(text, sizeof text, "%s%s: %s -> %s", c->place, item, from, to);
	else
		snprintf(text, sizeof text, "%s%s", c->place, item);
	add_change(j->reload, stays ? RELOAD_RESTART : c->key->reload, stays, text);
	if (!stays && c->key->reload == RELOAD_ROLL) {
		CHECK(strncmp(c->key->path, "pools[]", 7) == 0 && c->index < j->now->pools.n);
		j->reload->rolls[c->index] = true;
	}
	return !stays && c->key->reload != RELOAD_RESTART;
}

static void refuse(struct reload *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void refuse(struct reload *r, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	buf_printf(&r->errors, "%s\n", text);
	r->good = false;
}

/* Both readings were right for themselves; what a restart would bring together may not go together yet. */
static void judge_together(struct reload *r)
{
	if (settings_judge(&r->settings, &r->errors))
		return;
	refuse(r, "these changes only go together with others that need a restart");
}

static void judge_workers(struct reload *r)
{
	char why[512];

	for (size_t i = 0; i < r->settings.pools.n; i++) {
		const struct pool_settings *p = settings_pool(&r->settings, i);
		struct adapter_config c = wiring_adapter(p);

		if (r->rolls[i] && !adapter_fits(&c, why, sizeof why))
			refuse(r, "pool \"%s\": %s", p->name, why);
	}
}

void reload_judge(struct reload *r, const struct settings_origin *from, const struct settings *now)
{
	size_t n;
	const struct config_key *keys = settings_keys(&n);
	struct judging j = {r, now};

	*r = (struct reload){.rolls = xcalloc(now->pools.n + 1, sizeof *r->rolls)};
	buf_init(&r->errors, ERRORS_LIMIT);
	r->good = settings_load(from->path, from->sets, from->nsets, &r->settings, &r->errors);
	if (!r->good)
		return;
	config_merge(keys, n, now, &r->settings, take_change, &j);
	judge_together(r);
	if (r->good)
		judge_workers(r);
	if (!r->good)
		settings_free(&r->settings);
}

static const char *share_text(char out[32], const struct shares *s)
{
	snprintf(out, 32, "%" PRIu64 " MiB", s->limit >> 20);
	return s->limit > 0 ? out : "none";
}

void reload_shares(struct reload *r, const struct shares *before, const struct shares *after)
{
	char from[32], to[32], text[TEXT_MAX];

	if (before->limit == after->limit)
		return;
	snprintf(text, sizeof text, "pools[].resident_limit where it is 0, a share of the control group's memory: %s -> %s",
		share_text(from, before), share_text(to, after));
	add_change(r, RELOAD_LIVE, false, text);
}

/* ---- telling ---- */

void reload_summary(const struct reload *r, char *out, size_t size)
{
	if (!r->good)
		snprintf(out, size, "refused: the configuration has errors, nothing was changed");
	else if (r->n == 0)
		snprintf(out, size, "reloaded: nothing is different");
	else
		snprintf(out, size, "reloaded: %zu changed at once, %zu by replacing workers, %zu kept until a restart",
			r->by_how[RELOAD_LIVE], r->by_how[RELOAD_ROLL], r->by_how[RELOAD_RESTART]);
}

/* False: there is no room for it, beside the line that says so. */
static bool report_line(struct buf *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool report_line(struct buf *out, const char *format, ...)
{
	char text[TOLD_LINE_MAX];
	va_list args;
	size_t n;

	va_start(args, format);
	vsnprintf(text, sizeof text - 1, format, args);
	va_end(args);
	n = strlen(text);
	text[n] = '\n';
	return out->len + n + 1 + LEFT_OUT_MAX <= out->limit && buf_append(out, text, n + 1);
}

static void report_left_out(struct buf *out, size_t n, bool uncounted)
{
	if (uncounted)
		buf_text(out, "  … and more lines\n");
	else if (n > 0)
		buf_printf(out, "  … %zu more line%s\n", n, n == 1 ? "" : "s");
}

static void report_changes(const struct reload *r, struct buf *out)
{
	static const char *const words[] = {[RELOAD_LIVE] = "live", [RELOAD_ROLL] = "rolls", [RELOAD_RESTART] = "restart"};
	size_t i = 0;

	while (i < r->n && report_line(out, "  %-8s %s", words[r->changes[i].how], r->changes[i].text))
		i++;
	report_left_out(out, r->n - i, false);
}

static void report_errors(const struct reload *r, struct buf *out)
{
	struct slice rest = buf_slice(&r->errors), line;
	size_t left = 0;

	while (slice_line(&rest, &line))
		if (left > 0 || !report_line(out, "%.*s", (int)line.len, (const char *)line.data))
			left++;
	report_left_out(out, left, r->errors.overflow);
}

void reload_report(const struct reload *r, struct buf *out)
{
	char summary[256];

	reload_summary(r, summary, sizeof summary);
	report_line(out, "%s", summary);
	if (r->good)
		report_changes(r, out);
	else
		report_errors(r, out);
}

void reload_free(struct reload *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->changes[i].text);
	free(r->changes);
	free(r->rolls);
	buf_free(&r->errors);
	*r = (struct reload){0};
}
