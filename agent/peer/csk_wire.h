/* The frames by which members pull the cluster shared key from each other (PROTOCOL section 9; peer.proto).
 * Pure.
 *
 * The take functions look at the beginning of a stream. They return 1 and the message, 0 when more bytes are
 * needed, AM_EFORMAT when the stream is none of ours. */
#ifndef AGENT_PEER_CSK_WIRE_H
#define AGENT_PEER_CSK_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/box.h"
#include "crypto/secret.h"

#define CSK_PORT 50051
#define CSK_SEALED_SIZE (SECRET_SIZE + BOX_SEAL_OVERHEAD)
#define CSK_FRAME_MAX 128 /* of either message, with its length */

struct csk_response {
    uint64_t generation;
    bool held;                       /* else `sealed` is empty */
    uint8_t sealed[CSK_SEALED_SIZE]; /* to the X25519 key of who asked */
};

/* Write at most CSK_FRAME_MAX bytes and return their number. */
size_t csk_request_build(uint64_t generation, uint8_t out[CSK_FRAME_MAX]);
size_t csk_response_build(const struct csk_response *response, uint8_t out[CSK_FRAME_MAX]);

int csk_request_take(const uint8_t *data, size_t len, uint64_t *generation);
int csk_response_take(const uint8_t *data, size_t len, struct csk_response *out);

#endif
