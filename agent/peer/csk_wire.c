#include "agent/peer/csk_wire.h"

#include <pb_decode.h>
#include <pb_encode.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/frame.h"
#include "agent/peer/peer.pb.h"
#include "crypto/am_error.h"

#define MESSAGE_MAX (CSK_FRAME_MAX - FRAME_PREFIX_MAX)

_Static_assert(attestmesh_peer_v1_CskRequest_size <= MESSAGE_MAX, "a request fits");
_Static_assert(attestmesh_peer_v1_CskResponse_size <= MESSAGE_MAX, "a response fits");

static size_t build(const pb_msgdesc_t *fields, const void *message, uint8_t out[CSK_FRAME_MAX])
{
    pb_ostream_t stream = pb_ostream_from_buffer(out, CSK_FRAME_MAX);
    if (!pb_encode_ex(&stream, fields, message, PB_ENCODE_DELIMITED))
        abort(); /* it fits, see above */
    return stream.bytes_written;
}

size_t csk_request_build(uint64_t generation, uint8_t out[CSK_FRAME_MAX])
{
    const attestmesh_peer_v1_CskRequest message = {.generation = generation};
    return build(attestmesh_peer_v1_CskRequest_fields, &message, out);
}

size_t csk_response_build(const struct csk_response *response, uint8_t out[CSK_FRAME_MAX])
{
    attestmesh_peer_v1_CskResponse message = {.generation = response->generation};
    if (response->held) {
        message.sealed_csk.size = sizeof(response->sealed);
        memcpy(message.sealed_csk.bytes, response->sealed, sizeof(response->sealed));
    }
    return build(attestmesh_peer_v1_CskResponse_fields, &message, out);
}

static int take(const pb_msgdesc_t *fields, const uint8_t *data, size_t len, void *message)
{
    struct frame frame;
    const int found = frame_parse(data, len, MESSAGE_MAX, &frame);
    if (found <= 0)
        return found;
    pb_istream_t stream = pb_istream_from_buffer(frame.message, frame.message_len);
    return pb_decode(&stream, fields, message) ? 1 : AM_EFORMAT;
}

int csk_request_take(const uint8_t *data, size_t len, uint64_t *generation)
{
    attestmesh_peer_v1_CskRequest message = attestmesh_peer_v1_CskRequest_init_zero;
    const int found = take(attestmesh_peer_v1_CskRequest_fields, data, len, &message);
    if (found > 0)
        *generation = message.generation;
    return found;
}

int csk_response_take(const uint8_t *data, size_t len, struct csk_response *out)
{
    attestmesh_peer_v1_CskResponse message = attestmesh_peer_v1_CskResponse_init_zero;
    const int found = take(attestmesh_peer_v1_CskResponse_fields, data, len, &message);
    if (found <= 0)
        return found;
    if (message.sealed_csk.size != 0 && message.sealed_csk.size != CSK_SEALED_SIZE)
        return AM_EFORMAT;
    *out = (struct csk_response){.generation = message.generation, .held = message.sealed_csk.size != 0};
    memcpy(out->sealed, message.sealed_csk.bytes, message.sealed_csk.size);
    return 1;
}
