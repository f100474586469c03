/* wire_schema_test.c: canonical forms and fingerprints as the Avro specification has them; names and symbols as the C code has
 * them. */
#include "bridgepool/wire/codec.h"
#include "bridgepool/wire/record.h"
#include "schema.h"
#include "wire_check.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

START_TEST(fingerprints_of_the_specification)
{
	static const struct {
		const char *schema;
		uint64_t fingerprint;
	} vectors[] = {
		{"\"null\"", 0x63dd24e7cc258f8a},
		{"\"boolean\"", 0x9f42fc78a4d4f764},
		{"\"int\"", 0x7275d51a3f395c8f},
		{"{\"type\":\"int\"}", 0x7275d51a3f395c8f},
		{"\"long\"", 0xd054e14493f41db7},
		{"\"float\"", 0x4d7c02cb3ea8d790},
		{"\"double\"", 0x8e7535c032ab957e},
		{"\"bytes\"", 0x4fc016dac3201965},
		{"\"string\"", 0x8f014872634503c7},
		{"{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}", 0xd054e14493f41db7},
	};

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		bool ok;
		uint64_t f = codec_fingerprint(vectors[i].schema, &ok);

		ck_assert(ok);
		ck_assert_msg(f == vectors[i].fingerprint, "%s: %016" PRIx64, vectors[i].schema, f);
	}
}
END_TEST

START_TEST(canonical_forms)
{
	static const struct {
		const char *schema, *canonical;
	} cases[] = {
		{"[ \"null\", {\"type\" : \"string\"} ]", "[\"null\",\"string\"]"},
		{"{\"fields\":[],\"doc\":\"d\",\"type\":\"record\",\"aliases\":[\"b\"],\"name\":\"a\",\"namespace\":\"x.y\"}",
			"{\"name\":\"x.y.a\",\"type\":\"record\",\"fields\":[]}"},
		{"{\"type\":\"record\",\"name\":\"n.r\",\"namespace\":\"ignored\",\"fields\":[{\"default\":1,\"type\":{\"type\":"
		 "\"enum\",\"name\":\"e\",\"symbols\":[\"A\",\"B\"],"
		 "\"default\":\"A\"},\"name\":\"f\"},{\"name\":\"g\",\"type\":\"e\"},{\"name\":\"h\",\"type\":{\"type\":\"map\","
		 "\"values\":\"n.r\"}}]}",
			"{\"name\":\"n.r\",\"type\":\"record\",\"fields\":[{\"name\":\"f\",\"type\":{\"name\":\"n.e\",\"type\":"
			"\"enum\",\"symbols\":[\"A\",\"B\"]}},"
			"{\"name\":\"g\",\"type\":\"n.e\"},{\"name\":\"h\",\"type\":{\"type\":\"map\",\"values\":\"n.r\"}}]}"},
		{"{\"type\":\"fixed\",\"size\":16,\"name\":\"md5\"}", "{\"name\":\"md5\",\"type\":\"fixed\",\"size\":16}"},
		{"{\"type\":{\"type\":\"array\",\"items\":\"\\u0069nt\"}}", "{\"type\":\"array\",\"items\":\"int\"}"},
	};
	char errstr[256];
	struct buf out;

	buf_init(&out, 4096);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&out);
		ck_assert_msg(schema_canonical(cases[i].schema, &out, errstr, sizeof(errstr)), "%s: %s", cases[i].schema, errstr);
		ck_slice_is(buf_slice(&out), cases[i].canonical);
	}
	buf_free(&out);
}
END_TEST

START_TEST(what_is_no_schema)
{
	static const char *const bad[] = {"", "{", "{}", "7", "{\"type\":\"record\",\"name\":\"a\"}", "{\"type\":\"array\"}",
		"{\"type\":\"record\",\"name\":\"a\",\"fields\":[{\"name\":\"f\",\"type\":\"missing\"}]}",
		"{\"type\":\"enum\",\"name\":\"e\"}", "{\"type\":\"fixed\",\"name\":\"f\"}",
		"{\"type\":\"record\",\"fields\":[]}"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char errstr[256] = "";
		struct schema *s = schema_new(bad[i], errstr, sizeof(errstr));

		ck_assert_msg(!s, "%s", bad[i]);
		ck_assert_msg(errstr[0], "no reason for %s", bad[i]);
	}
}
END_TEST

START_TEST(a_type_may_contain_itself)
{
	char errstr[256];
	struct schema *s = schema_new(
		"{\"type\":\"record\",\"name\":\"list\",\"fields\":[{\"name\":\"next\",\"type\":[\"null\",\"list\"]}]}", errstr,
		sizeof(errstr));

	ck_assert_ptr_nonnull(s);
	ck_assert_ptr_eq(s->top->inner[0]->inner[1], s->top);
	schema_free(s);
}
END_TEST

/* ---- our own ---- */

static const struct schema_type *enum_named(const struct schema *s, const char *name)
{
	for (size_t i = 0; i < s->nall; i++) {
		if (s->all[i]->kind == SCHEMA_ENUM && !strcmp(schema_short_name(s->all[i]), name))
			return s->all[i];
	}
	ck_abort_msg("no enum %s", name);
}

static const char *status_at(unsigned i)
{
	return status_name((enum status)i);
}

static const char *state_at(unsigned i)
{
	return health_state_name((enum health_state)i);
}

static const char *kind_at(unsigned i)
{
	return health_kind_name((enum health_kind)i);
}

static const char *severity_at(unsigned i)
{
	return severity_name((enum severity)i);
}

START_TEST(symbols_are_those_of_the_code)
{
	static const struct {
		const char *record, *name;
		const char *(*at)(unsigned i);
		size_t n;
	} enums[] = {
		{"ProgramResult", "Status", status_at, STATUS_COUNT},
		{"HealthEvent", "HealthState", state_at, HEALTH_STATE_COUNT},
		{"HealthEvent", "HealthKind", kind_at, KIND_COUNT},
		{"HealthEvent", "Severity", severity_at, SEVERITY_COUNT},
	};

	for (size_t e = 0; e < sizeof(enums) / sizeof(enums[0]); e++) {
		char errstr[256];
		struct schema *s = schema_new(codec_schema(enums[e].record), errstr, sizeof(errstr));
		const struct schema_type *t = enum_named(s, enums[e].name);

		ck_assert_uint_eq(t->n, enums[e].n);
		for (unsigned i = 0; i < t->n; i++)
			ck_assert_str_eq(t->names[i], enums[e].at(i));
		ck_assert_str_eq(enums[e].at((unsigned)enums[e].n), "UNKNOWN");
		schema_free(s);
	}
}
END_TEST

static void check_docs(json_t *type)
{
	json_t *fields = json_object_get(type, "fields"), *inner;
	size_t i;

	if (json_is_array(type)) {
		json_array_foreach (type, i, inner)
			check_docs(inner);
		return;
	}
	if (!json_is_object(type))
		return;
	if (json_object_get(type, "symbols")) {
		ck_assert_str_eq(json_string_value(json_object_get(type, "default")), "UNKNOWN");
		ck_assert_str_eq(json_string_value(json_array_get(json_object_get(type, "symbols"), 0)), "UNKNOWN");
	}
	json_array_foreach (fields, i, inner) {
		const char *doc = json_string_value(json_object_get(inner, "doc"));

		ck_assert_msg(doc && *doc, "%s has no doc", json_string_value(json_object_get(inner, "name")));
		check_docs(json_object_get(inner, "type"));
	}
	check_docs(json_object_get(type, "items"));
	check_docs(json_object_get(type, "type"));
}

static char *file_text(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 20);

	ck_assert_msg(f != NULL, "%s", path);
	ck_assert_uint_gt(fread(text, 1, (1 << 20) - 1, f), 0);
	fclose(f);
	return text;
}

START_TEST(every_field_has_a_doc_and_the_texts_are_the_files)
{
	for (int i = 0; i < SCHEMA_TEXTS; i++) {
		char path[4096], *text;
		json_t *root;

		snprintf(path, sizeof(path), "%s/schemas/%s.avsc", getenv("SOURCE_DIR"), schema_texts[i].name);
		text = file_text(path);
		ck_assert_str_eq(text, codec_schema(schema_texts[i].name));
		root = json_loads(text, 0, NULL);
		ck_assert_str_eq(json_string_value(json_object_get(root, "namespace")), "bridgepool.v1");
		check_docs(root);
		json_decref(root);
		free(text);
	}
	ck_assert_ptr_null(codec_schema("Nothing"));
}
END_TEST

START_TEST(only_command_has_no_default)
{
	json_t *root = json_loads(codec_schema("ProgramRequest"), 0, NULL), *field;
	size_t i;

	json_array_foreach (json_object_get(root, "fields"), i, field) {
		bool command = !strcmp(json_string_value(json_object_get(field, "name")), "command");

		ck_assert_int_eq(json_object_get(field, "default") == NULL, command);
	}
	json_decref(root);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("schema");

	tcase_add_test(t, fingerprints_of_the_specification);
	tcase_add_test(t, canonical_forms);
	tcase_add_test(t, what_is_no_schema);
	tcase_add_test(t, a_type_may_contain_itself);
	tcase_add_test(t, symbols_are_those_of_the_code);
	tcase_add_test(t, every_field_has_a_doc_and_the_texts_are_the_files);
	tcase_add_test(t, only_command_has_no_default);
	return wire_run("wire.schema", t);
}
