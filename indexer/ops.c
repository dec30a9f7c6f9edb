#include "indexer/ops.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <json-c/json_object.h>
#include <stdlib.h>

#include "agent/http.h"
#include "indexer/page.h"

struct ops {
    struct evhttp *http;
    ops_view_fn view;
    ops_pages_fn pages;
    void *user;
};

static const char *registry_name(enum ops_registry registry)
{
    switch (registry) {
    case OPS_REGISTRY_NONE: return "none";
    case OPS_REGISTRY_UNKNOWN: return "unknown";
    case OPS_REGISTRY_MATCH: return "match";
    case OPS_REGISTRY_MISMATCH: return "mismatch";
    }
    abort();
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
    json_object *object = json_object_new_object();
    ops->view(ops->user, &view);
    fill_health(object, &view);
    http_reply_json(request, view.healthy, object);
}

#define GAUGE(name, help, value)                                                                             \
    http_metrics_add(metrics, HTTP_METRIC_GAUGE, "attestmesh_indexer_" name, help, value)
#define COUNTER(name, help, value)                                                                           \
    http_metrics_add(metrics, HTTP_METRIC_COUNTER, "attestmesh_indexer_" name, help, value)

static void add_chain_metrics(struct http_metrics *metrics, const struct ops_view *view)
{
    const struct watcher_status *chain = &view->watcher;
    const uint64_t lag = chain->head > chain->tip.number ? chain->head - chain->tip.number : 0;
    GAUGE("healthy", "Whether /healthz answers 200.", view->healthy);
    GAUGE("registry_mismatch", "Whether the registry names another key.",
          view->registry == OPS_REGISTRY_MISMATCH);
    GAUGE("head_block", "Highest block seen.", chain->head);
    GAUGE("head_lag_blocks", "Blocks seen but not stored yet.", lag);
    GAUGE("clusters", "Clusters followed.", chain->clusters);
    GAUGE("stored_logs", "Logs in the store.", view->stored_logs);
    COUNTER("rpc_calls_total", "Questions to the chain.", view->rpc_calls);
    COUNTER("rpc_failures_total", "Questions without a usable answer.", chain->failures);
    COUNTER("rpc_doubts_total", "Answers that a bloom filter made doubtful.", chain->doubts);
    COUNTER("retracted_blocks_total", "Blocks undone by reorganisations.", chain->retractions);
}

static void add_hub_metrics(struct http_metrics *metrics, const struct hub_status *hub)
{
    GAUGE("subscribers", "Sessions of members.", hub->sessions);
    GAUGE("subscribers_live", "Sessions that have read all there is.", hub->live);
    GAUGE("strangers", "Connections without a Hello.", hub->strangers);
    COUNTER("accepted_total", "Connections taken.", hub->accepted);
    COUNTER("refused_total", "Connections and sessions refused.", hub->refused);
    COUNTER("stalled_total", "Sessions closed because they took nothing.", hub->stalled);
    COUNTER("fallbacks_total", "Sessions that fell back to reading the store.", hub->fallbacks);
    COUNTER("pushes_total", "Events sent.", hub->pushes);
    COUNTER("push_bytes_total", "Bytes of events sent.", hub->bytes);
    COUNTER("retractions_total", "Retractions sent.", hub->retractions);
    COUNTER("checkpoints_total", "Checkpoints sent.", hub->checkpoints);
    COUNTER("acks_total", "Confirmations received.", hub->acks);
}

static void add_metrics(void *user, struct http_metrics *metrics)
{
    struct ops *ops = user;
    struct ops_view view = {0};
    ops->view(ops->user, &view);
    add_chain_metrics(metrics, &view);
    add_hub_metrics(metrics, &view.hub);
}

static void answer_metrics(struct evhttp_request *request, void *user)
{
    http_reply_metrics(request, add_metrics, user);
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
        http_reply(request, true,
                   result == PAGE_STYLE ? "text/css; charset=utf-8" : "text/html; charset=utf-8", body);
    }
    if (body)
        evbuffer_free(body);
}

int ops_new(struct event_base *base, const char *host, uint16_t port, ops_view_fn view, ops_pages_fn pages,
            void *user, struct ops **out, struct am_err *err)
{
    uint16_t bound_port;
    struct ops *ops = calloc(1, sizeof(*ops));
    if (!ops)
        return am_fail(err, -ENOMEM, "health server: out of memory");
    const int code = http_listen(base, host, port, &ops->http, &bound_port, err);
    if (code != 0) {
        free(ops);
        return code;
    }
    ops->view = view;
    ops->pages = pages;
    ops->user = user;
    evhttp_set_cb(ops->http, "/healthz", answer_health, ops);
    evhttp_set_cb(ops->http, "/metrics", answer_metrics, ops);
    evhttp_set_gencb(ops->http, answer_page, ops);
    *out = ops;
    return 0;
}

void ops_free(struct ops *ops)
{
    if (!ops)
        return;
    evhttp_free(ops->http);
    free(ops);
}
