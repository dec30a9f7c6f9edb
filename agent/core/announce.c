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
    row->errand.last = *id;
    row->errand.is_current = announce_is_current(core, row);
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

void announce_read(struct core *core)
{
    struct announce *announce = &core->announce;

    if (!announce->reading)
        return;
    announce->reading = false;
    announce->known = true;
    announce->failures = 0;
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
    row->errand.failures = 0;
    announce_note(core, row, &id);
}

/* The next member's turn comes first: what fails for one may pass for another. */
void announce_failed(struct core *core)
{
    if (!outbox_failed(core, OUTBOX_SEND_ENVELOPE) || core->announce.target >= core->members.count)
        return;
    struct errand *errand = &core->members.rows[core->announce.target].errand;
    errand->after_ms = core->now_ms + backoff_delay(&announce_send_backoff, errand->failures, &core->rng);
    errand->failures++;
}

/* Begins to learn what was sent. */
static void announce_learn(struct core *core)
{
    struct announce *announce = &core->announce;

    if (announce->reading || announce->retry_ms > core->now_ms)
        return;
    for (uint32_t i = 0; i < core->members.count; i++)
        core->members.rows[i].errand = (struct errand){.member_id = core->members.rows[i].record.member_id};
    announce->reading = true;
    core->pending |= ASK_READ_SENT;
}

/* A row that a reorganisation gave to another member is not what was learnt; a new one was sent nothing. */
static void announce_check_row(struct core *core, struct row *row)
{
    struct errand *errand = &row->errand;

    if (bytes32_equal(&errand->member_id, &row->record.member_id))
        return;
    if (!bytes32_is_zero(&errand->member_id))
        core->announce.known = false;
    *errand = (struct errand){.member_id = row->record.member_id};
}

/* Who is to be sent an envelope now; CORE_NO_INDEX when nobody is. */
static uint32_t announce_next(struct core *core)
{
    struct members *members = &core->members;

    core->announce.wake_ms = CORE_NEVER;
    core->announce.head = core->registry.known.head;
    for (uint32_t i = 0; i < members->count; i++) {
        struct row *row = &members->rows[i];
        announce_check_row(core, row);
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
    if (!announce->known) {
        announce_learn(core);
        return;
    }
    if (announce_at_rest(core))
        return;
    announce->target = announce_next(core);
    if (announce->target != CORE_NO_INDEX && announce->known)
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
