/* Keccak-256 as Ethereum uses it (original padding 0x01, rate 136). */
#ifndef CRYPTO_KECCAK_H
#define CRYPTO_KECCAK_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/bytes.h"

struct keccak {
    uint64_t state[25];
    size_t offset;
};

void keccak_init(struct keccak *k);
void keccak_update(struct keccak *k, const void *data, size_t len);

/* Writes the hash and wipes the state; the context must be initialised again before another use. */
void keccak_final(struct keccak *k, struct bytes32 *out);

struct bytes32 keccak256(const void *data, size_t len);

#endif
