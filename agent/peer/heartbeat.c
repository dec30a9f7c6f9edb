#include "agent/peer/heartbeat.h"

#include <errno.h>
#include <pb_decode.h>
#include <pb_encode.h>

#include "agent/peer/peer.pb.h"
#include "crypto/sign.h"

#define SIGNED_PARTS 3
static const char signed_domain[] = "attestmesh.heartbeat.v1";

_Static_assert(SIGN_SIGNATURE_SIZE + attestmesh_peer_v1_Heartbeat_size <= HEARTBEAT_SIZE_MAX,
               "the largest heartbeat fits a datagram");
_Static_assert(sizeof(((attestmesh_peer_v1_Heartbeat *)0)->connected.bytes) == HEARTBEAT_VIEW_MAX,
               "peer.options agrees");

static void signed_parts(const struct address *cluster, const uint8_t *message, size_t len,
                         struct sign_part parts[SIGNED_PARTS])
{
    parts[0] = (struct sign_part){signed_domain, sizeof(signed_domain) - 1};
    parts[1] = (struct sign_part){cluster->b, sizeof(cluster->b)};
    parts[2] = (struct sign_part){message, len};
}

int heartbeat_build(const struct heartbeat *heartbeat, const struct address *cluster,
                    const struct secret *seed, uint8_t out[HEARTBEAT_SIZE_MAX], size_t *len)
{
    attestmesh_peer_v1_Heartbeat message = {
        .boot_nonce = heartbeat->boot_nonce,
        .sequence = heartbeat->sequence,
        .unix_ms = heartbeat->unix_ms,
        .registry_version = heartbeat->registry_version,
        .csk_held = heartbeat->csk_held,
        .csk_generation = heartbeat->csk_generation,
    };
    struct sign_part parts[SIGNED_PARTS];
    if (heartbeat->view_len > sizeof(message.connected.bytes))
        return -EINVAL;
    memcpy(message.member_id, heartbeat->member_id.b, sizeof(message.member_id));
    memcpy(message.connected.bytes, heartbeat->view, heartbeat->view_len);
    message.connected.size = (pb_size_t)heartbeat->view_len;
    uint8_t *const body = out + SIGN_SIGNATURE_SIZE;
    pb_ostream_t stream = pb_ostream_from_buffer(body, HEARTBEAT_SIZE_MAX - SIGN_SIGNATURE_SIZE);
    if (!pb_encode(&stream, attestmesh_peer_v1_Heartbeat_fields, &message))
        return -ENOMEM;
    signed_parts(cluster, body, stream.bytes_written, parts);
    *len = SIGN_SIGNATURE_SIZE + stream.bytes_written;
    return sign_parts(seed, parts, SIGNED_PARTS, out);
}

int heartbeat_parse(const uint8_t *data, size_t len, struct heartbeat *out, struct am_err *err)
{
    attestmesh_peer_v1_Heartbeat message = attestmesh_peer_v1_Heartbeat_init_zero;
    if (len <= SIGN_SIGNATURE_SIZE || len > HEARTBEAT_SIZE_MAX)
        return am_fail(err, AM_EFORMAT, "heartbeat of %zu bytes", len);
    pb_istream_t stream = pb_istream_from_buffer(data + SIGN_SIGNATURE_SIZE, len - SIGN_SIGNATURE_SIZE);
    if (!pb_decode(&stream, attestmesh_peer_v1_Heartbeat_fields, &message))
        return am_fail(err, AM_EFORMAT, "heartbeat is malformed: %s", PB_GET_ERROR(&stream));
    memcpy(out->member_id.b, message.member_id, sizeof(out->member_id.b));
    out->boot_nonce = message.boot_nonce;
    out->sequence = message.sequence;
    out->unix_ms = message.unix_ms;
    out->registry_version = message.registry_version;
    out->csk_held = message.csk_held;
    out->csk_generation = message.csk_generation;
    out->view_len = message.connected.size;
    memcpy(out->view, message.connected.bytes, message.connected.size);
    return 0;
}

int heartbeat_check(const struct heartbeat *heartbeat, const uint8_t *data, size_t len,
                    const struct address *cluster, const struct bytes32 *member_id,
                    const struct bytes32 *pubkey, struct am_err *err)
{
    struct sign_part parts[SIGNED_PARTS];
    char hex[BYTES32_HEX_SIZE];
    if (!bytes32_equal(&heartbeat->member_id, member_id))
        return am_fail(err, AM_EMISMATCH, "heartbeat names another member than its address, %s",
                       bytes32_hex(&heartbeat->member_id, hex));
    signed_parts(cluster, data + SIGN_SIGNATURE_SIZE, len - SIGN_SIGNATURE_SIZE, parts);
    const int code = sign_verify_parts(pubkey, parts, SIGNED_PARTS, data);
    if (code == AM_EAUTH)
        return am_fail(err, AM_EAUTH, "signature of the heartbeat of %s is wrong",
                       bytes32_hex(member_id, hex));
    return code;
}
