/* http.c: see http.h. libmicrohttpd works on an epoll descriptor of its own; the loop watches that one. */
#include "bridgepool/ops/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>
#include <uv.h>

#include "bridgepool/base/check.h"

enum {
	CONNECTIONS = 32,
	REQUEST_MS = 10 * 1000,
	ANSWER_MS = 30 * 1000,
	CONNECTION_BYTES = 16 * 1024,
	BODY_LIMIT = 16 << 20,
	BACKLOG = 64,
	PAUSE_MS = 100,
};

/* A connection. The library's own limit is one of silence only: who sends a byte now and then would stay for ever. */
struct visitor {
	LIST_ENTRY(visitor) all;
	int fd;
	uint64_t until; /* by the loop's clock */
};

struct http {
	struct MHD_Daemon *daemon;
	void *ctx;
	void (*answer)(void *ctx, const struct http_query *q, struct http_answer *a);
	uint64_t request_ms, answer_ms;
	LIST_HEAD(, visitor) visitors;
	unsigned opened; /* connections so far */
	char address[80];
	uv_poll_t poll;
	uv_timer_t timer;
	int open_handles;
};

struct http_query {
	struct MHD_Connection *connection;
	const char *path;
};

const char *http_path(const struct http_query *q)
{
	return q->path;
}

struct slice http_argument(const struct http_query *q, const char *name)
{
	const char *value = NULL;
	size_t len = 0;

	MHD_lookup_connection_value_n(q->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, &len);
	return (struct slice){value, len};
}

struct argument_search {
	const char *const *known;
	struct slice unknown;
};

static enum MHD_Result look_at_argument(void *ctx, enum MHD_ValueKind kind, const char *name, size_t len, const char *value,
	size_t value_len)
{
	struct argument_search *search = ctx;
	struct slice found = {name, len};

	(void)kind, (void)value, (void)value_len;
	for (const char *const *known = search->known; *known; known++)
		if (slice_is(found, *known))
			return MHD_YES;
	if (len == 0) /* "?" and "&" with nothing behind them */
		return MHD_YES;
	search->unknown = found;
	return MHD_NO;
}

struct slice http_unknown_argument(const struct http_query *q, const char *const *known)
{
	struct argument_search search = {.known = known};

	MHD_get_connection_values_n(q->connection, MHD_GET_ARGUMENT_KIND, look_at_argument, &search);
	return search.unknown;
}

const char *http_address(const struct http *h)
{
	return h->address;
}

/* ---- addresses ---- */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_storage room;
};

static bool read_port(const char *text, in_port_t *port)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	*port = htons((uint16_t)value);
	return *text >= '0' && *text <= '9' && !*end && value <= 65535;
}

static bool read_address(const char *listen, union address *a)
{
	const char *colon = strrchr(listen, ':');
	char host[64];
	size_t len;

	memset(a, 0, sizeof *a);
	if (!colon || (len = (size_t)(colon - listen)) >= sizeof host)
		return false;
	snprintf(host, sizeof host, "%.*s", (int)len, listen);
	if (*host == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		a->v6.sin6_family = AF_INET6;
		return inet_pton(AF_INET6, host + 1, &a->v6.sin6_addr) == 1 && read_port(colon + 1, &a->v6.sin6_port);
	}
	a->v4.sin_family = AF_INET;
	return inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &a->v4.sin_addr) == 1 &&
	       read_port(colon + 1, &a->v4.sin_port);
}

bool http_address_fits(const char *listen, char *errstr, size_t size)
{
	union address a;

	if (read_address(listen, &a))
		return true;
	snprintf(errstr, size, "\"%.60s\" is no address to listen on; write 127.0.0.1:9464 or [::1]:9464, or \"\" for none",
		listen);
	return false;
}

static void tell_address(struct http *h, const union address *a)
{
	char host[INET6_ADDRSTRLEN];

	if (a->any.sa_family == AF_INET6)
		snprintf(h->address, sizeof h->address, "[%s]:%d", inet_ntop(AF_INET6, &a->v6.sin6_addr, host, sizeof host),
			ntohs(a->v6.sin6_port));
	else
		snprintf(h->address, sizeof h->address, "%s:%d", inet_ntop(AF_INET, &a->v4.sin_addr, host, sizeof host),
			ntohs(a->v4.sin_port));
}

/* Our own socket and not the library's: its reasons would be lost. -1: errstr says why. */
static int open_socket(struct http *h, const char *listen_on, char *errstr, size_t size)
{
	union address a;
	socklen_t len = sizeof a;
	int fd, on = 1;

	if (!http_address_fits(listen_on, errstr, size))
		return -1;
	read_address(listen_on, &a);
	fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
		if (bind(fd, &a.any, a.any.sa_family == AF_INET6 ? sizeof a.v6 : sizeof a.v4) == 0 && listen(fd, BACKLOG) == 0 &&
			getsockname(fd, &a.any, &len) == 0) {
			tell_address(h, &a);
			return fd;
		}
	}
	snprintf(errstr, size, "%s: %s; set http.listen to another address, or to \"\" for none", listen_on, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* ---- connections ---- */

static void visitor_open(struct http *h, struct MHD_Connection *connection, void **kept)
{
	struct visitor *v = xcalloc(1, sizeof *v);

	v->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	v->until = uv_now(h->timer.loop) + h->request_ms;
	LIST_INSERT_HEAD(&h->visitors, v, all);
	h->opened++;
	*kept = v;
}

static void on_connection(void *ctx, struct MHD_Connection *connection, void **kept, enum MHD_ConnectionNotificationCode what)
{
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		visitor_open(ctx, connection, kept);
		return;
	}
	LIST_REMOVE((struct visitor *)*kept, all);
	free(*kept);
}

/* Its request is complete. It has no other: who is answered at once is not read any further. */
static void visitor_asked(const struct http *h, struct MHD_Connection *connection)
{
	struct visitor *v = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;

	v->until = uv_now(h->timer.loop) + h->answer_ms;
}

/* The library finds its socket closed, as if the visitor had gone. Returns when the next one's time is over; UINT64_MAX:
 * nobody's. */
static uint64_t end_overdue(const struct http *h)
{
	uint64_t now = uv_now(h->timer.loop), next = UINT64_MAX;
	const struct visitor *v;

	LIST_FOREACH (v, &h->visitors, all) {
		if (v->until <= now)
			shutdown(v->fd, SHUT_RDWR);
		else if (v->until - now < next)
			next = v->until - now;
	}
	return next;
}

/* ---- one request ---- */

static enum MHD_Result send_buf(struct MHD_Connection *connection, unsigned status, const char *type, struct buf *body)
{
	size_t len;
	void *bytes = buf_take(body, &len);
	struct MHD_Response *response = MHD_create_response_from_buffer(len, bytes, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result result;

	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

/* Called once when the headers are there, and for bodies, which nobody has asked for: then nothing is read. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url, const char *method,
	const char *version, const char *upload, size_t *upload_size, void **state)
{
	struct http *h = ctx;
	const struct http_query q = {connection, url};
	struct buf body;
	struct http_answer a = {HTTP_OK, "text/plain; charset=utf-8", &body};

	(void)version, (void)upload, (void)upload_size, (void)state;
	visitor_asked(h, connection);
	buf_init(&body, BODY_LIMIT);
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		buf_text(&body, "only GET and HEAD\n");
		return send_buf(connection, MHD_HTTP_METHOD_NOT_ALLOWED, a.type, &body);
	}
	h->answer(h->ctx, &q, &a);
	if (!body.overflow)
		return send_buf(connection, a.status, a.type, &body);
	buf_reset(&body);
	buf_text(&body, "the answer would be too long\n");
	return send_buf(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", &body);
}

/* ---- on the loop ---- */

static void on_timer(uv_timer_t *timer);

static void serve(struct http *h)
{
	MHD_UNSIGNED_LONG_LONG ms;
	uint64_t wait;

	MHD_run(h->daemon); /* before anybody's time is over: it may have been we who did not look */
	end_overdue(h);
	/* Twice: only the second listens again when the first has ended one of too many connections. */
	MHD_run(h->daemon);
	MHD_run(h->daemon);
	wait = end_overdue(h);
	if (MHD_get_timeout(h->daemon, &ms) == MHD_YES && ms < wait)
		wait = ms;
	if (wait == UINT64_MAX)
		uv_timer_stop(&h->timer);
	else
		uv_timer_start(&h->timer, on_timer, wait, 0);
}

/* Without a free descriptor nobody can be let in, and who knocks would wake us all the time. With others connected the library
 * itself waits for one of them to end. */
static void pause_poll(struct http *h)
{
	uv_poll_stop(&h->poll);
	if (!uv_is_active((uv_handle_t *)&h->timer) || uv_timer_get_due_in(&h->timer) > PAUSE_MS)
		uv_timer_start(&h->timer, on_timer, PAUSE_MS, 0);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct http *h = poll->data;
	unsigned before = h->opened;
	bool nobody = LIST_EMPTY(&h->visitors);

	(void)status, (void)events;
	serve(h);
	if (nobody && h->opened == before)
		pause_poll(h);
}

static void on_timer(uv_timer_t *timer)
{
	struct http *h = timer->data;

	uv_poll_start(&h->poll, UV_READABLE, on_readable);
	serve(h);
}

/* 0, or the errno for which the loop does not watch the library's descriptor. */
static int watch(struct http *h, uv_loop_t *loop)
{
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	int error;

	CHECK(info);
	error = uv_poll_init(loop, &h->poll, info->epoll_fd);
	if (error)
		return -error;
	uv_timer_init(loop, &h->timer);
	h->poll.data = h->timer.data = h;
	h->open_handles = 2;
	CHECK(uv_poll_start(&h->poll, UV_READABLE, on_readable) == 0);
	uv_unref((uv_handle_t *)&h->poll);
	uv_unref((uv_handle_t *)&h->timer);
	return 0;
}

struct http *http_new(struct uv_loop_s *loop, const struct http_config *c, char *errstr, size_t size)
{
	struct http *h = xcalloc(1, sizeof *h);
	int fd = open_socket(h, c->listen, errstr, size), error;

	h->ctx = c->ctx;
	h->answer = c->answer;
	h->request_ms = c->request_ms ? c->request_ms : REQUEST_MS;
	h->answer_ms = c->answer_ms ? c->answer_ms : ANSWER_MS;
	LIST_INIT(&h->visitors);
	if (fd >= 0)
		h->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, fd,
			MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
			MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_END);
	error = h->daemon ? watch(h, loop) : errno;
	if (h->daemon && !error)
		return h;
	if (fd >= 0)
		snprintf(errstr, size, "%s: the HTTP server does not start: %s", c->listen, strerror(error));
	if (h->daemon)
		MHD_stop_daemon(h->daemon); /* closes fd too */
	else if (fd >= 0)
		close(fd);
	free(h);
	return NULL;
}

static void on_closed(uv_handle_t *handle)
{
	struct http *h = handle->data;

	if (--h->open_handles == 0)
		free(h);
}

void http_close(struct http *h)
{
	uv_poll_stop(&h->poll);
	MHD_stop_daemon(h->daemon);
	uv_close((uv_handle_t *)&h->poll, on_closed);
	uv_close((uv_handle_t *)&h->timer, on_closed);
}
