/* An operation under way as bytes, for a restart to find. Pure. */
#ifndef EVM_PENDING_H
#define EVM_PENDING_H

#include "evm/operation.h"
#include "evm/userop.h"

#define PENDING_VERSION 1
#define PENDING_PURPOSE_MAX 32 /* with the NUL */
#define PENDING_BYTES_MAX (USEROP_CALL_DATA_MAX + 1024)

/* Everything that going on needs, but for the owner's key. */
struct pending_record {
    uint64_t chain_id;
    struct address entry_point;
    struct address sender;
    char purpose[PENDING_PURPOSE_MAX];
    struct operation_pending pending;
    const uint8_t *call_data; /* borrowed */
    size_t call_data_len;
};

/* Returns the length. The record is within its bounds. */
size_t pending_encode(const struct pending_record *record, uint8_t out[PENDING_BYTES_MAX]);

/* `out->call_data` points into `data`. Returns 0, or AM_EFORMAT when this is no such record. */
int pending_decode(const uint8_t *data, size_t len, struct pending_record *out, struct am_err *err);

#endif
