/* mock_programs.c: see mock_programs.h. Sessions and programs are two levels of one JSON object. */
#include "bridgepool/worker/mock_programs.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgepool/base/check.h"
#include "bridgepool/base/clock.h"

struct mock_programs {
	json_t *sessions; /* session -> program id -> {signature, program_type, inputs, outputs, ...} */
};

struct mock_programs *mock_programs_new(void)
{
	struct mock_programs *p = xcalloc(1, sizeof *p);

	p->sessions = json_object();
	return p;
}

void mock_programs_free(struct mock_programs *p)
{
	if (p)
		json_decref(p->sessions);
	free(p);
}

/* jansson's keys end with NUL; such a session is one with its beginning here, as nothing real depends on it. */
static char *key_of(struct slice session)
{
	char *key = xcalloc(1, session.len + 1);

	if (session.len)
		memcpy(key, session.data, session.len);
	return key;
}

void mock_programs_forget(struct mock_programs *p, struct slice session)
{
	char *key = key_of(session);

	json_object_del(p->sessions, key);
	free(key);
}

static json_t *programs_of(struct mock_programs *p, struct slice session)
{
	char *key = key_of(session);
	json_t *programs = json_object_get(p->sessions, key);

	if (!programs) {
		programs = json_object();
		json_object_set_new(p->sessions, key, programs);
	}
	free(key);
	return programs;
}

__attribute__((format(printf, 3, 4))) static bool refuse(json_t **answer, const char *code, const char *format, ...)
{
	char message[512];
	va_list list;

	va_start(list, format);
	vsnprintf(message, sizeof message, format, list);
	va_end(list);
	*answer = json_pack("{s:s, s:s%, s:b}", "code", code, "message", message, strlen(message), "retriable", 0);
	if (!*answer) /* cut in the middle of a character */
		*answer = json_pack("{s:s, s:s, s:b}", "code", code, "message", "", "retriable", 0);
	return false;
}

/* ---- signatures ---- */

/* "question, n: int" -> [{name, type}] */
static json_t *fields_of_text(const char *text, size_t len)
{
	json_t *fields = json_array();
	char *copy = strndup(text, len), *rest = copy, *part;

	while ((part = strsep(&rest, ","))) {
		char name[64] = "", type[64] = "str";

		if (sscanf(part, " %63[^: ] : %63[^ ]", name, type) >= 1)
			json_array_append_new(fields, json_pack("{s:s, s:s}", "name", name, "type", type));
	}
	free(copy);
	return fields;
}

static bool read_text(const char *text, json_t **inputs, json_t **outputs)
{
	const char *arrow = strstr(text, "->");

	if (!arrow)
		return false;
	*inputs = fields_of_text(text, (size_t)(arrow - text));
	*outputs = fields_of_text(arrow + 2, strlen(arrow + 2));
	return true;
}

static bool read_signature(json_t *signature, json_t **inputs, json_t **outputs, json_t **answer)
{
	if (json_is_string(signature) && read_text(json_string_value(signature), inputs, outputs)) {
	} else if (json_is_array(json_object_get(signature, "inputs")) && json_is_array(json_object_get(signature, "outputs"))) {
		*inputs = json_incref(json_object_get(signature, "inputs"));
		*outputs = json_incref(json_object_get(signature, "outputs"));
	} else {
		return refuse(answer, "invalid_signature",
			"signature: write \"question -> answer\", or an object with inputs and outputs");
	}
	if (json_array_size(*inputs) && json_array_size(*outputs))
		return true;
	json_decref(*inputs);
	json_decref(*outputs);
	return refuse(answer, "invalid_signature", "signature: needs inputs and outputs");
}

/* The kind of a value by the name of its type; types that are not here take any. */
static const struct type_row {
	const char *name;
	json_type type;
	const char *example; /* JSON */
} types[] = {
	{"str", JSON_STRING, NULL},
	{"string", JSON_STRING, NULL},
	{"int", JSON_INTEGER, "1"},
	{"float", JSON_REAL, "0.5"},
	{"bool", JSON_TRUE, "true"},
	{"list", JSON_ARRAY, "[]"},
	{"dict", JSON_OBJECT, "{}"},
	{"object", JSON_OBJECT, "{}"},
};

static const struct type_row *type_of(const json_t *field)
{
	const json_t *type = json_object_get(field, "type");
	const char *name = json_string_value(type);
	size_t len;

	if (json_is_object(type))
		name = json_string_value(json_object_get(type, "type"));
	if (!name)
		return json_object_get(field, "fields") ? &types[7] : NULL;
	len = strcspn(name, "[");
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (strlen(types[i].name) == len && strncmp(types[i].name, name, len) == 0)
			return &types[i];
	return NULL;
}

static bool fits(const json_t *field, const json_t *value)
{
	const struct type_row *row = type_of(field);

	if (!row)
		return true;
	if (row->type == JSON_TRUE)
		return json_is_boolean(value);
	return row->type == JSON_REAL ? json_is_number(value) : json_typeof(value) == row->type;
}

/* ---- commands ---- */

struct program_call {
	json_t *programs; /* of the session */
	const char *session;
	json_t *args;
	json_t **answer;
};

static bool find(const struct program_call *c, const char *member, const char **id, json_t **program)
{
	*id = json_string_value(json_object_get(c->args, member));
	*program = NULL;
	if (!*id || !**id)
		return refuse(c->answer, "INVALID_ARGUMENTS", "%s: required, a text", member);
	*program = json_object_get(c->programs, *id);
	return true;
}

static bool find_existing(const struct program_call *c, const char **id, json_t **program)
{
	if (!find(c, "program_id", id, program))
		return false;
	return *program || refuse(c->answer, "program_not_found", "Program not found in session %s: %s", c->session, *id);
}

static bool create(const struct program_call *c)
{
	json_t *program, *inputs = NULL, *outputs = NULL, *signature = json_object_get(c->args, "signature");
	const char *id, *kind = json_string_value(json_object_get(c->args, "program_type"));

	if (!find(c, "id", &id, &program))
		return false;
	if (program)
		return refuse(c->answer, "program_exists", "Program with ID '%s' already exists in session %s", id, c->session);
	if (!read_signature(signature, &inputs, &outputs, c->answer))
		return false;
	kind = kind ? kind : "predict";
	json_object_set_new(c->programs, id,
		json_pack("{s:s, s:O, s:o, s:o, s:i, s:f}", "program_type", kind, "signature", signature, "inputs", inputs,
			"outputs", outputs, "execution_count", 0, "created_at", (double)clock_wall_ms() / 1000));
	*c->answer = json_pack("{s:s, s:s, s:O, s:s}", "program_id", id, "status", "created", "signature", signature,
		"program_type", kind);
	return true;
}

static const json_t *field_named(const json_t *fields, const char *name)
{
	const json_t *field;
	size_t i;

	json_array_foreach (fields, i, field)
		if (strcmp(json_string_value(json_object_get(field, "name")) ?: "", name) == 0)
			return field;
	return NULL;
}

static bool optional(const json_t *field)
{
	return json_is_true(json_object_get(field, "optional")) || json_object_get(field, "default");
}

static bool check_inputs(const json_t *fields, json_t *given, json_t **answer)
{
	const json_t *field;
	const char *name;
	json_t *value;
	size_t i;

	json_object_foreach (given, name, value) {
		field = field_named(fields, name);
		if (!field)
			return refuse(answer, "INVALID_ARGUMENTS", "inputs.%s: unknown input", name);
		if (!fits(field, value))
			return refuse(answer, "INVALID_ARGUMENTS", "inputs.%s: must be %s", name, type_of(field)->name);
	}
	json_array_foreach (fields, i, field) {
		name = json_string_value(json_object_get(field, "name"));
		if (name && !optional(field) && !json_object_get(given, name))
			return refuse(answer, "INVALID_ARGUMENTS", "inputs.%s: required", name);
	}
	return true;
}

static json_t *output_of(const json_t *field)
{
	const struct type_row *row = type_of(field);
	const json_t *words = json_object_get(field, "enum");
	char text[96];

	if (json_array_size(words))
		return json_incref(json_array_get(words, 0));
	if (row && row->example)
		return json_loads(row->example, JSON_DECODE_ANY, NULL);
	snprintf(text, sizeof text, "mock %.80s", json_string_value(json_object_get(field, "name")) ?: "");
	return json_string(text) ?: json_string("mock");
}

static bool execute(const struct program_call *c)
{
	json_t *program, *field, *outputs, *given = json_object_get(c->args, "inputs");
	const char *id;
	size_t i;

	if (!find_existing(c, &id, &program))
		return false;
	if (!json_is_object(given))
		return refuse(c->answer, "INVALID_ARGUMENTS", "inputs: required, an object");
	if (!check_inputs(json_object_get(program, "inputs"), given, c->answer))
		return false;
	outputs = json_object();
	json_array_foreach (json_object_get(program, "outputs"), i, field)
		json_object_set_new(outputs, json_string_value(json_object_get(field, "name")) ?: "", output_of(field));
	json_object_set_new(program, "execution_count",
		json_integer(1 + json_integer_value(json_object_get(program, "execution_count"))));
	*c->answer = json_pack("{s:s, s:o, s:f}", "program_id", id, "outputs", outputs, "execution_time", 0.0);
	return true;
}

static bool list(const struct program_call *c)
{
	json_t *rows = json_array(), *program, *row;
	const char *id;

	json_object_foreach (c->programs, id, program) {
		row = json_copy(program);
		json_object_del(row, "inputs");
		json_object_del(row, "outputs");
		json_object_set_new(row, "id", json_string(id));
		json_object_set_new(row, "session_id", json_string(c->session));
		json_array_append_new(rows, row);
	}
	*c->answer = json_pack("{s:o, s:I}", "programs", rows, "total_count", (json_int_t)json_array_size(rows));
	return true;
}

static bool info(const struct program_call *c)
{
	json_t *program;
	const char *id;

	if (!find_existing(c, &id, &program))
		return false;
	*c->answer = json_copy(program);
	json_object_set_new(*c->answer, "program_id", json_string(id));
	return true;
}

static bool delete_one(const struct program_call *c)
{
	json_t *program;
	const char *id;

	if (!find_existing(c, &id, &program))
		return false;
	*c->answer = json_pack("{s:s, s:s}", "program_id", id, "status", "deleted");
	json_object_del(c->programs, id);
	return true;
}

static const struct {
	const char *name;
	bool (*run)(const struct program_call *c);
} commands[] = {
	{"create_program", create},
	{"execute_program", execute},
	{"list_programs", list},
	{"get_program_info", info},
	{"delete_program", delete_one},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

static size_t command_index(struct slice name)
{
	size_t i = 0;

	while (i < COMMANDS && !slice_is(name, commands[i].name))
		i++;
	return i;
}

bool mock_programs_know(struct slice command)
{
	return command_index(command) < COMMANDS;
}

bool mock_programs_run(struct mock_programs *p, struct slice session, struct slice command, struct slice args, json_t **answer)
{
	char *key = key_of(session);
	struct program_call c = {.session = key, .answer = answer};
	bool done;

	if (session.len == 0) {
		free(key);
		return refuse(answer, "INVALID_ARGUMENTS", "%.*s needs a session", (int)command.len, (const char *)command.data);
	}
	c.args = json_loadb(args.data, args.len, 0, NULL);
	c.programs = programs_of(p, session);
	done = commands[command_index(command)].run(&c);
	json_decref(c.args);
	free(key);
	return done;
}
