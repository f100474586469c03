/* wire_frame_test.c: frames come out whole however the bytes come in. */
#include "bridgepool/wire/frame.h"
#include "wire_check.h"

static void add_frame(struct buf *out, const char *body)
{
	uint8_t head[FRAME_HEAD];

	frame_head(head, strlen(body));
	buf_append(out, head, sizeof(head));
	buf_text(out, body);
}

START_TEST(head_is_big_endian)
{
	uint8_t head[FRAME_HEAD];
	static const uint8_t expected[FRAME_HEAD] = {0x01, 0x02, 0x03, 0x04};

	frame_head(head, 0x01020304);
	ck_assert_mem_eq(head, expected, FRAME_HEAD);
}
END_TEST

START_TEST(every_cut_gives_the_same_frames)
{
	static const char *const bodies[] = {"{\"id\":1}", "", "{\"id\":22,\"success\":true}"};
	struct buf all;

	buf_init(&all, 1024);
	for (int i = 0; i < 3; i++)
		add_frame(&all, bodies[i]);
	for (size_t cut = 0; cut <= all.len; cut++) {
		struct frame_reader r;
		struct slice body;
		int seen = 0;

		frame_init(&r, 64);
		for (int half = 0; half < 2; half++) {
			ck_assert(frame_feed(&r, all.data + (half ? cut : 0), half ? all.len - cut : cut));
			while (frame_next(&r, &body) == FRAME_READY)
				ck_slice_is(body, bodies[seen++]);
		}
		ck_assert_int_eq(seen, 3);
		ck_assert_uint_eq(frame_rest(&r).len, 0);
		frame_free(&r);
	}
	buf_free(&all);
}
END_TEST

START_TEST(too_large_is_final_and_shows_its_bytes)
{
	struct frame_reader r;
	struct slice body;

	frame_init(&r, 8);
	ck_assert(frame_feed(&r, "\0\0\0\10", 4));
	ck_assert_int_eq(frame_next(&r, &body), FRAME_MORE);
	ck_assert(frame_feed(&r, "12345678Traceback (most", 23));
	ck_assert_int_eq(frame_next(&r, &body), FRAME_READY);
	ck_slice_is(body, "12345678");
	ck_assert_int_eq(frame_next(&r, &body), FRAME_TOO_BIG);
	ck_slice_is(frame_rest(&r), "Traceback (most");
	ck_assert(!frame_feed(&r, "x", 1));
	ck_assert_int_eq(frame_next(&r, &body), FRAME_TOO_BIG);
	frame_free(&r);
}
END_TEST

START_TEST(a_reader_that_never_takes_is_stopped)
{
	struct frame_reader r;
	char chunk[65536];
	int fed = 0;

	memset(chunk, 0, sizeof(chunk));
	frame_init(&r, 1024);
	while (fed < 1000 && frame_feed(&r, chunk, sizeof(chunk)))
		fed++;
	ck_assert_int_lt(fed, 1000);
	frame_free(&r);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("frame");

	tcase_add_test(t, head_is_big_endian);
	tcase_add_test(t, every_cut_gives_the_same_frames);
	tcase_add_test(t, too_large_is_final_and_shows_its_bytes);
	tcase_add_test(t, a_reader_that_never_takes_is_stopped);
	return wire_run("wire.frame", t);
}
