/* Ed25519 signatures with a domain string in front (PROTOCOL sections 6, 7 and 12; libsodium). */
#ifndef CRYPTO_SIGN_H
#define CRYPTO_SIGN_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/bytes.h"
#include "crypto/secret.h"

#define SIGN_SIGNATURE_SIZE 64

/* One part of a message that is signed in pieces; the parts are concatenated. */
struct sign_part {
    const void *data;
    size_t len;
};

/* The Ed25519 public key of a seed. Returns 0 or -ENOMEM. */
int sign_pubkey_of_seed(const struct secret *seed, struct bytes32 *out);

/* Signs the concatenation of `parts`. Returns 0 or -ENOMEM. */
int sign_parts(const struct secret *seed, const struct sign_part *parts, size_t parts_len,
               uint8_t signature[SIGN_SIGNATURE_SIZE]);

/* Returns 0 when the signature is good, AM_EAUTH when it is not, -ENOMEM. */
int sign_verify_parts(const struct bytes32 *pubkey, const struct sign_part *parts, size_t parts_len,
                      const uint8_t signature[SIGN_SIGNATURE_SIZE]);

#endif
