#include "agent/shell/shell_state.h"

#include <errno.h>
#include <event2/event.h>
#include <sodium.h>
#include <stdlib.h>

#include "agent/api/server.h"
#include "agent/backend.h"
#include "agent/http.h"
#include "agent/indexer/subscription.h"
#include "agent/log.h"
#include "agent/shell/endpoints.h"
#include "agent/shell/mesh.h"
#include "agent/shell/messaging.h"
#include "agent/shell/onchain.h"
#include "agent/shell/tunnels.h"
#include "agent/shell/vault.h"
#include "agent/transport/transport.h"

/* The longest that the loop sleeps when the core has no deadline. */
#define IDLE_MS 60000

/* ---- Events into the core ---- */

static void arm_deadline(struct shell *shell)
{
    const uint64_t now_ms = views_now_ms(), deadline_ms = core_deadline(shell->core);
    uint64_t wait_ms = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    if (wait_ms > IDLE_MS)
        wait_ms = IDLE_MS;
    const struct timeval wait = {(time_t)(wait_ms / 1000), (suseconds_t)(wait_ms % 1000 * 1000)};
    evtimer_add(shell->deadline, &wait);
}

static void feed(struct shell *shell, const struct core_event *event)
{
    struct core_action action;
    core_step(shell->core, views_now_ms(), event);
    while (core_next_action(shell->core, &action))
        action_perform(shell, &action);
    arm_deadline(shell);
}

static void on_deadline(evutil_socket_t fd, short what, void *user)
{
    (void)fd, (void)what;
    feed(user, &(struct core_event){.type = CORE_EVENT_TICK});
}

/* Tells the core what came of a pass. */
static void report_pass(struct shell *shell, int code, const struct reconcile_result *result,
                        const struct am_err *err)
{
    struct core_event event = {.type = CORE_EVENT_DEVICE_APPLIED};
    if (code == 0) {
        event.applied = (struct core_apply_result){.failed_edits = (uint32_t)result->failed,
                                                   .text = result->failure.text};
    } else {
        event.type = CORE_EVENT_DEVICE_FAILED;
        event.failure = (struct core_failure){.text = err->text, .retryable = true};
    }
    if (result->applied > 0)
        log_info("device.changed", log_uint("edits", result->applied), log_uint("failed", result->failed),
                 log_bool("without_ipv6", result->without_ipv6));
    if (result->failed > 0 || code != 0)
        log_warn("device.failed", log_text("reason", code ? err->text : result->failure.text));
    feed(shell, &event);
}

static void on_apply(evutil_socket_t fd, short what, void *user)
{
    struct shell *shell = user;
    struct reconcile_result result = {0};
    struct am_err err = {0};
    (void)fd, (void)what;
    const int code = tunnels_apply(shell->tunnels, shell->core, onchain_wireguard_key(shell->onchain),
                                   views_now_ms(), &result, &err);
    report_pass(shell, code, &result, &err);
}

static void on_apply_peers(evutil_socket_t fd, short what, void *user)
{
    struct shell *shell = user;
    struct reconcile_result result;
    struct am_err err = {0};
    (void)fd, (void)what;
    const int code = tunnels_apply_peers(shell->tunnels, shell->core, &result, &err);
    report_pass(shell, code, &result, &err);
}

static void on_watch(evutil_socket_t fd, short what, void *user)
{
    struct shell *shell = user;
    (void)fd, (void)what;
    if (!tunnels_watch_read(shell->tunnels))
        return;
    shell->views.device_drifts++;
    feed(shell, &(struct core_event){.type = CORE_EVENT_DEVICE_DRIFTED});
}

static void on_observe(evutil_socket_t fd, short what, void *user)
{
    struct shell *shell = user;
    struct am_err err = {0};
    struct core_event event = {.type = CORE_EVENT_DEVICE_OBSERVED};
    (void)fd, (void)what;
    if (tunnels_observe(shell->tunnels, shell->core, onchain_wireguard_key(shell->onchain), &event.observed,
                        &err) != 0) {
        log_warn("device.failed", log_text("reason", err.text));
        event = (struct core_event){.type = CORE_EVENT_DEVICE_FAILED,
                                    .failure = {.text = err.text, .retryable = true}};
    } else {
        shell->views.device_drifts += event.observed.drifted;
    }
    feed(shell, &event);
}

static void on_undialed(evutil_socket_t fd, short what, void *user)
{
    struct shell *shell = user;
    (void)fd, (void)what;
    while (shell->undialed_len > 0) {
        const uint32_t index = shell->undialed_peers[--shell->undialed_len];
        feed(shell,
             &(struct core_event){.type = CORE_EVENT_DIAL_FAILED,
                                  .stream = {.index = index, .text = "the transport does not know it"}});
    }
}

static void on_stream_up(void *user, uint32_t index, enum transport_direction direction)
{
    const bool dialed = direction == TRANSPORT_DIALED;
    log_debug("stream.up", log_uint("index", index), log_bool("dialed", dialed));
    feed(user, &(struct core_event){.type = CORE_EVENT_STREAM_UP,
                                    .stream = {.index = index, .dialed = dialed, .text = ""}});
}

static void on_stream_down(void *user, uint32_t index, const char *reason)
{
    log_info("stream.down", log_uint("index", index), log_text("reason", reason));
    feed(user,
         &(struct core_event){.type = CORE_EVENT_STREAM_DOWN, .stream = {.index = index, .text = reason}});
}

static void on_dial_failed(void *user, uint32_t index, const char *reason)
{
    log_info("stream.dial_failed", log_uint("index", index), log_text("reason", reason));
    feed(user,
         &(struct core_event){.type = CORE_EVENT_DIAL_FAILED, .stream = {.index = index, .text = reason}});
}

static void on_ingress_refused(void *user, uint64_t count, const char *reason)
{
    ((struct shell *)user)->views.ingress_refused += count;
    log_warn("ingress.refused", log_uint("count", count), log_text("reason", reason));
}

static const struct transport_callbacks transport_callbacks = {
    .stream_up = on_stream_up,
    .stream_down = on_stream_down,
    .dial_failed = on_dial_failed,
    .ingress_refused = on_ingress_refused,
};

/* The transport needs the identity, and comes to life with it. */
static int open_transport(struct shell *shell, const struct core_identity *identity, struct am_err *err)
{
    const struct config *config = shell->config;
    if (shell->transport)
        return 0;
    shell->transport = transport_new(shell->base,
                                     &(struct transport_config){
                                         .cluster = identity->cluster,
                                         .member_id = identity->member_id,
                                         .seed = onchain_seed(shell->onchain),
                                         .gateway_domain = config->gateway_domain,
                                         .gateway_port = config->gateway_port,
                                         .ingress_port = config->wg_tcp_port,
                                         .wireguard_port = config->wg_listen_port,
                                         .loopback_port = TRANSPORT_LOOPBACK_PORT,
                                     },
                                     &transport_callbacks, shell, err);
    shell->views.transport = shell->transport;
    return shell->transport ? 0 : err->code;
}

static void on_indexer(void *user, bool caught_up, bool wake)
{
    feed(user,
         &(struct core_event){.type = CORE_EVENT_INDEXER, .indexer = {.caught_up = caught_up, .wake = wake}});
}

/* Members only are served, so this waits for our record. Without memory, polling goes on alone. */
static void open_subscription(struct shell *shell)
{
    struct core_status status;
    if (shell->subscription || address_is_zero(&shell->config->indexer_registry))
        return;
    core_status(shell->core, &status);
    if (!status.registered)
        return;
    shell->subscription = subscription_new(shell->base,
                                           &(struct subscription_config){
                                               .chain_id = shell->config->chain_id,
                                               .registry = shell->config->indexer_registry,
                                               .cluster = status.identity.cluster,
                                               .member_id = status.identity.member_id,
                                               .seed = onchain_seed(shell->onchain),
                                               .node = onchain_rpc(shell->onchain),
                                               .sample = shell->config->indexer_sample,
                                               .folder = shell->config->state_dir,
                                           },
                                           on_indexer, shell);
    shell->views.subscription = shell->subscription;
}

static void on_answer(void *user, const struct core_event *event)
{
    struct shell *shell = user;
    struct am_err err = {0};
    if (event->type == CORE_EVENT_IDENTITY_READY && open_transport(shell, &event->identity, &err) != 0) {
        feed(shell, &(struct core_event){.type = CORE_EVENT_IDENTITY_FAILED,
                                         .failure = {.text = err.text, .retryable = true}});
        return;
    }
    if (event->type == CORE_EVENT_IDENTITY_READY) {
        vault_set_identity(shell->vault, &event->identity);
        mesh_set_identity(shell->mesh, &event->identity);
    }
    feed(shell, event);
    open_subscription(shell);
}

static void rotate(void *user)
{
    feed(user, &(struct core_event){.type = CORE_EVENT_ROTATE_WG_KEY});
}

/* ---- Life ---- */

static struct bytes32 envelope_id(void *user, const struct bytes32 *recipient, uint64_t issued_ms)
{
    return endpoints_envelope_id(((struct shell *)user)->endpoints, recipient, issued_ms);
}

/* Without a gateway the node has no endpoint to tell, but may be told others'. */
static bool open_core(struct shell *shell)
{
    const bool has_gateway = shell->config->gateway_domain;
    struct core_config config = {
        .can_dial = has_gateway || shell->config->envelope_members_max > 0,
        .envelope_members_max = shell->config->envelope_members_max,
        .envelope_id = has_gateway ? envelope_id : NULL,
        .user = shell,
    };
    randombytes_buf(&config.seed, sizeof(config.seed));
    shell->core = core_new(&config);
    shell->deadline = evtimer_new(shell->base, on_deadline, shell);
    shell->apply = evtimer_new(shell->base, on_apply, shell);
    shell->apply_peers = evtimer_new(shell->base, on_apply_peers, shell);
    shell->observe = evtimer_new(shell->base, on_observe, shell);
    shell->undialed = evtimer_new(shell->base, on_undialed, shell);
    shell->views.core = shell->core;
    shell->views.started_ms = views_now_ms();
    shell->views.rotate = rotate;
    shell->views.user = shell;
    return shell->core && shell->deadline && shell->apply && shell->apply_peers && shell->observe &&
           shell->undialed;
}

static int open_tunnels(struct shell *shell, struct am_err *err)
{
    shell->tunnels = tunnels_new(
        &(struct tunnels_config){
            .backend = backend_kind(shell->config->wg_backend),
            .ifname = shell->config->wg_interface,
            .listen_port = shell->config->wg_listen_port,
            .loopback_port = TRANSPORT_LOOPBACK_PORT,
        },
        err);
    if (!shell->tunnels)
        return err->code;
    shell->watch =
        event_new(shell->base, tunnels_watch_fd(shell->tunnels), EV_READ | EV_PERSIST, on_watch, shell);
    if (!shell->watch || event_add(shell->watch, NULL) != 0)
        return am_fail(err, -ENOMEM, "out of memory");
    log_info("device.backend", log_text("backend", wg_backend_name(tunnels_backend(shell->tunnels))),
             log_text("interface", shell->config->wg_interface));
    return 0;
}

static int open_servers(struct shell *shell, struct am_err *err)
{
    const struct api_source api = views_api_source(&shell->views);
    const struct http_source http = views_http_source(&shell->views);
    const struct config *config = shell->config;
    const int code =
        api_server_new(shell->base, config->agent_socket, config->agent_socket_group, &api, &shell->api, err);
    if (code != 0)
        return code;
    shell->views.api = shell->api;
    return http_server_new(shell->base, config->health_host, config->health_port, &http, &shell->http, err);
}

static int open_mesh(struct shell *shell, struct am_err *err)
{
    shell->vault =
        vault_new(shell->base, onchain_attestor(shell->onchain), shell->config->state_dir, on_answer, shell);
    if (shell->vault)
        shell->mesh = mesh_new(shell->base, shell->core, shell->onchain, shell->vault, on_answer, shell);
    shell->views.vault = shell->vault;
    shell->endpoints =
        endpoints_new(shell->base, shell->config, shell->core, shell->onchain, on_answer, shell);
    if (shell->endpoints)
        shell->messaging = messaging_new(shell->base, shell->core, shell->onchain, shell->endpoints,
                                         shell->api, on_answer, shell);
    shell->views.endpoints = shell->endpoints;
    shell->views.mesh = shell->mesh;
    shell->views.messaging = shell->messaging;
    return shell->mesh && shell->messaging ? 0 : am_fail(err, -ENOMEM, "out of memory");
}

struct shell *shell_new(struct event_base *base, const struct config *config, struct am_err *err)
{
    struct shell *shell = calloc(1, sizeof(*shell));
    if (!shell) {
        am_fail(err, -ENOMEM, "out of memory");
        return NULL;
    }
    shell->base = base;
    shell->config = config;
    if (!open_core(shell)) {
        am_fail(err, -ENOMEM, "out of memory");
        goto failed;
    }
    if (open_tunnels(shell, err) != 0 || open_servers(shell, err) != 0)
        goto failed;
    shell->onchain = onchain_new(base, config, on_answer, shell, err);
    if (!shell->onchain || open_mesh(shell, err) != 0)
        goto failed;
    shell->views.history = onchain_history(shell->onchain);
    shell->views.rpc = onchain_rpc(shell->onchain);
    return shell;
failed:
    shell_free(shell);
    return NULL;
}

bool shell_starts_programs(const struct shell *shell)
{
    return tunnels_backend(shell->tunnels) == WG_BACKEND_USERSPACE;
}

void shell_start(struct shell *shell)
{
    feed(shell, &(struct core_event){.type = CORE_EVENT_STARTED});
}

int shell_exit_code(const struct shell *shell)
{
    return shell->exit_code;
}

static void free_event(struct event *event)
{
    if (event)
        event_free(event);
}

void shell_free(struct shell *shell)
{
    if (!shell)
        return;
    http_server_free(shell->http);
    api_server_free(shell->api);
    subscription_free(shell->subscription);
    transport_free(shell->transport);
    mesh_free(shell->mesh);
    vault_free(shell->vault);
    endpoints_free(shell->endpoints);
    messaging_free(shell->messaging);
    onchain_free(shell->onchain);
    free_event(shell->watch);
    tunnels_free(shell->tunnels);
    free_event(shell->deadline);
    free_event(shell->apply);
    free_event(shell->apply_peers);
    free_event(shell->observe);
    free_event(shell->undialed);
    core_free(shell->core);
    free(shell);
}
