/* Typed calls of our contracts (PROTOCOL section 2): call data out, results in. Pure.
 *
 * The put functions append one call to a writer, which the caller checks (`failed`) and frees. The take
 * functions return 0 or AM_EFORMAT, naming the call whose result does not have its shape.
 */
#ifndef EVM_CLUSTER_H
#define EVM_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/am_error.h"
#include "crypto/bytes.h"
#include "crypto/secp.h"
#include "evm/abi.h"

#define CLUSTER_PURPOSE_BINDING "attestmesh.binding.v1"

/* A member's public keys, in the order in which every call and hash takes them. */
struct cluster_keys {
    struct bytes32 x;
    struct bytes32 wg;
    struct bytes32 ed25519;
};

/* MemberView, and MemberRecord with a zero member_id. An absent member is all zero. */
struct cluster_member {
    struct bytes32 member_id;
    struct bytes32 attestor_id;
    struct address member_contract;
    uint32_t mesh_ip;       /* host order: 10.13.0.1 is 0x0a0d0001 */
    uint64_t registered_at; /* unix seconds */
    struct cluster_keys keys;
    bool removed;
};

struct cluster_state {
    uint64_t version;
    struct bytes32 head;
    uint64_t members; /* ever registered */
    uint64_t removed; /* of them */
    uint32_t cidr_ip; /* host order */
    uint8_t cidr_prefix;
    uint64_t csk_generation;
    struct bytes32 csk_commitment; /* zero while the generation is open */
    uint64_t inbox_count;
    struct bytes32 inbox_head;
};

/* DstackProof; the purpose is CLUSTER_PURPOSE_BINDING. */
struct dstack_proof {
    struct bytes32 code_id;
    struct bytes32 message_hash;
    struct secp_signature message_signature;
    struct secp_signature app_signature;
    struct secp_signature kms_signature;
    struct secp_pubkey derived_pubkey;
    struct secp_pubkey app_pubkey;
};

/* PROTOCOL 2.1 and 2.5. */
struct bytes32 cluster_attestor_id_dstack(void);
struct bytes32 cluster_member_id(const struct address *cluster, const struct address *member_contract,
                                 const struct bytes32 *attestor_id);
struct bytes32 cluster_bind_hash(const struct address *cluster, const struct address *member_contract,
                                 const struct cluster_keys *keys);

/* cluster() of a member contract. */
void cluster_put_cluster(struct abi_writer *out);
int cluster_take_cluster(const uint8_t *data, size_t len, struct address *out, struct am_err *err);

/* memberOf(address): a record; the caller knows the id. */
void cluster_put_member_of(struct abi_writer *out, const struct address *member_contract);
int cluster_take_member(const uint8_t *data, size_t len, struct cluster_member *out, struct am_err *err);

/* membersPage(offset, limit). At most `capacity` members are written; more in the answer is AM_EFORMAT. */
void cluster_put_members_page(struct abi_writer *out, uint64_t offset, uint64_t limit);
int cluster_take_members_page(const uint8_t *data, size_t len, size_t capacity, struct cluster_member *out,
                              size_t *count, uint64_t *total, struct am_err *err);

/* nodeState(memberId). */
void cluster_put_node_state(struct abi_writer *out, const struct bytes32 *member_id);
int cluster_take_node_state(const uint8_t *data, size_t len, struct cluster_state *out, struct am_err *err);

/* dstack_register(proof, memberContract, xPubKey, wgPubKey, ed25519PubKey). */
void cluster_put_dstack_register(struct abi_writer *out, const struct dstack_proof *proof,
                                 const struct address *member_contract, const struct cluster_keys *keys);

/* setCskCommitment(generation, commitment). */
void cluster_put_set_csk_commitment(struct abi_writer *out, uint64_t generation,
                                    const struct bytes32 *commitment);

/* publishWgKey(key). */
void cluster_put_publish_wg_key(struct abi_writer *out, const struct bytes32 *key);

/* send(recipientMemberId, envelopeId, ciphertext). */
void cluster_put_send(struct abi_writer *out, const struct bytes32 *recipient,
                      const struct bytes32 *envelope_id, const uint8_t *ciphertext, size_t len);

/* The member contract's execute(target, 0, data), which every UserOperation of ours calls. */
void cluster_put_execute(struct abi_writer *out, const struct address *target, const uint8_t *data,
                         size_t len);

/* current() of the IndexerRegistry. All empty when none was announced. */
#define CLUSTER_ENDPOINT_MAX 255
struct cluster_indexer {
    char endpoint[CLUSTER_ENDPOINT_MAX + 1]; /* host:port */
    struct bytes32 code_id;
    struct bytes32 key;
    uint64_t updated_at; /* unix seconds */
};
void cluster_put_indexer(struct abi_writer *out);
int cluster_take_indexer(const uint8_t *data, size_t len, struct cluster_indexer *out, struct am_err *err);

/* EntryPoint.getNonce(sender, key) with key 0. */
void cluster_put_get_nonce(struct abi_writer *out, const struct address *sender);

#endif
