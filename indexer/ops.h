/* The indexer's health, metrics and pages over HTTP: GET /healthz (200 or 503, JSON), GET /metrics
 * (Prometheus text), and what page.h shows. */
#ifndef INDEXER_OPS_H
#define INDEXER_OPS_H

#include "indexer/hub.h"
#include "indexer/watcher.h"

struct event_base;
struct ops;

enum ops_registry {
    OPS_REGISTRY_NONE,     /* not configured */
    OPS_REGISTRY_UNKNOWN,  /* could not be read yet */
    OPS_REGISTRY_MATCH,    /* it names our key */
    OPS_REGISTRY_MISMATCH, /* it names another key, or none: members do not come, or would not believe us */
};

/* Texts are read before control returns to the loop. */
struct ops_view {
    bool healthy;
    const char *phase;  /* booting, catching-up, serving */
    const char *reason; /* "" when healthy */
    struct bytes32 key; /* zero until it is known */
    enum ops_registry registry;
    struct watcher_status watcher;
    struct hub_status hub;
    uint64_t now_s;
    uint64_t rpc_calls;
    uint64_t stored_logs;
};

typedef void (*ops_view_fn)(void *user, struct ops_view *out);

struct page_source;
typedef void (*ops_pages_fn)(void *user, struct page_source *out);

/* Listens on a numeric address; port 0 takes a free one. Returns 0 or an errno with a sentence. */
int ops_new(struct event_base *base, const char *host, uint16_t port, ops_view_fn view, ops_pages_fn pages,
            void *user, struct ops **out, struct am_err *err);
void ops_free(struct ops *ops);

#endif
