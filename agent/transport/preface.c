#include "agent/transport/preface.h"

#include <errno.h>
#include <pb_decode.h>
#include <pb_encode.h>

#include "agent/transport/stream.pb.h"

#define SIGNED_PARTS 5
static const char signed_domain[] = "attestmesh.stream.v1";

_Static_assert(attestmesh_stream_v1_Preface_size <= PREFACE_SIZE_MAX, "our own preface fits");

static void preface_signed_parts(const struct preface *preface, const uint8_t exporter[PREFACE_EXPORTER_SIZE],
                                 struct sign_part parts[SIGNED_PARTS])
{
    parts[0] = (struct sign_part){signed_domain, sizeof(signed_domain) - 1};
    parts[1] = (struct sign_part){exporter, PREFACE_EXPORTER_SIZE};
    parts[2] = (struct sign_part){preface->cluster.b, sizeof(preface->cluster.b)};
    parts[3] = (struct sign_part){preface->from.b, sizeof(preface->from.b)};
    parts[4] = (struct sign_part){preface->to.b, sizeof(preface->to.b)};
}

int preface_build(struct preface *preface, const struct secret *seed,
                  const uint8_t exporter[PREFACE_EXPORTER_SIZE], uint8_t out[PREFACE_SIZE_MAX], size_t *len)
{
    struct sign_part parts[SIGNED_PARTS];
    preface_signed_parts(preface, exporter, parts);
    const int rc = sign_parts(seed, parts, SIGNED_PARTS, preface->signature);
    if (rc)
        return rc;

    attestmesh_stream_v1_Preface message = {.version = PREFACE_VERSION, .unix_ms = preface->unix_ms};
    memcpy(message.cluster, preface->cluster.b, sizeof(message.cluster));
    memcpy(message.from, preface->from.b, sizeof(message.from));
    memcpy(message.to, preface->to.b, sizeof(message.to));
    memcpy(message.signature, preface->signature, sizeof(message.signature));
    pb_ostream_t stream = pb_ostream_from_buffer(out, PREFACE_SIZE_MAX);
    if (!pb_encode(&stream, attestmesh_stream_v1_Preface_fields, &message))
        return -ENOMEM;
    *len = stream.bytes_written;
    return 0;
}

int preface_parse(const uint8_t *data, size_t len, struct preface *out, struct am_err *err)
{
    attestmesh_stream_v1_Preface message = attestmesh_stream_v1_Preface_init_zero;
    pb_istream_t stream = pb_istream_from_buffer(data, len);
    if (!pb_decode(&stream, attestmesh_stream_v1_Preface_fields, &message))
        return am_fail(err, AM_EFORMAT, "preface is malformed: %s", PB_GET_ERROR(&stream));
    if (message.version != PREFACE_VERSION)
        return am_fail(err, AM_EFORMAT, "preface has version %u, this node speaks %u",
                       (unsigned)message.version, PREFACE_VERSION);
    memcpy(out->cluster.b, message.cluster, sizeof(message.cluster));
    memcpy(out->from.b, message.from, sizeof(message.from));
    memcpy(out->to.b, message.to, sizeof(message.to));
    memcpy(out->signature, message.signature, sizeof(message.signature));
    out->unix_ms = message.unix_ms;
    return 0;
}

int preface_check(const struct preface *preface, const struct address *cluster, const struct bytes32 *from,
                  const struct bytes32 *to, const struct bytes32 *pubkey,
                  const uint8_t exporter[PREFACE_EXPORTER_SIZE], struct am_err *err)
{
    char hex[BYTES32_HEX_SIZE];
    char address[ADDRESS_HEX_SIZE];
    if (!address_equal(&preface->cluster, cluster))
        return am_fail(err, AM_EMISMATCH, "preface is for another cluster, %s",
                       address_hex(&preface->cluster, address));
    if (!bytes32_equal(&preface->from, from))
        return am_fail(err, AM_EMISMATCH, "preface comes from another member, %s",
                       bytes32_hex(&preface->from, hex));
    if (!bytes32_equal(&preface->to, to))
        return am_fail(err, AM_EMISMATCH, "preface is meant for another member, %s",
                       bytes32_hex(&preface->to, hex));

    struct sign_part parts[SIGNED_PARTS];
    preface_signed_parts(preface, exporter, parts);
    const int rc = sign_verify_parts(pubkey, parts, SIGNED_PARTS, preface->signature);
    if (rc == AM_EAUTH)
        return am_fail(err, AM_EAUTH, "signature of the preface of %s is wrong", bytes32_hex(from, hex));
    return rc;
}
