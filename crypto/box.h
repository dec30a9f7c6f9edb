/* X25519 keys and sealed boxes (crypto_box_seal, PROTOCOL section 8; libsodium). WireGuard keys are X25519
 * too. */
#ifndef CRYPTO_BOX_H
#define CRYPTO_BOX_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/bytes.h"
#include "crypto/secret.h"

#define BOX_SEAL_OVERHEAD 48

/* The X25519 public key of a 32-byte secret. Returns 0 or -EINVAL. */
int box_pubkey_of_secret(const struct secret *secret, struct bytes32 *out);

/* Seals `len` bytes to `recipient`; `out` has room for len + BOX_SEAL_OVERHEAD. Returns 0 or -EINVAL. */
int box_seal(const struct bytes32 *recipient, const uint8_t *plaintext, size_t len, uint8_t *out);

/* Opens a sealed box; `out` has room for len - BOX_SEAL_OVERHEAD. Returns 0, AM_EFORMAT when it is too short,
 * AM_EAUTH when it was not sealed to this key or was changed. */
int box_open(const struct secret *secret, const uint8_t *sealed, size_t len, uint8_t *out);

#endif
