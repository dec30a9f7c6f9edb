#include "test/unit/evm/fake_server.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct fake_server {
    struct evhttp *http;
    fake_handler_fn handler;
    void *user;
    char url[64];
};

static char *body_text(struct evhttp_request *request)
{
    struct evbuffer *input = evhttp_request_get_input_buffer(request);
    const size_t len = evbuffer_get_length(input);
    char *text = malloc(len + 1);
    cr_assert(text);
    evbuffer_copyout(input, text, len);
    text[len] = '\0';
    return text;
}

static void on_request(struct evhttp_request *request, void *user)
{
    struct fake_server *server = user;
    char *body = body_text(request);
    const struct fake_request seen = {
        .method = evhttp_request_get_command(request) == EVHTTP_REQ_POST ? "POST" : "GET",
        .path = evhttp_request_get_uri(request),
        .content_type = evhttp_find_header(evhttp_request_get_input_headers(request), "Content-Type"),
        .body = body,
    };
    struct fake_reply reply = {.status = 200};
    server->handler(server->user, &seen, &reply);
    if (reply.body)
        evbuffer_add(evhttp_request_get_output_buffer(request), reply.body, strlen(reply.body));
    if (reply.retry_after)
        evhttp_add_header(evhttp_request_get_output_headers(request), "Retry-After", reply.retry_after);
    if (!reply.never)
        evhttp_send_reply(request, reply.status, NULL, NULL);
    free(reply.body);
    free(body);
}

static int listen_on_port(struct fake_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    cr_assert(fd >= 0 && !bind(fd, (struct sockaddr *)&address, len) && !listen(fd, 16) &&
              !getsockname(fd, (struct sockaddr *)&address, &len));
    snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%u/rpc?key=topsecret",
             ntohs(address.sin_port));
    return fd;
}

static int listen_on_path(struct fake_server *server, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    cr_assert(fd >= 0 && !bind(fd, (struct sockaddr *)&address, sizeof(address)) && !listen(fd, 16));
    snprintf(server->url, sizeof(server->url), "http://dstack/");
    return fd;
}

struct fake_server *fake_server_new(struct event_base *base, const char *path, fake_handler_fn handler,
                                    void *user)
{
    struct fake_server *server = calloc(1, sizeof(*server));
    cr_assert(server);
    server->http = evhttp_new(base);
    server->handler = handler;
    server->user = user;
    const int fd = path ? listen_on_path(server, path) : listen_on_port(server);
    cr_assert(server->http && !evhttp_accept_socket(server->http, fd));
    evhttp_set_gencb(server->http, on_request, server);
    return server;
}

void fake_server_free(struct fake_server *server)
{
    if (server)
        evhttp_free(server->http);
    free(server);
}

const char *fake_server_url(const struct fake_server *server)
{
    return server->url;
}

void fake_reply_rpc(struct fake_reply *reply, const struct fake_request *request, const char *fragment)
{
    const char *id = strstr(request->body, "\"id\":");
    cr_assert(id, "no id in %s", request->body);
    const int len = asprintf(&reply->body, "{\"jsonrpc\":\"2.0\",\"id\":%ld,%s}", atol(id + 5), fragment);
    cr_assert_gt(len, 0);
}
