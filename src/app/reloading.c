/* reloading.c: a configuration that is read again is taken over, and what came of it is told: to the log, to the health topic, to
 * whoever has asked, to the supervisor. reload.c judges it. */
#include <stdio.h>

#include "bridgepool/app/reload_word.h"
#include "bridgepool/base/log.h"
#include "bridgepool/ops/supervisor.h"
#include "life.h"
#include "reload.h"

/* What holds is exchanged only for something different. Nobody but the wiring borrows from it beyond a call: the engine, the
 * adapters and Kafka's clients have copies. */
static void take_over(struct daemon *d, struct reload *r)
{
	struct wiring former = d->wiring;
	struct settings unused = r->settings;
	struct shares before = shares_of(&d->settings, &d->memory), after;

	if (r->n > 0) {
		unused = d->reading;
		d->settings = d->reading = r->settings;
	}
	d->memory = machine_memory("");
	after = shares_of(&d->settings, &d->memory);
	reload_shares(r, &before, &after);
	wiring_init(&d->wiring, &d->settings, &d->identity, &d->memory);
	log_setup((enum log_level)d->settings.log.level, (enum log_format)d->settings.log.format);
	flow_retune(d->flow, r->rolls);
	wiring_free(&former);
	settings_free(&unused);
	beginning_tell_surroundings(d);
}

static struct slice unindented(struct slice line)
{
	const char *p = line.data;

	while (line.len > 0 && *p == ' ') {
		p++;
		line.len--;
	}
	return (struct slice){p, line.len};
}

/* To the log, line by line, to the health topic, and to a `bridgepool reload` that waits. */
static void tell_reload(struct daemon *d, const struct reload *r)
{
	struct slice rest, line;
	struct buf report;
	char summary[256];
	struct note n = {.kind = r->good ? NOTE_RELOADED : NOTE_RELOAD_REFUSED};

	reload_summary(r, summary, sizeof summary);
	n.reason = slice_of(summary);
	buf_init(&report, RELOAD_WORD_MAX);
	reload_report(r, &report);
	flow_note(d->flow, &n);
	rest = buf_slice(&report);
	reload_word_tell(rest);
	slice_line(&rest, &line); /* the summary, which the note has told */
	while (slice_line(&rest, &line)) {
		line = unindented(line);
		log_line(r->good ? LOG_INFO : LOG_ERROR, "reload", "%.*s", (int)line.len, (const char *)line.data);
	}
	buf_free(&report);
}

static void refuse_reload(const char *why)
{
	char text[256];

	log_line(LOG_WARN, "reload_refused", "%s", why);
	snprintf(text, sizeof text, "refused: %s\n", why);
	reload_word_tell(slice_of(text));
}

static const char *why_not_now(const struct daemon *d)
{
	if (!d->origin)
		return "it was started without a configuration that could be read again";
	if (!d->serving)
		return "the daemon still waits for a broker; restart it to use a changed configuration, or ask again when it works";
	return d->state == HEALTH_DRAINING || d->state == HEALTH_STOPPED ? "the daemon is stopping" : NULL;
}

void reloading_serve(struct daemon *d)
{
	struct reload r;
	const char *why;

	d->reload_asked = false;
	why = why_not_now(d);
	if (why) {
		refuse_reload(why);
		return;
	}
	if (d->told_ready)
		supervisor_reloading();
	reload_judge(&r, d->origin, &d->settings);
	if (r.good)
		take_over(d, &r);
	tell_reload(d, &r);
	reload_free(&r);
	if (d->told_ready)
		supervisor_ready();
}
