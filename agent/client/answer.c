#include "agent/client/answer.h"

#include <string.h>

/* The values of the enumerations are those of agent.proto: the last ones tell of a shift. */
#define SAME(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #ours)
SAME(ATTESTMESH_ERROR_INTERNAL, api_Error_Code_INTERNAL);
SAME(ATTESTMESH_ERROR_INTERNAL, _api_Error_Code_MAX);
SAME(ATTESTMESH_PHASE_HEALTHY, api_Status_Phase_HEALTHY);
SAME(ATTESTMESH_PHASE_HEALTHY, _api_Status_Phase_MAX);
SAME(ATTESTMESH_TRANSPORT_GATEWAY, api_Peer_Transport_GATEWAY);
SAME(ATTESTMESH_TRANSPORT_GATEWAY, _api_Peer_Transport_MAX);
SAME(ATTESTMESH_PEER_LOST, api_PeerEvent_Kind_LOST);
SAME(ATTESTMESH_PEER_LOST, _api_PeerEvent_Kind_MAX);
SAME(ATTESTMESH_MESSAGE_ROLLED_BACK, api_MessageEvent_Kind_ROLLED_BACK);
SAME(ATTESTMESH_MESSAGE_ROLLED_BACK, _api_MessageEvent_Kind_MAX);
SAME(ATTESTMESH_PAGE_MAX, API_PAGE_MAX);
SAME(ATTESTMESH_PAYLOAD_MAX, sizeof(((api_MessageEvent *)0)->payload.bytes));

#define COPY(to, from, field)                                                                                \
    _Static_assert(sizeof((to)->field) == sizeof((from)->field), #field);                                    \
    memcpy((to)->field, (from)->field, sizeof((to)->field))

static void set_error(struct answer *out, const api_Response *response)
{
    const api_Error *error = &response->body.error;
    out->public.kind = ATTESTMESH_ERROR;
    out->public.error =
        (struct attestmesh_error){.code = (enum attestmesh_error_code)error->code, .text = error->text};
}

static void set_status(struct answer *out, const api_Response *response)
{
    const api_Status *status = &response->body.status;
    out->public.kind = ATTESTMESH_STATUS;
    out->public.status = (struct attestmesh_status){
        .phase = (enum attestmesh_phase)status->phase,
        .phase_name = api_phase_name(status->phase),
        .reason = status->reason,
        .first_converged = status->first_converged,
        .converged = status->converged,
        .csk_acquired = status->csk_acquired,
        .csk_generation = status->csk_generation,
        .members = status->members,
        .live_members = status->live_members,
        .heard_members = status->heard_members,
        .up_peers = status->up_peers,
        .streams = status->streams,
        .block = status->block,
        .registry_version = status->registry_version,
        .uptime_s = status->uptime_s,
        .chain_error = status->chain_error,
        .device_error = status->device_error,
        .csk_error = status->csk_error,
        .agent_version = status->agent_version,
    };
}

static void set_self(struct answer *out, const api_Response *response)
{
    const api_Self *self = &response->body.self;
    struct attestmesh_self *to = &out->public.self;
    out->public.kind = ATTESTMESH_SELF;
    *to = (struct attestmesh_self){
        .registered = self->registered,
        .index = self->index,
        .mesh_ipv4 = self->mesh_ipv4,
        .mesh_ipv6 = self->mesh_ipv6,
        .wg_generation = self->wg_generation,
    };
    COPY(to, self, member_id);
    COPY(to, self, cluster);
    COPY(to, self, member_contract);
    COPY(to, self, wg_pubkey);
    COPY(to, self, x_pubkey);
    COPY(to, self, ed25519_pubkey);
}

static void set_peer(struct attestmesh_peer *to, const api_Peer *peer)
{
    *to = (struct attestmesh_peer){
        .index = peer->index,
        .mesh_ipv4 = peer->mesh_ipv4,
        .mesh_ipv6 = peer->mesh_ipv6,
        .registered_at = peer->registered_at,
        .up = peer->up,
        .removed = peer->removed,
        .transport = (enum attestmesh_transport)peer->transport,
        .handshake_age_s = peer->has_handshake_age_s ? (int64_t)(peer->handshake_age_s & INT64_MAX) : -1,
        .rx_bytes = peer->rx_bytes,
        .tx_bytes = peer->tx_bytes,
        .problem = peer->problem,
    };
    COPY(to, peer, member_id);
    COPY(to, peer, member_contract);
    COPY(to, peer, attestor_id);
    COPY(to, peer, wg_pubkey);
    COPY(to, peer, x_pubkey);
    COPY(to, peer, ed25519_pubkey);
}

static void set_peers(struct answer *out, const api_Response *response)
{
    const api_PeerPage *page = &response->body.peer_page;
    out->public.kind = ATTESTMESH_PEERS;
    for (size_t i = 0; i < page->peers_count; i++) {
        set_peer(&out->peers[i], &page->peers[i]);
        out->pointers[i] = &out->peers[i];
    }
    out->public.peers = (struct attestmesh_peers){
        .len = page->peers_count, .peers = out->pointers, .next_index = page->next_index};
}

static void set_peer_event(struct answer *out, const api_Response *response)
{
    const api_PeerEvent *event = &response->body.peer_event;
    out->public.kind = ATTESTMESH_PEER_EVENT;
    set_peer(&out->peers[0], &event->peer);
    out->public.peer_event = (struct attestmesh_peer_event){
        .kind = (enum attestmesh_peer_event_kind)event->kind,
        .kind_name = api_peer_event_name(event->kind),
        .unix_ms = event->unix_ms,
        .peer = event->has_peer ? &out->peers[0] : NULL,
        .lost = event->lost,
    };
}

static void set_key(struct answer *out, const api_Response *response)
{
    const api_ClusterSharedKey *key = &response->body.cluster_shared_key;
    out->public.kind = ATTESTMESH_KEY;
    out->public.key.generation = key->generation;
    COPY(&out->public.key, key, key);
}

static void set_key_event(struct answer *out, const api_Response *response)
{
    const api_KeyEvent *event = &response->body.key_event;
    out->public.kind = ATTESTMESH_KEY_EVENT;
    out->public.key_event =
        (struct attestmesh_key_event){.generation = event->generation, .unix_ms = event->unix_ms};
}

static void set_message_sent(struct answer *out, const api_Response *response)
{
    const api_MessageSent *sent = &response->body.message_sent;
    struct attestmesh_message_sent *to = &out->public.message_sent;
    out->public.kind = ATTESTMESH_MESSAGE_SENT;
    to->repeated = sent->tx_hash.size != sizeof(to->tx_hash);
    COPY(to, sent, envelope_id);
    if (!to->repeated)
        memcpy(to->tx_hash, sent->tx_hash.bytes, sizeof(to->tx_hash));
}

static void set_message_event(struct answer *out, const api_Response *response)
{
    const api_MessageEvent *event = &response->body.message_event;
    struct attestmesh_message_event *to = &out->public.message_event;
    out->public.kind = ATTESTMESH_MESSAGE_EVENT;
    *to = (struct attestmesh_message_event){
        .kind = (enum attestmesh_message_event_kind)event->kind,
        .cursor = {.block = event->cursor.block, .log_index = event->cursor.log_index},
        .payload = event->payload.bytes,
        .payload_len = event->payload.size,
    };
    COPY(to, event, sender);
    COPY(to, event, envelope_id);
}

static void set_done(struct answer *out, const api_Response *response)
{
    (void)response;
    out->public.kind = ATTESTMESH_DONE;
}

static const struct {
    pb_size_t which;
    void (*set)(struct answer *out, const api_Response *response);
} setters[] = {
    {api_Response_error_tag, set_error},
    {api_Response_status_tag, set_status},
    {api_Response_self_tag, set_self},
    {api_Response_peer_page_tag, set_peers},
    {api_Response_peer_event_tag, set_peer_event},
    {api_Response_cluster_shared_key_tag, set_key},
    {api_Response_key_event_tag, set_key_event},
    {api_Response_message_sent_tag, set_message_sent},
    {api_Response_message_event_tag, set_message_event},
    {api_Response_done_tag, set_done},
};

void answer_set(struct answer *out, const api_Response *response)
{
    out->public = (struct attestmesh_answer){.id = response->id, .kind = ATTESTMESH_UNKNOWN};
    for (size_t i = 0; i < sizeof(setters) / sizeof(setters[0]); i++) {
        if (setters[i].which == response->which_body)
            setters[i].set(out, response);
    }
}
