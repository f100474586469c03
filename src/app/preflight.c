/* preflight.c: are topics and schemas in place, and can they keep what is promised? */
#include "bridgepool/app/preflight.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgepool/app/daemon.h"
#include "bridgepool/app/settings.h"
#include "bridgepool/base/clock.h"
#include "bridgepool/kafka/admin.h"
#include "wiring.h"

enum { TOPIC_TIMEOUT_MS = 10000, SETTING_TIMEOUT_MS = 5000, MISSING_US = 2000000, AGAIN_US = 100000 };

struct topic_role {
	const char *topic, *key; /* key: what the configuration calls it */
	int64_t largest;         /* bytes of the largest record that we write to it; 0: we only read */
};

/* Calls `each` for every topic we use, sources first. */
static void each_topic(const struct settings *s, void (*each)(void *ctx, const struct topic_role *t), void *ctx)
{
	const struct topic_role ours[] = {
		{s->kafka.results, "kafka.results", s->limits.result},
		{s->kafka.health, "kafka.health", 0},
		{s->kafka.dead_letters, "kafka.dead_letters", s->limits.request},
	};

	for (size_t i = 0; i < s->sources.n; i++)
		each(ctx, &(struct topic_role){settings_source(s, i)->topic, "sources[].topic", 0});
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		each(ctx, &ours[i]);
}

struct look {
	struct admin *admin;
	const struct preflight_report *report;
	int code;
	bool missing;          /* a topic is: how all are made is told once */
	bool silent;           /* the broker does not tell settings: it is not asked again */
	int64_t missing_until; /* until then a missing topic is asked for again */
};

static const struct {
	enum verdict verdict;
	int code;
	const char *what, *mend;
} topic_rows[] = {
	[TOPIC_OK] = {VERDICT_OK, EXIT_OK, "is there", NULL},
	[TOPIC_MISSING] = {VERDICT_FAIL, EXIT_CONFIGURATION, "does not exist", NULL /* write_creation */},
	[TOPIC_FORBIDDEN] = {VERDICT_FAIL, EXIT_CONFIGURATION, "is forbidden for us",
		"grant what `bridgepool topics --print` lists under ACLs, or look at the credentials in kafka.properties"},
	[TOPIC_UNKNOWN] = {VERDICT_FAIL, EXIT_BROKER, "could not be asked for",
		"look at the broker's log; it answers, but not about this topic"},
};

/* Not each of several brokers has heard yet of a topic that was made a moment ago. */
static void ask_topic(const struct look *l, const char *topic, struct topic_info *info)
{
	while (admin_topic(l->admin, topic, TOPIC_TIMEOUT_MS, info) && info->state == TOPIC_MISSING &&
		clock_mono_us() < l->missing_until)
		usleep(AGAIN_US);
}

static const char *write_creation(struct look *l, char *out, size_t size)
{
	const char *option = l->report->config ? " -c " : "", *config = l->report->config ? l->report->config : "";

	if (l->missing)
		return NULL;
	l->missing = true;
	snprintf(out, size,
		"create all topics with `bridgepool topics%s%s`, or see with `bridgepool topics --print%s%s` how an administrator does it",
		option, config, option, config);
	return out;
}

static void look_topic(void *ctx, const struct topic_role *t)
{
	struct look *l = ctx;
	struct topic_info info = {.state = TOPIC_UNKNOWN};
	const char *mend;
	char what[768], partitions[32] = "", creation[1024];

	ask_topic(l, t->topic, &info);
	if (info.state == TOPIC_OK)
		snprintf(partitions, sizeof partitions, ", %d partition%s", info.partitions, info.partitions == 1 ? "" : "s");
	snprintf(what, sizeof what, "topic %s (%s) %s%s%s%s", t->topic, t->key, topic_rows[info.state].what, partitions,
		*info.why ? ": " : "", info.why);
	mend = info.state == TOPIC_MISSING ? write_creation(l, creation, sizeof creation) : topic_rows[info.state].mend;
	l->report->found(l->report->ctx, topic_rows[info.state].verdict, what, mend);
	if (l->code == EXIT_OK)
		l->code = topic_rows[info.state].code;
}

int preflight_topics(struct admin *a, const struct settings *s, const struct preflight_report *r)
{
	struct look l = {.admin = a, .report = r, .code = EXIT_OK, .missing_until = clock_mono_us() + MISSING_US};

	each_topic(s, look_topic, &l);
	return l.code;
}

static bool read_setting(struct look *l, const char *topic, const char *name, char *value, size_t size)
{
	if (l->silent)
		return false;
	if (admin_setting(l->admin, topic, name, SETTING_TIMEOUT_MS, value, size))
		return true;
	l->silent = true;
	l->report->found(l->report->ctx, VERDICT_WARN,
		"the broker does not tell the topics' settings; cleanup.policy and sizes were not looked at",
		"nothing, if it is the embedded broker; else grant DescribeConfigs on the topics");
	return false;
}

static void look_cleanup(struct look *l, const struct topic_role *t)
{
	char value[64], what[512];

	if (!read_setting(l, t->topic, "cleanup.policy", value, sizeof value) || !strstr(value, "compact"))
		return;
	snprintf(what, sizeof what, "topic %s (%s) has cleanup.policy=%s: Kafka drops older records of the same key from it",
		t->topic, t->key, value);
	l->report->found(l->report->ctx, VERDICT_WARN, what,
		"set cleanup.policy=delete on it: every request and result must stay readable");
}

static void look_size(struct look *l, const struct topic_role *t)
{
	char value[64], what[512], mend[256];
	int64_t allowed;

	if (!t->largest || !read_setting(l, t->topic, "max.message.bytes", value, sizeof value))
		return;
	allowed = strtoll(value, NULL, 10);
	if (allowed <= 0 || allowed >= t->largest)
		return;
	snprintf(what, sizeof what, "topic %s (%s) takes records of %" PRId64 " bytes, but ours may have %" PRId64, t->topic,
		t->key, allowed, t->largest);
	snprintf(mend, sizeof mend, "set max.message.bytes=%" PRId64 " on it, or lower limits.request and limits.result",
		t->largest + 64 * 1024);
	l->report->found(l->report->ctx, VERDICT_WARN, what, mend);
}

static void look_settings(void *ctx, const struct topic_role *t)
{
	look_cleanup(ctx, t);
	look_size(ctx, t);
}

void preflight_topic_settings(struct admin *a, const struct settings *s, const struct preflight_report *r)
{
	struct look l = {.admin = a, .report = r, .code = EXIT_OK};

	each_topic(s, look_settings, &l);
}

static bool pool_sets(const struct pool_settings *pool, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < pool->environment.n; i++)
		if (strncmp(pool->environment.items[i], name, n) == 0 && pool->environment.items[i][n] == '=')
			return true;
	return false;
}

static void look_environment(const struct pool_settings *pool, const struct preflight_report *r)
{
	char what[512];

	for (size_t i = 0; i < pool->pass_environment.n; i++) {
		const char *name = pool->pass_environment.items[i];

		if (strpbrk(name, "*?[") || getenv(name) || pool_sets(pool, name))
			continue;
		snprintf(what, sizeof what, "pool \"%s\": its pass_environment names %s, which is not set here", pool->name,
			name);
		r->found(r->ctx, VERDICT_WARN, what,
			"set it where the daemon is started (for systemd in an EnvironmentFile), or take it out of pools[].pass_environment");
	}
}

void preflight_environment(const struct settings *s, const struct preflight_report *r)
{
	for (size_t i = 0; i < s->pools.n; i++)
		look_environment(settings_pool(s, i), r);
}

int preflight_schemas(const struct settings *s, const struct preflight_report *r)
{
	const struct codec_config config = wiring_codec(s);
	char why[512], what[640];
	struct codec *codec = codec_new(&config, why, sizeof why);

	if (!codec) {
		snprintf(what, sizeof what, "schemas: %s", why);
		r->found(r->ctx, VERDICT_FAIL, what, "mend what is there, or schemas.extra");
		return EXIT_CONFIGURATION;
	}
	codec_free(codec);
	if (s->schemas.extra.n)
		r->found(r->ctx, VERDICT_OK, "the schemas in schemas.extra can be read", NULL);
	return EXIT_OK;
}
