#include "test/sim/chain.h"

#include <stdlib.h>

#include "agent/core/head.h"
#include "crypto/keccak.h"

#define CHAIN_NETWORK 0x0a0d0000u
#define CHAIN_PREFIX 16

void chain_free(struct chain *chain)
{
    free(chain->changes);
    free(chain->ever);
    free(chain->committed);
    *chain = (struct chain){0};
}

/* Makes room for one more element of an array. */
static void *chain_grow(void *array, size_t len, size_t *capacity, size_t size)
{
    if (len < *capacity)
        return array;
    *capacity = *capacity == 0 ? 16 : 2 * *capacity;
    array = reallocarray(array, *capacity, size);
    if (!array)
        abort();
    return array;
}

/* nodeState after the first `len` changes. */
static struct core_chain_state chain_state_after(const struct chain *chain, size_t len)
{
    return len > 0 ? chain->changes[len - 1].after
                   : (struct core_chain_state){.cidr_ip = CHAIN_NETWORK, .cidr_prefix = CHAIN_PREFIX};
}

/* Works out what nodeState is after change `i`. */
static void chain_settle(struct chain *chain, size_t i)
{
    struct chain_change *change = &chain->changes[i];
    struct core_chain_state state = chain_state_after(chain, i);

    switch (change->kind) {
    case CHAIN_REGISTRATION:
        state.head = head_after_registration(&state.head, ++state.version, &change->record);
        state.members++;
        break;
    case CHAIN_REMOVAL: /* MemberRemoved and CskRotationStarted; nobody recomputes their heads */
        state.version += 2;
        state.removed++;
        state.head = keccak256(&state.head, sizeof(state.head));
        state.csk_generation++;
        state.csk_commitment = (struct bytes32){0};
        break;
    case CHAIN_COMMITMENT:
        state.head = head_after_commitment(&state.head, ++state.version, change->csk.generation,
                                           &change->csk.commitment);
        state.csk_commitment = change->csk.commitment;
        break;
    case CHAIN_WG_KEY:
        state.version++;
        state.head = keccak256(&state.head, sizeof(state.head));
        break;
    }
    change->after = state;
}

static void chain_append(struct chain *chain, const struct chain_change *change)
{
    chain->changes = chain_grow(chain->changes, chain->len, &chain->capacity, sizeof(*chain->changes));
    chain->changes[chain->len++] = *change;
    chain_settle(chain, chain->len - 1);
}

static void chain_remember(struct chain *chain, const struct core_record *record)
{
    chain->ever = chain_grow(chain->ever, chain->ever_len, &chain->ever_capacity, sizeof(*chain->ever));
    chain->ever[chain->ever_len++] = *record;
}

bool chain_register(struct chain *chain, uint64_t block, const struct core_record *record)
{
    struct core_record present;

    if (chain_find(chain, UINT64_MAX, &record->member_contract, &present))
        return false;
    chain_append(chain, &(struct chain_change){.block = block, .record = *record});
    chain_remember(chain, record);
    chain->writes++;
    return true;
}

void chain_remove(struct chain *chain, uint64_t block, const struct bytes32 *member_id)
{
    for (size_t i = 0; i < chain->len; i++) {
        const struct core_record record = chain->changes[i].record;
        if (chain->changes[i].kind == CHAIN_REGISTRATION && bytes32_equal(&record.member_id, member_id)) {
            chain_append(chain,
                         &(struct chain_change){.block = block, .kind = CHAIN_REMOVAL, .record = record});
            return;
        }
    }
}

void chain_reorganise(struct chain *chain, uint64_t block, uint64_t again)
{
    size_t first = 0;

    while (first < chain->len && chain->changes[first].block <= block)
        first++;
    for (size_t i = first; i < chain->len; i++)
        if (chain->changes[i].kind == CHAIN_REMOVAL) /* a removal can not come before its registration */
            return;
    size_t kept = first;
    for (size_t i = first; i < chain->len; i++)
        if (chain->changes[i].kind != CHAIN_COMMITMENT && chain->changes[i].kind != CHAIN_WG_KEY)
            chain->changes[kept++] = chain->changes[i];
    chain->len = kept;
    for (size_t low = first, high = chain->len; low + 1 < high; low++, high--) {
        const struct chain_change change = chain->changes[low];
        chain->changes[low] = chain->changes[high - 1];
        chain->changes[high - 1] = change;
    }
    for (size_t i = first; i < chain->len; i++) {
        chain->changes[i].block = again;
        chain_settle(chain, i);
    }
}

void chain_state_at(const struct chain *chain, uint64_t block, struct core_chain_state *out)
{
    size_t len = chain->len;

    while (len > 0 && chain->changes[len - 1].block > block)
        len--;
    *out = chain_state_after(chain, len);
    out->block = block;
}

size_t chain_rows_at(const struct chain *chain, uint64_t block, struct core_record *rows, size_t capacity)
{
    size_t len = 0;

    for (size_t i = 0; i < chain->len && chain->changes[i].block <= block; i++) {
        const struct chain_change *change = &chain->changes[i];
        if (change->kind == CHAIN_REGISTRATION && len < capacity)
            rows[len++] = change->record;
        for (size_t row = 0; row < len; row++) {
            if (!bytes32_equal(&rows[row].member_id, &change->record.member_id))
                continue;
            rows[row].removed |= change->kind == CHAIN_REMOVAL;
            if (change->kind == CHAIN_WG_KEY)
                rows[row].wg_pubkey = change->record.wg_pubkey;
        }
    }
    return len;
}

bool chain_find(const struct chain *chain, uint64_t block, const struct address *contract,
                struct core_record *out)
{
    bool found = false;

    for (size_t i = 0; i < chain->len && chain->changes[i].block <= block; i++) {
        const struct chain_change *change = &chain->changes[i];
        if (change->kind == CHAIN_COMMITMENT || !address_equal(&change->record.member_contract, contract))
            continue;
        *out = change->record;
        out->removed = change->kind == CHAIN_REMOVAL;
        found = true;
    }
    return found;
}

static bool chain_had_key(const struct chain *chain, const struct bytes32 *key)
{
    for (size_t i = 0; i < chain->len; i++)
        if (bytes32_equal(&chain->changes[i].record.wg_pubkey, key))
            return true;
    return false;
}

bool chain_publish(struct chain *chain, uint64_t block, const struct address *contract,
                   const struct bytes32 *key)
{
    struct core_record record;

    if (!chain_find(chain, UINT64_MAX, contract, &record) || record.removed || chain_had_key(chain, key))
        return false;
    record.wg_pubkey = *key;
    chain_append(chain, &(struct chain_change){.block = block, .kind = CHAIN_WG_KEY, .record = record});
    chain_remember(chain, &record);
    return true;
}

/* The live member with the lowest index; false when nobody is. */
static bool chain_keyholder(const struct chain *chain, struct bytes32 *out)
{
    for (size_t i = 0; i < chain->len; i++) {
        const struct core_record *record = &chain->changes[i].record;
        bool removed = false;
        if (chain->changes[i].kind != CHAIN_REGISTRATION)
            continue;
        for (size_t later = i; later < chain->len; later++)
            removed |= chain->changes[later].kind == CHAIN_REMOVAL &&
                       bytes32_equal(&chain->changes[later].record.member_id, &record->member_id);
        if (removed)
            continue;
        *out = record->member_id;
        return true;
    }
    return false;
}

bool chain_was_committed(const struct chain *chain, uint64_t generation, const struct bytes32 *commitment)
{
    for (size_t i = 0; i < chain->committed_len; i++)
        if (chain->committed[i].generation == generation &&
            bytes32_equal(&chain->committed[i].commitment, commitment))
            return true;
    return false;
}

bool chain_commit(struct chain *chain, uint64_t block, const struct bytes32 *member_id,
                  const struct core_csk *csk)
{
    struct core_chain_state state;
    struct bytes32 keyholder;

    chain_state_at(chain, UINT64_MAX, &state);
    if (!chain_keyholder(chain, &keyholder) || !bytes32_equal(&keyholder, member_id) ||
        state.csk_generation != csk->generation || !bytes32_is_zero(&state.csk_commitment))
        return false;
    chain_append(chain, &(struct chain_change){.block = block, .kind = CHAIN_COMMITMENT, .csk = *csk});
    chain->committed = chain_grow(chain->committed, chain->committed_len, &chain->committed_capacity,
                                  sizeof(*chain->committed));
    chain->committed[chain->committed_len++] = *csk;
    return true;
}
