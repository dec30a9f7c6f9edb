#include "agent/http.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct event_base *base;
static struct http_server *server;
static bool healthy;
static char answer[65536];

static void get_health(void *user, struct http_health *out)
{
    (void)user;
    *out = (struct http_health){
        .healthy = healthy,
        .phase = healthy ? "healthy" : "waiting-peers",
        .reason = healthy ? "" : "no \"other\" member",
        .first_converged = healthy,
        .live_peers = 1,
    };
}

static void add_metrics(void *user, struct http_metrics *metrics)
{
    (void)user;
    http_metrics_add(metrics, HTTP_METRIC_GAUGE, "attestmesh_peers", "Peers.", 7);
    http_metrics_begin(metrics, HTTP_METRIC_COUNTER, "attestmesh_drops_total", "Drops.");
    http_metrics_sample(metrics, "attestmesh_drops_total",
                        HTTP_LABELS({"peer", "10.13.0.2"}, {"cause", "a\"b\\c\nd"}), UINT64_MAX);
}

static void start(void)
{
    const struct http_source source = {.get_health = get_health, .add_metrics = add_metrics};
    base = event_base_new();
    cr_assert_eq(http_server_new(base, "127.0.0.1", 0, &source, &server, NULL), 0);
}

static void stop(void)
{
    http_server_free(server);
    event_base_free(base);
}

TestSuite(http, .init = start, .fini = stop, .timeout = 30);

/* Sends `request` and runs the loop until the server has ended the connection. */
static void ask(const char *request)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(http_server_port(server)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    cr_assert_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    size_t len = 0;
    for (;;) {
        event_base_loop(base, EVLOOP_NONBLOCK);
        const ssize_t got = recv(fd, answer + len, sizeof(answer) - 1 - len, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            break;
        len += got > 0 ? (size_t)got : 0;
    }
    answer[len] = '\0';
    close(fd);
}

Test(http, health_is_200_when_healthy)
{
    healthy = true;
    ask("GET /healthz HTTP/1.0\r\n\r\n");
    cr_assert(strstr(answer, " 200 OK\r\n"), "%s", answer);
    cr_assert(
        strstr(answer,
               "{\"phase\":\"healthy\",\"first_converged\":true,\"csk_acquired\":false,\"live_peers\":1,"
               "\"reason\":\"\"}\n"),
        "%s", answer);
}

Test(http, health_is_503_with_reason_when_not)
{
    ask("GET /healthz HTTP/1.0\r\n\r\n");
    cr_assert(strstr(answer, " 503 Service Unavailable\r\n"), "%s", answer);
    cr_assert(strstr(answer, "\"phase\":\"waiting-peers\""), "%s", answer);
    cr_assert(strstr(answer, "\"reason\":\"no \\\"other\\\" member\""), "%s", answer);
}

Test(http, metrics_are_prometheus_text)
{
    ask("GET /metrics HTTP/1.0\r\n\r\n");
    cr_assert(strstr(answer, "text/plain; version=0.0.4"), "%s", answer);
    cr_assert(
        strstr(answer,
               "\r\n\r\n# HELP attestmesh_peers Peers.\n# TYPE attestmesh_peers gauge\nattestmesh_peers 7\n"
               "# HELP attestmesh_drops_total Drops.\n# TYPE attestmesh_drops_total counter\n"
               "attestmesh_drops_total{peer=\"10.13.0.2\",cause=\"a\\\"b\\\\c\\nd\"} 18446744073709551615\n"),
        "%s", answer);
}

Test(http, anything_else_is_refused)
{
    ask("GET /other HTTP/1.0\r\n\r\n");
    cr_assert(strstr(answer, " 404 "), "%s", answer);
    ask("POST /healthz HTTP/1.0\r\nContent-Length: 0\r\n\r\n");
    cr_assert_null(strstr(answer, " 200 "), "%s", answer);
    ask("nonsense\r\n\r\n");
    cr_assert_null(strstr(answer, " 200 "), "%s", answer);
}

Test(http, long_headers_are_refused)
{
    static char request[20000] = "GET /healthz HTTP/1.0\r\nX: ";
    memset(request + strlen(request), 'a', sizeof(request) - 32);
    strcpy(request + sizeof(request) - 8, "\r\n\r\n");
    ask(request);
    cr_assert_null(strstr(answer, " 200 "), "%s", answer);
}

Test(http, port_in_use_is_reported)
{
    struct http_server *second;
    struct am_err err = {0};
    const struct http_source source = {0};
    cr_assert_eq(http_server_new(base, "127.0.0.1", http_server_port(server), &source, &second, &err),
                 -EADDRINUSE);
    cr_assert(strstr(err.text, "HEALTH_ADDR"), "%s", err.text);
}
