/* What the core wants done, one function for each action. */
#include "agent/api/server.h"
#include "agent/indexer/subscription.h"
#include "agent/log.h"
#include "agent/memory.h"
#include "agent/shell/endpoints.h"
#include "agent/shell/mesh.h"
#include "agent/shell/messaging.h"
#include "agent/shell/onchain.h"
#include "agent/shell/shell_state.h"
#include "agent/shell/tunnels.h"
#include "agent/shell/vault.h"
#include "agent/transport/transport.h"

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
    onchain_read_state(shell->onchain, action->anew);
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
    messaging_read_inbox(shell->messaging, action->blocks.from, action->blocks.to);
}

static void tell_inbox(struct shell *shell, const struct core_action *action)
{
    (void)action;
    endpoints_commit(shell->endpoints, shell->transport);
    messaging_inbox_moved(shell->messaging);
}

static void do_read_sent(struct shell *shell, const struct core_action *action)
{
    endpoints_read_sent(shell->endpoints, messaging_archive(shell->messaging), action->blocks.from,
                        action->blocks.to);
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

void action_perform(struct shell *shell, const struct core_action *action)
{
    handlers[action->type](shell, action);
}
