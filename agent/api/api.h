/* What the application socket tells of a node: the types of agent.proto (as nanopb makes them, named api_*)
 * and the questions that the server asks its node. */
#ifndef AGENT_API_API_H
#define AGENT_API_API_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/api/agent.pb.h"

#define API_FRAME_MAX 65536 /* bytes of a message */
#define API_PAGE_MAX 64     /* peers in one answer to ListPeers */
#define API_OPERATIONS_MAX 64
#define API_TEXT_MAX 320 /* of an error's sentence, with its NUL */

/* Whose request a late answer is for. */
struct api_ticket {
    uint64_t session;
    uint64_t request;
};

/* Every function fills a zeroed `out` at once, from memory. */
struct api_source {
    void (*get_status)(void *user, api_Status *out);

    /* False while the node does not know who it is. */
    bool (*get_self)(void *user, api_Self *out);

    /* Registry entries known; indexes run from 0 to one below. */
    uint32_t (*peer_count)(void *user);

    /* The registry entry at `index`, a removed one too. False when it is this node, or does not exist. */
    bool (*get_peer)(void *user, uint32_t index, api_Peer *out);

    /* What this node had done on chain, oldest first. False at the end. */
    bool (*get_operation)(void *user, uint32_t index, api_Operation *out);
    /* The newest generation of the cluster shared key that is held; false when none is. */
    bool (*key_generation)(void *user, uint64_t *out);

    /* A generation of the cluster shared key. UNSPECIFIED when it is in `out`, else the error's code. */
    api_Error_Code (*get_key)(void *user, uint64_t generation, api_ClusterSharedKey *out);

    /* Takes a message on its way. UNSPECIFIED when it is accepted: then api_server_message_sent or
     * api_server_fail answers `ticket`, later; else the error's code and, in `text`, its sentence. */
    api_Error_Code (*send_message)(void *user, const api_SendMessage *message,
                                   const struct api_ticket *ticket, char text[API_TEXT_MAX]);

    /* Begins to tell `ticket` of messages, by api_server_message_event, now or later; `after` NULL: from the
     * first one. False when memory is short. */
    bool (*subscribe_messages)(void *user, const struct api_ticket *ticket, const api_Cursor *after);

    /* The client has read what was queued for it: tell on. */
    void (*resume_messages)(void *user, const struct api_ticket *ticket);

    void (*unsubscribe_messages)(void *user, const struct api_ticket *ticket);

    /* Starts a rotation of the WireGuard key. UNSPECIFIED when it is described in `out`, else the error's
     * code. */
    api_Error_Code (*rotate_wireguard_key)(void *user, api_Rotation *out);

    /* The path to the member of this name. UNSPECIFIED when it is in `out`, else the error's code. */
    api_Error_Code (*explain_peer)(void *user, const char *name, api_PeerPath *out);

    void *user;
};

/* Writes an IPv4 address (host order) or an IPv6 address as the messages hold it. */
void api_write_ipv4(uint32_t address, char out[16]);
void api_write_ipv6(const uint8_t address[16], char out[46]);

/* Lower-case names as the health answer and meshctl show them: "wg-configuring", "key rotated", "gateway".
 * Values that this build does not know are "unknown". */
const char *api_phase_name(api_Status_Phase phase);
const char *api_peer_event_name(api_PeerEvent_Kind kind);
const char *api_indexer_state_name(api_Indexer_State state);
const char *api_rotation_state_name(api_Rotation_State state);
const char *api_outcome_name(api_Operation_Outcome outcome);
const char *api_message_event_name(api_MessageEvent_Kind kind);
const char *api_transport_name(api_Peer_Transport transport);

#endif
