#include "test/unit/api/fake_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/server.h"

#define ALL_PEERS "eeee" /* how every peer's member id begins */

static void get_status(void *user, api_Status *out)
{
    const struct fake_node *node = user;
    out->phase = api_Status_Phase_WG_CONFIGURING;
    snprintf(out->reason, sizeof(out->reason), "waiting for %s",
             node->problem ? node->problem : "handshakes");
    out->members = node->members;
    out->live_members = node->members;
    for (uint32_t i = 1; i < node->members; i++) {
        out->live_members -= node->member[i].removed;
        out->up_peers += node->member[i].up;
    }
    out->block = 1234;
    out->uptime_s = 5;
    snprintf(out->agent_version, sizeof(out->agent_version), "test");
}

static bool get_self(void *user, api_Self *out)
{
    const struct fake_node *node = user;
    memset(out->member_id, 0x11, sizeof(out->member_id));
    out->registered = true;
    api_write_ipv4(0x0a0d0001, out->mesh_ipv4);
    return node->identity_known;
}

static uint32_t peer_count(void *user)
{
    return ((const struct fake_node *)user)->members;
}

static bool get_peer(void *user, uint32_t index, api_Peer *out)
{
    const struct fake_node *node = user;
    if (index == 0 || index >= node->members)
        return false;
    out->index = index;
    memset(out->member_id, 0xee, sizeof(out->member_id));
    api_write_ipv4(0x0a0d0001 + index, out->mesh_ipv4);
    api_write_ipv6((const uint8_t[16]){0xfd, [15] = (uint8_t)index}, out->mesh_ipv6);
    out->up = node->member[index].up;
    out->transport = out->up ? api_Peer_Transport_GATEWAY : api_Peer_Transport_NONE;
    out->has_handshake_age_s = out->up;
    out->handshake_age_s = 3;
    out->removed = node->member[index].removed;
    snprintf(out->problem, sizeof(out->problem), "%s", node->problem ? node->problem : "");
    return true;
}

static bool get_operation(void *user, uint32_t index, api_Operation *out)
{
    const struct fake_node *node = user;
    if (index >= node->operations)
        return false;
    snprintf(out->purpose, sizeof(out->purpose), "registration");
    out->outcome = api_Operation_Outcome_INCLUDED;
    out->started_unix_ms = 1700000000000 + index;
    out->attempts = 1;
    memset(out->hash, 0xab, sizeof(out->hash));
    memset(out->problem, 'x', sizeof(out->problem) - 1);
    snprintf(out->cost_wei, sizeof(out->cost_wei), "340282366920938463463374607431768211455");
    return true;
}

static bool key_generation(void *user, uint64_t *out)
{
    const struct fake_node *node = user;
    *out = node->key_generation;
    return node->key_held;
}

static api_Error_Code get_key(void *user, uint64_t generation, api_ClusterSharedKey *out)
{
    const struct fake_node *node = user;
    if (node->unhealthy)
        return api_Error_Code_UNAVAILABLE;
    if (generation != node->key_generation)
        return api_Error_Code_NOT_FOUND;
    out->generation = generation;
    memset(out->key, 0xcc, sizeof(out->key));
    return api_Error_Code_UNSPECIFIED;
}

/* Accepts from anybody, for a recipient whose id has the right length, unless it is unhealthy. */
static api_Error_Code send_message(void *user, const api_SendMessage *message,
                                   const struct api_ticket *ticket, char text[API_TEXT_MAX])
{
    struct fake_node *node = user;
    if (node->unhealthy)
        return api_Error_Code_UNAVAILABLE;
    snprintf(text, API_TEXT_MAX, "the payload has %u bytes", (unsigned)message->payload.size);
    if (message->payload.size > 8143)
        return api_Error_Code_INVALID_ARGUMENT;
    node->waiting = *ticket;
    node->payload_len = message->payload.size;
    return api_Error_Code_UNSPECIFIED;
}

static api_Error_Code rotate_wireguard_key(void *user, api_Rotation *out)
{
    struct fake_node *node = user;
    if (node->rotation_refusal != api_Error_Code_UNSPECIFIED)
        return node->rotation_refusal;
    *out = (api_Rotation){.state = api_Rotation_State_PUBLISHING, .generation = ++node->rotations};
    return api_Error_Code_UNSPECIFIED;
}

static api_Error_Code explain_peer(void *user, const char *name, api_PeerPath *out)
{
    const struct fake_node *node = user;
    out->device_in_place = out->heard = out->hears_us = true;
    if (strcmp(name, ALL_PEERS) == 0)
        return api_Error_Code_INVALID_ARGUMENT;
    for (uint32_t index = 1; index < node->members && !out->has_peer; index++) {
        char number[16];
        snprintf(number, sizeof(number), "%u", index);
        out->peer = (api_Peer){0};
        get_peer(user, index, &out->peer);
        out->has_peer = strcmp(name, number) == 0 || strcmp(name, out->peer.mesh_ipv4) == 0;
    }
    return out->has_peer ? api_Error_Code_UNSPECIFIED : api_Error_Code_NOT_FOUND;
}

static void tell_messages(struct fake_node *node, const struct api_ticket *ticket)
{
    api_MessageEvent event = {.kind = api_MessageEvent_Kind_MESSAGE, .has_cursor = true};
    event.payload.size = sizeof(event.payload.bytes);
    while (node->told < node->messages) {
        event.cursor.block = node->told + 1;
        if (!api_server_message_event(node->server, ticket, &event))
            return;
        node->told++;
    }
    node->caught_up = api_server_message_event(node->server, ticket,
                                               &(api_MessageEvent){.kind = api_MessageEvent_Kind_CAUGHT_UP});
}

static bool subscribe_messages(void *user, const struct api_ticket *ticket, const api_Cursor *after)
{
    struct fake_node *node = user;
    node->caught_up = false;
    node->told = after ? after->block : 0;
    tell_messages(node, ticket);
    return true;
}

static void resume_messages(void *user, const struct api_ticket *ticket)
{
    struct fake_node *node = user;
    if (!node->caught_up)
        tell_messages(node, ticket);
}

static void unsubscribe_messages(void *user, const struct api_ticket *ticket)
{
    (void)user, (void)ticket;
}

struct api_source fake_node_source(struct fake_node *node)
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
        .rotate_wireguard_key = rotate_wireguard_key,
        .explain_peer = explain_peer,
        .subscribe_messages = subscribe_messages,
        .resume_messages = resume_messages,
        .unsubscribe_messages = unsubscribe_messages,
        .user = node,
    };
}
