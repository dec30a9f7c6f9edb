#include "agent/shell/shell.h"

#include <errno.h>
#include <event2/event.h>
#include <sodium.h>
#include <stdlib.h>

#include "agent/api/server.h"
#include "agent/backend.h"
#include "agent/core/core.h"
#include "agent/http.h"
#include "agent/indexer/subscription.h"
#include "agent/log.h"
#include "agent/memory.h"
#include "agent/shell/endpoints.h"
#include "agent/shell/mesh.h"
#include "agent/shell/messaging.h"
#include "agent/shell/onchain.h"
#include "agent/shell/tunnels.h"
#include "agent/shell/vault.h"
#include "agent/shell/views.h"
#include "agent/transport/transport.h"

/* The longest that the loop sleeps when the core has no deadline. */
#define IDLE_MS 60000

struct shell {
    struct event_base *base;
    const struct config *config;
    struct core *core;
    struct tunnels *tunnels;
    struct onchain *onchain;
    struct transport *transport;
    struct vault *vault;
    struct mesh *mesh;
    struct endpoints *endpoints;
    struct messaging *messaging;
    struct subscription *subscription;
    struct api_server *api;
    struct http_server *http;
    struct views views;
    struct event *deadline;
    struct event *apply;       /* activated by CORE_DO_APPLY_DEVICE */
    struct event *apply_peers; /* activated by CORE_DO_APPLY_PEERS */
    struct event *observe;     /* activated by CORE_DO_OBSERVE_DEVICE */
    struct event *watch;       /* notifications of the device's system */
    struct event *undialed;
    uint32_t undialed_peers[CORE_DIALS_MAX]; /* dials that could not even begin */
    size_t undialed_len;
    int exit_code;
};

/* ---- Actions of the core, one function each ---- */

static void do_read_identity(struct shell *shell, const struct core_action *action)
{
    (void)action;
    onchain_read_identity(shell->onchain);
}

static void do_read_self(struct shell *shell, const struct core_action *action)
{
    (void)action;
    onchain_read_self(shell->onchain);
}

static void do_register(struct shell *shell, const struct core_action *action)
{
    (void)action;
    onchain_register(shell->onchain);
}

static void do_read_state(struct shell *shell, const struct core_action *action)
{
    (void)action;
    onchain_read_state(shell->onchain);
}

static void do_read_changes(struct shell *shell, const struct core_action *action)
{
    onchain_read_changes(shell->onchain, action);
}

static void do_read_page(struct shell *shell, const struct core_action *action)
{
    onchain_read_page(shell->onchain, action);
}

/* Device passes answer at once, and the core takes events between steps only: hence through the loop. */
static void do_apply_device(struct shell *shell, const struct core_action *action)
{
    (void)action;
    event_active(shell->apply, EV_TIMEOUT, 0);
}

static void do_apply_peers(struct shell *shell, const struct core_action *action)
{
    (void)action;
    event_active(shell->apply_peers, EV_TIMEOUT, 0);
}

static void do_observe_device(struct shell *shell, const struct core_action *action)
{
    (void)action;
    event_active(shell->observe, EV_TIMEOUT, 0);
}

static void do_set_stream_peer(struct shell *shell, const struct core_action *action)
{
    struct core_member member;
    if (!core_member_at(shell->core, action->index, &member))
        return;
    const struct transport_peer peer = {
        .index = member.index,
        .member_id = member.record.member_id,
        .member_contract = member.record.member_contract,
        .ed25519_pubkey = member.record.ed25519_pubkey,
    };
    const int code = transport_set_peer(shell->transport, &peer);
    if (code == 0)
        endpoints_apply(shell->endpoints, shell->transport, action->index);
    else
        log_error("transport.peer_refused", log_uint("index", action->index),
                  log_text("error", am_error_name(code)));
}

static void do_remove_stream_peer(struct shell *shell, const struct core_action *action)
{
    transport_remove_peer(shell->transport, action->index);
}

static void do_dial(struct shell *shell, const struct core_action *action)
{
    if (transport_dial(shell->transport, action->index) == 0 || shell->undialed_len == CORE_DIALS_MAX)
        return;
    shell->undialed_peers[shell->undialed_len++] = action->index;
    event_active(shell->undialed, EV_TIMEOUT, 0);
}

static void do_send_heartbeat(struct shell *shell, const struct core_action *action)
{
    (void)action;
    mesh_send_heartbeat(shell->mesh);
}

static void do_load_csk(struct shell *shell, const struct core_action *action)
{
    vault_load(shell->vault, &action->csk);
}

static void do_derive_csk(struct shell *shell, const struct core_action *action)
{
    vault_derive(shell->vault, action->csk.generation);
}

static void do_commit_csk(struct shell *shell, const struct core_action *action)
{
    onchain_commit_csk(shell->onchain, &action->csk);
}

static void do_pull_csk(struct shell *shell, const struct core_action *action)
{
    mesh_pull(shell->mesh, &action->csk);
}

static void do_publish_wg_key(struct shell *shell, const struct core_action *action)
{
    log_info("rotation.started", log_uint("generation", action->wg_generation));
    onchain_publish_wg_key(shell->onchain, action->wg_generation);
}

static void do_send_message(struct shell *shell, const struct core_action *action)
{
    (void)action;
    messaging_send_oldest(shell->messaging);
}

static void do_read_inbox(struct shell *shell, const struct core_action *action)
{
    messaging_read_inbox(shell->messaging, action->inbox.from, action->inbox.to);
}

static void tell_inbox(struct shell *shell, const struct core_action *action)
{
    (void)action;
    endpoints_commit(shell->endpoints, shell->transport);
    messaging_inbox_moved(shell->messaging);
}

static void do_read_sent(struct shell *shell, const struct core_action *action)
{
    endpoints_read_sent(shell->endpoints, messaging_archive(shell->messaging), action->sent_to);
}

static void do_send_envelope(struct shell *shell, const struct core_action *action)
{
    endpoints_send(shell->endpoints, action->envelope.index, action->envelope.issued_ms);
}

static void tell_csk(struct shell *shell, const struct core_action *action)
{
    log_info("csk.acquired", log_uint("generation", action->csk.generation),
             log_bytes("commitment", action->csk.commitment.b, 32));
    vault_publish(shell->vault, &action->csk);
    api_server_key_event(shell->api);
}

static void tell_peer(struct shell *shell, const struct core_action *action)
{
    struct core_member member;
    if (!core_member_at(shell->core, action->peer.index, &member))
        return;
    log_info("peer.changed", log_text("change", core_peer_event_name(action->peer.event)),
             log_uint("index", action->peer.index), log_bytes("member", member.record.member_id.b, 32));
    api_server_peer_event(shell->api, action->peer.index, views_peer_event_kind(action->peer.event));
}

static void tell_refused(struct shell *shell, const struct core_action *action)
{
    struct core_member member;
    if (!core_member_at(shell->core, action->index, &member))
        return;
    log_warn("peer.refused", log_uint("index", action->index),
             log_bytes("member", member.record.member_id.b, 32),
             log_text("cause", core_refusal_name(member.refusal)), log_uint("older", member.older_index));
}

/* Becoming healthy ends the start: what only the start needed can go. */
static void tell_phase(struct shell *shell, const struct core_action *action)
{
    (void)shell;
    if (action->phase.phase == CORE_PHASE_HEALTHY)
        memory_release_cold();
    log_info("phase.changed", log_text("phase", core_phase_name(action->phase.phase)),
             log_text("reason", action->phase.text));
}

static void tell_withheld(struct shell *shell, const struct core_action *action)
{
    (void)action;
    if (shell->subscription)
        subscription_distrust(shell->subscription, "the chain changed and it did not tell");
}

static void tell_exit(struct shell *shell, const struct core_action *action)
{
    struct am_err err;
    log_error("agent.giving_up", log_text("reason", action->exit.text));
    event_del(shell->apply); /* no pass comes behind this */
    event_del(shell->apply_peers);
    if (action->exit.removed && tunnels_silence(shell->tunnels, &err) != 0)
        log_error("device.failed", log_text("reason", err.text));
    shell->exit_code = action->exit.code;
    event_base_loopexit(shell->base, NULL);
}

static void (*const handlers[])(struct shell *, const struct core_action *) = {
    [CORE_DO_READ_IDENTITY] = do_read_identity,
    [CORE_DO_READ_SELF] = do_read_self,
    [CORE_DO_REGISTER] = do_register,
    [CORE_DO_READ_STATE] = do_read_state,
    [CORE_DO_READ_CHANGES] = do_read_changes,
    [CORE_DO_READ_PAGE] = do_read_page,
    [CORE_DO_APPLY_DEVICE] = do_apply_device,
    [CORE_DO_APPLY_PEERS] = do_apply_peers,
    [CORE_DO_OBSERVE_DEVICE] = do_observe_device,
    [CORE_DO_SET_STREAM_PEER] = do_set_stream_peer,
    [CORE_DO_REMOVE_STREAM_PEER] = do_remove_stream_peer,
    [CORE_DO_DIAL] = do_dial,
    [CORE_DO_SEND_HEARTBEAT] = do_send_heartbeat,
    [CORE_DO_LOAD_CSK] = do_load_csk,
    [CORE_DO_DERIVE_CSK] = do_derive_csk,
    [CORE_DO_COMMIT_CSK] = do_commit_csk,
    [CORE_DO_PULL_CSK] = do_pull_csk,
    [CORE_DO_SEND_MESSAGE] = do_send_message,
    [CORE_DO_READ_INBOX] = do_read_inbox,
    [CORE_DO_PUBLISH_WG_KEY] = do_publish_wg_key,
    [CORE_DO_READ_SENT] = do_read_sent,
    [CORE_DO_SEND_ENVELOPE] = do_send_envelope,
    [CORE_TELL_PEER] = tell_peer,
    [CORE_TELL_REFUSED] = tell_refused,
    [CORE_TELL_CSK] = tell_csk,
    [CORE_TELL_INBOX] = tell_inbox,
    [CORE_TELL_PHASE] = tell_phase,
    [CORE_TELL_WITHHELD] = tell_withheld,
    [CORE_TELL_EXIT] = tell_exit,
};

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
        handlers[action.type](shell, &action);
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
    if (tunnels_watch_read(shell->tunnels))
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
    (void)user;
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
