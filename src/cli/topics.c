/* topics.c: `bridgepool topics`: creates our topics with sane settings, or prints what an administrator does. */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>

#include "bridgepool/kafka/admin.h"
#include "cli.h"
#include "commands.h"

enum {
	PRINT = CLI_PRIVATE,
	PARTITIONS,
	REPLICATION,
	REACH_TIMEOUT_MS = 15000,
	LOOK_TIMEOUT_MS = 5000,
	CREATE_TIMEOUT_MS = 30000
};
enum {
	SETTINGS_MAX = 4,
	BROKER_RECORD_MAX = 1048588, /* Kafka's default */
	ENVELOPE = 64 * 1024,        /* key, headers and the batch */
};

/* What a topic is for decides how long its records are kept. */
struct role {
	const char *what;
	const char *config[SETTINGS_MAX + 1];
	bool partitioned;  /* as many partitions as asked for; else few: low traffic */
	const char *ours;  /* what the daemon does with it */
	const char *grown; /* what more partitions would do, if it is partitioned */
};

static const struct role roles[] = {
	{"requests", {"cleanup.policy=delete", "retention.ms=604800000"}, true, "Read", "sessions would move if it got more"},
	{"results", {"cleanup.policy=delete", "retention.ms=86400000"}, true, "Write",
		"the results of a session would change their partition if it got more"},
	{"health", {"cleanup.policy=delete", "retention.ms=86400000"}, false, "Write", NULL},
	{"dead letters", {"cleanup.policy=delete", "retention.ms=1209600000"}, false, "Write", NULL},
};
enum { ROLE_REQUESTS, ROLE_RESULTS, ROLE_HEALTH, ROLE_DEAD_LETTERS };

struct topics {
	struct cli_args args;
	bool print, counted; /* counted: partitions was asked for */
	int64_t partitions, replication;
	const struct settings *settings;
	struct admin *admin;
};

/* A role's settings, with room for our largest record where Kafka's default has none. */
struct topic_config {
	const char *items[SETTINGS_MAX + 2];
	char size[64];
};

static void fill_config(struct topic_config *c, const struct settings *s, const struct role *role)
{
	const int64_t largest = role == &roles[ROLE_RESULTS]  ? s->limits.result
				: role == &roles[ROLE_HEALTH] ? 0
							      : s->limits.request;
	size_t n = 0;

	for (; role->config[n]; n++)
		c->items[n] = role->config[n];
	if (largest > BROKER_RECORD_MAX) {
		snprintf(c->size, sizeof c->size, "max.message.bytes=%" PRId64, largest + ENVELOPE);
		c->items[n++] = c->size;
	}
	c->items[n] = NULL;
}

/* It is left as it is, also if it was meant to be another. */
static void tell_existing(struct topics *t, const struct topic_spec *spec, const struct role *role)
{
	struct topic_info info = {.state = TOPIC_UNKNOWN};
	bool known = admin_topic(t->admin, spec->name, LOOK_TIMEOUT_MS, &info) && info.state == TOPIC_OK;

	printf("%s (%s) is there already", spec->name, role->what);
	if (known)
		printf(", with %d partition%s", info.partitions, info.partitions == 1 ? "" : "s");
	if (known && t->counted && role->partitioned && info.partitions != spec->partitions)
		printf("; %d were asked for, and %s", spec->partitions,
			info.partitions < spec->partitions ? role->grown : "Kafka takes none away");
	printf("\n");
}

static bool create_topic(struct topics *t, const char *name, const struct role *role)
{
	struct topic_config config;
	const struct topic_spec spec = {name, role->partitioned ? (int)t->partitions : 1, (int)t->replication, config.items};
	bool created;
	char why[512];

	fill_config(&config, t->settings, role);
	if (!admin_create(t->admin, &spec, CREATE_TIMEOUT_MS, &created, why, sizeof why)) {
		fprintf(stderr, "bridgepool topics: %s (%s): %s\n", name, role->what, why);
		return false;
	}
	if (created)
		printf("created %s (%s), %d partition%s\n", name, role->what, spec.partitions, spec.partitions == 1 ? "" : "s");
	else
		tell_existing(t, &spec, role);
	return true;
}

static bool print_topic(struct topics *t, const char *name, const struct role *role)
{
	struct topic_config config;

	fill_config(&config, t->settings, role);
	printf("kafka-topics.sh --bootstrap-server %s --create --if-not-exists --topic %s --partitions %d",
		t->settings->kafka.brokers, name, role->partitioned ? (int)t->partitions : 1);
	if (t->replication > 0)
		printf(" --replication-factor %d", (int)t->replication);
	for (size_t i = 0; config.items[i]; i++)
		printf(" --config %s", config.items[i]);
	printf("\nkafka-acls.sh --bootstrap-server %s --add --allow-principal User:bridgepool --operation %s --operation Describe --topic %s\n",
		t->settings->kafka.brokers, role->ours, name);
	return true;
}

static bool each_topic(struct topics *t, bool (*each)(struct topics *t, const char *name, const struct role *role))
{
	const struct settings *s = t->settings;
	const struct source_settings *sources = s->sources.items;
	bool good = true;

	for (size_t i = 0; i < s->sources.n; i++)
		good = each(t, sources[i].topic, &roles[ROLE_REQUESTS]) && good;
	if (!s->sources.n)
		good = each(t, DEFAULT_REQUESTS, &roles[ROLE_REQUESTS]);
	good = each(t, s->kafka.results, &roles[ROLE_RESULTS]) && good;
	good = each(t, s->kafka.health, &roles[ROLE_HEALTH]) && good;
	return each(t, s->kafka.dead_letters, &roles[ROLE_DEAD_LETTERS]) && good;
}

static int topics_print(struct topics *t)
{
	each_topic(t, print_topic);
	printf("kafka-acls.sh --bootstrap-server %s --add --allow-principal User:bridgepool --operation Read --group %s\n"
	       "kafka-acls.sh --bootstrap-server %s --add --allow-principal User:bridgepool --operation IdempotentWrite --cluster\n",
		t->settings->kafka.brokers, t->settings->kafka.group, t->settings->kafka.brokers);
	return EXIT_OK;
}

static int topics_create(struct topics *t)
{
	const struct settings *s = t->settings;
	char why[512];
	int code = EXIT_BROKER;

	t->admin = admin_new(s->kafka.brokers, (const char *const *)s->kafka.properties.items, why, sizeof why);
	if (!t->admin) {
		fprintf(stderr, "bridgepool topics: %s\n", why);
		return EXIT_CONFIGURATION;
	}
	if (!admin_reach(t->admin, REACH_TIMEOUT_MS, why, sizeof why))
		fprintf(stderr, "bridgepool topics: %s\n", why);
	else
		code = each_topic(t, create_topic) ? EXIT_OK : EXIT_FAILED;
	admin_free(t->admin);
	return code;
}

static const struct cli_option options[] = {
	CLI_OPTION_CONFIG,
	CLI_OPTION_BROKERS,
	CLI_OPTION_SET,
	{PARTITIONS, "partitions", "N",
		"of the request and result topics (default 12); never add some later, sessions would move"},
	{REPLICATION, "replication", "N", "copies of each partition (default: the broker's setting)"},
	{PRINT, "print", NULL, "print the commands of Kafka's own tools, and the ACLs, and create nothing"},
	CLI_OPTION_HELP,
	{0},
};

static bool topics_options(struct topics *t, int argc, char **argv, int *code)
{
	int id;

	while ((id = cli_next(&t->args, &command_topics, argc, argv, code)) >= 0) {
		if (id == PRINT) {
			t->print = true;
		} else if (!cli_number(optarg, 1, 10000, id == PARTITIONS ? &t->partitions : &t->replication)) {
			*code = cli_usage(&command_topics, "--%s: \"%s\" is no number from 1 to 10000",
				id == PARTITIONS ? "partitions" : "replication", optarg);
			return false;
		}
		t->counted |= id == PARTITIONS;
	}
	return id == CLI_END;
}

static int run(int argc, char **argv)
{
	struct topics t = {.partitions = 12, .replication = -1};
	struct settings s;
	bool whole;
	int code;

	if (!topics_options(&t, argc, argv, &code))
		return code;
	if (!cli_client_settings(&t.args, &s, &whole))
		return EXIT_CONFIGURATION;
	t.settings = &s;
	code = t.print ? topics_print(&t) : topics_create(&t);
	cli_client_free(&s, whole);
	return code;
}

const struct cli_command command_topics = {
	.name = "topics",
	.run = run,
	.summary = "Create the topics with sane settings, or print the commands and ACLs for it",
	.operands = "",
	.options = options,
	.more = "Their names are those of the configuration. Topics that exist are left as they are.",
};
