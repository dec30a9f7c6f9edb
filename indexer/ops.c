#include "indexer/ops.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <inttypes.h>
#include <json-c/json_object.h>
#include <stdlib.h>
#include <string.h>

#include "indexer/page.h"

#define TIMEOUT_S 10
#define HEADERS_MAX 8192
#define BODY_MAX 4096

struct ops {
    struct evhttp *http;
    ops_view_fn view;
    ops_pages_fn pages;
    void *user;
};

static const char *registry_name(enum ops_registry registry)
{
    switch (registry) {
    case OPS_REGISTRY_NONE:
        return "none";
    case OPS_REGISTRY_UNKNOWN:
        return "unknown";
    case OPS_REGISTRY_MATCH:
        return "match";
    case OPS_REGISTRY_MISMATCH:
        return "mismatch";
    }
    abort();
}

static void reply(struct evhttp_request *request, bool healthy, const char *type, struct evbuffer *body)
{
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", type);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Cache-Control", "no-store");
    evhttp_send_reply(request, healthy ? HTTP_OK : HTTP_SERVUNAVAIL, healthy ? "OK" : "Service Unavailable",
                      body);
}

static void add_u64(json_object *object, const char *name, uint64_t value)
{
    json_object_object_add(object, name, json_object_new_uint64(value));
}

static void fill_health(json_object *object, const struct ops_view *view)
{
    char key[BYTES32_HEX_SIZE];
    json_object_object_add(object, "healthy", json_object_new_boolean(view->healthy));
    json_object_object_add(object, "phase", json_object_new_string(view->phase));
    json_object_object_add(object, "reason", json_object_new_string(view->reason));
    json_object_object_add(object, "registry", json_object_new_string(registry_name(view->registry)));
    if (!bytes32_is_zero(&view->key))
        json_object_object_add(object, "key", json_object_new_string(bytes32_hex(&view->key, key)));
    add_u64(object, "head", view->watcher.head);
    add_u64(object, "block", view->watcher.tip.number);
    add_u64(object, "clusters", view->watcher.clusters);
    add_u64(object, "logs", view->stored_logs);
    add_u64(object, "subscribers", view->hub.sessions);
}

static void answer_health(struct evhttp_request *request, void *user)
{
    struct ops *ops = user;
    struct ops_view view = {0};
    struct evbuffer *body = evbuffer_new();
    json_object *object = json_object_new_object();
    if (body && object) {
        ops->view(ops->user, &view);
        fill_health(object, &view);
        evbuffer_add_printf(body, "%s\n", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
        reply(request, view.healthy, "application/json", body);
    } else {
        evhttp_send_error(request, HTTP_INTERNAL, NULL);
    }
    json_object_put(object);
    if (body)
        evbuffer_free(body);
}

static void add_metric(struct evbuffer *text, const char *type, const char *name, const char *help,
                       uint64_t value)
{
    evbuffer_add_printf(text,
                        "# HELP attestmesh_indexer_%s %s\n# TYPE attestmesh_indexer_%s %s\n"
                        "attestmesh_indexer_%s %" PRIu64 "\n",
                        name, help, name, type, name, value);
}

static void add_chain_metrics(struct evbuffer *text, const struct ops_view *view)
{
    const struct watcher_status *chain = &view->watcher;
    const uint64_t lag = chain->head > chain->tip.number ? chain->head - chain->tip.number : 0;
    add_metric(text, "gauge", "healthy", "Whether /healthz answers 200.", view->healthy);
    add_metric(text, "gauge", "registry_mismatch", "Whether the registry names another key.",
               view->registry == OPS_REGISTRY_MISMATCH);
    add_metric(text, "gauge", "head_block", "Highest block seen.", chain->head);
    add_metric(text, "gauge", "head_lag_blocks", "Blocks seen but not stored yet.", lag);
    add_metric(text, "gauge", "clusters", "Clusters followed.", chain->clusters);
    add_metric(text, "gauge", "stored_logs", "Logs in the store.", view->stored_logs);
    add_metric(text, "counter", "rpc_calls_total", "Questions to the chain.", view->rpc_calls);
    add_metric(text, "counter", "rpc_failures_total", "Questions without a usable answer.", chain->failures);
    add_metric(text, "counter", "rpc_doubts_total", "Answers that a bloom filter made doubtful.",
               chain->doubts);
    add_metric(text, "counter", "retracted_blocks_total", "Blocks undone by reorganisations.",
               chain->retractions);
}

static void add_hub_metrics(struct evbuffer *text, const struct hub_status *hub)
{
    add_metric(text, "gauge", "subscribers", "Sessions of members.", hub->sessions);
    add_metric(text, "gauge", "subscribers_live", "Sessions that have read all there is.", hub->live);
    add_metric(text, "gauge", "strangers", "Connections without a Hello.", hub->strangers);
    add_metric(text, "counter", "accepted_total", "Connections taken.", hub->accepted);
    add_metric(text, "counter", "refused_total", "Connections and sessions refused.", hub->refused);
    add_metric(text, "counter", "stalled_total", "Sessions closed because they took nothing.", hub->stalled);
    add_metric(text, "counter", "fallbacks_total", "Sessions that fell back to reading the store.",
               hub->fallbacks);
    add_metric(text, "counter", "pushes_total", "Events sent.", hub->pushes);
    add_metric(text, "counter", "push_bytes_total", "Bytes of events sent.", hub->bytes);
    add_metric(text, "counter", "retractions_total", "Retractions sent.", hub->retractions);
    add_metric(text, "counter", "checkpoints_total", "Checkpoints sent.", hub->checkpoints);
    add_metric(text, "counter", "acks_total", "Confirmations received.", hub->acks);
}

static void answer_metrics(struct evhttp_request *request, void *user)
{
    struct ops *ops = user;
    struct ops_view view = {0};
    struct evbuffer *text = evbuffer_new();
    if (!text) {
        evhttp_send_error(request, HTTP_INTERNAL, NULL);
        return;
    }
    ops->view(ops->user, &view);
    add_chain_metrics(text, &view);
    add_hub_metrics(text, &view.hub);
    reply(request, true, "text/plain; version=0.0.4; charset=utf-8", text);
    evbuffer_free(text);
}

static void answer_page(struct evhttp_request *request, void *user)
{
    struct ops *ops = user;
    struct page_source source = {0};
    struct evbuffer *body = evbuffer_new();
    const char *const path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    ops->pages(ops->user, &source);
    const enum page_result result = body && path ? page_write(&source, path, body) : PAGE_UNKNOWN;
    if (result == PAGE_UNKNOWN) {
        evhttp_send_error(request, HTTP_NOTFOUND, NULL);
    } else {
        struct evkeyvalq *const headers = evhttp_request_get_output_headers(request);
        evhttp_add_header(headers, "Content-Security-Policy", PAGE_POLICY);
        evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
        reply(request, true, result == PAGE_STYLE ? "text/css; charset=utf-8" : "text/html; charset=utf-8",
              body);
    }
    if (body)
        evbuffer_free(body);
}

int ops_new(struct event_base *base, const char *host, uint16_t port, ops_view_fn view, ops_pages_fn pages,
            void *user, struct ops **out, struct am_err *err)
{
    struct ops *ops = calloc(1, sizeof(*ops));
    if (!ops || !(ops->http = evhttp_new(base))) {
        ops_free(ops);
        return am_fail(err, -ENOMEM, "health server: out of memory");
    }
    ops->view = view;
    ops->pages = pages;
    ops->user = user;
    evhttp_set_allowed_methods(ops->http, EVHTTP_REQ_GET);
    evhttp_set_max_headers_size(ops->http, HEADERS_MAX);
    evhttp_set_max_body_size(ops->http, BODY_MAX);
    evhttp_set_timeout(ops->http, TIMEOUT_S);
    evhttp_set_cb(ops->http, "/healthz", answer_health, ops);
    evhttp_set_cb(ops->http, "/metrics", answer_metrics, ops);
    evhttp_set_gencb(ops->http, answer_page, ops);
    errno = 0;
    if (evhttp_bind_socket(ops->http, host, port) != 0) {
        const int code = errno ? -errno : -EADDRNOTAVAIL;
        ops_free(ops);
        return am_fail(err, code, "HEALTH_ADDR: can not listen on %s port %u: %s", host, port,
                       strerror(-code));
    }
    *out = ops;
    return 0;
}

void ops_free(struct ops *ops)
{
    if (!ops)
        return;
    if (ops->http)
        evhttp_free(ops->http);
    free(ops);
}
