/* worker_abuse_test.c: workers that do to their pipes and processes what no good worker does: bytes one by one, frames of
 * nothing, floods without lines, heaps of dead children, a thousand restarts. */
#include "worker_stage.h"

#include <dirent.h>
#include <malloc.h>
#include <unistd.h>

static void open_shell(struct stage *s, const char *text)
{
	const char *command[] = {"/bin/sh", "-c", text, NULL};
	struct adapter_config c = {.kind = "process", .command = command};

	stage_open(s, &c);
	ck_assert_msg(s->adapter != NULL, "%s", s->errstr);
}

static size_t count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Bytes that the program has allocated; 0 under sanitizers, whose own allocator does not tell. */
static size_t allocated(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* The end of stdout may be told before the exit is known; nothing else was wrong. */
static void check_no_fault_but_the_end(const struct stage_seen *seen)
{
	for (int i = 0; i < seen->nfaults; i++)
		ck_assert_int_eq(seen->faults[i].kind, FAULT_EOF);
}

/* ---- frames ---- */

/* The shell's printf writes at once, so each byte is a read of its own or is met by another half. */
START_TEST(a_frame_may_come_byte_by_byte)
{
	static const char answer[] = "{\"id\":1,\"success\":true,\"result\":{\"a\":1}}";
	char text[2048];
	struct stage s;
	int n = snprintf(text, sizeof text, "printf '\\000'; printf '\\000'; printf '\\000'; printf '\\%03zo'; ", strlen(answer));

	for (const char *c = answer; *c; c++)
		n += snprintf(text + n, sizeof text - (size_t)n, "printf '%c'; ", *c);
	open_shell(&s, text);
	stage_start_only(&s, 0);
	stage_wait(&s, s.seen[0].gone);
	ck_assert_uint_eq(s.seen[0].nanswers, 1);
	ck_assert_int_eq(s.seen[0].answers[0].kind, ANSWER_OK);
	ck_assert_str_eq(s.seen[0].answers[0].payload, "{\"a\":1}");
	stage_close(&s);
}
END_TEST

START_TEST(a_short_print_is_shown)
{
	struct stage s;

	open_shell(&s, "printf '1\\n'; exec >&-; read line");
	stage_start_only(&s, 0);
	stage_wait(&s, s.seen[0].nfaults);
	ck_assert_int_eq(s.seen[0].faults[0].kind, FAULT_EOF);
	ck_assert_str_eq(s.seen[0].faults[0].detail,
		"in the middle of a frame, after 2 bytes of it: \"1\\x0a\"; stdout is for frames: did it print?");
	stage_close(&s);
}
END_TEST

/* What a whole frame holds costs at most the request that it names. */
START_TEST(odd_frames_are_read_one_by_one)
{
	static const struct {
		const char *body;
		enum answer_kind kind;
		const char *payload;
	} odd[] = {
		{"{\"id\":1,\"success\":true,\"result\":1,\"result\":2}", ANSWER_OK, "2"},
		{"{\"id\":2,\"success\":true,\"result\":1e999999}", ANSWER_OK, "1e999999"},
		{"{\"id\":3,\"success\":true,\"result\":123456789012345678901234567890.10}", ANSWER_OK,
			"123456789012345678901234567890.10"},
		{"{\"id\":4,\"success\":true,\"result\":-Infinity}", ANSWER_UNREADABLE, NULL},
		{"{\"id\":5,\"success\":true,\"result\":[1,]}", ANSWER_UNREADABLE, NULL},
		{"{\"id\":6,\"success\":true,\"result\":\"\\ud800\"}", ANSWER_OK, "\"\\ud800\""},
		{"{\"id\":7,\"success\":true}", ANSWER_OK, NULL},
		{" {\"id\" : 8 , \"success\" : true , \"result\" : { } } ", ANSWER_OK, "{ }"},
	};
	char text[4096];
	size_t n = 0;
	struct stage s;

	for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
		n += (size_t)snprintf(text + n, sizeof text - n, "printf '\\000\\000\\000\\%03zo%%s' '%s'; ", strlen(odd[i].body),
			odd[i].body);
	}
	open_shell(&s, text);
	stage_start_only(&s, 0);
	stage_wait(&s, s.seen[0].gone);
	ck_assert_uint_eq(s.seen[0].nanswers, sizeof odd / sizeof odd[0]);
	for (size_t i = 0; i < s.seen[0].nanswers; i++) {
		const struct stage_answer *a = &s.seen[0].answers[i];
		ck_assert_msg(a->kind == odd[i].kind && a->id == i + 1, "%s", odd[i].body);
		ck_assert_msg(odd[i].payload ? a->payload && !strcmp(a->payload, odd[i].payload) : !a->payload, "%s gave %s",
			odd[i].body, a->payload);
	}
	check_no_fault_but_the_end(&s.seen[0]);
	stage_close(&s);
}
END_TEST

START_TEST(deep_nesting_costs_a_request_and_no_stack)
{
	/* {"id":1,"success":true,"result":[[[...]]]}, 100,000 deep: 35 + 200,000 bytes are 0x030d63. */
	struct stage s;

	open_shell(&s,
		"printf '\\000\\003\\015\\141{\"id\":1,\"success\":true,\"result\":'; head -c 100000 /dev/zero | tr '\\000' '['; "
		"head -c 100000 /dev/zero | tr '\\000' ']'; printf '}'");
	stage_start_only(&s, 0);
	stage_wait(&s, s.seen[0].gone);
	check_no_fault_but_the_end(&s.seen[0]);
	ck_assert_uint_eq(s.seen[0].nanswers, 1);
	ck_assert_int_eq(s.seen[0].answers[0].kind, ANSWER_UNREADABLE);
	ck_assert_uint_eq(s.seen[0].answers[0].id, 1);
	stage_close(&s);
}
END_TEST

/* ---- stderr ---- */

START_TEST(a_hundred_megabytes_on_stderr_take_no_memory)
{
	size_t before;
	struct stage s;

	/* Without a newline, then with nothing but newlines. */
	open_shell(&s, "head -c 100000000 /dev/zero | tr '\\000' 'x' >&2; echo >&2; yes '' | head -n 100000 >&2; echo end >&2");
	before = allocated();
	stage_start_only(&s, 0);
	stage_wait(&s, s.seen[0].gone);
	ck_assert_int_eq(s.seen[0].lines, 1 + 100000 + 1);
	ck_assert_uint_eq(strspn(s.seen[0].text, "x"), 4 << 10); /* the cut line was told once */
	ck_assert_str_eq(s.seen[0].last, "end");
	ck_assert_uint_lt(allocated(), before + (1 << 20));
	stage_close(&s);
}
END_TEST

/* ---- processes ---- */

/* Grandchildren that end become the guard's, and the guard reaps them while the worker lives. */
START_TEST(dead_grandchildren_do_not_pile_up)
{
	static const char worker[] =
		"i=0; while [ $i -lt 300 ]; do (setsid sleep 0 &) ; i=$((i+1)); done; "
		"while n=$(grep -l \"^PPid:.$PPID$\" /proc/[0-9]*/status 2>/dev/null | wc -l); [ \"$n\" -gt 1 ]; do sleep 0.01; done; "
		"echo \"$n left\" >&2";
	struct stage s;

	open_shell(&s, worker);
	stage_start_only(&s, 0);
	stage_wait(&s, s.seen[0].gone);             /* or the shell counts for ever */
	ck_assert_str_eq(s.seen[0].last, "1 left"); /* itself */
	stage_close(&s);
}
END_TEST

/* Each takes ten times as long under a sanitizer and a hundred times under valgrind, which see a leak without so many. */
static int count_restarts(void)
{
	const char *preload = getenv("LD_PRELOAD");

	if (preload && strstr(preload, "vgpreload"))
		return 100;
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
	return 200;
#else
	return 1000;
#endif
}

/* Uses slot 0 over and over, as an engine does with a worker that always fails. */
START_TEST(a_thousand_restarts_leave_nothing_open)
{
	int restarts = count_restarts();
	size_t descriptors = 0, bytes = 0;
	struct stage s;

	open_shell(&s, "exit 1");
	for (int i = 0; i < restarts; i++) {
		if (i == restarts / 10) {
			descriptors = count_descriptors();
			bytes = allocated();
		}
		s.inside = true;
		adapter_start(s.adapter, (struct slot_ref){0, 0, (uint32_t)i + 1});
		s.inside = false;
		stage_wait(&s, s.seen[0].gone == i + 1);
		ck_assert_int_eq(s.seen[0].exit.code, 1);
		s.seen[0].nfaults = 0; /* the end of its stdout may be told first */
	}
	ck_assert_uint_eq(count_descriptors(), descriptors);
	ck_assert_uint_eq(adapter_live(s.adapter), 0);
	ck_assert_uint_lt(allocated(), bytes + (64 << 10));
	stage_close(&s);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("abuse");

	tcase_add_test(t, a_frame_may_come_byte_by_byte);
	tcase_add_test(t, a_short_print_is_shown);
	tcase_add_test(t, odd_frames_are_read_one_by_one);
	tcase_add_test(t, deep_nesting_costs_a_request_and_no_stack);
	tcase_add_test(t, a_hundred_megabytes_on_stderr_take_no_memory);
	tcase_add_test(t, dead_grandchildren_do_not_pile_up);
	tcase_add_test(t, a_thousand_restarts_leave_nothing_open);
	return stage_main("worker_abuse", t);
}
