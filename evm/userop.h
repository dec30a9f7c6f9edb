/* ERC-4337 v0.7 UserOperations of accounts that exist (no factory, no init code). */
#ifndef EVM_USEROP_H
#define EVM_USEROP_H

#include <json-c/json_object.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"
#include "crypto/bytes.h"
#include "crypto/secp.h"
#include "evm/uint256.h"

#define USEROP_CALL_DATA_MAX 16384
#define USEROP_PAYMASTER_DATA_MAX 4096
#define USEROP_CALL_GAS_RAISE_MAX 100000

/* The chain's rule for signatures and packing: gas limits and fees below 2^128; what does not fit is refused
 * where it comes in. */
struct userop {
    struct address sender;
    struct uint256 nonce;
    const uint8_t *call_data; /* borrowed */
    size_t call_data_len;
    bool gas_known; /* the three gas limits are set */
    struct uint256 call_gas_limit, verification_gas_limit, pre_verification_gas;
    struct uint256 max_fee_per_gas, max_priority_fee_per_gas;
    bool has_paymaster; /* what follows is set */
    struct address paymaster;
    struct uint256 paymaster_verification_gas_limit, paymaster_post_op_gas_limit;
    uint8_t paymaster_data[USEROP_PAYMASTER_DATA_MAX];
    size_t paymaster_data_len;
    struct secp_signature signature;
};

/* The hash that the EntryPoint calls userOpHash; the signature does not enter it. */
struct bytes32 userop_hash(const struct userop *op, const struct address *entry_point, uint64_t chain_id);

/* Signs the hash as an EIP-191 personal message. Returns 0 or -EINVAL (bad key). */
int userop_sign(struct userop *op, const struct address *entry_point, uint64_t chain_id,
                const struct secret *owner);

/* A signature of the right form by nobody's key, so that estimates measure the real path. */
void userop_set_placeholder_signature(struct userop *op);

/* The JSON that bundlers and ERC-7677 paymasters take; unknown gas limits are left out. NULL when memory is
 * short. */
json_object *userop_to_json(const struct userop *op);

/* Takes over the gas limits of an eth_estimateUserOperationGas result; the paymaster's are optional in it.
 * Returns 0 or AM_EFORMAT with the field's name. */
int userop_take_gas(struct userop *op, json_object *estimate, struct am_err *err);

/* Raises the call gas limit to what an eth_estimateGas result leaves for the call, and a little for what may
 * change until it is included; by at most USEROP_CALL_GAS_RAISE_MAX, for some rollups count the transaction's
 * data in. Returns 0 or AM_EFORMAT. */
int userop_raise_call_gas(struct userop *op, json_object *estimate, struct am_err *err);

/* Takes over paymaster and paymasterData of a sponsor's answer, and the paymaster's gas limits when it has
 * them. Returns 0 or AM_EFORMAT with the field's name. */
int userop_take_paymaster(struct userop *op, json_object *answer, struct am_err *err);

/* Takes over the fees of a sponsor's answer when it has them. Returns 0 or AM_EFORMAT with the field's name.
 */
int userop_take_fees(struct userop *op, json_object *answer, struct am_err *err);

/* Raises each fee to that of `prices` where it is lower. Returns 0 or AM_EFORMAT with the field's name. */
int userop_raise_fees_to(struct userop *op, json_object *prices, struct am_err *err);

/* Raises both fees by an eighth, as replacing a pending operation demands: bundlers want a tenth. */
void userop_raise_fees(struct userop *op);

/* Raises the fees, which are what the chain asks for now, to an eighth above those of a pending operation
 * that is to be replaced; unless that is far more than the chain asks for: such an operation would have been
 * included, so it is lost. */
void userop_outbid(struct userop *op, const struct uint256 *max_fee_per_gas,
                   const struct uint256 *max_priority_fee_per_gas);

#endif
