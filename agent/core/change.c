#include "agent/core/change.h"

#include "crypto/keccak.h"

#define WORD 32

/* keccak(abi.encode(topic0, all event arguments in order)): every argument of these events is one word. */
static struct bytes32 change_hash(const struct core_change *change)
{
    static const char *const signatures[] = {
        [CORE_CHANGE_REGISTERED] = "MemberRegistered(bytes32,address,bytes32,bytes32,bytes32,bytes32)",
        [CORE_CHANGE_REMOVED] = "MemberRemoved(bytes32)",
        [CORE_CHANGE_WG_KEY] = "WgKeyPublished(bytes32,bytes32)",
        [CORE_CHANGE_ED25519_KEY] = "Ed25519KeyPublished(bytes32,bytes32)",
        [CORE_CHANGE_CSK_ROTATED] = "CskRotationStarted(uint64)",
        [CORE_CHANGE_CSK_COMMITTED] = "CskCommitmentSet(uint64,bytes32)",
    };
    const char *signature = signatures[change->type];
    const struct core_record *record = &change->registered;
    struct bytes32 words[7] = {keccak256(signature, strlen(signature))};
    size_t len = 1;

    switch (change->type) {
    case CORE_CHANGE_REGISTERED:
        words[1] = record->member_id;
        memcpy(words[2].b + WORD - sizeof(record->member_contract), record->member_contract.b,
               sizeof(record->member_contract));
        words[3] = record->attestor_id;
        words[4] = record->x_pubkey;
        words[5] = record->wg_pubkey;
        words[6] = record->ed25519_pubkey;
        len = 7;
        break;
    case CORE_CHANGE_REMOVED: words[len++] = change->removed; break;
    case CORE_CHANGE_WG_KEY:
    case CORE_CHANGE_ED25519_KEY:
        words[len++] = change->key.member_id;
        words[len++] = change->key.pubkey;
        break;
    case CORE_CHANGE_CSK_ROTATED: be64_write(words[len++].b + WORD - 8, change->csk.generation); break;
    case CORE_CHANGE_CSK_COMMITTED:
        be64_write(words[len++].b + WORD - 8, change->csk.generation);
        words[len++] = change->csk.commitment;
        break;
    }
    return keccak256(words, len * WORD);
}

/* keccak(head ‖ version ‖ change). */
static struct bytes32 change_extend(const struct bytes32 *head, uint64_t version,
                                    const struct core_change *change)
{
    const struct bytes32 hash = change_hash(change);
    uint8_t bytes[WORD + 8 + WORD];

    memcpy(bytes, head->b, WORD);
    be64_write(bytes + WORD, version);
    memcpy(bytes + WORD + 8, hash.b, WORD);
    return keccak256(bytes, sizeof(bytes));
}

struct core_chain_state change_apply(const struct core_chain_state *before, const struct core_change *change)
{
    struct core_chain_state after = *before;

    after.version++;
    after.head = change_extend(&before->head, after.version, change);
    switch (change->type) {
    case CORE_CHANGE_REGISTERED: after.members++; break;
    case CORE_CHANGE_REMOVED: after.removed++; break;
    case CORE_CHANGE_CSK_ROTATED:
        after.csk_generation = change->csk.generation;
        after.csk_commitment = (struct bytes32){0};
        break;
    case CORE_CHANGE_CSK_COMMITTED: after.csk_commitment = change->csk.commitment; break;
    case CORE_CHANGE_WG_KEY:
    case CORE_CHANGE_ED25519_KEY: break;
    }
    return after;
}
