#include "test/sim/chain.h"

#include <stdlib.h>

#include "agent/core/change.h"

#define CHAIN_NETWORK 0x0a0d0000u
#define CHAIN_PREFIX 16

void chain_free(struct chain *chain)
{
    free(chain->changes);
    free(chain->ever);
    free(chain->committed);
    free(chain->forks);
    *chain = (struct chain){0};
}

void *array_grow(void *array, size_t len, size_t *capacity, size_t size)
{
    if (len < *capacity)
        return array;
    *capacity = *capacity == 0 ? 64 : 2 * *capacity;
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

static void chain_settle(struct chain *chain, size_t i)
{
    const struct core_chain_state before = chain_state_after(chain, i);

    chain->changes[i].after = change_apply(&before, &chain->changes[i].event);
}

static void chain_append(struct chain *chain, uint64_t block, const struct core_change *event)
{
    chain->changes = array_grow(chain->changes, chain->len, &chain->capacity, sizeof(*chain->changes));
    chain->changes[chain->len++] = (struct chain_change){.block = block, .event = *event};
    chain_settle(chain, chain->len - 1);
}

static struct chain_member *chain_place(struct chain_member *ever, size_t capacity, uint32_t mesh_ip)
{
    size_t at = mesh_ip & (capacity - 1);

    while (ever[at].mesh_ip != 0 && ever[at].mesh_ip != mesh_ip)
        at = (at + 1) & (capacity - 1);
    return &ever[at];
}

static void chain_remember(struct chain *chain, const struct core_record *record)
{
    if (2 * chain->ever_len >= chain->ever_capacity) {
        size_t capacity = chain->ever_capacity == 0 ? 32 : 2 * chain->ever_capacity;
        struct chain_member *wider = calloc(capacity, sizeof(*wider));
        if (!wider)
            abort();
        for (size_t i = 0; i < chain->ever_capacity; i++)
            if (chain->ever[i].mesh_ip != 0)
                *chain_place(wider, capacity, chain->ever[i].mesh_ip) = chain->ever[i];
        free(chain->ever);
        chain->ever = wider;
        chain->ever_capacity = capacity;
    }
    struct chain_member *place = chain_place(chain->ever, chain->ever_capacity, record->mesh_ip);
    chain->ever_len += place->mesh_ip == 0;
    *place = (struct chain_member){.member_id = record->member_id,
                                   .wg_pubkey = record->wg_pubkey,
                                   .mesh_ip = record->mesh_ip,
                                   .removed = CORE_NEVER};
}

const struct chain_member *chain_ever(const struct chain *chain, uint32_t mesh_ip)
{
    if (chain->ever_capacity == 0)
        return NULL;
    const struct chain_member *place = chain_place(chain->ever, chain->ever_capacity, mesh_ip);
    return place->mesh_ip == mesh_ip ? place : NULL;
}

bool chain_register(struct chain *chain, uint64_t block, const struct core_record *record)
{
    struct core_record present;

    if (chain_find(chain, UINT64_MAX, &record->member_contract, &present))
        return false;
    chain_append(chain, block, &(struct core_change){.type = CORE_CHANGE_REGISTERED, .registered = *record});
    chain_remember(chain, record);
    chain->writes++;
    return true;
}

static void chain_open_generation(struct chain *chain, uint64_t block)
{
    const uint64_t generation = chain_state_after(chain, chain->len).csk_generation + 1;

    chain_append(chain, block,
                 &(struct core_change){.type = CORE_CHANGE_CSK_ROTATED, .csk = {.generation = generation}});
}

void chain_remove(struct chain *chain, uint64_t block, const struct bytes32 *member_id)
{
    for (size_t i = 0; i < chain->ever_capacity; i++)
        if (chain->ever[i].mesh_ip != 0 && bytes32_equal(&chain->ever[i].member_id, member_id))
            chain->ever[i].removed = block;
    chain_append(chain, block, &(struct core_change){.type = CORE_CHANGE_REMOVED, .removed = *member_id});
    chain_open_generation(chain, block);
}

bool chain_reorganise(struct chain *chain, uint64_t block, uint64_t again)
{
    size_t first = 0;

    while (first < chain->len && chain->changes[first].block <= block)
        first++;
    const size_t len = chain->len - first;
    struct chain_change *undone = calloc(len + 1, sizeof(*undone));
    if (!undone)
        abort();
    if (len > 0)
        memcpy(undone, chain->changes + first, len * sizeof(*undone));
    chain->len = first;
    for (size_t i = len; i-- > 0;)
        if (undone[i].event.type == CORE_CHANGE_REGISTERED)
            chain_append(chain, again, &undone[i].event);
    for (size_t i = 0; i < len; i++)
        if (undone[i].event.type == CORE_CHANGE_REMOVED)
            chain_remove(chain, again, &undone[i].event.removed);
    free(undone);
    chain->forks = array_grow(chain->forks, chain->forks_len, &chain->forks_capacity, sizeof(*chain->forks));
    chain->forks[chain->forks_len++] = block;
    return len > 1;
}

/* A block is another one after each reorganisation that it was undone by. */
struct bytes32 chain_block_hash(const struct chain *chain, uint64_t block)
{
    struct bytes32 hash = {{0xb1}};
    uint64_t undone = 0;

    for (size_t i = 0; i < chain->forks_len; i++)
        undone += chain->forks[i] < block;
    be64_write(hash.b + 16, undone);
    be64_write(hash.b + 24, block);
    return hash;
}

void chain_state_at(const struct chain *chain, uint64_t block, struct core_chain_state *out)
{
    size_t len = chain->len;

    while (len > 0 && chain->changes[len - 1].block > block)
        len--;
    *out = chain_state_after(chain, len);
    out->block = block;
    out->block_hash = chain_block_hash(chain, block);
}

size_t chain_changes_in(const struct chain *chain, uint64_t from, uint64_t to, struct core_change *out,
                        size_t capacity)
{
    size_t end = chain->len, first, len;

    while (end > 0 && chain->changes[end - 1].block > to)
        end--;
    for (first = end; first > 0 && end - first < capacity && chain->changes[first - 1].block >= from; first--)
        ;
    for (len = 0; first + len < end; len++)
        out[len] = chain->changes[first + len].event;
    return len;
}

size_t chain_rows_at(const struct chain *chain, uint64_t block, struct core_record *rows, size_t capacity)
{
    size_t len = 0;

    for (size_t i = 0; i < chain->len && chain->changes[i].block <= block; i++) {
        const struct core_change *event = &chain->changes[i].event;
        if (event->type == CORE_CHANGE_REGISTERED && len < capacity)
            rows[len++] = event->registered;
        for (size_t row = 0; event->type == CORE_CHANGE_REMOVED && row < len; row++)
            rows[row].removed |= bytes32_equal(&rows[row].member_id, &event->removed);
        for (size_t row = 0; event->type == CORE_CHANGE_WG_KEY && row < len; row++)
            if (bytes32_equal(&rows[row].member_id, &event->key.member_id))
                rows[row].wg_pubkey = event->key.pubkey;
    }
    return len;
}

bool chain_is_live(const struct chain *chain, const struct bytes32 *member_id)
{
    bool live = false;

    for (size_t i = 0; i < chain->len; i++) {
        const struct core_change *event = &chain->changes[i].event;
        if (event->type == CORE_CHANGE_REGISTERED && bytes32_equal(&event->registered.member_id, member_id))
            live = true;
        if (event->type == CORE_CHANGE_REMOVED && bytes32_equal(&event->removed, member_id))
            live = false;
    }
    return live;
}

bool chain_find(const struct chain *chain, uint64_t block, const struct address *contract,
                struct core_record *out)
{
    bool found = false;

    for (size_t i = 0; i < chain->len && chain->changes[i].block <= block; i++) {
        const struct core_change *event = &chain->changes[i].event;
        if (event->type == CORE_CHANGE_REGISTERED &&
            address_equal(&event->registered.member_contract, contract)) {
            *out = event->registered;
            found = true;
        }
        if (event->type == CORE_CHANGE_REMOVED && found && bytes32_equal(&event->removed, &out->member_id))
            out->removed = true;
        if (event->type == CORE_CHANGE_WG_KEY && found &&
            bytes32_equal(&event->key.member_id, &out->member_id))
            out->wg_pubkey = event->key.pubkey;
    }
    return found;
}

static bool chain_had_key(const struct chain *chain, const struct bytes32 *key)
{
    for (size_t i = 0; i < chain->len; i++) {
        const struct core_change *event = &chain->changes[i].event;
        if ((event->type == CORE_CHANGE_REGISTERED && bytes32_equal(&event->registered.wg_pubkey, key)) ||
            (event->type == CORE_CHANGE_WG_KEY && bytes32_equal(&event->key.pubkey, key)))
            return true;
    }
    return false;
}

bool chain_publish(struct chain *chain, uint64_t block, const struct address *contract,
                   const struct bytes32 *key)
{
    struct core_record record;

    if (!chain_find(chain, UINT64_MAX, contract, &record) || record.removed || chain_had_key(chain, key))
        return false;
    chain_append(chain, block,
                 &(struct core_change){.type = CORE_CHANGE_WG_KEY, .key = {record.member_id, *key}});
    return true;
}

/* The live member with the lowest index; false when nobody is. */
static bool chain_keyholder(const struct chain *chain, struct bytes32 *out)
{
    for (size_t i = 0; i < chain->len; i++) {
        const struct core_change *event = &chain->changes[i].event;
        if (event->type == CORE_CHANGE_REGISTERED &&
            chain_ever(chain, event->registered.mesh_ip)->removed == CORE_NEVER) {
            *out = event->registered.member_id;
            return true;
        }
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
    chain_append(
        chain, block,
        &(struct core_change){.type = CORE_CHANGE_CSK_COMMITTED, .csk = {csk->generation, csk->commitment}});
    chain->committed = array_grow(chain->committed, chain->committed_len, &chain->committed_capacity,
                                  sizeof(*chain->committed));
    chain->committed[chain->committed_len++] = *csk;
    return true;
}
