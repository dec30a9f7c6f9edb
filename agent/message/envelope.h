/* What a MessageSent event carries: a sealed box (crypto_box_seal) around a kind byte and a payload (PROTOCOL
 * sections 2.3 and 8). Pure. */
#ifndef AGENT_MESSAGE_ENVELOPE_H
#define AGENT_MESSAGE_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"
#include "crypto/box.h"
#include "crypto/bytes.h"

#define ENVELOPE_CIPHERTEXT_MAX 8192 /* the contract's limit */
#define ENVELOPE_PAYLOAD_MAX (ENVELOPE_CIPHERTEXT_MAX - BOX_SEAL_OVERHEAD - 1)

enum envelope_kind {
    ENVELOPE_APPLICATION = 0x00, /* the payload is the application's */
    ENVELOPE_PROTOCOL = 0x01     /* a PeerEndpoint (endpoint.h) */
};

struct envelope {
    enum envelope_kind kind;
    size_t len;
    uint8_t payload[ENVELOPE_PAYLOAD_MAX];
};

/* Seals a payload of at most ENVELOPE_PAYLOAD_MAX bytes to a member's X25519 key. Returns 0 and the length,
 * or -EINVAL: too long, or no key. */
int envelope_seal(const struct bytes32 *x_pubkey, enum envelope_kind kind, const uint8_t *payload, size_t len,
                  uint8_t out[ENVELOPE_CIPHERTEXT_MAX], size_t *out_len);

/* Opens what was sent to the owner of `secret`. Returns 0; AM_EAUTH when it was not sealed to this key or was
 * changed, AM_EFORMAT when it is too short or too long, or of an unknown kind. */
int envelope_open(const struct secret *secret, const uint8_t *sealed, size_t len, struct envelope *out,
                  struct am_err *err);

/* The envelope id of an application's message: the same for the same key, so that a message which is sent
 * again counts once. Its first 8 bytes are zero, which no other envelope's are: that tells the sender, who
 * can not open what it has sent, which of its envelopes are the protocol's. */
struct bytes32 envelope_application_id(const uint8_t *key, size_t len);
bool envelope_id_is_application(const struct bytes32 *id);

#endif
