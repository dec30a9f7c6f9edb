/* One UserOperation from call data to receipt: nonce, fees, sponsor, estimate, signature, submission,
 * inclusion.
 *
 * Sponsors are tried in order. An operation that is not included in time is sent again with the same nonce
 * and fees raised by an eighth; a lost reply is followed by looking for the receipt before anything is sent
 * again, so that nothing is ever done twice. */
#ifndef EVM_OPERATION_H
#define EVM_OPERATION_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/bytes.h"
#include "crypto/secret.h"
#include "evm/rpc.h"
#include "evm/sponsor.h"
#include "evm/uint256.h"

#define OPERATION_SENDS_MAX 5

struct event_base;
struct operation;

enum operation_state {
    OPERATION_NONCE,      /* EntryPoint.getNonce */
    OPERATION_BASE_FEE,   /* the latest block */
    OPERATION_TIP,        /* eth_maxPriorityFeePerGas */
    OPERATION_SPONSORING, /* the sponsor's steps, the gas estimate among them */
    OPERATION_SENDING,    /* eth_sendUserOperation */
    OPERATION_WAITING     /* eth_getUserOperationReceipt, once a second */
};

/* What all operations of a node share; outlives them. */
struct operation_services {
    struct event_base *base;
    struct rpc *node;
    struct rpc *bundler;
    const struct sponsor *sponsors;
    size_t sponsors_len; /* at least 1 */
    struct address entry_point;
    uint64_t chain_id;
    uint32_t poll_ms;      /* between two looks for the receipt; 0 means 1,000 */
    uint32_t inclusion_ms; /* until an operation is sent again; 0 means 60,000 */
};

/* `code` is 0: included and successful. Otherwise:
 *   AM_EDENIED     every sponsor refuses to pay; the text has the last one's reason
 *   AM_EREVERT     the call or the validation reverts; the text names the contract's error
 *   AM_EREMOTE     the bundler refuses the operation for another reason
 *   -ETIMEDOUT     sent OPERATION_SENDS_MAX times and not included
 *   -EINVAL        the owner's key is no key
 *   else           no service answered, or not as it must (rpc_result's codes) */
struct operation_result {
    int code;
    const char *error;       /* one line, NULL when code is 0 */
    struct bytes32 hash;     /* userOpHash of what was sent last; zero when nothing was */
    struct bytes32 tx_hash;  /* set when a receipt came */
    struct uint256 gas_cost; /* wei, set when a receipt came */
    uint32_t retry_after_s;  /* a service's wish, 0 when there was none */
};

/* `detail` says more about the state (which call, which attempt) and lives during the call only. Comes first
 * from within operation_start. */
typedef void (*operation_progress_fn)(void *user, enum operation_state state, const char *detail);
typedef void (*operation_done_fn)(void *user, const struct operation_result *result);

/* Starts. `call_data` (at most USEROP_CALL_DATA_MAX) is copied; `owner` stays the caller's and outlives the
 * operation. `progress` may be NULL. `done` comes exactly once, from the loop, unless the operation is
 * cancelled; the handle is invalid once it has. Returns NULL when memory is short or an argument is out of
 * its bounds. */
struct operation *operation_start(const struct operation_services *services, const struct address *sender,
                                  const uint8_t *call_data, size_t call_data_len, const struct secret *owner,
                                  operation_progress_fn progress, operation_done_fn done, void *user);

/* Ends it without a callback; what was sent may still be included. NULL is allowed. */
void operation_cancel(struct operation *operation);

const char *operation_state_name(enum operation_state state);

#endif
