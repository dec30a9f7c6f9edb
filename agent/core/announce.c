#include "agent/core/announce.h"

#include "agent/core/csk.h"
#include "agent/core/outbox.h"

#define ANNOUNCE_GRACE_MS 30000 /* the shared key's commitment goes first, unless it takes longer */

static const struct backoff announce_read_backoff = {.floor_ms = 1000, .ceiling_ms = 60000};
static const struct backoff announce_send_backoff = {.floor_ms = 5000, .ceiling_ms = 900000};

static bool announce_wanted(const struct core *core)
{
    const struct members *members = &core->members;

    return core->config.envelope_id && core->node.registered && core->registry.synced &&
           core->registry.intake != INTAKE_PAGES && members->self != CORE_NO_INDEX &&
           members->live <= core->config.envelope_members_max;
}

static uint64_t announce_issued(const struct core *core, uint32_t number)
{
    return core->members.rows[core->members.self].record.registered_at * 1000 + number;
}

uint64_t announce_issued_ms(const struct core *core, uint32_t index)
{
    return announce_issued(core, core->members.rows[index].errand.sent);
}

static struct bytes32 announce_id(const struct core *core, const struct row *row, uint32_t number)
{
    return core->config.envelope_id(core->config.user, &row->record.member_id, announce_issued(core, number));
}

/* Whether the last endpoint that the member was sent is the present one. */
static bool announce_is_current(const struct core *core, const struct row *row)
{
    const struct errand *errand = &row->errand;

    if (errand->sent == 0)
        return false;
    const struct bytes32 id = announce_id(core, row, errand->sent - 1);
    return bytes32_equal(&id, &errand->last);
}

static void announce_note(struct core *core, struct row *row, const struct bytes32 *id)
{
    row->errand.sent++;
    row->errand.fresh++;
    row->errand.last = *id;
    row->errand.is_current = announce_is_current(core, row);
    core->announce.check = core->registry.known.block + CORE_PROVISIONAL_BLOCKS;
}

void announce_sent(struct core *core, const struct core_sent_batch *batch)
{
    if (!core->announce.reading || core->members.self == CORE_NO_INDEX)
        return;
    for (size_t i = 0; i < batch->len; i++) {
        const uint32_t index = core_find_member(core, &batch->items[i].recipient);
        if (index != CORE_NO_INDEX)
            announce_note(core, &core->members.rows[index], &batch->items[i].envelope_id);
    }
}

/* What was found is there for good. */
static void announce_settle(struct core *core)
{
    for (uint32_t i = 0; i < core->members.count; i++) {
        struct errand *errand = &core->members.rows[i].errand;
        if (errand->fresh > 0)
            errand->attempts = 0;
        errand->fresh = 0;
    }
    core->announce.settled = core->announce.to;
}

void announce_read(struct core *core)
{
    struct announce *announce = &core->announce;

    if (!announce->reading)
        return;
    announce->reading = false;
    announce->failures = 0;
    if (!announce->provisional)
        announce_settle(core);
    else
        announce->known = true;
    announce->provisional = !announce->provisional;
    announce->target = 0;
}

void announce_read_failed(struct core *core)
{
    struct announce *announce = &core->announce;

    if (!announce->reading)
        return;
    announce->reading = false;
    announce->retry_ms = core->now_ms + backoff_delay(&announce_read_backoff, announce->failures, &core->rng);
    announce->failures++;
}

/* Until it is known to be there for good, the next attempt waits longer than this one. */
static void announce_attempted(struct core *core, struct errand *errand)
{
    errand->after_ms = core->now_ms + backoff_delay(&announce_send_backoff, errand->attempts, &core->rng);
    errand->attempts++;
}

void announce_done(struct core *core)
{
    if (!outbox_done(core, OUTBOX_SEND_ENVELOPE) || core->announce.target >= core->members.count)
        return;
    if (core->members.self == CORE_NO_INDEX) { /* a reorganisation took our own record */
        core->announce.known = false;
        return;
    }
    struct row *row = &core->members.rows[core->announce.target];
    if (!bytes32_equal(&row->errand.member_id, &row->record.member_id))
        return;
    const struct bytes32 id = announce_id(core, row, row->errand.sent);
    announce_attempted(core, &row->errand);
    announce_note(core, row, &id);
}

/* The next member's turn comes first: what fails for one may pass for another. */
void announce_failed(struct core *core)
{
    if (!outbox_failed(core, OUTBOX_SEND_ENVELOPE) || core->announce.target >= core->members.count)
        return;
    announce_attempted(core, &core->members.rows[core->announce.target].errand);
}

/* A member whose row is new was sent nothing. */
static void announce_meet(struct row *row)
{
    if (!bytes32_equal(&row->errand.member_id, &row->record.member_id))
        row->errand = (struct errand){.member_id = row->record.member_id};
}

static void announce_take_back(struct errand *errand)
{
    errand->sent -= errand->fresh;
    errand->is_current = errand->is_current && errand->fresh == 0;
    errand->fresh = 0;
}

/* Begins to learn what was sent: what is there for good, then the rest. */
static void announce_learn(struct core *core)
{
    struct announce *announce = &core->announce;
    const uint64_t block = core->registry.known.block;
    const uint64_t firm = block > CORE_PROVISIONAL_BLOCKS ? block - CORE_PROVISIONAL_BLOCKS : 0;

    if (announce->reading || announce->retry_ms > core->now_ms)
        return;
    for (uint32_t i = 0; i < core->members.count; i++) {
        announce_meet(&core->members.rows[i]);
        announce_take_back(&core->members.rows[i].errand);
    }
    announce->provisional |= firm <= announce->settled;
    announce->to = announce->provisional ? block : firm;
    announce->check = CORE_NEVER;
    announce->reading = true;
    core->pending |= ASK_READ_SENT;
}

/* Who is to be sent an envelope now; CORE_NO_INDEX when nobody is. */
static uint32_t announce_next(struct core *core)
{
    struct members *members = &core->members;

    core->announce.wake_ms = CORE_NEVER;
    core->announce.head = core->registry.known.head;
    for (uint32_t i = 0; i < members->count; i++) {
        struct row *row = &members->rows[i];
        announce_meet(row);
        if (row->is_self || row->record.removed || row->errand.is_current)
            continue;
        if (row->errand.after_ms <= core->now_ms)
            return i;
        if (row->errand.after_ms < core->announce.wake_ms)
            core->announce.wake_ms = row->errand.after_ms;
    }
    return CORE_NO_INDEX;
}

/* Nobody was due, and nothing has changed. */
static bool announce_at_rest(const struct core *core)
{
    return core->announce.target == CORE_NO_INDEX && core->announce.wake_ms > core->now_ms &&
           bytes32_equal(&core->announce.head, &core->registry.known.head);
}

static uint64_t announce_start_ms(const struct core *core)
{
    return csk_acquired(core) ? 0 : core->announce.since_ms + ANNOUNCE_GRACE_MS;
}

void announce_pump(struct core *core)
{
    struct announce *announce = &core->announce;

    if (!announce_wanted(core)) {
        outbox_drop(core, OUTBOX_SEND_ENVELOPE);
        return;
    }
    if (announce->since_ms == 0)
        announce->since_ms = core->now_ms;
    if (announce_start_ms(core) > core->now_ms || outbox_in_flight(core, OUTBOX_SEND_ENVELOPE))
        return;
    if (core->registry.known.block >= announce->check)
        announce->known = false;
    if (!announce->known) {
        outbox_drop(core, OUTBOX_SEND_ENVELOPE);
        announce_learn(core);
        return;
    }
    if (announce_at_rest(core))
        return;
    announce->target = announce_next(core);
    if (announce->target != CORE_NO_INDEX)
        outbox_want(core, OUTBOX_SEND_ENVELOPE);
    else
        outbox_drop(core, OUTBOX_SEND_ENVELOPE);
}

uint64_t announce_deadline(const struct core *core)
{
    const struct announce *announce = &core->announce;

    if (!announce_wanted(core) || outbox_in_flight(core, OUTBOX_SEND_ENVELOPE) || announce->reading)
        return CORE_NEVER;
    if (announce_start_ms(core) > core->now_ms)
        return announce_start_ms(core);
    if (!announce->known)
        return announce->retry_ms;
    return announce->target == CORE_NO_INDEX ? announce->wake_ms : CORE_NEVER;
}
