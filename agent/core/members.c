#include "agent/core/members.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/core/address.h"
#include "agent/core/csk.h"
#include "agent/core/device.h"
#include "agent/core/links.h"
#include "agent/core/liveness.h"

#define MEMBERS_CAPACITY_MIN 16

uint32_t members_index(const struct members *members, const struct row *row)
{
    return (uint32_t)(row - members->rows);
}

void members_ask(struct members *members, uint32_t index, uint32_t asks)
{
    struct row *row = &members->rows[index];

    if (row->pending == 0 && asks != 0) {
        row->pending_next = CORE_NO_INDEX;
        if (members->pending_first == CORE_NO_INDEX)
            members->pending_first = index;
        else
            members->rows[members->pending_last].pending_next = index;
        members->pending_last = index;
    }
    row->pending |= asks;
}

/* Buckets of live rows, so that a key or an address finds its holders. Keys and addresses are hashes or curve
 * points already: their first bytes spread well enough. */

static uint32_t *members_key_bucket(struct members *members, const struct bytes32 *key)
{
    return &members->key_buckets[be32_read(key->b) & (members->capacity - 1)];
}

static uint32_t *members_address_bucket(struct members *members, uint32_t address)
{
    return &members->address_buckets[address & (members->capacity - 1)];
}

static uint32_t *members_id_bucket(const struct members *members, const struct bytes32 *member_id)
{
    return &members->id_buckets[be32_read(member_id->b) & (members->capacity - 1)];
}

static void members_link_row(struct members *members, uint32_t index)
{
    struct row *row = &members->rows[index];
    uint32_t *key = members_key_bucket(members, &row->record.wg_pubkey);
    uint32_t *address = members_address_bucket(members, row->record.mesh_ip);
    uint32_t *id = members_id_bucket(members, &row->record.member_id);

    row->same_key_next = *key;
    *key = index;
    row->same_address_next = *address;
    *address = index;
    row->same_id_next = *id;
    *id = index;
}

static void members_unlink_row(struct members *members, uint32_t index)
{
    struct row *row = &members->rows[index];
    uint32_t *at = members_key_bucket(members, &row->record.wg_pubkey);

    while (*at != index)
        at = &members->rows[*at].same_key_next;
    *at = row->same_key_next;
    at = members_address_bucket(members, row->record.mesh_ip);
    while (*at != index)
        at = &members->rows[*at].same_address_next;
    *at = row->same_address_next;
    at = members_id_bucket(members, &row->record.member_id);
    while (*at != index)
        at = &members->rows[*at].same_id_next;
    *at = row->same_id_next;
}

static void members_rebuild_buckets(struct members *members)
{
    for (uint32_t i = 0; i < members->capacity; i++)
        members->key_buckets[i] = members->address_buckets[i] = members->id_buckets[i] = CORE_NO_INDEX;
    for (uint32_t i = 0; i < members->count; i++)
        if (!members->rows[i].record.removed)
            members_link_row(members, i);
}

int members_reserve(struct core *core, uint32_t count)
{
    struct members *members = &core->members;
    uint32_t capacity = members->capacity == 0 ? MEMBERS_CAPACITY_MIN : members->capacity;

    while (capacity < count)
        capacity *= 2;
    if (capacity == members->capacity)
        return 0;
    uint32_t *keys = calloc(capacity, sizeof(*keys));
    uint32_t *addresses = calloc(capacity, sizeof(*addresses));
    uint32_t *ids = calloc(capacity, sizeof(*ids));
    struct row *rows = NULL;
    if (!keys || !addresses || !ids || timers_reserve(&core->links.dials, capacity) < 0 ||
        liveness_reserve(&core->liveness, capacity) < 0 ||
        !(rows = reallocarray(members->rows, capacity, sizeof(*rows)))) {
        free(keys);
        free(addresses);
        free(ids);
        return -ENOMEM;
    }
    free(members->key_buckets);
    free(members->address_buckets);
    free(members->id_buckets);
    members->rows = rows;
    members->key_buckets = keys;
    members->address_buckets = addresses;
    members->id_buckets = ids;
    members->capacity = capacity;
    members_rebuild_buckets(members);
    return 0;
}

void members_release(struct members *members)
{
    free(members->rows);
    free(members->key_buckets);
    free(members->address_buckets);
    free(members->id_buckets);
}

/* The oldest other live row with the same key, CORE_NO_INDEX when there is none. */
static uint32_t members_oldest_with_key(struct members *members, const struct row *row)
{
    uint32_t oldest = CORE_NO_INDEX;

    for (uint32_t i = *members_key_bucket(members, &row->record.wg_pubkey); i != CORE_NO_INDEX;
         i = members->rows[i].same_key_next)
        if (i < oldest && &members->rows[i] != row &&
            bytes32_equal(&members->rows[i].record.wg_pubkey, &row->record.wg_pubkey))
            oldest = i;
    return oldest;
}

static uint32_t members_oldest_with_address(struct members *members, const struct row *row)
{
    uint32_t oldest = CORE_NO_INDEX;

    for (uint32_t i = *members_address_bucket(members, row->record.mesh_ip); i != CORE_NO_INDEX;
         i = members->rows[i].same_address_next)
        if (i < oldest && &members->rows[i] != row && members->rows[i].record.mesh_ip == row->record.mesh_ip)
            oldest = i;
    return oldest;
}

/* Why a live row that is not ours can not be a peer. What this node uses itself is nobody else's, whatever
 * the order in the registry. */
static enum core_refusal members_judge(struct core *core, const struct row *row, uint32_t *older)
{
    struct members *members = &core->members;
    const struct core_chain_state *mesh = &core->registry.target;
    uint32_t index = members_index(members, row);

    *older = members->self;
    if (bytes32_is_zero(&row->record.wg_pubkey))
        return CORE_REFUSAL_NO_KEY;
    if (!mesh_network_has_host(mesh->cidr_ip, mesh->cidr_prefix, row->record.mesh_ip))
        return CORE_REFUSAL_OUTSIDE_NETWORK;
    if (bytes32_equal(&row->record.wg_pubkey, &core->node.wg_pubkey))
        return CORE_REFUSAL_SAME_KEY;
    if (row->record.mesh_ip == core->node.mesh_ip)
        return CORE_REFUSAL_SAME_ADDRESS;
    *older = members_oldest_with_key(members, row);
    if (*older < index)
        return CORE_REFUSAL_SAME_KEY;
    *older = members_oldest_with_address(members, row);
    return *older < index ? CORE_REFUSAL_SAME_ADDRESS : CORE_REFUSAL_NONE;
}

void members_set_up(struct core *core, struct row *row, bool up)
{
    if (row->up == up)
        return;
    row->up = up;
    core->members.up += up ? 1 : UINT32_MAX;
    if (up)
        csk_wake(core);
    members_ask(&core->members, members_index(&core->members, row), up ? ROW_TELL_UP : ROW_TELL_DOWN);
}

static void members_want(struct core *core, struct row *row, bool wanted)
{
    uint32_t index = members_index(&core->members, row);

    if (row->wanted == wanted)
        return;
    row->wanted = wanted;
    core->members.wanted += wanted ? 1 : UINT32_MAX;
    device_note_change(core, index);
    if (wanted) {
        row->handshake_seen = false;
        row->rx_bytes = row->tx_bytes = 0;
        members_ask(&core->members, index, ROW_SET_STREAM);
        links_start(core, index);
        return;
    }
    members_set_up(core, row, false);
    links_stop(core, index);
    csk_forget_peer(core, row);
    row->pending &= ~(uint32_t)(ROW_SET_STREAM | ROW_DIAL | ROW_PULL_CSK);
    members_ask(&core->members, index, ROW_REMOVE_STREAM);
}

static void members_settle(struct core *core, uint32_t index)
{
    struct row *row = &core->members.rows[index];
    bool peer = !row->record.removed && !row->is_self;
    uint32_t older = CORE_NO_INDEX;
    enum core_refusal refusal = peer ? members_judge(core, row, &older) : CORE_REFUSAL_NONE;

    if (refusal != row->refusal) {
        core->members.refused +=
            (refusal != CORE_REFUSAL_NONE) - (uint32_t)(row->refusal != CORE_REFUSAL_NONE);
        if (refusal != CORE_REFUSAL_NONE)
            members_ask(&core->members, index, ROW_TELL_REFUSED);
    }
    row->refusal = refusal;
    row->older_index = older;
    members_want(core, row, peer && refusal == CORE_REFUSAL_NONE);
    liveness_settle(core, index);
}

/* Settles every live row that shares a bucket with `row`: among them are those whose claim it decides. */
static void members_settle_rivals(struct core *core, const struct row *row)
{
    struct members *members = &core->members;

    for (uint32_t i = *members_key_bucket(members, &row->record.wg_pubkey); i != CORE_NO_INDEX;
         i = members->rows[i].same_key_next)
        members_settle(core, i);
    for (uint32_t i = *members_address_bucket(members, row->record.mesh_ip); i != CORE_NO_INDEX;
         i = members->rows[i].same_address_next)
        members_settle(core, i);
}

void members_settle_all(struct core *core)
{
    for (uint32_t i = 0; i < core->members.count; i++)
        members_settle(core, i);
}

static void members_retire(struct core *core, uint32_t index)
{
    struct row *row = &core->members.rows[index];

    members_unlink_row(&core->members, index);
    row->record.removed = true;
    core->members.live--;
    members_settle(core, index);
    members_settle_rivals(core, row);
    if (!row->is_self)
        members_ask(&core->members, index, ROW_TELL_REMOVED);
}

/* Makes a live member of the row's record. */
static void members_enlist(struct core *core, uint32_t index)
{
    struct members *members = &core->members;
    struct row *row = &members->rows[index];

    members->live++;
    members_link_row(members, index);
    members_settle_rivals(core, row);
    if (!row->is_self)
        members_ask(members, index, ROW_TELL_JOINED);
}

static void members_append(struct core *core, uint32_t index, const struct core_record *record)
{
    struct members *members = &core->members;
    struct row *row = &members->rows[index];

    *row = (struct row){.record = *record, .older_index = CORE_NO_INDEX};
    mesh_ipv6(&core->node.identity.cluster, &record->member_id, row->mesh_ip6);
    row->is_self = bytes32_equal(&record->member_id, &core->node.identity.member_id);
    if (row->is_self)
        members->self = index;
    members->count = index + 1;
    if (members->used < members->count)
        members->used = members->count;
    if (!record->removed)
        members_enlist(core, index);
}

/* Whether both are of one member: these fields never change while it exists. */
static bool members_same(const struct core_record *a, const struct core_record *b)
{
    return bytes32_equal(&a->member_id, &b->member_id) &&
           address_equal(&a->member_contract, &b->member_contract) &&
           bytes32_equal(&a->x_pubkey, &b->x_pubkey) && a->mesh_ip == b->mesh_ip;
}

static void members_change_wg_key(struct core *core, uint32_t index, const struct bytes32 *key)
{
    struct row *row = &core->members.rows[index];
    struct row before = *row;

    members_unlink_row(&core->members, index);
    row->record.wg_pubkey = *key;
    members_link_row(&core->members, index);
    members_settle_rivals(core, &before);
    members_settle_rivals(core, row);
    if (row->is_self)
        return;
    row->handshake_seen = false; /* that was with the old key */
    device_note_change(core, index);
    members_ask(&core->members, index, ROW_TELL_KEY);
}

/* A stream proves who it is by this key, so the old streams end. */
static void members_change_session_key(struct core *core, uint32_t index, const struct bytes32 *key)
{
    struct row *row = &core->members.rows[index];

    row->record.ed25519_pubkey = *key;
    if (!row->wanted)
        return;
    links_stop(core, index);
    members_ask(&core->members, index, ROW_REMOVE_STREAM | ROW_SET_STREAM | ROW_TELL_KEY);
    links_start(core, index);
}

bool members_put(struct core *core, uint32_t index, const struct core_record *record)
{
    struct members *members = &core->members;
    struct row *row = &members->rows[index];

    if (index == members->count) {
        members_append(core, index, record);
        return true;
    }
    if (!members_same(&row->record, record)) {
        members_truncate(core, index);
        return false;
    }
    row->record.registered_at = record->registered_at;
    if (row->record.removed && record->removed)
        return true;
    if (row->record.removed) { /* a reorganisation took the removal back */
        row->record = *record;
        members_enlist(core, index);
        return true;
    }
    if (record->removed) {
        members_retire(core, index);
        return true;
    }
    if (!bytes32_equal(&row->record.wg_pubkey, &record->wg_pubkey))
        members_change_wg_key(core, index, &record->wg_pubkey);
    if (!bytes32_equal(&row->record.ed25519_pubkey, &record->ed25519_pubkey))
        members_change_session_key(core, index, &record->ed25519_pubkey);
    return true;
}

void members_truncate(struct core *core, uint32_t count)
{
    struct members *members = &core->members;

    if (count >= members->count)
        return;
    for (uint32_t i = members->count; i-- > count;)
        if (!members->rows[i].record.removed)
            members_retire(core, i);
    if (members->self != CORE_NO_INDEX && members->self >= count)
        members->self = CORE_NO_INDEX;
    members->count = count;
}

uint32_t members_find(const struct members *members, const struct bytes32 *member_id)
{
    if (members->capacity == 0)
        return CORE_NO_INDEX;
    uint32_t i = *members_id_bucket(members, member_id);
    while (i != CORE_NO_INDEX && !bytes32_equal(&members->rows[i].record.member_id, member_id))
        i = members->rows[i].same_id_next;
    return i;
}

struct row *members_wanted_row(struct members *members, uint32_t index)
{
    return index < members->count && members->rows[index].wanted ? &members->rows[index] : NULL;
}

uint32_t core_find_peer(const struct core *core, uint32_t mesh_ip)
{
    const struct members *members = &core->members;

    if (members->capacity == 0)
        return CORE_NO_INDEX;
    uint32_t i = members->address_buckets[mesh_ip & (members->capacity - 1)];
    while (i != CORE_NO_INDEX && !(members->rows[i].wanted && members->rows[i].record.mesh_ip == mesh_ip))
        i = members->rows[i].same_address_next;
    return i;
}

struct row *members_find_peer(struct members *members, const struct bytes32 *wg_pubkey)
{
    if (members->capacity == 0)
        return NULL;
    for (uint32_t i = *members_key_bucket(members, wg_pubkey); i != CORE_NO_INDEX;
         i = members->rows[i].same_key_next)
        if (members->rows[i].wanted && bytes32_equal(&members->rows[i].record.wg_pubkey, wg_pubkey))
            return &members->rows[i];
    return NULL;
}
