#include "agent/core/status.h"

#include <stdio.h>

#include "agent/core/address.h"
#include "agent/core/csk.h"
#include "agent/core/device.h"
#include "agent/core/links.h"
#include "agent/core/liveness.h"
#include "agent/core/members.h"
#include "agent/core/rotation.h"
#include "agent/transport/loopback.h"

const char *core_phase_name(enum core_phase phase)
{
    static const char *const names[] = {
        [CORE_PHASE_BOOTING] = "booting",
        [CORE_PHASE_REGISTERING] = "registering",
        [CORE_PHASE_WAITING_PEERS] = "waiting-peers",
        [CORE_PHASE_WG_CONFIGURING] = "wg-configuring",
        [CORE_PHASE_PULLING_CSK] = "pulling-csk",
        [CORE_PHASE_HEARTBEATING] = "heartbeating",
        [CORE_PHASE_HEALTHY] = "healthy",
    };
    return names[phase];
}

const char *core_peer_event_name(enum core_peer_event event)
{
    static const char *const names[] = {
        [CORE_PEER_JOINED] = "joined",
        [CORE_PEER_UP] = "up",
        [CORE_PEER_DOWN] = "down",
        [CORE_PEER_KEY_ROTATED] = "key-rotated",
        [CORE_PEER_TRANSPORT_CHANGED] = "transport-changed",
        [CORE_PEER_REMOVED] = "removed",
    };
    return names[event];
}

const char *core_refusal_name(enum core_refusal refusal)
{
    static const char *const names[] = {
        [CORE_REFUSAL_NONE] = "none",
        [CORE_REFUSAL_NO_KEY] = "it has no WireGuard key",
        [CORE_REFUSAL_SAME_KEY] = "an older member has its WireGuard key",
        [CORE_REFUSAL_SAME_ADDRESS] = "an older member has its mesh address",
        [CORE_REFUSAL_OUTSIDE_NETWORK] = "its address is outside the mesh network",
    };
    return names[refusal];
}

const char *core_link_state_name(enum core_link_state state)
{
    static const char *const names[] = {
        [CORE_LINK_NONE] = "none",
        [CORE_LINK_WAITING] = "waiting",
        [CORE_LINK_DIALING] = "dialing",
        [CORE_LINK_UP] = "up",
    };
    return names[state];
}

static enum core_link_state status_link(const struct row *row)
{
    if (!row->wanted)
        return CORE_LINK_NONE;
    if (row->link.up)
        return CORE_LINK_UP;
    return row->link.dialing ? CORE_LINK_DIALING : CORE_LINK_WAITING;
}

uint32_t core_find_member(const struct core *core, const struct bytes32 *member_id)
{
    const uint32_t live = members_find(&core->members, member_id);

    if (live != CORE_NO_INDEX)
        return live;
    for (uint32_t i = 0; i < core->members.count; i++)
        if (bytes32_equal(&core->members.rows[i].record.member_id, member_id))
            return i;
    return CORE_NO_INDEX;
}

bool core_member_at(const struct core *core, uint32_t index, struct core_member *out)
{
    if (index >= core->members.used)
        return false;
    const struct row *row = &core->members.rows[index];
    *out = (struct core_member){
        .index = index,
        .record = row->record,
        .is_self = row->is_self,
        .refusal = row->refusal,
        .older_index = row->older_index,
        .up = row->up,
        .heard = row->beat.up,
        .heartbeat_age_ms = row->beat.known ? core->now_ms - row->beat.heard_ms : CORE_NEVER,
        .hears_us = liveness_hears_us(core, index),
        .link_ours = links_ours(core, row),
        .next_dial_ms = timers_due(&core->links.dials, index),
        .link = status_link(row),
        .link_dialed = row->link.dialed,
        .link_since_ms = row->link.since_ms,
        .link_failures = row->link.failures,
        .handshake_age_s = device_handshake_age_s(core, row),
        .rx_bytes = row->rx_bytes,
        .tx_bytes = row->tx_bytes,
    };
    memcpy(out->mesh_ip6, row->mesh_ip6, sizeof(out->mesh_ip6));
    memcpy(out->link_text, row->link.text, sizeof(out->link_text));
    return true;
}

bool core_device(const struct core *core, struct core_device *out)
{
    if (!device_known(core))
        return false;
    *out = (struct core_device){
        .wg_pubkey = core->node.wg_pubkey,
        .wg_generation = core->node.wg_generation,
        .mesh_ip = core->node.mesh_ip,
        .cidr_ip = core->registry.known.cidr_ip,
        .cidr_prefix = core->registry.known.cidr_prefix,
    };
    memcpy(out->mesh_ip6, core->node.mesh_ip6, sizeof(out->mesh_ip6));
    mesh_network6(&core->node.identity.cluster, out->cidr6);
    return true;
}

bool core_desired_peer_at(const struct core *core, uint32_t index, struct core_desired_peer *out)
{
    const struct members *members = &core->members;

    if (index >= members->count || !members->rows[index].wanted)
        return false;
    const struct row *row = &members->rows[index];
    *out = (struct core_desired_peer){
        .index = index,
        .wg_pubkey = row->record.wg_pubkey,
        .mesh_ip = row->record.mesh_ip,
        .loopback_ip = loopback_address_of_index(index),
        .streamed = row->link.ever_up,
        .begun = row->link.begun,
        .carried = row->link.up && row->link.begun,
    };
    memcpy(out->mesh_ip6, row->mesh_ip6, sizeof(out->mesh_ip6));
    return true;
}

bool core_next_desired_peer(const struct core *core, uint32_t *cursor, struct core_desired_peer *out)
{
    while (*cursor < core->members.count)
        if (core_desired_peer_at(core, (*cursor)++, out))
            return true;
    return false;
}

bool core_next_changed_peer(const struct core *core, uint32_t *cursor, uint32_t *index)
{
    const struct changes *changes = &core->device.being_made;

    if (*cursor >= changes->len)
        return false;
    *index = changes->index[(*cursor)++];
    return true;
}

void core_heartbeat(const struct core *core, struct core_heartbeat *out)
{
    uint32_t bits = core->members.count < CORE_VIEW_MAX ? core->members.count : CORE_VIEW_MAX;

    *out = (struct core_heartbeat){
        .index = core->members.self,
        .boot_nonce = core->liveness.boot_nonce,
        .sequence = core->liveness.sequence,
        .version = core->registry.known.version,
        .view = core->liveness.own_view,
        .view_len = (bits + 7) / 8,
        .csk_held = core->csk.is_held,
        .csk_generation = core->csk.held.generation,
    };
}

uint32_t core_desired_peers(const struct core *core)
{
    return core->members.wanted;
}

static void status_registering(const struct core *core, char out[CORE_TEXT_MAX])
{
    const struct node *node = &core->node;

    if (node->error[0] != '\0')
        snprintf(out, CORE_TEXT_MAX, "%s", node->error);
    else
        snprintf(out, CORE_TEXT_MAX, "%s",
                 node->boot == BOOT_REGISTERING ? "proof and UserOperation are under way"
                                                : "looking for our record in the registry");
}

static void status_waiting(const struct core *core, char out[CORE_TEXT_MAX])
{
    const struct registry *registry = &core->registry;

    if (registry->error[0] != '\0')
        snprintf(out, CORE_TEXT_MAX, "%s", registry->error);
    else if (!registry->synced)
        snprintf(out, CORE_TEXT_MAX, "reading the registry");
    else if (core->members.self == CORE_NO_INDEX)
        snprintf(out, CORE_TEXT_MAX, "the registry does not list this node yet");
    else if (!core->device.in_place)
        snprintf(out, CORE_TEXT_MAX, "%s",
                 core->device.error[0] != '\0' ? core->device.error : "setting up the device");
    else if (!csk_acquired(core))
        csk_reason(core, out);
    else if (core->members.refused != 0)
        snprintf(out, CORE_TEXT_MAX, "no other usable member; %u refused", core->members.refused);
    else
        snprintf(out, CORE_TEXT_MAX, "no other live member yet");
}

static const struct row *status_first_down(const struct members *members)
{
    for (uint32_t i = 0; i < members->count; i++)
        if (members->rows[i].wanted && !members->rows[i].up)
            return &members->rows[i];
    return NULL;
}

static void status_configuring(const struct core *core, char out[CORE_TEXT_MAX])
{
    const struct members *members = &core->members;
    const struct row *row = status_first_down(members);
    char contract[ADDRESS_HEX_SIZE];

    if (!core->device.in_place || !row) {
        snprintf(out, CORE_TEXT_MAX, "%s",
                 core->device.error[0] != '\0' ? core->device.error : "setting up the device");
        return;
    }
    const char *cause = "no stream yet";
    if (row->link.up)
        cause = "a stream, but no recent handshake";
    else if (row->link.text[0] != '\0')
        cause = row->link.text;
    else if (!core->config.can_dial)
        cause = "no stream, and without GATEWAY_DOMAIN this node can not dial";
    snprintf(out, CORE_TEXT_MAX, "%u of %u peers up; member %u (%s): %s", members->up, members->wanted,
             members_index(members, row), address_hex(&row->record.member_contract, contract), cause);
}

static const struct row *status_first_silent(const struct members *members)
{
    for (uint32_t i = 0; i < members->count; i++)
        if (members->rows[i].wanted && !members->rows[i].beat.up)
            return &members->rows[i];
    return NULL;
}

static void status_heartbeating(const struct core *core, char out[CORE_TEXT_MAX])
{
    const struct liveness *liveness = &core->liveness;
    const struct row *silent = status_first_silent(&core->members);

    if (liveness->up < liveness->live && silent)
        snprintf(out, CORE_TEXT_MAX,
                 "heartbeats of %u of %u members that others report; member %u is silent here", liveness->up,
                 liveness->live, members_index(&core->members, silent));
    else if (liveness->up <= 1)
        snprintf(out, CORE_TEXT_MAX, "no heartbeat of anybody yet");
    else
        snprintf(out, CORE_TEXT_MAX, "%u members are heard; not all of them hear each other yet",
                 liveness->up);
}

void status_reason(const struct core *core, char out[CORE_TEXT_MAX])
{
    switch (core->node.phase) {
    case CORE_PHASE_BOOTING:
        snprintf(out, CORE_TEXT_MAX, "%s",
                 core->node.error[0] != '\0' ? core->node.error : "deriving keys, finding the cluster");
        return;
    case CORE_PHASE_REGISTERING: status_registering(core, out); return;
    case CORE_PHASE_WAITING_PEERS: status_waiting(core, out); return;
    case CORE_PHASE_WG_CONFIGURING: status_configuring(core, out); return;
    case CORE_PHASE_PULLING_CSK: csk_reason(core, out); return;
    case CORE_PHASE_HEARTBEATING: status_heartbeating(core, out); return;
    case CORE_PHASE_HEALTHY: out[0] = '\0'; return;
    }
}

void core_status(const struct core *core, struct core_status *out)
{
    const struct members *members = &core->members;

    *out = (struct core_status){
        .phase = core->node.phase,
        .first_converged = core->node.first_converged,
        .identity_known = core->node.identity_known,
        .registered = core->node.registered,
        .identity = core->node.identity,
        .index = members->self,
        .wg_pubkey = core->node.wg_pubkey,
        .wg_generation = core->node.wg_generation,
        .mesh_ip = core->node.mesh_ip,
        .block = core->registry.known.block,
        .version = core->registry.known.version,
        .whole_reads = core->registry.whole_reads,
        .rollbacks = core->registry.rollbacks,
        .members = members->count,
        .live_members = members->live,
        .refused_members = members->refused,
        .peers = members->wanted,
        .up_peers = members->up,
        .heard_members = core->liveness.up,
        .converged = liveness_converged(core),
        .csk_acquired = csk_acquired(core),
        .csk_held = core->csk.is_held,
        .csk_generation = core->csk.held.generation,
        .csk_commitment = core->csk.held.commitment,
        .csk_chain_generation = core->registry.known.csk_generation,
        .csk_chain_open = bytes32_is_zero(&core->registry.known.csk_commitment),
        .streams = core->links.up,
        .device_in_place = core->device.in_place,
        .failed_edits = core->device.failed_edits,
        .rotation = rotation_state(core),
        .rotation_generation = core->rotation.generation,
    };
    if (core->node.registered)
        memcpy(out->mesh_ip6, core->node.mesh_ip6, sizeof(out->mesh_ip6));
    status_reason(core, out->reason);
    CORE_COPY_TEXT(out->chain_error, core->registry.error);
    CORE_COPY_TEXT(out->device_error, core->device.error);
    CORE_COPY_TEXT(out->csk_error, core->csk.error);
    out->inbox_count = core->inbox.verified.count;
    CORE_COPY_TEXT(out->inbox_error, core->inbox.error);
    if (out->rotation == CORE_ROTATION_FAILED)
        CORE_COPY_TEXT(out->rotation_error, core->rotation.error[0] != '\0'
                                                ? core->rotation.error
                                                : "it was included, and the chain does not show it any more");
}
