#include "agent/api/api.h"

#include <arpa/inet.h>

#include "crypto/bytes.h"

void api_write_ipv4(uint32_t address, char out[16])
{
    uint8_t bytes[4];
    be32_write(bytes, address);
    inet_ntop(AF_INET, bytes, out, 16);
}

void api_write_ipv6(const uint8_t address[16], char out[46])
{
    inet_ntop(AF_INET6, address, out, 46);
}

const char *api_phase_name(api_Status_Phase phase)
{
    switch (phase) {
    case api_Status_Phase_UNSPECIFIED: break;
    case api_Status_Phase_BOOTING: return "booting";
    case api_Status_Phase_REGISTERING: return "registering";
    case api_Status_Phase_SUBSCRIBING: return "subscribing";
    case api_Status_Phase_WAITING_PEERS: return "waiting-peers";
    case api_Status_Phase_WG_CONFIGURING: return "wg-configuring";
    case api_Status_Phase_PULLING_CSK: return "pulling-csk";
    case api_Status_Phase_HEARTBEATING: return "heartbeating";
    case api_Status_Phase_HEALTHY: return "healthy";
    }
    return "unknown";
}

const char *api_peer_event_name(api_PeerEvent_Kind kind)
{
    switch (kind) {
    case api_PeerEvent_Kind_UNSPECIFIED: break;
    case api_PeerEvent_Kind_PRESENT: return "present";
    case api_PeerEvent_Kind_SYNCED: return "synced";
    case api_PeerEvent_Kind_JOINED: return "joined";
    case api_PeerEvent_Kind_UP: return "up";
    case api_PeerEvent_Kind_DOWN: return "down";
    case api_PeerEvent_Kind_KEY_ROTATED: return "key rotated";
    case api_PeerEvent_Kind_TRANSPORT_CHANGED: return "transport changed";
    case api_PeerEvent_Kind_REMOVED: return "removed";
    case api_PeerEvent_Kind_LOST: return "lost";
    }
    return "unknown";
}

const char *api_transport_name(api_Peer_Transport transport)
{
    switch (transport) {
    case api_Peer_Transport_NONE: return "none";
    case api_Peer_Transport_GATEWAY: return "gateway";
    }
    return "unknown";
}

const char *api_indexer_state_name(api_Indexer_State state)
{
    switch (state) {
    case api_Indexer_State_UNSPECIFIED: break;
    case api_Indexer_State_WAITING: return "waiting";
    case api_Indexer_State_FINDING: return "finding";
    case api_Indexer_State_DIALING: return "dialing";
    case api_Indexer_State_READING: return "reading";
    case api_Indexer_State_CAUGHT_UP: return "caught up";
    }
    return "unknown";
}

const char *api_rotation_state_name(api_Rotation_State state)
{
    switch (state) {
    case api_Rotation_State_UNSPECIFIED: break;
    case api_Rotation_State_PUBLISHING: return "publishing";
    case api_Rotation_State_SWITCHING: return "switching";
    case api_Rotation_State_DONE: return "done";
    case api_Rotation_State_FAILED: return "failed";
    }
    return "unknown";
}

const char *api_outcome_name(api_Operation_Outcome outcome)
{
    switch (outcome) {
    case api_Operation_Outcome_UNSPECIFIED: break;
    case api_Operation_Outcome_PENDING: return "pending";
    case api_Operation_Outcome_INCLUDED: return "included";
    case api_Operation_Outcome_REVERTED: return "reverted";
    case api_Operation_Outcome_DENIED: return "denied";
    case api_Operation_Outcome_FAILED: return "failed";
    }
    return "unknown";
}

const char *api_message_event_name(api_MessageEvent_Kind kind)
{
    switch (kind) {
    case api_MessageEvent_Kind_UNSPECIFIED: break;
    case api_MessageEvent_Kind_MESSAGE: return "message";
    case api_MessageEvent_Kind_CAUGHT_UP: return "caught up";
    case api_MessageEvent_Kind_ROLLED_BACK: return "rolled back";
    }
    return "unknown";
}
