/* A member's endpoint, the payload of protocol envelopes (PROTOCOL section 8; endpoint.proto). Pure. */
#ifndef AGENT_MESSAGE_ENDPOINT_H
#define AGENT_MESSAGE_ENDPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"
#include "crypto/bytes.h"

#define ENDPOINT_HOST_SIZE 254 /* of a host name with its NUL */
#define ENDPOINT_BYTES_MAX 320

struct endpoint {
    struct bytes32 member_id;
    char host[ENDPOINT_HOST_SIZE];
    uint16_t port;
    uint64_t issued_ms;
};

/* Returns the length. */
size_t endpoint_build(const struct endpoint *endpoint, uint8_t out[ENDPOINT_BYTES_MAX]);

/* Returns 0, or AM_EFORMAT: malformed, of another version, or no host name or port. */
int endpoint_take(const uint8_t *data, size_t len, struct endpoint *out, struct am_err *err);

/* keccak("attestmesh.peer-endpoint.v1" ‖ sender ‖ recipient ‖ keccak(plaintext)), the plaintext being the
 * kind byte and the endpoint; the sender is the endpoint's. */
struct bytes32 endpoint_envelope_id(const struct endpoint *endpoint, const struct bytes32 *recipient);

#endif
