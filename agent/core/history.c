#include "agent/core/history.h"

#include "agent/core/change.h"
#include "agent/core/members.h"

/* The changes behind `base` that lead to the target, and nothing else does: their number, or CORE_NO_INDEX.
 * They are the last ones, since every change raises the version by one. */
static uint32_t history_distance(const struct core_chain_state *base, const struct core_chain_state *target,
                                 const struct core_changes *changes)
{
    struct core_chain_state state = *base;

    if (base->version > target->version || target->version - base->version > changes->items_len)
        return CORE_NO_INDEX;
    const uint32_t distance = (uint32_t)(target->version - base->version);
    for (size_t i = changes->items_len - distance; i < changes->items_len; i++)
        state = change_apply(&state, &changes->items[i]);
    const bool leads = bytes32_equal(&state.head, &target->head) && state.members == target->members &&
                       state.removed == target->removed && state.csk_generation == target->csk_generation &&
                       bytes32_equal(&state.csk_commitment, &target->csk_commitment);
    return leads ? distance : CORE_NO_INDEX;
}

/* The change before the last `back` ones. */
static struct undo *history_at(struct history *history, uint32_t back)
{
    return &history->changes[(history->end - 1 - back) % HISTORY_MAX];
}

static void history_note(struct history *history, const struct undo *undo)
{
    history->changes[history->end++ % HISTORY_MAX] = *undo;
    if (history->len < HISTORY_MAX)
        history->len++;
}

void history_forget(struct core *core)
{
    core->history.len = 0;
}

static void history_undo(struct core *core)
{
    const struct undo *undo = history_at(&core->history, 0);

    if (undo->added)
        members_truncate(core, undo->index);
    else if (undo->index != CORE_NO_INDEX)
        members_put(core, undo->index, &undo->record);
    core->registry.known = undo->before;
    core->history.end--;
    core->history.len--;
}

/* What a change makes of a row. */
static struct core_record history_changed(const struct core_record *before, const struct core_change *change)
{
    struct core_record after = *before;

    if (change->type == CORE_CHANGE_REMOVED)
        after.removed = true;
    else if (change->type == CORE_CHANGE_WG_KEY)
        after.wg_pubkey = change->key.pubkey;
    else if (change->type == CORE_CHANGE_ED25519_KEY)
        after.ed25519_pubkey = change->key.pubkey;
    return after;
}

/* The row of the member that a change is about. */
static uint32_t history_row(struct core *core, const struct core_change *change)
{
    switch (change->type) {
    case CORE_CHANGE_REGISTERED:
        return core->members.count;
    case CORE_CHANGE_REMOVED:
        return members_find(&core->members, &change->removed);
    case CORE_CHANGE_WG_KEY:
    case CORE_CHANGE_ED25519_KEY:
        return members_find(&core->members, &change->key.member_id);
    case CORE_CHANGE_CSK_ROTATED:
    case CORE_CHANGE_CSK_COMMITTED:
        break;
    }
    return CORE_NO_INDEX;
}

/* `added` is the page's record of the member that a registration adds: the event does not have all of it. */
static void history_do(struct core *core, const struct core_change *change, const struct core_record *added)
{
    struct undo undo = {.before = core->registry.known, .index = history_row(core, change)};
    struct core_record record;

    if (change->type == CORE_CHANGE_REGISTERED) {
        record = change->registered;
        record.mesh_ip = added->mesh_ip;
        record.registered_at = added->registered_at;
        undo.added = true;
    } else if (undo.index != CORE_NO_INDEX) {
        undo.record = core->members.rows[undo.index].record;
        record = history_changed(&undo.record, change);
    }
    if (undo.index != CORE_NO_INDEX)
        members_put(core, undo.index, &record);
    history_note(&core->history, &undo);
    core->registry.known = change_apply(&undo.before, change);
}

/* Whether the new rows are those of the members whom the changes register. */
static bool history_rows_belong(const struct core_changes *changes, uint32_t distance)
{
    size_t rows = 0;

    for (size_t i = changes->items_len - distance; i < changes->items_len; i++) {
        const struct core_change *change = &changes->items[i];
        if (change->type != CORE_CHANGE_REGISTERED)
            continue;
        if (rows == changes->records_len ||
            !bytes32_equal(&changes->records[rows++].member_id, &change->registered.member_id))
            return false;
    }
    return rows == changes->records_len;
}

enum history_verdict history_follow(struct core *core, const struct core_changes *changes)
{
    struct registry *registry = &core->registry;
    const struct core_record *added = changes->records;
    uint32_t distance = history_distance(&registry->known, &registry->target, changes);

    if (distance == CORE_NO_INDEX) {
        for (uint32_t back = 0; back < core->history.len; back++) {
            const struct core_chain_state *base = &history_at(&core->history, back)->before;
            if (history_distance(base, &registry->target, changes) == CORE_NO_INDEX)
                continue;
            for (uint32_t i = 0; i <= back; i++)
                history_undo(core);
            return HISTORY_ROLLED_BACK;
        }
        return HISTORY_BROKEN;
    }
    if (!history_rows_belong(changes, distance))
        return HISTORY_BROKEN;
    for (size_t i = changes->items_len - distance; i < changes->items_len; i++) {
        const struct core_change *change = &changes->items[i];
        history_do(core, change, added);
        added += change->type == CORE_CHANGE_REGISTERED;
    }
    registry->known = registry->target;
    return HISTORY_FOLLOWED;
}
