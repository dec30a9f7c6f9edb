#include "agent/shell/views.h"

#include <stdio.h>
#include <time.h>

#include "agent/indexer/subscription.h"
#include "agent/shell/explain.h"
#include "agent/shell/history.h"
#include "agent/shell/messaging.h"
#include "agent/shell/metrics.h"
#include "agent/shell/onchain.h"
#include "agent/shell/rpc_view.h"
#include "agent/shell/vault.h"
#include "agent/transport/transport.h"

static const api_Status_Phase api_phases[] = {
    [CORE_PHASE_BOOTING] = api_Status_Phase_BOOTING,
    [CORE_PHASE_REGISTERING] = api_Status_Phase_REGISTERING,
    [CORE_PHASE_WAITING_PEERS] = api_Status_Phase_WAITING_PEERS,
    [CORE_PHASE_WG_CONFIGURING] = api_Status_Phase_WG_CONFIGURING,
    [CORE_PHASE_PULLING_CSK] = api_Status_Phase_PULLING_CSK,
    [CORE_PHASE_HEARTBEATING] = api_Status_Phase_HEARTBEATING,
    [CORE_PHASE_HEALTHY] = api_Status_Phase_HEALTHY,
};

static const api_PeerEvent_Kind api_peer_events[] = {
    [CORE_PEER_JOINED] = api_PeerEvent_Kind_JOINED,
    [CORE_PEER_UP] = api_PeerEvent_Kind_UP,
    [CORE_PEER_DOWN] = api_PeerEvent_Kind_DOWN,
    [CORE_PEER_KEY_ROTATED] = api_PeerEvent_Kind_KEY_ROTATED,
    [CORE_PEER_TRANSPORT_CHANGED] = api_PeerEvent_Kind_TRANSPORT_CHANGED,
    [CORE_PEER_REMOVED] = api_PeerEvent_Kind_REMOVED,
};

uint64_t views_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

api_PeerEvent_Kind views_peer_event_kind(enum core_peer_event event)
{
    return api_peer_events[event];
}

static const api_Indexer_State api_indexer_states[] = {
    [SUBSCRIPTION_WAITING] = api_Indexer_State_WAITING,
    [SUBSCRIPTION_FINDING] = api_Indexer_State_FINDING,
    [SUBSCRIPTION_DIALING] = api_Indexer_State_DIALING,
    [SUBSCRIPTION_READING] = api_Indexer_State_READING,
    [SUBSCRIPTION_CAUGHT_UP] = api_Indexer_State_CAUGHT_UP,
};

static void get_indexer(const struct subscription *subscription, api_Indexer *out)
{
    struct subscription_status status;
    subscription_status(subscription, &status);
    *out = (api_Indexer){
        .state = api_indexer_states[status.state],
        .checkpoint_block = status.checkpoint_block,
        .checkpoint_time = status.checkpoint_time,
        .pushes = status.pushes,
        .confirmed = status.checked,
        .unanswered = status.unchecked,
        .alarms = status.alarms,
    };
    memcpy(out->key, status.indexer.key.b, sizeof(out->key));
    snprintf(out->endpoint, sizeof(out->endpoint), "%s", status.indexer.endpoint);
    snprintf(out->error, sizeof(out->error), "%s", status.error);
}

static void get_rotation(const struct core_status *status, api_Rotation *out)
{
    static const api_Rotation_State states[] = {
        [CORE_ROTATION_NONE] = api_Rotation_State_UNSPECIFIED,
        [CORE_ROTATION_PUBLISHING] = api_Rotation_State_PUBLISHING,
        [CORE_ROTATION_SWITCHING] = api_Rotation_State_SWITCHING,
        [CORE_ROTATION_DONE] = api_Rotation_State_DONE,
        [CORE_ROTATION_FAILED] = api_Rotation_State_FAILED,
    };
    *out = (api_Rotation){.state = states[status->rotation], .generation = status->rotation_generation};
    snprintf(out->error, sizeof(out->error), "%s", status->rotation_error);
}

static void get_status(void *user, api_Status *out)
{
    const struct views *views = user;
    struct core_status status;
    core_status(views->core, &status);
    *out = (api_Status){
        .phase = api_phases[status.phase],
        .first_converged = status.first_converged,
        .members = status.members,
        .live_members = status.live_members,
        .up_peers = status.up_peers,
        .streams = status.streams,
        .block = status.block,
        .registry_version = status.version,
        .uptime_s = (views_now_ms() - views->started_ms) / 1000,
        .agent_version = ATTESTMESH_VERSION,
        .csk_acquired = status.csk_acquired,
        .heard_members = status.heard_members,
        .converged = status.converged,
        .has_csk_generation = status.csk_held,
        .csk_generation = status.csk_generation,
        .has_rotation = status.rotation != CORE_ROTATION_NONE,
    };
    get_rotation(&status, &out->rotation);
    snprintf(out->csk_error, sizeof(out->csk_error), "%s", status.csk_error);
    out->messages_received = status.inbox_count;
    snprintf(out->inbox_error, sizeof(out->inbox_error), "%s", status.inbox_error);
    snprintf(out->reason, sizeof(out->reason), "%s", status.reason);
    snprintf(out->chain_error, sizeof(out->chain_error), "%s", status.chain_error);
    out->has_indexer = views->subscription;
    if (views->subscription)
        get_indexer(views->subscription, &out->indexer);
    snprintf(out->device_error, sizeof(out->device_error), "%s", status.device_error);
    if (views->rpc)
        rpc_view_fill(views->rpc, out);
}

static bool get_self(void *user, api_Self *out)
{
    const struct views *views = user;
    struct core_status status;
    core_status(views->core, &status);
    if (!status.identity_known)
        return false;
    const struct core_identity *identity = &status.identity;
    memcpy(out->member_id, identity->member_id.b, sizeof(out->member_id));
    memcpy(out->cluster, identity->cluster.b, sizeof(out->cluster));
    memcpy(out->member_contract, identity->member_contract.b, sizeof(out->member_contract));
    memcpy(out->wg_pubkey, status.wg_pubkey.b, sizeof(out->wg_pubkey));
    memcpy(out->x_pubkey, identity->x_pubkey.b, sizeof(out->x_pubkey));
    memcpy(out->ed25519_pubkey, identity->ed25519_pubkey.b, sizeof(out->ed25519_pubkey));
    out->registered = status.registered;
    if (!status.registered)
        return true;
    out->index = status.index;
    out->wg_generation = status.wg_generation;
    api_write_ipv4(status.mesh_ip, out->mesh_ipv4);
    api_write_ipv6(status.mesh_ip6, out->mesh_ipv6);
    return true;
}

static uint32_t peer_count(void *user)
{
    const struct views *views = user;
    struct core_status status;
    core_status(views->core, &status);
    return status.members;
}

static void write_problem(const struct core_member *member, char *out, size_t size)
{
    if (member->refusal != CORE_REFUSAL_NONE)
        snprintf(out, size, "refused: %s", core_refusal_name(member->refusal));
    else if (member->link != CORE_LINK_UP)
        snprintf(out, size, "%s", member->link_text);
}

static bool read_stream(const struct views *views, uint32_t index, api_Stream *out)
{
    struct transport_counters counters;
    if (!views->transport || transport_read_counters(views->transport, index, &counters))
        return false;
    *out = (api_Stream){
        .sent = counters.sent,
        .received = counters.received,
        .dropped_late = counters.dropped_late,
        .dropped_full = counters.dropped_full,
        .dropped_down = counters.dropped_down,
        .dropped_malformed = counters.dropped_malformed,
        .streams = counters.streams,
        .rtt_us = counters.rtt_us,
    };
    return true;
}

void views_fill_peer(const struct views *views, const struct core_member *member, api_Peer *out)
{
    const struct core_record *record = &member->record;
    out->index = member->index;
    memcpy(out->member_id, record->member_id.b, sizeof(out->member_id));
    memcpy(out->member_contract, record->member_contract.b, sizeof(out->member_contract));
    memcpy(out->attestor_id, record->attestor_id.b, sizeof(out->attestor_id));
    memcpy(out->wg_pubkey, record->wg_pubkey.b, sizeof(out->wg_pubkey));
    memcpy(out->x_pubkey, record->x_pubkey.b, sizeof(out->x_pubkey));
    memcpy(out->ed25519_pubkey, record->ed25519_pubkey.b, sizeof(out->ed25519_pubkey));
    api_write_ipv4(record->mesh_ip, out->mesh_ipv4);
    api_write_ipv6(member->mesh_ip6, out->mesh_ipv6);
    out->registered_at = record->registered_at;
    out->removed = record->removed;
    out->up = member->up;
    out->transport = member->link == CORE_LINK_UP ? api_Peer_Transport_GATEWAY : api_Peer_Transport_NONE;
    out->has_handshake_age_s = member->handshake_age_s != CORE_NEVER;
    if (out->has_handshake_age_s)
        out->handshake_age_s = member->handshake_age_s;
    out->rx_bytes = member->rx_bytes;
    out->tx_bytes = member->tx_bytes;
    out->has_stream = read_stream(views, member->index, &out->stream);
    write_problem(member, out->problem, sizeof(out->problem));
}

static bool get_peer(void *user, uint32_t index, api_Peer *out)
{
    const struct views *views = user;
    struct core_member member;
    if (!core_member_at(views->core, index, &member) || member.is_self)
        return false;
    views_fill_peer(views, &member, out);
    return true;
}

static api_Error_Code explain_peer(void *user, const char *name, api_PeerPath *out)
{
    return explain_fill_path(user, name, out);
}

static bool get_operation(void *user, uint32_t index, api_Operation *out)
{
    static const api_Operation_Outcome outcomes[] = {
        [HISTORY_PENDING] = api_Operation_Outcome_PENDING,
        [HISTORY_INCLUDED] = api_Operation_Outcome_INCLUDED,
        [HISTORY_REVERTED] = api_Operation_Outcome_REVERTED,
        [HISTORY_DENIED] = api_Operation_Outcome_DENIED,
        [HISTORY_FAILED] = api_Operation_Outcome_FAILED,
    };
    const struct views *views = user;
    const struct history_entry *entry = views->history ? history_at(views->history, index) : NULL;
    if (!entry)
        return false;
    out->outcome = outcomes[entry->outcome];
    out->started_unix_ms = entry->started_unix_ms;
    out->ended_unix_ms = entry->ended_unix_ms;
    out->attempts = entry->attempts;
    out->sends = entry->sends;
    out->gas_used = entry->gas_used;
    memcpy(out->hash, entry->hash.b, sizeof(out->hash));
    memcpy(out->tx_hash, entry->tx_hash.b, sizeof(out->tx_hash));
    snprintf(out->purpose, sizeof(out->purpose), "%s", entry->purpose);
    snprintf(out->sponsor, sizeof(out->sponsor), "%s", entry->sponsor);
    snprintf(out->problem, sizeof(out->problem), "%s", entry->problem);
    if (!bytes32_is_zero(&entry->tx_hash))
        uint256_print_decimal(&entry->cost, out->cost_wei, sizeof(out->cost_wei));
    return true;
}

static bool key_generation(void *user, uint64_t *out)
{
    const struct views *views = user;
    struct core_status status;
    core_status(views->core, &status);
    *out = status.csk_generation;
    return status.csk_held;
}

static api_Error_Code get_key(void *user, uint64_t generation, api_ClusterSharedKey *out)
{
    const struct views *views = user;
    const struct secret *key = views->vault ? vault_key(views->vault, generation) : NULL;
    struct core_status status;
    core_status(views->core, &status);
    if (status.phase != CORE_PHASE_HEALTHY)
        return api_Error_Code_UNAVAILABLE;
    if (!key)
        return api_Error_Code_NOT_FOUND;
    out->generation = generation;
    memcpy(out->key, key->b, sizeof(out->key));
    return api_Error_Code_UNSPECIFIED;
}

static api_Error_Code rotate_wireguard_key(void *user, api_Rotation *out)
{
    const struct views *views = user;
    struct core_status status;
    core_status(views->core, &status);
    if (!status.registered)
        return api_Error_Code_UNAVAILABLE;
    if (status.rotation == CORE_ROTATION_PUBLISHING || status.rotation == CORE_ROTATION_SWITCHING)
        return api_Error_Code_FAILED_PRECONDITION;
    if (status.wg_generation >= ONCHAIN_WG_GENERATION_MAX ||
        status.rotation_generation >= ONCHAIN_WG_GENERATION_MAX)
        return api_Error_Code_RESOURCE_EXHAUSTED;
    views->rotate(views->user);
    core_status(views->core, &status);
    get_rotation(&status, out);
    return api_Error_Code_UNSPECIFIED;
}

static api_Error_Code send_message(void *user, const api_SendMessage *message,
                                   const struct api_ticket *ticket, char text[API_TEXT_MAX])
{
    return messaging_accept(((struct views *)user)->messaging, message, ticket, text);
}

static bool subscribe_messages(void *user, const struct api_ticket *ticket, const api_Cursor *after)
{
    return messaging_subscribe(((struct views *)user)->messaging, ticket, after);
}

static void resume_messages(void *user, const struct api_ticket *ticket)
{
    messaging_resume(((struct views *)user)->messaging, ticket);
}

static void unsubscribe_messages(void *user, const struct api_ticket *ticket)
{
    messaging_unsubscribe(((struct views *)user)->messaging, ticket);
}

static void get_health(void *user, struct http_health *out)
{
    struct views *views = user;
    struct core_status status;
    core_status(views->core, &status);
    memcpy(views->reason, status.reason, sizeof(views->reason));
    *out = (struct http_health){
        .healthy = status.phase == CORE_PHASE_HEALTHY,
        .phase = core_phase_name(status.phase),
        .reason = views->reason,
        .first_converged = status.first_converged,
        .csk_acquired = status.csk_acquired,
        .live_peers = status.heard_members,
    };
}

static void add_metrics(void *user, struct http_metrics *metrics)
{
    metrics_add(user, metrics);
}

struct api_source views_api_source(struct views *views)
{
    return (struct api_source){
        .get_status = get_status,
        .get_self = get_self,
        .peer_count = peer_count,
        .get_peer = get_peer,
        .get_operation = get_operation,
        .key_generation = key_generation,
        .get_key = get_key,
        .send_message = send_message,
        .subscribe_messages = subscribe_messages,
        .resume_messages = resume_messages,
        .unsubscribe_messages = unsubscribe_messages,
        .rotate_wireguard_key = rotate_wireguard_key,
        .explain_peer = explain_peer,
        .user = views,
    };
}

struct http_source views_http_source(struct views *views)
{
    return (struct http_source){.get_health = get_health, .add_metrics = add_metrics, .user = views};
}
