/* The node's health and metrics over HTTP (PROTOCOL section 11), on the control thread's loop.
 *
 *     GET /healthz   200 when healthy, else 503; JSON
 *     GET /metrics   Prometheus text
 */
#ifndef AGENT_HTTP_H
#define AGENT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"

struct evbuffer;
struct event_base;
struct evhttp;
struct evhttp_request;
struct json_object;
struct http_server;
struct http_metrics;

/* Texts are read before control returns to the loop. */
struct http_health {
    bool healthy;
    const char *phase;
    const char *reason; /* "" when healthy */
    bool first_converged;
    bool csk_acquired;
    uint32_t live_peers; /* members known to be alive, this node included */
};

enum http_metric_type {
    HTTP_METRIC_GAUGE,
    HTTP_METRIC_COUNTER,
};

/* Adds one metric without labels: help and type lines, then its value. `name` is attestmesh_<what>_<unit>. */
void http_metrics_add(struct http_metrics *metrics, enum http_metric_type type, const char *name,
                      const char *help, uint64_t value);

/* Starts a metric whose samples carry labels; then add the samples. */
void http_metrics_begin(struct http_metrics *metrics, enum http_metric_type type, const char *name,
                        const char *help);
struct http_label {
    const char *name;
    const char *value; /* any text */
};
#define HTTP_LABELS(...)                                                                                     \
    (const struct http_label[]){__VA_ARGS__},                                                                \
        sizeof((const struct http_label[]){__VA_ARGS__}) / sizeof(struct http_label)
void http_metrics_sample(struct http_metrics *metrics, const char *name, const struct http_label *labels,
                         size_t labels_len, uint64_t value);

typedef void (*http_add_metrics_fn)(void *user, struct http_metrics *metrics);

struct http_source {
    void (*get_health)(void *user, struct http_health *out);
    http_add_metrics_fn add_metrics;
    void *user;
};

/* Listens on a numeric address; port 0 takes a free one (for tests). `source` is copied; its user pointer
 * outlives the server. Returns 0 or an errno with a sentence. */
int http_server_new(struct event_base *base, const char *host, uint16_t port,
                    const struct http_source *source, struct http_server **out, struct am_err *err);
void http_server_free(struct http_server *server);

uint16_t http_server_port(const struct http_server *server);

/* ---- For a server with pages of its own ---- */

/* A server for small GET requests, without pages yet; the caller frees it (evhttp_free). Address, port and
 * result as of http_server_new; `bound_port` is the one taken. */
int http_listen(struct event_base *base, const char *host, uint16_t port, struct evhttp **out,
                uint16_t *bound_port, struct am_err *err);

/* Answer a request: 200, or 503 when not `healthy`. `object` is taken over; NULL, for want of memory, answers
 * 500. */
void http_reply(struct evhttp_request *request, bool healthy, const char *type, struct evbuffer *body);
void http_reply_json(struct evhttp_request *request, bool healthy, struct json_object *object);
void http_reply_metrics(struct evhttp_request *request, http_add_metrics_fn add_metrics, void *user);

#endif
