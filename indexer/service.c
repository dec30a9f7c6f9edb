#include "indexer/service.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/keccak.h"
#include "evm/chain.h"
#include "indexer/feed.h"
#include "indexer/hub.h"
#include "indexer/identity.h"
#include "indexer/ledger.h"
#include "indexer/page.h"
#include "indexer/store.h"

#define RPC_ANSWER_MAX (64u << 20) /* all logs of a full block, as JSON */
#define CHECK_S 3600               /* between looks at the registry */
#define CHECK_RETRY_S 5            /* while it can not be read, or names another key */
#define CHAIN_RETRY_S 2
#define LAG_BLOCKS_MAX 5 /* behind the head and still healthy */

struct service {
    struct event_base *base;
    const struct indexer_config *config;
    struct http_client *http;
    struct rpc *node;
    struct event *chain_retry, *registry_check;
    struct identity *identity;
    bool identity_ready, chain_checked;
    struct store *store;
    struct ledger *ledger;
    struct watcher *watcher;
    struct hub *hub;
    struct feed *feed;
    struct ops *ops;
    enum ops_registry registry;
    char reason[AM_ERR_TEXT_MAX]; /* why it does not serve yet */
    int exit_code;
};

static void give_up(struct service *service, const struct am_err *err)
{
    log_error("indexer.giving_up", log_text("reason", err->text));
    service->exit_code = err->code;
    event_base_loopexit(service->base, NULL);
}

static void schedule(struct event *event, time_t seconds)
{
    const struct timeval delay = {seconds, 0};
    evtimer_add(event, &delay);
}

/* ---- Serving ---- */

static void on_appended(void *user, const struct eth_header *tip, const struct store_log *logs,
                        size_t logs_len)
{
    const struct service *service = user;
    const struct store_tip stored = {.number = tip->number, .hash = tip->hash};
    hub_tell_appended(service->hub, &stored, tip->timestamp, logs, logs_len);
}

static void on_retracted(void *user, const struct address *cluster, const struct wire_cursor *block)
{
    const struct service *service = user;
    hub_tell_retracted(service->hub, cluster, block);
}

/* What the store's contents follow from besides chain and key. */
static struct bytes32 sources_hash(const struct indexer_config *config)
{
    struct keccak k;
    struct bytes32 hash;
    uint8_t first_block[8];
    be64_write(first_block, config->first_block);
    keccak_init(&k);
    keccak_update(&k, first_block, sizeof(first_block));
    keccak_update(&k, config->factories, config->factories_len * sizeof(config->factories[0]));
    keccak_final(&k, &hash);
    return hash;
}

static int open_store(struct service *service, struct am_err *err)
{
    const struct indexer_config *config = service->config;
    const struct store_identity identity = {.chain_id = config->chain_id,
                                            .key = *identity_key(service->identity),
                                            .sources = sources_hash(config)};
    bool fresh;
    const int code = store_open(config->store_path, &identity, &service->store, &fresh, err);
    if (code == 0)
        log_info("store.opened", log_bool("fresh", fresh), log_uint("logs", store_log_count(service->store)));
    return code;
}

static int open_hub(struct service *service, struct am_err *err)
{
    size_t quote_len, welcome_len;
    uint8_t *welcome;
    const uint8_t *const quote = identity_quote(service->identity, &quote_len);
    if (wire_build_welcome(quote, quote_len, &welcome, &welcome_len) != 0)
        return am_fail(err, -ENOMEM, "the first frame can not be made");
    const struct hub_config config = {
        .host = service->config->listen_host,
        .port = service->config->listen_port,
        .chain_id = service->config->chain_id,
        .seed = identity_seed(service->identity),
        .tls = identity_tls(service->identity),
        .store = service->store,
        .welcome = welcome,
        .welcome_len = welcome_len,
    };
    const int code = hub_new(service->base, &config, &service->hub, err);
    free(welcome);
    return code;
}

static void resume_cluster(void *user, const struct store_cluster *cluster)
{
    struct service *service = user;
    if (service->watcher && watcher_add_cluster(service->watcher, cluster) != 0) {
        watcher_free(service->watcher);
        service->watcher = NULL;
    }
}

static int open_watcher(struct service *service, struct am_err *err)
{
    const struct indexer_config *config = service->config;
    const struct ledger_config ledger = {.chain_id = config->chain_id,
                                         .first_block = config->first_block,
                                         .seed = identity_seed(service->identity),
                                         .key = *identity_key(service->identity)};
    const struct ledger_listener listener = {on_appended, on_retracted, service};
    const struct watcher_config watcher = {.first_block = config->first_block,
                                           .factories = config->factories,
                                           .factories_len = config->factories_len};
    struct store_tip tip;
    bool has_tip;
    service->ledger = ledger_new(&ledger, service->store, &listener);
    if (!service->ledger)
        return am_fail(err, -ENOMEM, "out of memory");
    const struct watcher_sink sink = ledger_sink(service->ledger);
    service->watcher = watcher_new(&watcher, &sink);
    int code = store_each_cluster(service->store, resume_cluster, service, err);
    if (code == 0)
        code = store_read_tip(service->store, &tip, &has_tip, err);
    if (code)
        return code;
    if (service->watcher && has_tip)
        watcher_resume(service->watcher, &tip);
    service->feed = service->watcher ? feed_new(service->base, service->node, service->watcher) : NULL;
    return service->feed ? 0 : am_fail(err, -ENOMEM, "out of memory");
}

static void serve(struct service *service)
{
    struct am_err err;
    if (!service->identity_ready || !service->chain_checked)
        return;
    if (open_store(service, &err) != 0 || open_hub(service, &err) != 0 || open_watcher(service, &err) != 0) {
        give_up(service, &err);
        return;
    }
    service->reason[0] = '\0';
    log_info("indexer.serving", log_bytes("key", identity_key(service->identity)->b, 32),
             log_uint("port", hub_port(service->hub)));
    if (!address_is_zero(&service->config->registry))
        schedule(service->registry_check, 0);
}

/* ---- What must be known first ---- */

static void on_identity(void *user, struct identity *identity, const struct am_err *err)
{
    struct service *service = user;
    if (!identity) {
        log_warn("identity.failed", log_text("reason", err->text));
        snprintf(service->reason, sizeof(service->reason), "%s", err->text);
        return;
    }
    service->identity_ready = true;
    serve(service);
}

/* An endpoint that answers has shown its chain before. */
static void on_block(void *user, const struct chain_result *result)
{
    struct service *service = user;
    struct am_err err;
    if (result->code == AM_EMISMATCH) {
        am_fail(&err, AM_ECONFIG, "%s: correct RPC_URL or CHAIN_ID", result->error);
        give_up(service, &err);
        return;
    }
    if (result->code) {
        log_warn("chain.failed", log_text("reason", result->error));
        snprintf(service->reason, sizeof(service->reason), "%s", result->error);
        schedule(service->chain_retry, CHAIN_RETRY_S);
        return;
    }
    service->chain_checked = true;
    serve(service);
}

static void check_chain(evutil_socket_t fd, short what, void *user)
{
    struct service *service = user;
    (void)fd, (void)what;
    if (!chain_read_block(service->node, on_block, service))
        schedule(service->chain_retry, CHAIN_RETRY_S);
}

static void on_wrong_chain(void *user, const char *origin, uint64_t chain_id)
{
    (void)user;
    log_error("rpc.wrong_chain", log_text("endpoint", origin), log_uint("chain_id", chain_id));
}

/* ---- The registry ---- */

static void on_registry(void *user, const struct chain_result *result)
{
    struct service *service = user;
    const struct bytes32 *key = identity_key(service->identity);
    if (result->code) {
        log_warn("registry.failed", log_text("reason", result->error));
        schedule(service->registry_check, CHECK_RETRY_S);
        return;
    }
    const bool matches = bytes32_equal(&result->indexer.key, key);
    const enum ops_registry state = matches ? OPS_REGISTRY_MATCH : OPS_REGISTRY_MISMATCH;
    if (state != service->registry)
        log_event(matches ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "registry.checked", log_bool("match", matches),
                  log_text("endpoint", result->indexer.endpoint),
                  log_bytes("registered", result->indexer.key.b, 32), log_bytes("own", key->b, 32));
    service->registry = state;
    schedule(service->registry_check, matches ? CHECK_S : CHECK_RETRY_S);
}

static void check_registry(evutil_socket_t fd, short what, void *user)
{
    struct service *service = user;
    (void)fd, (void)what;
    if (!chain_read_indexer(service->node, &service->config->registry, on_registry, service))
        schedule(service->registry_check, CHECK_RETRY_S);
}

/* ---- Health ---- */

static const char *unhealthy_reason(const struct service *service, const struct ops_view *view)
{
    if (!service->feed)
        return service->reason;
    if (ledger_error(service->ledger)[0])
        return ledger_error(service->ledger);
    if (!view->watcher.caught_up && view->watcher.head <= view->watcher.tip.number + LAG_BLOCKS_MAX &&
        view->watcher.head > 0)
        return "";
    if (!view->watcher.caught_up)
        return feed_error(service->feed)[0] ? feed_error(service->feed) : "reading the chain";
    return service->registry == OPS_REGISTRY_MISMATCH ? "the registry names another key" : "";
}

static void fill_view(void *user, struct ops_view *out)
{
    const struct service *service = user;
    out->registry = service->registry;
    out->now_s = (uint64_t)time(NULL);
    if (service->identity_ready)
        out->key = *identity_key(service->identity);
    if (service->feed) {
        watcher_status(service->watcher, &out->watcher);
        hub_status(service->hub, &out->hub);
        out->rpc_calls = feed_calls(service->feed);
        out->stored_logs = store_log_count(service->store);
    }
    out->reason = unhealthy_reason(service, out);
    out->healthy = out->reason[0] == '\0' && service->feed;
    out->phase = !service->feed ? "booting" : out->watcher.caught_up ? "serving" : "catching-up";
}

static void fill_source(void *user, struct page_source *out)
{
    const struct service *service = user;
    fill_view(user, &out->view);
    if (service->feed) {
        out->store = service->store;
        out->hub = service->hub;
    }
}

/* ---- Life ---- */

static int open_services(struct service *service, struct am_err *err)
{
    const struct indexer_config *config = service->config;
    service->http = http_client_new(service->base);
    service->chain_retry = evtimer_new(service->base, check_chain, service);
    service->registry_check = evtimer_new(service->base, check_registry, service);
    if (!service->http || !service->chain_retry || !service->registry_check)
        return am_fail(err, -ENOMEM, "out of memory");
    service->node = rpc_new(service->http, config->rpc_urls, config->rpc_urls_len);
    service->identity =
        identity_new(service->base, service->http, config->dstack_endpoint, on_identity, service);
    if (!service->node || !service->identity)
        return am_fail(err, -ENOMEM, "RPC_URL can not be used, or out of memory");
    rpc_set_answer_max(service->node, RPC_ANSWER_MAX);
    rpc_expect_chain(service->node, config->chain_id, on_wrong_chain, NULL);
    return ops_new(service->base, config->health_host, config->health_port, fill_view, fill_source, service,
                   &service->ops, err);
}

struct service *service_new(struct event_base *base, const struct indexer_config *config, struct am_err *err)
{
    struct service *service = calloc(1, sizeof(*service));
    if (!service) {
        am_fail(err, -ENOMEM, "out of memory");
        return NULL;
    }
    service->base = base;
    service->config = config;
    service->registry = address_is_zero(&config->registry) ? OPS_REGISTRY_NONE : OPS_REGISTRY_UNKNOWN;
    snprintf(service->reason, sizeof(service->reason), "deriving the key, finding the chain");
    if (open_services(service, err) != 0) {
        service_free(service);
        return NULL;
    }
    schedule(service->chain_retry, 0);
    return service;
}

void service_stop(struct service *service)
{
    if (service->hub)
        hub_stop(service->hub);
}

int service_exit_code(const struct service *service)
{
    return service->exit_code;
}

void service_free(struct service *service)
{
    if (!service)
        return;
    ops_free(service->ops);
    feed_free(service->feed);
    watcher_free(service->watcher);
    ledger_free(service->ledger);
    hub_free(service->hub);
    store_close(service->store);
    identity_free(service->identity);
    rpc_free(service->node);
    http_client_free(service->http);
    if (service->chain_retry)
        event_free(service->chain_retry);
    if (service->registry_check)
        event_free(service->registry_check);
    free(service);
}
