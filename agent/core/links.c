#include "agent/core/links.h"

#include "agent/core/device.h"
#include "agent/core/liveness.h"
#include "agent/core/members.h"

static const struct backoff links_backoff = {.floor_ms = 250, .ceiling_ms = 30000};

bool links_ours(const struct core *core, const struct row *row)
{
    return memcmp(core->node.identity.member_id.b, row->record.member_id.b, sizeof(row->record.member_id.b)) <
           0;
}

static void links_dial_after(struct core *core, uint32_t index, uint64_t delay_ms)
{
    if (core->config.can_dial)
        timers_set(&core->links.dials, index, core->now_ms + delay_ms);
}

/* Dials a peer without a stream after `delay_ms`, or when it is our turn. */
static void links_dial_in_turn(struct core *core, uint32_t index, uint64_t delay_ms)
{
    const struct row *row = &core->members.rows[index];
    const uint64_t turn_ms =
        row->link.since_ms + LINKS_PATIENCE_MS + rng_between(&core->rng, 0, LINKS_PATIENCE_MS / 15);

    if (!links_ours(core, row) && core->now_ms + delay_ms < turn_ms)
        delay_ms = turn_ms - core->now_ms;
    links_dial_after(core, index, delay_ms);
}

static void links_retry(struct core *core, uint32_t index)
{
    struct link *link = &core->members.rows[index].link;

    links_dial_in_turn(core, index, backoff_delay(&links_backoff, link->failures, &core->rng));
    link->failures++;
}

void links_start(struct core *core, uint32_t index)
{
    core->members.rows[index].link = (struct link){.since_ms = core->now_ms};
    links_dial_in_turn(core, index, 0);
}

void links_hope(struct core *core, uint32_t index)
{
    struct row *row = members_wanted_row(&core->members, index);

    if (!row || row->link.up || row->link.dialing || row->link.failures == 0)
        return;
    row->link.failures = 0;
    links_dial_in_turn(core, index, rng_between(&core->rng, 0, LINKS_HOPE_MS));
}

static void links_end_dial(struct core *core, struct link *link)
{
    if (!link->dialing)
        return;
    link->dialing = false;
    core->links.dialing--;
}

void links_stop(struct core *core, uint32_t index)
{
    struct link *link = &core->members.rows[index].link;

    timers_clear(&core->links.dials, index);
    links_end_dial(core, link);
    if (link->up)
        core->links.up--;
    link->up = false;
    link->since_ms = core->now_ms;
}

void links_begin(struct core *core, struct row *row)
{
    if (row->link.begun)
        return;
    row->link.begun = true;
    device_note_change(core, members_index(&core->members, row));
    liveness_hurry(core); /* a packet for the tunnel to begin with */
}

void links_stream_up(struct core *core, const struct core_stream *stream)
{
    struct row *row = members_wanted_row(&core->members, stream->index);

    if (!row)
        return;
    if (!row->link.up) {
        for (uint32_t i = 0; core->links.up == 0 && i < core->members.count; i++)
            links_hope(core, i); /* the gateway is back */
        core->links.up++;
        members_ask(&core->members, stream->index, ROW_TELL_TRANSPORT);
    }
    if (stream->dialed)
        links_end_dial(core, &row->link);
    if (!row->link.ever_up)
        device_note_change(core, stream->index);
    row->link.up = row->link.ever_up = true;
    row->link.dialed = stream->dialed;
    row->link.since_ms = core->now_ms;
    if (stream->dialed)
        links_dial_after(core, stream->index,
                         rng_between(&core->rng, LINKS_RENEW_MS - LINKS_RENEW_JITTER_MS, LINKS_RENEW_MS));
    else
        timers_clear(&core->links.dials, stream->index);
    if (stream->dialed || device_handshake_age_s(core, row) <= CORE_HANDSHAKE_FRESH_S)
        links_begin(core, row);
    liveness_hurry(core);
    device_judge_peer(core, row);
}

void links_stream_down(struct core *core, const struct core_stream *stream)
{
    struct row *row = members_wanted_row(&core->members, stream->index);

    if (!row || !row->link.up)
        return;
    struct link *link = &row->link;
    if (core->now_ms - link->since_ms >= LINKS_HELD_MS)
        link->failures = 0;
    core->links.up--;
    link->up = false;
    link->since_ms = core->now_ms;
    CORE_COPY_TEXT(link->text, stream->text);
    members_ask(&core->members, stream->index, ROW_TELL_TRANSPORT);
    if (link->dialing)
        return;
    if (links_ours(core, row))
        links_retry(core, stream->index);
    else
        links_dial_in_turn(core, stream->index, 0);
}

void links_dial_failed(struct core *core, const struct core_stream *stream)
{
    struct row *row = members_wanted_row(&core->members, stream->index);

    if (!row || !row->link.dialing)
        return;
    links_end_dial(core, &row->link);
    CORE_COPY_TEXT(row->link.text, stream->text);
    if (!row->link.up || row->link.dialed)
        links_retry(core, stream->index);
}

void links_pump(struct core *core)
{
    uint32_t index;

    while (core->links.dialing < CORE_DIALS_MAX && timers_first(&core->links.dials, &index) <= core->now_ms) {
        timers_clear(&core->links.dials, index);
        core->members.rows[index].link.dialing = true;
        core->links.dialing++;
        members_ask(&core->members, index, ROW_DIAL);
    }
}

uint64_t links_deadline(const struct core *core)
{
    return core->links.dialing < CORE_DIALS_MAX ? timers_first(&core->links.dials, NULL) : CORE_NEVER;
}

bool links_carries(const struct core *core, const struct row *row)
{
    return row->link.up || (row->link.ever_up && core->now_ms - row->link.since_ms <= LINKS_PATIENCE_MS);
}
