/* The result of eth_getUserOperationReceipt. Pure. */
#ifndef EVM_RECEIPT_H
#define EVM_RECEIPT_H

#include <json-c/json_object.h>
#include <stdbool.h>

#include "crypto/am_error.h"
#include "crypto/bytes.h"
#include "evm/revert.h"
#include "evm/uint256.h"

struct receipt {
    struct bytes32 hash; /* userOpHash */
    struct bytes32 tx_hash;
    struct uint256 gas_cost; /* wei */
    uint64_t gas_used;       /* 0 when the bundler does not tell */
    bool success;
    char reason[REVERT_TEXT_SIZE]; /* when not successful: why the call reverted */
};

/* Returns 0 or AM_EFORMAT with the name of the field that is missing or malformed. */
int receipt_parse(json_object *value, struct receipt *out, struct am_err *err);

#endif
