/* One UserOperation from call data to receipt: nonce, fees, sponsor, estimate, signature, submission,
 * inclusion.
 *
 * Fees (EIP-1559): the chain's suggested tip, and twice the latest base fee on top of it, which lasts for the
 * six full blocks in which it can double; what a vendor asks for where it asks for more, or chooses and
 * signs. An operation pays the base fee of its block, not the maximum.
 *
 * The best sponsor that may be asked pays. An operation that is not included in time is sent again with the
 * same nonce and fees raised by an eighth; a lost reply is followed by looking for the receipt before
 * anything is sent again. What was sent is told before it is sent, so that a caller who keeps it can go on
 * after a restart: the receipt is looked up first, and whatever is sent then has the same nonce. So nothing
 * is ever done twice. */
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
#define OPERATION_HASHES_MAX 8 /* of one operation's sends that are watched: the newest */

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
    struct sponsor *sponsors; /* how they behave is noted in them */
    size_t sponsors_len;      /* 1 to SPONSORS_MAX */
    struct address entry_point;
    uint64_t chain_id;
    uint32_t poll_ms;      /* between two looks for the receipt; 0 means 1,000 */
    uint32_t inclusion_ms; /* until an operation is sent again; 0 means 60,000 */
};

/* What was sent and may be included: all of it has one nonce. */
struct operation_pending {
    struct uint256 nonce;
    struct uint256 max_fee_per_gas, max_priority_fee_per_gas; /* of the last one */
    uint64_t sent_unix_s;                                     /* the last one */
    size_t hashes_len;                                        /* 0: nothing is pending */
    struct bytes32 hashes[OPERATION_HASHES_MAX];              /* oldest first */
};

struct operation_request {
    struct address sender;
    const uint8_t *call_data; /* at most USEROP_CALL_DATA_MAX; copied */
    size_t call_data_len;
    const struct secret *owner; /* the caller's; outlives the operation */
    const struct operation_pending
        *pending; /* of the same call, to go on with; NULL or empty: a new one. Copied */
};

/* `code` is 0: included and successful. Otherwise:
 *   AM_EDENIED     every sponsor refuses to pay; the text has the last one's reason
 *   AM_EREVERT     the call or the validation reverts; the text names the contract's error
 *   AM_EREMOTE     the bundler refuses the operation for another reason
 *   AM_EMISMATCH   the nonce is used, but no bundler shows a receipt: the chain knows what became of it; or
 * the bundler computes another hash -ETIMEDOUT     sent OPERATION_SENDS_MAX times and not included -EINVAL
 * the owner's key is no key else           no service answered, or not as it must (rpc_result's codes) */
struct operation_result {
    int code;
    const char *error; /* one line, NULL when code is 0 */
    struct bytes32
        hash; /* userOpHash of what was included, else of what was sent last; zero when nothing was */
    struct bytes32 tx_hash;  /* the three are set when a receipt came */
    struct uint256 gas_cost; /* wei */
    uint64_t gas_used;
    bool included;                    /* a receipt came, whether of success or not */
    const char *sponsor;              /* who pays, NULL when it did not come to that */
    uint32_t sends;                   /* eth_sendUserOperation of this run */
    uint32_t retry_after_s;           /* when a service wants to be asked again, 0 when none said so */
    struct operation_pending pending; /* may still be included: to go on with */
};

struct operation_callbacks {
    /* May be NULL. `detail` says more about the state (which call, which attempt) and lives during the call
     * only. Comes first from within operation_start. */
    void (*progress)(void *user, enum operation_state state, const char *detail);
    /* May be NULL. Right before something new is sent: what is pending from then on. */
    void (*sending)(void *user, const struct operation_pending *pending);
    /* Exactly once, from the loop, unless the operation is cancelled; the handle is invalid then. */
    void (*done)(void *user, const struct operation_result *result);
};

/* Starts; `callbacks` are copied. Returns NULL when memory is short or an argument is out of its bounds. */
struct operation *operation_start(const struct operation_services *services,
                                  const struct operation_request *request,
                                  const struct operation_callbacks *callbacks, void *user);

/* Ends it without a callback; what was sent may still be included. NULL is allowed. */
void operation_cancel(struct operation *operation);

const char *operation_state_name(enum operation_state state);

#endif
