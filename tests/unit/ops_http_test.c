/* ops_http_test.c: the HTTP server on a real socket of the loopback interface: answers, refusals, clients that are slow, rude or
 * many. */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "bridgepool/base/clock.h"
#include "bridgepool/ops/http.h"
#include "failing_uv.h"

enum { LIMIT_MS = 20000, ANSWER_MAX = 65536, BIG = 8 << 20 /* more than the system keeps for a socket */ };

static uv_loop_t loop;
static struct http *http;
static uv_timer_t alive; /* a loop of which nobody waits for anything does not look at sockets */
static int answered;
static char seen[512];
static size_t seen_len;

static void answer(void *ctx, const struct http_query *q, struct http_answer *a)
{
	static const char *const known[] = {"a", "b", NULL};
	struct slice value = http_argument(q, "a"), unknown = http_unknown_argument(q, known);

	struct buf text;

	ck_assert_ptr_eq(ctx, &answered);
	answered++;
	buf_init(&text, sizeof seen - 1);
	buf_printf(&text, "%s a=", http_path(q));
	buf_add(&text, value.data ? value : SLICE("(none)"));
	if (unknown.data) {
		buf_text(&text, " and not ");
		buf_add(&text, unknown);
	}
	seen_len = text.len;
	memcpy(seen, text.data, text.len);
	seen[text.len] = '\0';
	buf_free(&text);
	if (strcmp(http_path(q), "/missing") == 0)
		a->status = HTTP_NOT_FOUND;
	if (strcmp(http_path(q), "/big") == 0)
		for (int i = 0; i < BIG / 16; i++)
			buf_text(a->body, "0123456789abcdef");
	buf_text(a->body, "here\n");
}

static void on_alive(uv_timer_t *timer)
{
	(void)timer;
}

static void open_with(uint64_t request_ms, uint64_t answer_ms)
{
	const struct http_config c = {"127.0.0.1:0", &answered, answer, request_ms, answer_ms};
	char why[256];

	answered = 0;
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	uv_timer_init(&loop, &alive);
	uv_timer_start(&alive, on_alive, 1000, 1000);
	http = http_new(&loop, &c, why, sizeof why);
	ck_assert_msg(http != NULL, "%s", why);
}

static void open_server(void)
{
	open_with(0, 0);
}

static void close_server(void)
{
	if (http)
		http_close(http);
	http = NULL;
	uv_close((uv_handle_t *)&alive, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}

/* A client's socket that never blocks. room: bytes that the system keeps for it unread; 0: as usual, which may be millions. */
static int connect_with(int room)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (room)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	at.sin_port = htons((uint16_t)atoi(strrchr(http_address(http), ':') + 1));
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static int connect_client(void)
{
	return connect_with(0);
}

static void turn(void)
{
	uv_run(&loop, UV_RUN_NOWAIT);
	usleep(200);
}

/* Sends the text, reads until `total` bytes or the end; returns how many came. */
static size_t talk(int fd, const char *text, char *out, size_t total)
{
	int64_t until = clock_mono_us() + LIMIT_MS * MS_US;
	size_t n = 0;
	ssize_t got = 1;

	if (*text)
		ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	while (n < total && got != 0) {
		ck_assert_msg(clock_mono_us() < until, "no end of the answer; so far: %.*s", (int)n, out);
		turn();
		got = recv(fd, out + n, total - n, 0);
		n += got > 0 ? (size_t)got : 0;
	}
	return n;
}

static void ask(const char *line, const char *status, const char *body)
{
	static char out[ANSWER_MAX];
	char text[512];
	int fd = connect_client();
	size_t n;

	snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n", line);
	n = talk(fd, text, out, sizeof out - 1);
	out[n] = '\0';
	close(fd);
	ck_assert_msg(strncmp(out, status, strlen(status)) == 0 && strstr(out, body), "%s: %s", line, out);
}

START_TEST(paths_and_arguments_come_decoded)
{
	ask("GET /status?a=s%221%26", "HTTP/1.1 200", "\r\n\r\nhere\n");
	ck_assert_str_eq(seen, "/status a=s\"1&");
	ask("GET /status?a=a+b%2Bc", "HTTP/1.1 200", "here");
	ck_assert_str_eq(seen, "/status a=a b+c");
	ask("GET /a%20b", "HTTP/1.1 200", "here");
	ck_assert_str_eq(seen, "/a b a=(none)");
	ask("GET /missing", "HTTP/1.1 404", "here");
}
END_TEST

/* As a session's ID may. */
START_TEST(an_argument_may_hold_a_nul)
{
	ask("GET /status?a=x%00y", "HTTP/1.1 200", "here");
	ck_assert_uint_eq(seen_len, strlen("/status a=x.y"));
	ck_assert_int_eq(memcmp(seen, "/status a=x\0y", seen_len), 0);
	ask("GET /status?a%00=x", "HTTP/1.1 200", "here");
	ck_assert_int_eq(memcmp(seen, "/status a=(none) and not a\0", seen_len), 0);
}
END_TEST

START_TEST(an_argument_that_is_not_known_is_found)
{
	ask("GET /status?a=x&b=y", "HTTP/1.1 200", "here");
	ck_assert_str_eq(seen, "/status a=x");
	ask("GET /status?&b&", "HTTP/1.1 200", "here");
	ck_assert_str_eq(seen, "/status a=(none)");
	ask("GET /status?a=x&aa=y&c", "HTTP/1.1 200", "here");
	ck_assert_str_eq(seen, "/status a=x and not aa");
	ask("GET /status?%22=y", "HTTP/1.1 200", "here");
	ck_assert_str_eq(seen, "/status a=(none) and not \"");
}
END_TEST

START_TEST(only_reading_is_allowed)
{
	ask("POST /status", "HTTP/1.1 405", "Allow: GET, HEAD");
	ask("DELETE /", "HTTP/1.1 405", "only GET and HEAD");
	ck_assert_int_eq(answered, 0);
	ask("HEAD /", "HTTP/1.1 200", "Content-Length: 5\r\n");
	ck_assert_int_eq(answered, 1);
}
END_TEST

START_TEST(nonsense_is_refused)
{
	static char out[ANSWER_MAX];
	static char long_line[40000];
	int fd = connect_client();

	talk(fd, "\x16\x03\x01 this is no HTTP\r\n\r\n", out, sizeof out); /* ends: it is closed */
	close(fd);
	memset(long_line, 'a', sizeof long_line - 1);
	memcpy(long_line, "GET /", 5);
	fd = connect_client();
	talk(fd, long_line, out, sizeof out);
	close(fd);
	ck_assert_int_eq(answered, 0);
	ask("GET /", "HTTP/1.1 200", "here");
}
END_TEST

START_TEST(a_long_answer_to_a_slow_reader_holds_nobody_up)
{
	static char big[BIG + ANSWER_MAX];
	int fd = connect_client();

	talk(fd, "GET /big HTTP/1.0\r\n\r\n", big, 1);
	ask("GET /", "HTTP/1.1 200", "here");
	ck_assert_uint_gt(talk(fd, "", big, sizeof big), BIG);
	close(fd);
}
END_TEST

START_TEST(too_many_clients_are_turned_away_and_come_again)
{
	enum { MANY = 40 };
	int fds[MANY];

	for (int i = 0; i < MANY; i++) {
		fds[i] = connect_client();
		turn();
	}
	for (int i = 0; i < MANY; i++)
		close(fds[i]);
	for (int i = 0; i < 100; i++)
		turn();
	ask("GET /", "HTTP/1.1 200", "here");
}
END_TEST

/* All places are taken by clients that are never silent for long, and never done. */
START_TEST(who_trickles_makes_room_in_time)
{
	enum { PLACES = 32, REQUEST_MS = 300, PAUSE_MS = 20 };
	static const char head[] = "GET / HTTP/1.1\r\nX: ";
	static char out[ANSWER_MAX];
	int fds[PLACES], last;
	int64_t begun = clock_mono_us(), next = 0;
	ssize_t got = -1;

	close_server();
	open_with(REQUEST_MS, 0);
	for (int i = 0; i < PLACES; i++) {
		fds[i] = connect_client();
		ck_assert_int_eq(send(fds[i], head, sizeof head - 1, MSG_NOSIGNAL), sizeof head - 1);
		turn();
	}
	last = connect_client();
	send(last, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL);
	while (got < 0) {
		int64_t now = clock_mono_us();

		ck_assert_msg(now - begun < LIMIT_MS * MS_US, "nobody makes room");
		for (int i = 0; now >= next && i < PLACES; i++)
			send(fds[i], "x", 1, MSG_NOSIGNAL);
		next = now >= next ? now + PAUSE_MS * MS_US : next;
		turn();
		got = recv(last, out, sizeof out, 0);
	}
	ck_assert_msg(got > 0 && strncmp(out, "HTTP/1.1 200", 12) == 0, "%.*s", (int)got, out);
	ck_assert_int_ge(clock_mono_us() - begun, (REQUEST_MS - 10) * MS_US); /* the loop counts whole milliseconds */
	ck_assert_int_eq(answered, 1);
	for (int i = 0; i < PLACES; i++) {
		talk(fds[i], "", out, sizeof out); /* ends: it is closed */
		close(fds[i]);
	}
	close(last);
}
END_TEST

START_TEST(who_says_nothing_is_ended)
{
	static char out[ANSWER_MAX];
	int64_t begun = clock_mono_us();
	int fd;

	close_server();
	open_with(50, 0);
	fd = connect_client();
	ck_assert_uint_eq(talk(fd, "", out, sizeof out), 0);
	ck_assert_int_lt(clock_mono_us() - begun, 2 * SECOND_US);
	close(fd);
}
END_TEST

START_TEST(who_does_not_take_its_answer_is_ended)
{
	static char big[BIG + ANSWER_MAX];
	int64_t until;
	int fd;

	close_server();
	open_with(0, 50);
	fd = connect_with(4096);
	talk(fd, "GET /big HTTP/1.0\r\n\r\n", big, 1);
	until = clock_mono_us() + 150 * MS_US;
	while (clock_mono_us() < until)
		turn();
	ck_assert_uint_lt(talk(fd, "", big, sizeof big), BIG);
	close(fd);
}
END_TEST

static void on_turn(uv_prepare_t *prepare)
{
	(*(int *)prepare->data)++;
}

static void on_over(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

/* How often the loop turns in a while. */
static int turns_in(uint64_t ms)
{
	uv_prepare_t prepare;
	uv_timer_t over;
	int turns = 0;

	uv_prepare_init(&loop, &prepare);
	prepare.data = &turns;
	uv_prepare_start(&prepare, on_turn);
	uv_timer_init(&loop, &over);
	uv_timer_start(&over, on_over, ms, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_close((uv_handle_t *)&prepare, NULL);
	uv_close((uv_handle_t *)&over, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
	return turns;
}

START_TEST(who_knocks_while_no_descriptor_is_free_does_not_keep_the_loop_awake)
{
	struct rlimit before, none;
	int fd, top;

	turns_in(1);
	fd = connect_client();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	top = dup(fd); /* the lowest that is free */
	close(top);
	none = (struct rlimit){(rlim_t)top, before.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_lt(turns_in(500), 50);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ask("GET /", "HTTP/1.1 200", "here"); /* another one: valgrind has closed the first by itself */
	close(fd);
}
END_TEST

START_TEST(an_answerer_that_the_loop_cannot_watch_is_told)
{
	const struct http_config c = {.listen = "127.0.0.1:0"};
	char why[256];
	int lowest = dup(0);

	close(lowest);
	poll_fails = 1;
	ck_assert_ptr_null(http_new(&loop, &c, why, sizeof why));
	ck_assert_str_eq(why, "127.0.0.1:0: the HTTP server does not start: Cannot allocate memory");
	ck_assert_int_eq(dup(0), lowest); /* none is left open */
	close(lowest);
}
END_TEST

START_TEST(closing_ends_open_connections)
{
	char out[8];
	int fd = connect_client();

	turn();
	http_close(http);
	http = NULL;
	ck_assert_uint_eq(talk(fd, "", out, sizeof out), 0);
	close(fd);
}
END_TEST

START_TEST(addresses)
{
	const struct http_config taken = {http_address(http), &answered, answer, 0, 0};
	char why[256];

	ck_assert(http_address_fits("127.0.0.1:9464", why, sizeof why));
	ck_assert(http_address_fits("[::1]:0", why, sizeof why));
	ck_assert(http_address_fits("localhost:80", why, sizeof why));
	ck_assert(!http_address_fits("9464", why, sizeof why));
	ck_assert(!http_address_fits("127.0.0.1:", why, sizeof why));
	ck_assert(!http_address_fits("127.0.0.1:65536", why, sizeof why));
	ck_assert(!http_address_fits("::1:80", why, sizeof why));
	ck_assert(!http_address_fits(":80", why, sizeof why));
	ck_assert(!http_address_fits("example.org:80", why, sizeof why));
	ck_assert_ptr_nonnull(strstr(why, "127.0.0.1:9464"));
	ck_assert_ptr_null(http_new(&loop, &taken, why, sizeof why));
	ck_assert_msg(strstr(why, "Address already in use; set http.listen"), "%s", why);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http");
	TCase *cases = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, open_server, close_server);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, an_answerer_that_the_loop_cannot_watch_is_told);
	tcase_add_test(cases, paths_and_arguments_come_decoded);
	tcase_add_test(cases, an_argument_may_hold_a_nul);
	tcase_add_test(cases, an_argument_that_is_not_known_is_found);
	tcase_add_test(cases, only_reading_is_allowed);
	tcase_add_test(cases, nonsense_is_refused);
	tcase_add_test(cases, a_long_answer_to_a_slow_reader_holds_nobody_up);
	tcase_add_test(cases, too_many_clients_are_turned_away_and_come_again);
	tcase_add_test(cases, who_trickles_makes_room_in_time);
	tcase_add_test(cases, who_says_nothing_is_ended);
	tcase_add_test(cases, who_does_not_take_its_answer_is_ended);
	tcase_add_test(cases, who_knocks_while_no_descriptor_is_free_does_not_keep_the_loop_awake);
	tcase_add_test(cases, closing_ends_open_connections);
	tcase_add_test(cases, addresses);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
