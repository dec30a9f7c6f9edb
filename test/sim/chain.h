/* A made-up chain: one block a second, a registry as a list of changes, state at any block by replaying it.
 */
#ifndef TEST_SIM_CHAIN_H
#define TEST_SIM_CHAIN_H

#include "agent/core/core.h"

struct chain_change {
    uint64_t block;
    struct core_change event;
    struct core_chain_state after; /* nodeState from then on */
};

/* A member that was registered on some fork. */
struct chain_member {
    struct bytes32 member_id;
    struct bytes32 wg_pubkey; /* that it registered with */
    uint32_t mesh_ip;
    uint64_t removed; /* in this block, CORE_NEVER when it was not */
};

struct chain {
    struct chain_change *changes;
    size_t len;
    size_t capacity;
    struct chain_member *ever; /* a hash table by mesh address, of a power of two places; 0 is an empty one */
    size_t ever_len;
    size_t ever_capacity;
    struct core_csk *committed; /* every commitment on any fork */
    size_t committed_len;
    size_t committed_capacity;
    uint64_t writes;
    uint64_t *forks; /* the last common block of each reorganisation */
    size_t forks_len;
    size_t forks_capacity;
};

void chain_free(struct chain *chain);

/* False when the contract is registered already: the call reverts. */
bool chain_register(struct chain *chain, uint64_t block, const struct core_record *record);
void chain_remove(struct chain *chain, uint64_t block, const struct bytes32 *member_id);

/* False when the call reverts: not the keyholder, not the present generation, or committed to already. */
bool chain_commit(struct chain *chain, uint64_t block, const struct bytes32 *member_id,
                  const struct core_csk *csk);

/* False when the call reverts: no live member, or a key that somebody has or had. */
bool chain_publish(struct chain *chain, uint64_t block, const struct address *contract,
                   const struct bytes32 *key);

/* Whether there was this commitment on any fork. */
bool chain_was_committed(const struct chain *chain, uint64_t generation, const struct bytes32 *commitment);

/* Who had this mesh address on any fork; NULL when nobody did. */
const struct chain_member *chain_ever(const struct chain *chain, uint32_t mesh_ip);

/* Undoes the changes after `block`, and makes them again at `again`: registrations in the opposite order,
 * then removals. Commitments and WireGuard keys are lost. Returns whether changes may have changed their
 * places. */
bool chain_reorganise(struct chain *chain, uint64_t block, uint64_t again);

/* The hash of the block that has this number now. */
struct bytes32 chain_block_hash(const struct chain *chain, uint64_t block);

/* nodeState at a block. */
void chain_state_at(const struct chain *chain, uint64_t block, struct core_chain_state *out);

/* The newest changes of blocks from..to, at most `capacity`, in order; returns their number. */
size_t chain_changes_in(const struct chain *chain, uint64_t from, uint64_t to, struct core_change *out,
                        size_t capacity);

/* Rows at a block, at most `capacity`; returns their number. */
size_t chain_rows_at(const struct chain *chain, uint64_t block, struct core_record *rows, size_t capacity);

/* Whether the member is registered and not removed. */
bool chain_is_live(const struct chain *chain, const struct bytes32 *member_id);

/* The record of a contract at a block; false when there is none. */
bool chain_find(const struct chain *chain, uint64_t block, const struct address *contract,
                struct core_record *out);

/* Makes room for one more element of an array of `len`, which is then the caller's to free. */
void *array_grow(void *array, size_t len, size_t *capacity, size_t size);

#endif
