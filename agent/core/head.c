#include "agent/core/head.h"

#include "crypto/keccak.h"

#define MEMBER_REGISTERED "MemberRegistered(bytes32,address,bytes32,bytes32,bytes32,bytes32)"
#define CSK_COMMITMENT_SET "CskCommitmentSet(uint64,bytes32)"

/* keccak(abi.encode(topic0, all event arguments in order)): seven words. */
static struct bytes32 head_hash_registration(const struct core_record *record)
{
    static const uint8_t address_padding[12];
    struct bytes32 topic = keccak256(MEMBER_REGISTERED, sizeof(MEMBER_REGISTERED) - 1);
    struct bytes32 hash;
    struct keccak k;

    keccak_init(&k);
    keccak_update(&k, topic.b, sizeof(topic.b));
    keccak_update(&k, record->member_id.b, sizeof(record->member_id.b));
    keccak_update(&k, address_padding, sizeof(address_padding));
    keccak_update(&k, record->member_contract.b, sizeof(record->member_contract.b));
    keccak_update(&k, record->attestor_id.b, sizeof(record->attestor_id.b));
    keccak_update(&k, record->x_pubkey.b, sizeof(record->x_pubkey.b));
    keccak_update(&k, record->wg_pubkey.b, sizeof(record->wg_pubkey.b));
    keccak_update(&k, record->ed25519_pubkey.b, sizeof(record->ed25519_pubkey.b));
    keccak_final(&k, &hash);
    return hash;
}

/* keccak(head ‖ version ‖ change). */
static struct bytes32 head_extend(const struct bytes32 *head, uint64_t version, const struct bytes32 *change)
{
    struct bytes32 next;
    uint8_t version_bytes[8];
    struct keccak k;

    be64_write(version_bytes, version);
    keccak_init(&k);
    keccak_update(&k, head->b, sizeof(head->b));
    keccak_update(&k, version_bytes, sizeof(version_bytes));
    keccak_update(&k, change->b, sizeof(change->b));
    keccak_final(&k, &next);
    return next;
}

struct bytes32 head_after_registration(const struct bytes32 *head, uint64_t version,
                                       const struct core_record *record)
{
    struct bytes32 change = head_hash_registration(record);

    return head_extend(head, version, &change);
}

struct bytes32 head_after_commitment(const struct bytes32 *head, uint64_t version, uint64_t generation,
                                     const struct bytes32 *commitment)
{
    uint8_t words[3 * 32] = {0};
    struct bytes32 topic = keccak256(CSK_COMMITMENT_SET, sizeof(CSK_COMMITMENT_SET) - 1);

    memcpy(words, topic.b, sizeof(topic.b));
    be64_write(words + 56, generation);
    memcpy(words + 64, commitment->b, sizeof(commitment->b));
    struct bytes32 change = keccak256(words, sizeof(words));
    return head_extend(head, version, &change);
}
