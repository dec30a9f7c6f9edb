/* How a node proves what it is. A module knows one attestation method: it derives the node's keys and builds
 * the call that registers the node with the facet of the same method (PROTOCOL sections 2.5, 2.6, 3 and 4).
 *
 * Nothing blocks; callbacks come from the loop, never from within the call that starts the work.
 */
#ifndef AGENT_ATTEST_ATTESTOR_H
#define AGENT_ATTEST_ATTESTOR_H

#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"
#include "crypto/bytes.h"
#include "crypto/secret.h"
#include "evm/abi.h"
#include "evm/cluster.h"

/* The keys of PROTOCOL section 3. */
enum attest_key {
    ATTEST_KEY_IDENTITY,       /* X25519 secret and Ed25519 seed */
    ATTEST_KEY_WIREGUARD,      /* has generations */
    ATTEST_KEY_BINDING,        /* secp256k1: signs the registration, owns the account */
    ATTEST_KEY_CLUSTER_SHARED, /* has generations */
    ATTEST_KEY_CSK_CACHE,
    ATTEST_KEY_INDEXER_SIGNING,
};

/* Who this node is. The secrets belong to the attestor and live as long as it does. */
struct attest_identity {
    struct bytes32 attestor_id;
    struct address app_id; /* the member contract, unless the operator says otherwise */
    const struct secret *seed;
    const struct secret *wireguard; /* generation 0 */
    const struct secret *owner;
    struct cluster_keys keys; /* the public ones, of WireGuard generation 0 */
    struct address owner_address;
};

/* `identity` is NULL when it could not be had; `err` then says why. Another attempt may succeed, unless
 * err->code is AM_ECONFIG. */
typedef void (*attest_identity_fn)(void *user, const struct attest_identity *identity,
                                   const struct am_err *err);

/* `key` passes into the callee's hands; NULL when it could not be had. */
typedef void (*attest_key_fn)(void *user, struct secret *key, const struct am_err *err);

/* `quote` lives during the call; NULL when it could not be had. */
typedef void (*attest_quote_fn)(void *user, const uint8_t *quote, size_t quote_len, const struct am_err *err);

#define ATTEST_REPORT_DATA_SIZE 64

struct attestor {
    const struct attestor_ops *ops;
};

struct attestor_ops {
    const char *name;
    int (*read_identity)(struct attestor *attestor, attest_identity_fn done, void *user);
    int (*derive_key)(struct attestor *attestor, enum attest_key key, uint64_t generation, attest_key_fn done,
                      void *user);
    int (*read_quote)(struct attestor *attestor, const uint8_t report_data[ATTEST_REPORT_DATA_SIZE],
                      attest_quote_fn done, void *user);
    int (*build_registration)(const struct attestor *attestor, const struct address *cluster,
                              const struct address *member_contract, const struct cluster_keys *keys,
                              struct abi_writer *calldata, struct am_err *err);
    void (*free)(struct attestor *attestor);
};

/* Derives the keys, checks that their proofs hang together, and calls `done` once. One at a time: a new call
 * takes the place of one that has not answered. The identity stays valid until the next read. Returns 0, or
 * -ENOMEM: then no call comes. */
static inline int attestor_read_identity(struct attestor *attestor, attest_identity_fn done, void *user)
{
    return attestor->ops->read_identity(attestor, done, user);
}

/* Derives one key and calls `done` once. `generation` is ignored by keys that have none. Returns 0, or
 * -ENOMEM: then no call comes. */
static inline int attestor_derive_key(struct attestor *attestor, enum attest_key key, uint64_t generation,
                                      attest_key_fn done, void *user)
{
    return attestor->ops->derive_key(attestor, key, generation, done, user);
}

/* Has the TEE quote `report_data` and calls `done` once. Returns 0, or -ENOMEM: then no call comes. */
static inline int attestor_read_quote(struct attestor *attestor,
                                      const uint8_t report_data[ATTEST_REPORT_DATA_SIZE],
                                      attest_quote_fn done, void *user)
{
    return attestor->ops->read_quote(attestor, report_data, done, user);
}

/* Writes the call to the cluster that registers `member_contract` with `keys` into an empty writer. Returns
 * 0, -EAGAIN before the identity was read, or -ENOMEM. */
static inline int attestor_build_registration(const struct attestor *attestor, const struct address *cluster,
                                              const struct address *member_contract,
                                              const struct cluster_keys *keys, struct abi_writer *calldata,
                                              struct am_err *err)
{
    return attestor->ops->build_registration(attestor, cluster, member_contract, keys, calldata, err);
}

/* Drops what is in flight without a callback, wipes the keys and frees; NULL is allowed. */
static inline void attestor_free(struct attestor *attestor)
{
    if (attestor)
        attestor->ops->free(attestor);
}

#endif
