/* secp256k1 for EVM accounts: addresses, recoverable signatures over 32-byte digests (libsecp256k1). */
#ifndef CRYPTO_SECP_H
#define CRYPTO_SECP_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto/bytes.h"
#include "crypto/secret.h"

#define SECP_SIGNATURE_SIZE 65  /* r ‖ s ‖ v */
#define SECP_COMPRESSED_SIZE 33 /* SEC1 */

struct secp_signature {
    uint8_t b[SECP_SIGNATURE_SIZE];
};

struct secp_pubkey {
    uint8_t b[SECP_COMPRESSED_SIZE];
};

/* The compressed public key of `key`. Returns 0, or -EINVAL when the key is zero or not below the order. */
int secp_pubkey_of_secret(const struct secret *key, struct secp_pubkey *out);

/* The EVM address of a compressed public key. Returns 0, or AM_EFORMAT when it is not a point of the curve.
 */
int secp_address_of_pubkey(const struct secp_pubkey *pubkey, struct address *out);

/* Signs a digest: low s, v 27 or 28, deterministic nonce (RFC 6979). Returns 0 or -EINVAL (bad key). */
int secp_sign_digest(const struct secret *key, const struct bytes32 *digest, struct secp_signature *out);

/* Recovers the signer of a digest. Accepts v 0, 1, 27 and 28; refuses high s. Returns 0 or AM_EAUTH. */
int secp_recover_pubkey(const struct bytes32 *digest, const struct secp_signature *signature,
                        struct secp_pubkey *out);
int secp_recover_address(const struct bytes32 *digest, const struct secp_signature *signature,
                         struct address *out);

/* EIP-191: keccak("\x19Ethereum Signed Message:\n32" ‖ hash). */
struct bytes32 secp_personal_digest(const struct bytes32 *hash);

#endif
