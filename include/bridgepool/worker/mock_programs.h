/* mock_programs.h: programs without a language model, for mocks of the DSPy bridge: made from a signature, kept per session, run
 * by answering each output with a value of its type. Commands, answers and error codes are those of bridgepool.dspy. */
#ifndef BRIDGEPOOL_WORKER_MOCK_PROGRAMS_H
#define BRIDGEPOOL_WORKER_MOCK_PROGRAMS_H

#include <jansson.h>

#include "bridgepool/base/buf.h"

/* What a client may ask of a mock's "sleep" {ms} and "stream" {parts, ms}: a day, and so many; more is taken for this. */
enum { MOCK_MS_MOST = 24 * 3600 * 1000, MOCK_PARTS_MOST = 10000 };

struct mock_programs;

struct mock_programs *mock_programs_new(void);
void mock_programs_free(struct mock_programs *p);
/* create_program, execute_program, list_programs, get_program_info, delete_program */
bool mock_programs_know(struct slice command);
/* args: a JSON object. True: *answer is the result, false: the error, an object with code and message. The caller's reference. */
bool mock_programs_run(struct mock_programs *p, struct slice session, struct slice command, struct slice args, json_t **answer);
void mock_programs_forget(struct mock_programs *p, struct slice session);

#endif
