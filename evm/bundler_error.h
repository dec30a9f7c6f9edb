/* What a bundler means by an error (ERC-7769). */
#ifndef EVM_BUNDLER_ERROR_H
#define EVM_BUNDLER_ERROR_H

#include <stdbool.h>

#include "crypto/am_error.h"
#include "evm/rpc.h"

/* Turns a failed result into one sentence. Returns AM_EREVERT when validation or execution of the operation
 * reverts (with the contract's error and what to do about it), else the result's own code. */
int bundler_error_of_rpc(const struct rpc_result *result, struct am_err *err);

/* Whether the failure is the paymaster's (AA3x, -32501), so that another sponsor may succeed. */
bool bundler_error_blames_paymaster(const struct rpc_result *result);

#endif
