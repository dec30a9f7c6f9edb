#include "agent/message/endpoint.h"

#include <ctype.h>
#include <pb_decode.h>
#include <pb_encode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/message/endpoint.pb.h"
#include "agent/message/envelope.h"
#include "crypto/keccak.h"

#define ENDPOINT_VERSION 1

_Static_assert(attestmesh_message_v1_PeerEndpoint_size <= ENDPOINT_BYTES_MAX, "every endpoint fits");

size_t endpoint_build(const struct endpoint *endpoint, uint8_t out[ENDPOINT_BYTES_MAX])
{
    attestmesh_message_v1_PeerEndpoint message = {
        .version = ENDPOINT_VERSION,
        .port = endpoint->port,
        .issued_ms = endpoint->issued_ms,
    };
    pb_ostream_t stream = pb_ostream_from_buffer(out, ENDPOINT_BYTES_MAX);

    memcpy(message.member_id, endpoint->member_id.b, sizeof(message.member_id));
    snprintf(message.host, sizeof(message.host), "%s", endpoint->host);
    if (!pb_encode(&stream, attestmesh_message_v1_PeerEndpoint_fields, &message))
        abort(); /* it fits, see above */
    return stream.bytes_written;
}

static bool is_host_name(const char *host)
{
    for (const char *at = host; *at; at++)
        if (!isalnum((unsigned char)*at) && *at != '-' && *at != '.')
            return false;
    return *host != '\0';
}

int endpoint_take(const uint8_t *data, size_t len, struct endpoint *out, struct am_err *err)
{
    attestmesh_message_v1_PeerEndpoint message = attestmesh_message_v1_PeerEndpoint_init_zero;
    pb_istream_t stream = pb_istream_from_buffer(data, len);

    if (!pb_decode(&stream, attestmesh_message_v1_PeerEndpoint_fields, &message))
        return am_fail(err, AM_EFORMAT, "the endpoint is malformed");
    if (message.version != ENDPOINT_VERSION)
        return am_fail(err, AM_EFORMAT, "the endpoint is of version %u", (unsigned)message.version);
    if (!is_host_name(message.host))
        return am_fail(err, AM_EFORMAT, "the endpoint's host is no host name");
    if (message.port == 0 || message.port > UINT16_MAX)
        return am_fail(err, AM_EFORMAT, "the endpoint's port is %u", (unsigned)message.port);
    *out = (struct endpoint){.port = (uint16_t)message.port, .issued_ms = message.issued_ms};
    memcpy(out->member_id.b, message.member_id, sizeof(out->member_id.b));
    snprintf(out->host, sizeof(out->host), "%s", message.host);
    return 0;
}

struct bytes32 endpoint_envelope_id(const struct endpoint *endpoint, const struct bytes32 *recipient)
{
    static const char domain[] = "attestmesh.peer-endpoint.v1";
    uint8_t plaintext[1 + ENDPOINT_BYTES_MAX] = {ENVELOPE_PROTOCOL};
    const size_t len = 1 + endpoint_build(endpoint, plaintext + 1);
    const struct bytes32 content = keccak256(plaintext, len);
    struct bytes32 id;
    struct keccak k;

    keccak_init(&k);
    keccak_update(&k, domain, sizeof(domain) - 1);
    keccak_update(&k, endpoint->member_id.b, sizeof(endpoint->member_id.b));
    keccak_update(&k, recipient->b, sizeof(recipient->b));
    keccak_update(&k, content.b, sizeof(content.b));
    keccak_final(&k, &id);
    return id;
}
