#include "agent/meshctl/show.h"

#include <inttypes.h>
#include <json-c/json_object.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/bytes.h"
#include "crypto/secret.h"

#define SHORT_BYTES 6 /* of an id, in tables */
#define LABEL "%-16s "
#define ETHER_SIZE 48

/* ---- Text ---- */

static void print_hex(const char *label, const uint8_t *bytes, size_t len)
{
    char digits[2 * 32 + 1];
    hex_encode(bytes, len, digits);
    printf(LABEL "0x%s\n", label, digits);
}

static void print_key(const char *label, const uint8_t key[32])
{
    char base64[sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_ORIGINAL)];
    sodium_bin2base64(base64, sizeof(base64), key, 32, sodium_base64_VARIANT_ORIGINAL);
    printf(LABEL "%s\n", label, base64);
}

static const char *format_amount(uint64_t bytes, char out[SHOW_AMOUNT_SIZE])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double amount = (double)bytes;
    size_t unit = 0;
    for (; amount >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
        amount /= 1024;
    snprintf(out, SHOW_AMOUNT_SIZE, unit ? "%.1f %s" : "%.0f %s", amount, units[unit]);
    return out;
}

const char *show_format_age(uint64_t seconds, char out[SHOW_AMOUNT_SIZE])
{
    const uint64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
    if (days)
        snprintf(out, SHOW_AMOUNT_SIZE, "%" PRIu64 "d %" PRIu64 "h", days, hours % 24);
    else if (hours)
        snprintf(out, SHOW_AMOUNT_SIZE, "%" PRIu64 "h %" PRIu64 "m", hours, minutes % 60);
    else if (minutes)
        snprintf(out, SHOW_AMOUNT_SIZE, "%" PRIu64 "m %" PRIu64 "s", minutes, seconds % 60);
    else
        snprintf(out, SHOW_AMOUNT_SIZE, "%" PRIu64 "s", seconds);
    return out;
}

static void print_if_any(const char *label, const char *text)
{
    if (*text)
        printf(LABEL "%s\n", label, text);
}

static void show_self_text(const api_Self *self)
{
    print_hex("member", self->member_id, sizeof(self->member_id));
    print_hex("member contract", self->member_contract, sizeof(self->member_contract));
    print_hex("cluster", self->cluster, sizeof(self->cluster));
    if (self->registered) {
        printf(LABEL "%s  %s\n", "mesh address", self->mesh_ipv4, self->mesh_ipv6);
        print_key("wireguard key", self->wg_pubkey);
        printf(LABEL "%" PRIu32 "\n", "key generation", self->wg_generation);
    }
}

static void show_rpc_text(const api_RpcEndpoint *rpc)
{
    if (rpc->other_chain)
        printf(LABEL "%s  set aside: it serves chain %" PRIu64 "\n", "rpc", rpc->endpoint, rpc->other_chain);
    else if (!rpc->working)
        printf(LABEL "%s  failing: %" PRIu64 " of %" PRIu64 " requests not answered\n", "rpc", rpc->endpoint,
               rpc->failures, rpc->requests);
    else if (rpc->lag)
        printf(LABEL "%s  %" PRIu64 " blocks behind\n", "rpc", rpc->endpoint, rpc->lag);
    else
        printf(LABEL "%s\n", "rpc", rpc->endpoint);
}

void show_status_text(const api_Status *status, const api_Self *self)
{
    char age[SHOW_AMOUNT_SIZE];
    printf(LABEL "%s\n", "phase", api_phase_name(status->phase));
    print_if_any("reason", status->reason);
    if (self)
        show_self_text(self);
    printf(LABEL "%" PRIu32 " live of %" PRIu32 " registered\n", "members", status->live_members,
           status->members);
    printf(LABEL "%" PRIu32 " up, %" PRIu32 " streams\n", "peers", status->up_peers, status->streams);
    printf(LABEL "%" PRIu32 " members, this one included; %s\n", "heard", status->heard_members,
           status->converged ? "converged" : "not converged");
    if (status->has_csk_generation)
        printf(LABEL "generation %" PRIu64 " held\n", "shared key", status->csk_generation);
    print_if_any("shared key error", status->csk_error);
    if (status->has_rotation)
        printf(LABEL "to generation %" PRIu32 ": %s%s%s\n", "key rotation", status->rotation.generation,
               api_rotation_state_name(status->rotation.state), *status->rotation.error ? ": " : "",
               status->rotation.error);
    printf(LABEL "%" PRIu64 " received\n", "messages", status->messages_received);
    print_if_any("messages error", status->inbox_error);
    printf(LABEL "%" PRIu64 ", registry version %" PRIu64 "\n", "block", status->block,
           status->registry_version);
    for (size_t i = 0; i < status->rpc_count; i++)
        show_rpc_text(&status->rpc[i]);
    print_if_any("chain error", status->chain_error);
    print_if_any("device error", status->device_error);
    printf(LABEL "%s, up for %s\n", "agent", status->agent_version, show_format_age(status->uptime_s, age));
}

void show_indexer_text(const api_Indexer *indexer)
{
    char age[SHOW_AMOUNT_SIZE];
    const uint64_t now_s = (uint64_t)time(NULL);
    if (!indexer) {
        printf(LABEL "%s\n", "indexer", "none: no registry is configured");
        return;
    }
    printf(LABEL "%s\n", "state", api_indexer_state_name(indexer->state));
    print_if_any("error", indexer->error);
    if (*indexer->endpoint) {
        printf(LABEL "%s\n", "endpoint", indexer->endpoint);
        print_hex("key", indexer->key, sizeof(indexer->key));
        printf(LABEL "%s\n", "quote", "chain unverified");
    }
    if (indexer->checkpoint_block)
        printf(LABEL "block %" PRIu64 ", made %s ago\n", "last checkpoint", indexer->checkpoint_block,
               show_format_age(now_s > indexer->checkpoint_time ? now_s - indexer->checkpoint_time : 0, age));
    printf(LABEL "%" PRIu64 ", of them confirmed by sample %" PRIu64 ", not answered %" PRIu64 "\n", "pushes",
           indexer->pushes, indexer->confirmed, indexer->unanswered);
    printf(LABEL "%" PRIu64 "\n", "alarms", indexer->alarms);
}

static const char *format_short_id(const uint8_t *id, char out[2 * SHORT_BYTES + 1])
{
    hex_encode(id, SHORT_BYTES, out);
    return out;
}

void show_sent_text(const api_MessageSent *sent)
{
    print_hex("envelope", sent->envelope_id, sizeof(sent->envelope_id));
    if (sent->tx_hash.size)
        print_hex("transaction", sent->tx_hash.bytes, sent->tx_hash.size);
    else
        printf(LABEL "%s\n", "transaction", "an earlier one");
}

void show_peers_header(void)
{
    printf("%5s  %-12s  %-15s  %-5s  %-9s  %-9s  %10s  %10s  %8s  %7s  %s\n", "INDEX", "MEMBER", "ADDRESS",
           "STATE", "TRANSPORT", "HANDSHAKE", "RECEIVED", "SENT", "DROPPED", "RTT", "PROBLEM");
}

/* Datagrams that the transport dropped, and its round trip; dashes when it does not know the peer. */
static void format_stream(const api_Peer *peer, char dropped[SHOW_AMOUNT_SIZE], char rtt[SHOW_AMOUNT_SIZE])
{
    const api_Stream *stream = &peer->stream;
    snprintf(dropped, SHOW_AMOUNT_SIZE, "-");
    snprintf(rtt, SHOW_AMOUNT_SIZE, "-");
    if (!peer->has_stream)
        return;
    snprintf(dropped, SHOW_AMOUNT_SIZE, "%" PRIu64,
             stream->dropped_late + stream->dropped_full + stream->dropped_down + stream->dropped_malformed);
    if (stream->rtt_us)
        snprintf(rtt, SHOW_AMOUNT_SIZE, "%.1f ms", stream->rtt_us / 1000.0);
}

void show_peer_text(const api_Peer *peer)
{
    char id[2 * SHORT_BYTES + 1], age[SHOW_AMOUNT_SIZE] = "never", rx[SHOW_AMOUNT_SIZE], tx[SHOW_AMOUNT_SIZE];
    char dropped[SHOW_AMOUNT_SIZE], rtt[SHOW_AMOUNT_SIZE];
    if (peer->has_handshake_age_s)
        show_format_age(peer->handshake_age_s, age);
    format_stream(peer, dropped, rtt);
    printf("%5" PRIu32 "  %-12s  %-15s  %-5s  %-9s  %-9s  %10s  %10s  %8s  %7s  %s\n", peer->index,
           format_short_id(peer->member_id, id), peer->mesh_ipv4, peer->up ? "up" : "down",
           api_transport_name(peer->transport), age, format_amount(peer->rx_bytes, rx),
           format_amount(peer->tx_bytes, tx), dropped, rtt, peer->problem);
}

static void format_time(uint64_t unix_ms, char out[32])
{
    const time_t seconds = (time_t)(unix_ms / 1000);
    struct tm utc;
    gmtime_r(&seconds, &utc);
    const size_t len = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + len, 32 - len, ".%03uZ", (unsigned)(unix_ms % 1000));
}

void show_event_text(const api_PeerEvent *event)
{
    char when[32], id[2 * SHORT_BYTES + 1];
    format_time(event->unix_ms, when);
    const char *const name = api_peer_event_name(event->kind);
    if (event->has_peer)
        printf("%s  %-17s  #%-4" PRIu32 " %s  %-15s  %-4s  %s\n", when, name, event->peer.index,
               format_short_id(event->peer.member_id, id), event->peer.mesh_ipv4,
               event->peer.up ? "up" : "down", api_transport_name(event->peer.transport));
    else if (event->kind == api_PeerEvent_Kind_LOST)
        printf("%s  %-17s  %" PRIu64 " events\n", when, name, event->lost);
    else
        printf("%s  %s\n", when, name);
}

void show_operations_header(void)
{
    printf("%-24s  %-16s  %-8s  %-66s  %9s  %-14s  %s\n", "STARTED", "PURPOSE", "OUTCOME", "HASH", "GAS",
           "COST (ETH)", "SPONSOR OR PROBLEM");
}

/* Wei as ether with nine places: gwei. */
static const char *format_ether(const char *wei, char out[ETHER_SIZE])
{
    char padded[64];
    const int zeros = strlen(wei) < 19 ? (int)(19 - strlen(wei)) : 0;
    snprintf(padded, sizeof(padded), "%.*s%s", zeros, "0000000000000000000", wei);
    const int whole = (int)strlen(padded) - 18;
    snprintf(out, ETHER_SIZE, "%.*s.%.9s", whole, padded, padded + whole);
    return out;
}

void show_operation_text(const api_Operation *operation)
{
    char when[32], hash[2 * 32 + 3] = "0x", cost[ETHER_SIZE];
    format_time(operation->started_unix_ms, when);
    hex_encode(operation->hash, sizeof(operation->hash), hash + 2);
    printf("%-24s  %-16s  %-8s  %-66s  %9" PRIu64 "  %-14s  %s\n", when, operation->purpose,
           api_outcome_name(operation->outcome), hash, operation->gas_used,
           *operation->cost_wei ? format_ether(operation->cost_wei, cost) : "-",
           *operation->problem ? operation->problem : operation->sponsor);
}

void show_rotation_text(const api_Rotation *rotation)
{
    printf("generation %" PRIu32 ": %s%s%s\n", rotation->generation, api_rotation_state_name(rotation->state),
           *rotation->error ? ": " : "", rotation->error);
}

void show_csk_text(const api_ClusterSharedKey *csk)
{
    char digits[2 * 32 + 1];
    printf(LABEL "%" PRIu64 "\n", "generation", csk->generation);
    hex_encode(csk->key, sizeof(csk->key), digits);
    printf(LABEL "0x%s\n", "key", digits);
    secret_wipe(digits, sizeof(digits));
}

/* ---- JSON ---- */

static json_object *hex_of(const uint8_t *bytes, size_t len)
{
    char digits[2 * 32 + 3] = "0x";
    hex_encode(bytes, len, digits + 2);
    return json_object_new_string(digits);
}

static void add_text(json_object *object, const char *name, const char *text)
{
    json_object_object_add(object, name, json_object_new_string(text));
}

static void add_count(json_object *object, const char *name, uint64_t count)
{
    json_object_object_add(object, name, json_object_new_uint64(count));
}

static void add_flag(json_object *object, const char *name, bool flag)
{
    json_object_object_add(object, name, json_object_new_boolean(flag));
}

#define ADD_HEX(object, message, field)                                                                      \
    json_object_object_add(object, #field, hex_of((message)->field, sizeof((message)->field)))

void show_object(json_object *object)
{
    puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
}

static json_object *object_of_self(const api_Self *self)
{
    json_object *object = json_object_new_object();
    ADD_HEX(object, self, member_id);
    ADD_HEX(object, self, member_contract);
    ADD_HEX(object, self, cluster);
    add_flag(object, "registered", self->registered);
    if (self->registered) {
        add_count(object, "index", self->index);
        add_text(object, "mesh_ipv4", self->mesh_ipv4);
        add_text(object, "mesh_ipv6", self->mesh_ipv6);
    }
    ADD_HEX(object, self, wg_pubkey);
    ADD_HEX(object, self, x_pubkey);
    ADD_HEX(object, self, ed25519_pubkey);
    add_count(object, "wg_generation", self->wg_generation);
    return object;
}

static json_object *object_of_rotation(const api_Rotation *rotation)
{
    json_object *object = json_object_new_object();
    add_text(object, "state", api_rotation_state_name(rotation->state));
    add_count(object, "generation", rotation->generation);
    add_text(object, "error", rotation->error);
    return object;
}

void show_rotation_json(const api_Rotation *rotation)
{
    show_object(object_of_rotation(rotation));
}

static json_object *list_of_rpc(const api_Status *status)
{
    json_object *list = json_object_new_array();
    for (size_t i = 0; i < status->rpc_count; i++) {
        const api_RpcEndpoint *rpc = &status->rpc[i];
        json_object *object = json_object_new_object();
        add_text(object, "endpoint", rpc->endpoint);
        add_flag(object, "working", rpc->working);
        add_count(object, "other_chain", rpc->other_chain);
        add_count(object, "requests", rpc->requests);
        add_count(object, "failures", rpc->failures);
        add_count(object, "rate_limits", rpc->rate_limits);
        add_count(object, "block", rpc->block);
        add_count(object, "lag", rpc->lag);
        json_object_array_add(list, object);
    }
    return list;
}

void show_status_json(const api_Status *status, const api_Self *self)
{
    json_object *object = json_object_new_object();
    add_text(object, "phase", api_phase_name(status->phase));
    add_text(object, "reason", status->reason);
    add_flag(object, "first_converged", status->first_converged);
    add_flag(object, "csk_acquired", status->csk_acquired);
    add_count(object, "members", status->members);
    add_count(object, "live_members", status->live_members);
    add_count(object, "up_peers", status->up_peers);
    add_count(object, "streams", status->streams);
    add_count(object, "heard_members", status->heard_members);
    add_flag(object, "converged", status->converged);
    json_object_object_add(object, "csk_generation",
                           status->has_csk_generation ? json_object_new_uint64(status->csk_generation)
                                                      : NULL);
    add_text(object, "csk_error", status->csk_error);
    add_count(object, "messages_received", status->messages_received);
    add_text(object, "inbox_error", status->inbox_error);
    add_count(object, "block", status->block);
    add_count(object, "registry_version", status->registry_version);
    add_text(object, "chain_error", status->chain_error);
    json_object_object_add(object, "rpc", list_of_rpc(status));
    add_text(object, "device_error", status->device_error);
    add_count(object, "uptime_s", status->uptime_s);
    add_text(object, "agent_version", status->agent_version);
    json_object_object_add(object, "rotation",
                           status->has_rotation ? object_of_rotation(&status->rotation) : NULL);
    json_object_object_add(object, "self", self ? object_of_self(self) : NULL);
    show_object(object);
}

static json_object *object_of_stream(const api_Stream *stream)
{
    json_object *object = json_object_new_object();
    add_count(object, "sent", stream->sent);
    add_count(object, "received", stream->received);
    add_count(object, "dropped_late", stream->dropped_late);
    add_count(object, "dropped_full", stream->dropped_full);
    add_count(object, "dropped_down", stream->dropped_down);
    add_count(object, "dropped_malformed", stream->dropped_malformed);
    add_count(object, "streams", stream->streams);
    add_count(object, "rtt_us", stream->rtt_us);
    return object;
}

json_object *show_object_of_peer(const api_Peer *peer)
{
    json_object *object = json_object_new_object();
    add_count(object, "index", peer->index);
    ADD_HEX(object, peer, member_id);
    ADD_HEX(object, peer, member_contract);
    ADD_HEX(object, peer, attestor_id);
    add_text(object, "mesh_ipv4", peer->mesh_ipv4);
    add_text(object, "mesh_ipv6", peer->mesh_ipv6);
    ADD_HEX(object, peer, wg_pubkey);
    ADD_HEX(object, peer, x_pubkey);
    ADD_HEX(object, peer, ed25519_pubkey);
    add_count(object, "registered_at", peer->registered_at);
    add_flag(object, "up", peer->up);
    add_text(object, "transport", api_transport_name(peer->transport));
    json_object_object_add(object, "handshake_age_s",
                           peer->has_handshake_age_s ? json_object_new_uint64(peer->handshake_age_s) : NULL);
    add_count(object, "rx_bytes", peer->rx_bytes);
    add_count(object, "tx_bytes", peer->tx_bytes);
    json_object_object_add(object, "stream", peer->has_stream ? object_of_stream(&peer->stream) : NULL);
    add_text(object, "problem", peer->problem);
    return object;
}

void show_csk_json(const api_ClusterSharedKey *csk)
{
    json_object *object = json_object_new_object();
    add_count(object, "generation", csk->generation);
    ADD_HEX(object, csk, key);
    show_object(object);
}

void show_sent_json(const api_MessageSent *sent)
{
    json_object *object = json_object_new_object();
    ADD_HEX(object, sent, envelope_id);
    json_object_object_add(object, "tx_hash",
                           sent->tx_hash.size ? hex_of(sent->tx_hash.bytes, sent->tx_hash.size) : NULL);
    show_object(object);
}

void show_peer_json(const api_Peer *peer)
{
    show_object(show_object_of_peer(peer));
}

void show_event_json(const api_PeerEvent *event)
{
    json_object *object = json_object_new_object();
    add_text(object, "event", api_peer_event_name(event->kind));
    add_count(object, "unix_ms", event->unix_ms);
    if (event->has_peer)
        json_object_object_add(object, "peer", show_object_of_peer(&event->peer));
    if (event->kind == api_PeerEvent_Kind_LOST)
        add_count(object, "lost", event->lost);
    show_object(object);
}

void show_indexer_json(const api_Indexer *indexer)
{
    json_object *object = json_object_new_object();
    add_text(object, "state", indexer ? api_indexer_state_name(indexer->state) : "none");
    if (indexer) {
        add_text(object, "endpoint", indexer->endpoint);
        ADD_HEX(object, indexer, key);
        add_text(object, "quote", "chain unverified");
        add_count(object, "checkpoint_block", indexer->checkpoint_block);
        add_count(object, "checkpoint_time", indexer->checkpoint_time);
        add_count(object, "pushes", indexer->pushes);
        add_count(object, "confirmed", indexer->confirmed);
        add_count(object, "unanswered", indexer->unanswered);
        add_count(object, "alarms", indexer->alarms);
        add_text(object, "error", indexer->error);
    }
    show_object(object);
}

void show_operation_json(const api_Operation *operation)
{
    json_object *object = json_object_new_object();
    add_text(object, "purpose", operation->purpose);
    add_text(object, "outcome", api_outcome_name(operation->outcome));
    add_count(object, "started_unix_ms", operation->started_unix_ms);
    add_count(object, "ended_unix_ms", operation->ended_unix_ms);
    add_count(object, "attempts", operation->attempts);
    add_count(object, "sends", operation->sends);
    ADD_HEX(object, operation, hash);
    ADD_HEX(object, operation, tx_hash);
    add_count(object, "gas_used", operation->gas_used);
    add_text(object, "cost_wei", operation->cost_wei);
    add_text(object, "sponsor", operation->sponsor);
    add_text(object, "problem", operation->problem);
    show_object(object);
}
