/* Typed, asynchronous reads of a chain. Each is one JSON-RPC call; the answer is checked and decoded before
 * the callback sees it. Reads that must agree with each other are pinned to one block by its hash (EIP-1898):
 * an RPC that does not have that very block answers with an error. */
#ifndef EVM_CHAIN_H
#define EVM_CHAIN_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/bytes.h"
#include "evm/cluster.h"
#include "evm/rpc.h"
#include "evm/uint256.h"

#define CHAIN_PAGE_MAX                                                                                       \
    100 /* members asked for in one page; 288 bytes each in the answer, twice that in hex */

struct chain_read;

struct chain_block {
    uint64_t number;
    uint64_t timestamp; /* unix seconds */
    struct bytes32 hash;
    struct uint256 base_fee; /* wei per gas; zero on chains without one */
};

struct chain_page {
    const struct cluster_member *members; /* live during the callback only */
    size_t count;
    uint64_t total; /* registry length, removed ones included */
};

/* `code` is 0, or: AM_EREVERT (reason in `error`), AM_EMISMATCH (no contract there, or another chain),
 * AM_EFORMAT, or one of rpc_result's. The member that the read names is set when it is 0. */
struct chain_result {
    int code;
    const char *error; /* one line: what, where, why; NULL when code is 0 */
    uint32_t retry_after_s;
    union {
        struct chain_block block;
        struct uint256 number;
        struct address address;
        struct cluster_member member;
        struct cluster_state state;
        struct chain_page page;
        struct cluster_indexer indexer;
    };
};

typedef void (*chain_done_fn)(void *user, const struct chain_result *result);

/* All of them: `done` comes exactly once from the loop, unless the read is cancelled; NULL when memory is
 * short or too much is under way. `block` is a hash, NULL for the latest block. */

/* The latest block -> block */
struct chain_read *chain_read_block(struct rpc *node, chain_done_fn done, void *user);

/* That of a number; one that is not there yet is AM_EFORMAT -> block */
struct chain_read *chain_read_block_at(struct rpc *node, uint64_t number, chain_done_fn done, void *user);

/* A priority fee that gets included, wei per gas -> number */
struct chain_read *chain_read_tip(struct rpc *node, chain_done_fn done, void *user);

/* EntryPoint.getNonce(sender, 0) -> number */
struct chain_read *chain_read_nonce(struct rpc *node, const struct address *entry_point,
                                    const struct address *sender, chain_done_fn done, void *user);

/* cluster() of a member contract -> address */
struct chain_read *chain_read_cluster(struct rpc *node, const struct address *member_contract,
                                      chain_done_fn done, void *user);

/* memberOf(member_contract) -> member; its member_id is set from the record, all zero when there is none */
struct chain_read *chain_read_member(struct rpc *node, const struct address *cluster,
                                     const struct address *member_contract, const struct bytes32 *block,
                                     chain_done_fn done, void *user);

/* nodeState(member_id) -> state */
struct chain_read *chain_read_state(struct rpc *node, const struct address *cluster,
                                    const struct bytes32 *member_id, const struct bytes32 *block,
                                    chain_done_fn done, void *user);

/* membersPage(offset, limit), limit up to CHAIN_PAGE_MAX -> page */
struct chain_read *chain_read_page(struct rpc *node, const struct address *cluster, uint64_t offset,
                                   uint64_t limit, const struct bytes32 *block, chain_done_fn done,
                                   void *user);

/* current() of the IndexerRegistry -> indexer */
struct chain_read *chain_read_indexer(struct rpc *node, const struct address *registry, chain_done_fn done,
                                      void *user);

/* Ends a read without a callback; NULL is allowed. The handle is invalid once `done` has been called. */
void chain_read_cancel(struct chain_read *read);

/* What an rpc_result says, in chain_result's codes: errors that carry a revert become AM_EREVERT with the
 * reason in the text. Returns the code, 0 when the result is good. */
int chain_error_of_rpc(const struct rpc_result *result, struct am_err *err);

#endif
