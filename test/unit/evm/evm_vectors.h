/* Byte strings of evm.json: ABI coding by viem. */
#ifndef UNIT_EVM_EVM_VECTORS_H
#define UNIT_EVM_EVM_VECTORS_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/bytes.h"

#define EVM_TOPICS_MAX 4

struct evm_bytes {
    uint8_t *data; /* the caller frees it */
    size_t len;
};

struct evm_log {
    struct bytes32 topics[EVM_TOPICS_MAX];
    size_t topics_len;
    struct evm_bytes data;
};

/* They end the test when the entry is missing. */
struct evm_bytes evm_vector(const char *section, const char *name);
struct evm_log evm_vector_log(const char *name);

#endif
