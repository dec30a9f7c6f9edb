/* The cluster shared key at rest (PROTOCOL section 9): XChaCha20-Poly1305 under a key that only this node's
 * TEE derives, bound to cluster, member, generation and commitment. Pure. */
#ifndef AGENT_SHELL_CSK_CACHE_H
#define AGENT_SHELL_CSK_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"
#include "crypto/bytes.h"
#include "crypto/secret.h"

#define CSK_CACHE_SIZE 73 /* version 1, nonce 24, ciphertext 32, tag 16 */

/* What a cached key is bound to. */
struct csk_cache_label {
    struct address cluster;
    struct bytes32 member_id;
    uint64_t generation;
    struct bytes32 commitment;
};

void csk_cache_build(const struct secret *wrap, const struct csk_cache_label *label, const struct secret *csk,
                     uint8_t out[CSK_CACHE_SIZE]);

/* Returns 0 with the key in `out` (allocated by the caller), AM_EFORMAT for another length or version,
 * AM_EAUTH when it was not made with this wrap key and label. */
int csk_cache_parse(const struct secret *wrap, const struct csk_cache_label *label, const uint8_t *data,
                    size_t len, struct secret *out);

#endif
