#include "agent/core/journal.h"

#include "agent/core/change.h"
#include "agent/core/members.h"

/* The changes behind `base` that lead to the target, and nothing else does: their number, or CORE_NO_INDEX.
 * They are the last ones, since every change raises the version by one. */
static uint32_t journal_distance(const struct core_chain_state *base, const struct core_chain_state *target,
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
static struct undo *journal_at(struct journal *journal, uint32_t back)
{
    return &journal->changes[(journal->end - 1 - back) % JOURNAL_MAX];
}

static void journal_note(struct journal *journal, const struct undo *undo)
{
    journal->changes[journal->end++ % JOURNAL_MAX] = *undo;
    if (journal->len < JOURNAL_MAX)
        journal->len++;
}

void journal_forget(struct core *core)
{
    core->journal.len = 0;
}

static void journal_undo(struct core *core)
{
    const struct undo *undo = journal_at(&core->journal, 0);

    if (undo->added)
        members_truncate(core, undo->index);
    else if (undo->index != CORE_NO_INDEX)
        members_put(core, undo->index, &undo->record);
    core->registry.known = undo->before;
    core->journal.end--;
    core->journal.len--;
}

/* What a change makes of a row. */
static struct core_record journal_changed(const struct core_record *before, const struct core_change *change)
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
static uint32_t journal_row(struct core *core, const struct core_change *change)
{
    switch (change->type) {
    case CORE_CHANGE_REGISTERED: return core->members.count;
    case CORE_CHANGE_REMOVED: return members_find(&core->members, &change->removed);
    case CORE_CHANGE_WG_KEY:
    case CORE_CHANGE_ED25519_KEY: return members_find(&core->members, &change->key.member_id);
    case CORE_CHANGE_CSK_ROTATED:
    case CORE_CHANGE_CSK_COMMITTED: break;
    }
    return CORE_NO_INDEX;
}

/* `added` is the page's record of the member that a registration adds: the event does not have all of it. */
static void journal_do(struct core *core, const struct core_change *change, const struct core_record *added)
{
    struct undo undo = {.before = core->registry.known, .index = journal_row(core, change)};
    struct core_record record;

    if (change->type == CORE_CHANGE_REGISTERED) {
        record = change->registered;
        record.mesh_ip = added->mesh_ip;
        record.registered_at = added->registered_at;
        undo.added = true;
    } else if (undo.index != CORE_NO_INDEX) {
        undo.record = core->members.rows[undo.index].record;
        record = journal_changed(&undo.record, change);
    }
    if (undo.index != CORE_NO_INDEX)
        members_put(core, undo.index, &record);
    journal_note(&core->journal, &undo);
    core->registry.known = change_apply(&undo.before, change);
}

/* Whether the new rows are those of the members whom the changes register. */
static bool journal_rows_belong(const struct core_changes *changes, uint32_t distance)
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

enum journal_verdict journal_follow(struct core *core, const struct core_changes *changes)
{
    struct registry *registry = &core->registry;
    const struct core_record *added = changes->records;
    uint32_t distance = journal_distance(&registry->known, &registry->target, changes);

    if (distance == CORE_NO_INDEX) {
        for (uint32_t back = 0; back < core->journal.len; back++) {
            const struct core_chain_state *base = &journal_at(&core->journal, back)->before;
            if (journal_distance(base, &registry->target, changes) == CORE_NO_INDEX)
                continue;
            for (uint32_t i = 0; i <= back; i++)
                journal_undo(core);
            return JOURNAL_ROLLED_BACK;
        }
        return JOURNAL_BROKEN;
    }
    if (!journal_rows_belong(changes, distance))
        return JOURNAL_BROKEN;
    for (size_t i = changes->items_len - distance; i < changes->items_len; i++) {
        const struct core_change *change = &changes->items[i];
        journal_do(core, change, added);
        added += change->type == CORE_CHANGE_REGISTERED;
    }
    registry->known = registry->target;
    return JOURNAL_FOLLOWED;
}
