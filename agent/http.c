#include "agent/http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <inttypes.h>
#include <json-c/json_object.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/socket.h"
#include "agent/utf8.h"

#define HEADERS_MAX 8192
#define BODY_MAX 4096
#define TIMEOUT_S 10
#define REASON_SIZE 512

struct http_metrics {
    struct evbuffer *text;
};

struct http_server {
    struct evhttp *http;
    uint16_t port;
    struct http_source source;
};

void http_metrics_begin(struct http_metrics *metrics, enum http_metric_type type, const char *name,
                        const char *help)
{
    evbuffer_add_printf(metrics->text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
                        type == HTTP_METRIC_COUNTER ? "counter" : "gauge");
}

static void add_label(struct evbuffer *text, const struct http_label *label)
{
    evbuffer_add_printf(text, "%s=\"", label->name);
    for (const char *c = label->value; *c; c++) {
        if (strchr("\"\\\n", *c))
            evbuffer_add(text, "\\", 1);
        evbuffer_add(text, *c == '\n' ? "n" : c, 1);
    }
    evbuffer_add(text, "\"", 1);
}

void http_metrics_sample(struct http_metrics *metrics, const char *name, const struct http_label *labels,
                         size_t labels_len, uint64_t value)
{
    evbuffer_add_printf(metrics->text, "%s{", name);
    for (size_t i = 0; i < labels_len; i++) {
        if (i > 0)
            evbuffer_add(metrics->text, ",", 1);
        add_label(metrics->text, &labels[i]);
    }
    evbuffer_add_printf(metrics->text, "} %" PRIu64 "\n", value);
}

void http_metrics_add(struct http_metrics *metrics, enum http_metric_type type, const char *name,
                      const char *help, uint64_t value)
{
    http_metrics_begin(metrics, type, name, help);
    evbuffer_add_printf(metrics->text, "%s %" PRIu64 "\n", name, value);
}

void http_reply(struct evhttp_request *request, bool healthy, const char *type, struct evbuffer *body)
{
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", type);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Cache-Control", "no-store");
    evhttp_send_reply(request, healthy ? HTTP_OK : HTTP_SERVUNAVAIL, healthy ? "OK" : "Service Unavailable",
                      body);
}

void http_reply_json(struct evhttp_request *request, bool healthy, json_object *object)
{
    struct evbuffer *body = evbuffer_new();
    if (body && object) {
        evbuffer_add_printf(body, "%s\n", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
        http_reply(request, healthy, "application/json", body);
    } else {
        evhttp_send_error(request, HTTP_INTERNAL, NULL);
    }
    json_object_put(object);
    if (body)
        evbuffer_free(body);
}

void http_reply_metrics(struct evhttp_request *request, http_add_metrics_fn add_metrics, void *user)
{
    struct http_metrics metrics = {.text = evbuffer_new()};
    if (!metrics.text) {
        evhttp_send_error(request, HTTP_INTERNAL, NULL);
        return;
    }
    add_metrics(user, &metrics);
    http_reply(request, true, "text/plain; version=0.0.4; charset=utf-8", metrics.text);
    evbuffer_free(metrics.text);
}

int http_listen(struct event_base *base, const char *host, uint16_t port, struct evhttp **out,
                uint16_t *bound_port, struct am_err *err)
{
    struct evhttp *http = evhttp_new(base);
    if (!http)
        return am_fail(err, -ENOMEM, "health server: out of memory");
    evhttp_set_allowed_methods(http, EVHTTP_REQ_GET);
    evhttp_set_max_headers_size(http, HEADERS_MAX);
    evhttp_set_max_body_size(http, BODY_MAX);
    evhttp_set_timeout(http, TIMEOUT_S);
    errno = 0;
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(http, host, port);
    if (!bound) {
        const int code = errno ? -errno : -EADDRNOTAVAIL;
        evhttp_free(http);
        return am_fail(err, code, "HEALTH_ADDR: can not listen on %s port %u: %s", host, port,
                       strerror(-code));
    }
    *bound_port = socket_port(evhttp_bound_socket_get_fd(bound));
    *out = http;
    return 0;
}

static json_object *new_text(const char *text)
{
    char valid[REASON_SIZE];
    snprintf(valid, sizeof(valid), "%s", text);
    utf8_make_valid(valid);
    return json_object_new_string(valid);
}

static void answer_health(struct evhttp_request *request, void *user)
{
    struct http_server *server = user;
    struct http_health health = {0};
    json_object *object = json_object_new_object();
    server->source.get_health(server->source.user, &health);
    json_object_object_add(object, "phase", new_text(health.phase));
    json_object_object_add(object, "first_converged", json_object_new_boolean(health.first_converged));
    json_object_object_add(object, "csk_acquired", json_object_new_boolean(health.csk_acquired));
    json_object_object_add(object, "live_peers", json_object_new_int64(health.live_peers));
    json_object_object_add(object, "reason", new_text(health.reason));
    http_reply_json(request, health.healthy, object);
}

static void answer_metrics(struct evhttp_request *request, void *user)
{
    struct http_server *server = user;
    http_reply_metrics(request, server->source.add_metrics, server->source.user);
}

static void answer_unknown(struct evhttp_request *request, void *user)
{
    (void)user;
    evhttp_send_error(request, HTTP_NOTFOUND, NULL);
}

int http_server_new(struct event_base *base, const char *host, uint16_t port,
                    const struct http_source *source, struct http_server **out, struct am_err *err)
{
    struct http_server *server = calloc(1, sizeof(*server));
    if (!server)
        return am_fail(err, -ENOMEM, "health server: out of memory");
    const int code = http_listen(base, host, port, &server->http, &server->port, err);
    if (code != 0) {
        free(server);
        return code;
    }
    server->source = *source;
    evhttp_set_cb(server->http, "/healthz", answer_health, server);
    evhttp_set_cb(server->http, "/metrics", answer_metrics, server);
    evhttp_set_gencb(server->http, answer_unknown, server);
    *out = server;
    return 0;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

void http_server_free(struct http_server *server)
{
    if (!server)
        return;
    evhttp_free(server->http);
    free(server);
}
